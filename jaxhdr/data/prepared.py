"""TFDS data sets on disk: building them once, finding and opening them again.

Stored as array_record files, which neither writing nor reading needs TensorFlow for.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import constants

from jaxhdr.errors import UserError

Record = Mapping[str, Any]


def prepare(
    name: str, *, data_dir: str | None = None, manual_dir: str | None = None
) -> None:
    """Builds a data set unless it is already built.

    A set is built under a temporary name and renamed when complete, so that neither a
    killed process nor two at once leave a part that passes for the whole.

    Args:
      name: "data_set" or "data_set/configuration".
      data_dir: where prepared data live; by default TFDS' own folder.
      manual_dir: the folder of source files, for data sets that need one.

    Raises:
      UserError: unknown name, a source folder that is missing, has unusable files or
        is not the one that the data set was built from.
    """
    builder = _builder_from_code(name, data_dir)
    if builder is None:
        _builder_from_files(name, data_dir)
        return
    if builder.is_prepared():
        _check_sources(builder, manual_dir)
        return
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        _check_manual_dir(builder, manual_dir)
    config = tfds.download.DownloadConfig(
        manual_dir=manual_dir, try_download_gcs=False, register_checksums=False
    )
    tfds.display_progress_bar(sys.stderr.isatty())
    try:
        with _quiet():
            builder.download_and_prepare(
                download_config=config, file_format="array_record"
            )
    except OSError:
        # The rename fails if another process finished the same set meanwhile.
        if not Path(builder.data_dir).is_dir():
            raise


def data_source(
    name: str, split: str, *, data_dir: str | None = None
) -> Sequence[Record]:
    """Returns the records of a prepared split, e.g. "train" or "validation[:50%]".

    Raises:
      UserError: the set is not prepared, or has no such split.
    """
    builder = _builder_from_files(name, data_dir)
    try:
        return builder.as_data_source(split=split)
    except (ValueError, KeyError) as error:
        raise UserError(
            f"{name} has no split {split!r}; it has {sorted(builder.info.splits)}."
        ) from error


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


def _builder_from_files(name: str, data_dir: str | None) -> Any:
    """Returns the builder of the newest prepared version, which needs no code."""
    root = Path(data_dir) if data_dir else Path(constants.DATA_DIR)
    folder = root.expanduser() / name
    if folder.is_dir() and not _versions(folder):
        folder = folder / _default_config(folder)
    versions = _versions(folder)
    if not versions:
        raise UserError(
            f"{name} is not prepared in {root}; run "
            f"'python -m data_builders.prepare {name} --data_dir={root}'."
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
            f"{builder.MANUAL_DOWNLOAD_INSTRUCTIONS.strip()}."
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
