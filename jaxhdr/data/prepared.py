"""Finds and opens prepared TFDS data sets on disk.

They are stored as array_record files, which are written and read without TensorFlow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import constants

from jaxhdr.errors import UserError

Record = Mapping[str, Any]


def names_of(name: str) -> list[str]:
    """Returns the names of data sets in `name`, which joins those of a mixture by +.

    Raises:
      UserError: a name is empty or occurs twice.
    """
    names = name.split("+")
    if not all(names) or len(set(names)) < len(names):
        raise UserError(
            f"{name!r} does not name data sets; expected one name, or different names "
            "joined by +"
        )
    return names


def data_source(
    name: str, split: str, *, data_dir: str | None = None
) -> Sequence[Record]:
    """Returns the records of a prepared split, e.g. "train" or "validation[:50%]".

    The records of a mixture follow set by set, and their names begin with that of
    their set.

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
    """Returns the records of a prepared split, one sequence per set of a mixture.

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
                f"{one} has no split {split!r}; it has {sorted(builder.info.splits)}"
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


def open_prepared(name: str, data_dir: str | None) -> Any:
    """Returns the TFDS builder of the newest prepared version of a data set.

    It is made from the files alone, without the code of the data set.

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
            f"'jaxhdr data build {name} --data-dir {root}'"
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
