"""Builds data sets that are not built yet.

Each data set has a folder in `data_builders/`. `jaxhdr.data` reads the sets that this
module builds.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from jaxhdr.data import names_of
from jaxhdr.errors import UserError, check_count

BROKEN = ("refuse", "skip")
"""Ways to treat broken source files; the first is the default."""


def prepare(
    name: str,
    *,
    data_dir: str | None = None,
    manual_dir: str | None = None,
    processes: int | None = None,
    broken: str = BROKEN[0],
    beam_runner: str | None = None,
    beam_options: str = "",
) -> None:
    """Builds data sets unless they are already built.

    A set is built under a temporary name and renamed when it is complete. So an
    incomplete set never looks complete, even if the process is killed or two processes
    build at once. A killed build resumes where it stopped, and gives the same bytes.

    Args:
      name: "data_set" or "data_set/configuration"; several are joined by "+".
      data_dir: folder of the prepared data; by default, the one that TFDS uses.
      manual_dir: folder of source files, for data sets that need one. For several
        sets, a folder that has one subfolder for each set, with the set's name.
      processes: number of processes; by default, one for each core.
      broken: "refuse" if broken source files stop the build, "skip" if they are left
        out. Their names are listed in both cases.
      beam_runner: name of an Apache Beam runner, which then builds the set.
      beam_options: options of the runner, separated by commas: "direct_num_workers=2".

    Raises:
      UserError: the name is unknown, the source folder is missing or has unusable
        files, or the data set was built from other files.
    """
    names = names_of(name)
    for one in names:
        folder = manual_dir
        if manual_dir and len(names) > 1:
            own = Path(manual_dir) / one.partition("/")[0]
            # A set that is already built or needs no files may have no folder there.
            folder = str(own) if own.is_dir() else None
        builder = _create_builder(one, data_dir)
        if builder.is_prepared():
            _check_sources(builder, folder)
        else:
            if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
                _check_manual_dir(builder, folder)
            builder.processes = _count(processes)
            builder.broken = _checked(broken)
            _build(builder, folder, beam_runner, beam_options)


def prepare_for_training(fields: Any) -> None:
    """Builds the data sets that the section `data` of a configuration names.

    Raises:
      UserError: a data set cannot be built; see `prepare`.
    """
    names = (fields.name, fields.validation_name or fields.name)
    for name in dict.fromkeys(names):
        prepare(
            name,
            data_dir=fields.data_dir or None,
            manual_dir=fields.manual_dir or None,
        )


def _build(
    builder: Any, manual_dir: str | None, beam_runner: str | None, beam_options: str
) -> None:
    config = tfds.download.DownloadConfig(
        manual_dir=manual_dir,
        try_download_gcs=False,
        register_checksums=False,
        beam_runner=beam_runner,
        beam_options=_beam_options(beam_options) if beam_runner else None,
    )
    tfds.display_progress_bar(sys.stderr.isatty())
    with _quiet():
        builder.download_and_prepare(download_config=config, file_format="array_record")


def _beam_options(text: str) -> Any:
    try:
        beam = importlib.import_module("apache_beam.options.pipeline_options")
    except ImportError as error:
        raise UserError(
            "a Beam runner needs Apache Beam, which is not installed: run "
            "pip install 'jaxhdr[beam]'"
        ) from error
    return beam.PipelineOptions(flags=[f"--{part}" for part in text.split(",") if part])


def _count(processes: int | None) -> int:
    if processes is None:
        is_known = hasattr(os, "sched_getaffinity")  # not on macOS
        return len(os.sched_getaffinity(0)) if is_known else os.cpu_count() or 1
    check_count("processes", processes)
    return processes


def _checked(broken: str) -> str:
    if broken not in BROKEN:
        raise UserError(f"broken is {broken!r}; expected one of {list(BROKEN)}")
    return broken


def available() -> list[str]:
    """Returns the names of the data sets that this checkout can build."""
    return sorted(
        path.parent.name
        for path in Path(__file__).parents[1].glob("*/*_dataset_builder.py")
        if path.stem == f"{path.parent.name}_dataset_builder"
    )


def _create_builder(name: str, data_dir: str | None) -> Any:
    data_set, _, config = name.partition("/")
    names = available()
    if data_set not in names:
        raise UserError(f"unknown data set {data_set!r}; available: {names}")
    module = f"data_builders.{data_set}.{data_set}_dataset_builder"
    builder_class = importlib.import_module(module).Builder
    configs = list(builder_class.builder_configs)
    if config and config not in configs:
        raise UserError(
            f"{data_set} has no configuration {config!r}; available: {configs}"
        )
    with _quiet():
        return builder_class(config=config or None, data_dir=data_dir)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Redirects TFDS' announcements to stderr, and hides its warnings."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        logger.setLevel(level)


def _check_manual_dir(builder: Any, manual_dir: str | None) -> None:
    if manual_dir is None:
        raise UserError(
            f"{builder.name} needs manual_dir, "
            f"{builder.MANUAL_DOWNLOAD_INSTRUCTIONS.strip()}"
        )
    if not Path(manual_dir).is_dir():
        raise UserError(
            f"manual_dir {manual_dir} is not a folder; give an existing folder"
        )


def _check_sources(builder: Any, manual_dir: str | None) -> None:
    """Checks that the prepared data were built from the files in `manual_dir`."""
    if manual_dir is None or not Path(manual_dir).is_dir():
        return
    if not builder.is_built_from(manual_dir):
        raise UserError(
            f"{builder.data_dir} was prepared from other files than {manual_dir} has "
            "now; remove it to build it again, or give another data_dir"
        )
