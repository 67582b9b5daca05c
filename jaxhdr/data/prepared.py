"""TFDS data sets on disk: building them once, finding and opening them again.

Stored as array_record files, which neither writing nor reading needs TensorFlow for.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import constants

from jaxhdr.errors import UserError

Record = Mapping[str, Any]


BROKEN = ("refuse", "skip")
"""What may be done about broken source files; the first is the default."""


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

    A set is built under a temporary name and renamed when complete, so that neither a
    killed process nor two at once leave a part that passes for the whole. A build that
    was killed goes on where it was, and gives the same bytes.

    Args:
      name: "data_set" or "data_set/configuration"; several with "+" between.
      data_dir: where prepared data live; by default TFDS' own folder.
      manual_dir: the folder of source files, for data sets that need one. Of several
        sets, the folder that has a folder of each set's name.
      processes: how many build; by default one a core.
      broken: "refuse" a set with broken source files, or "skip" these; both name them.
      beam_runner: name of an Apache Beam runner to build on instead.
      beam_options: its options, with commas between: "direct_num_workers=2".

    Raises:
      UserError: unknown name, a source folder that is missing, has unusable files or
        is not the one that the data set was built from.
    """
    names = names_of(name)
    for one in names:
        folder = manual_dir
        if manual_dir and len(names) > 1:
            own = Path(manual_dir) / one.partition("/")[0]
            # A set that is prepared, or needs no files, may have no folder there.
            folder = str(own) if own.is_dir() else None
        builder = _builder_from_code(one, data_dir)
        if builder is None:
            open_prepared(one, data_dir)
        elif builder.is_prepared():
            _check_sources(builder, folder)
        else:
            if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
                _check_manual_dir(builder, folder)
            builder.processes = _count(processes)
            builder.broken = _checked(broken)
            _build(builder, folder, beam_runner, beam_options)


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
            "a Beam runner needs Apache Beam: run pip install 'jaxhdr[beam]'."
        ) from error
    return beam.PipelineOptions(flags=[f"--{part}" for part in text.split(",") if part])


def _count(processes: int | None) -> int:
    if processes is None:
        is_known = hasattr(os, "sched_getaffinity")  # not on macOS
        return len(os.sched_getaffinity(0)) if is_known else os.cpu_count() or 1
    if processes < 1:
        raise UserError(f"processes is {processes}; it must be at least 1.")
    return processes


def _checked(broken: str) -> str:
    if broken not in BROKEN:
        raise UserError(f"broken is {broken!r}; expected one of {BROKEN}.")
    return broken


def names_of(name: str) -> list[str]:
    """Returns the data sets of a mixture, or the one that `name` is.

    Raises:
      UserError: a name is empty or comes twice.
    """
    names = name.split("+")
    if not all(names) or len(set(names)) < len(names):
        raise UserError(
            f"the data {name!r} are no mixture; expected several names, + between."
        )
    return names


def data_source(
    name: str, split: str, *, data_dir: str | None = None
) -> Sequence[Record]:
    """Returns the records of a prepared split, e.g. "train" or "validation[:50%]".

    Of a mixture, those of one set after the other, with the set's name before theirs.

    Raises:
      UserError: a set is not prepared, or has no such split.
    """
    sources = data_sources(name, split, data_dir=data_dir)
    if len(sources) == 1:
        return sources[0]
    return _Joined(dict(zip(names_of(name), sources, strict=True)))


def data_sources(
    name: str, split: str, *, data_dir: str | None = None
) -> list[Sequence[Record]]:
    """Returns the records of a prepared split of each set of a mixture.

    Raises:
      UserError: a set is not prepared, or has no such split.
    """
    sources = []
    for one in names_of(name):
        builder = open_prepared(one, data_dir)
        try:
            sources.append(builder.as_data_source(split=split))
        except (ValueError, KeyError) as error:
            raise UserError(
                f"{one} has no split {split!r}; it has {sorted(builder.info.splits)}."
            ) from error
    return sources


class _Joined(Sequence[Record]):
    """The records of several sets, one set after the other."""

    def __init__(self, sources: Mapping[str, Sequence[Record]]):
        self._sources = sources

    def __len__(self) -> int:
        return sum(map(len, self._sources.values()))

    def __getitem__(self, index: Any) -> Any:
        for name, source in self._sources.items():
            if 0 <= index < len(source):
                record = dict(source[index])
                return record | {"name": f"{name}/{record['name'].decode()}".encode()}
            index -= len(source)
        raise IndexError(index)


def available() -> list[str]:
    """Returns the names of the data sets that can be built here."""
    package = importlib.util.find_spec("data_builders")
    folders = package.submodule_search_locations if package else None
    return sorted(
        path.parent.name
        for folder in folders or ()
        for path in Path(folder).glob("*/*_dataset_builder.py")
        if path.stem == f"{path.parent.name}_dataset_builder"
    )


def _builder_from_code(name: str, data_dir: str | None) -> Any:
    """Returns the builder of our own code, or None where the code is not installed."""
    data_set, _, config = name.partition("/")
    names = available()
    if not names:
        return None
    if data_set not in names:
        raise UserError(f"unknown data set {data_set!r}; available: {names}.")
    module = f"data_builders.{data_set}.{data_set}_dataset_builder"
    builder_class = importlib.import_module(module).Builder
    configs = list(builder_class.builder_configs)
    if config and config not in configs:
        raise UserError(
            f"{data_set} has no configuration {config!r}; available: {configs}."
        )
    with _quiet():
        return builder_class(config=config or None, data_dir=data_dir)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps TFDS' announcements off stdout, and its warning that data are not there."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        logger.setLevel(level)


def open_prepared(name: str, data_dir: str | None) -> Any:
    """Returns the builder of the newest prepared version, which needs no code.

    Raises:
      UserError: the set is not prepared.
    """
    root = Path(data_dir) if data_dir else Path(constants.DATA_DIR)
    folder = root.expanduser() / name
    if folder.is_dir() and not _versions(folder):
        folder = folder / _default_config(folder)
    versions = _versions(folder)
    if not versions:
        raise UserError(
            f"{name} is not prepared in {root}; run "
            f"'python -m jaxhdr.data build {name} --data_dir {root}'."
        )
    return tfds.builder_from_directory(folder / str(max(versions)))


def _versions(folder: Path) -> list[tfds.core.Version]:
    complete = folder.glob("*.*.*/dataset_info.json")
    names = [path.parent.name for path in complete]
    return [tfds.core.Version(n) for n in names if tfds.core.Version.is_valid(n)]


def _default_config(folder: Path) -> str:
    facts = folder / ".config" / "metadata.json"
    if not facts.is_file():
        return ""
    return json.loads(facts.read_text()).get("default_config_name", "")


def _check_manual_dir(builder: Any, manual_dir: str | None) -> None:
    if manual_dir is None:
        raise UserError(
            f"{builder.name} needs manual_dir, "
            f"{builder.MANUAL_DOWNLOAD_INSTRUCTIONS.strip()}"
        )
    if not Path(manual_dir).is_dir():
        raise UserError(
            f"manual_dir {manual_dir} is not a folder; give an existing one."
        )


def _check_sources(builder: Any, manual_dir: str | None) -> None:
    """Refuses prepared data that were made from other files than the ones named."""
    can_tell = hasattr(builder, "is_built_from")
    if manual_dir is None or not can_tell or not Path(manual_dir).is_dir():
        return
    if not builder.is_built_from(manual_dir):
        raise UserError(
            f"{builder.data_dir} was prepared from other files than {manual_dir} now "
            "has; remove it to prepare it anew, or give another data_dir."
        )
