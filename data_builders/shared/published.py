"""Published sets of HDR images, most of which include photographs.

Each set is described once: where to get it, and how to find its files. The description
gives the download instructions, the error for missing files, and the builder's jobs.
Files are found by pattern at any depth, unpacked or in zips.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from data_builders.shared import readings, splits
from data_builders.shared.building import Plan, SourceBuilder
from data_builders.shared.shards import Example, Job, Problem
from data_builders.shared.source_files import SourceFile, fingerprint, list_files
from jaxhdr.errors import UserError

VALIDATION_SHARE = 0.1
"""Share of the training scenes that go to `validation` if a set has no such split."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSet:
    """A published data set.

    Attributes:
      title: the set's name in the literature.
      pages: addresses of its description and its download.
      size: size of the download.
      licence: licence, in its authors' words.
      tree: layout of the files that the builder looks for.
      published: number of records in each split of the complete set; the splits of a
        sum are joined by "+".
    """

    title: str
    pages: Sequence[str]
    size: str
    licence: str
    tree: str
    published: Mapping[str, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """The files of one record.

    Attributes:
      name: name of the record, unique in the set.
      scene: name of the scene; all records of a scene are in the same split.
      split: name of the split.
      files: files by role, such as `HDR`; None if a file is missing.
    """

    name: str
    scene: str
    split: str
    files: Mapping[str, SourceFile | None]

    def file(self, role: str) -> SourceFile:
        """Returns the file of a role.

        Raises:
          UserError: the file is missing.
        """
        found = self.files[role]
        if found is None:
            raise UserError(f"{self.name} has no {role}; add the missing file")
        return found

    def problem(self) -> Problem | None:
        """Returns the problem that files are missing, or None if none is."""
        absent = [role for role, file in self.files.items() if file is None]
        if not absent:
            return None
        names = [file.name for file in self.files.values() if file is not None]
        return Problem(min(names, default=self.name), f"no {' and no '.join(absent)}")


HDR, LDR = "HDR image", "photograph"
"""Roles of the files in most groups."""


def pair(
    *,
    name: str,
    scene: str,
    split: str,
    hdr: SourceFile | None,
    ldr: SourceFile | None,
) -> Group:
    """Returns a group of an HDR image and its photograph."""
    return Group(name=name, scene=scene, split=split, files={HDR: hdr, LDR: ldr})


def read_pair(group: Group) -> Iterator[tuple[str, Example]]:
    """Yields the record of an HDR image and its photograph."""
    hdr = readings.read_radiance(group.file(HDR))
    ldr = readings.read_codes(group.file(LDR))
    yield group.name, readings.pair(hdr, ldr, name=group.name, scene=group.scene)


class PublishedBuilder(SourceBuilder, skip_registration=True):
    """Builds a published set from its description and from groups of its files.

    Attributes:
      data_set: description of the set.
    """

    data_set: DataSet
    is_paired = True

    def _groups(self, files: Sequence[SourceFile]) -> Iterable[Group | Problem]:
        """Returns the groups of the files, also incomplete ones, and problems."""
        raise NotImplementedError

    def _reader(self) -> Callable[[Group], Iterator[tuple[str, Example]]]:
        """Returns the function, defined in a module, that yields a group's records."""
        return read_pair

    def _plan(self, folder: Path) -> Plan:
        files = list_files(folder)
        jobs: dict[str, list[Job]] = {}
        problems = []
        for group in self._groups(files):
            problem = group if isinstance(group, Problem) else group.problem()
            if problem is not None:
                problems.append(problem)
            elif isinstance(group, Group):
                job = Job(group.name, self._reader(), (group,))
                jobs.setdefault(group.split, []).append(job)
        if not jobs and not problems:
            raise missing(self.name, self.data_set, folder)
        report_counts(self.data_set, {s: len(jobs[s]) for s in jobs})
        return Plan(jobs, problems, fingerprint(files))

    def _sources(self, folder: Path) -> str:
        return fingerprint(list_files(folder))


def instructions(data_set: DataSet) -> str:
    """Returns the download instructions that TFDS and our own errors show."""
    return (
        f"the folder of {data_set.title}\n"
        f"  pages    {', '.join(data_set.pages)}\n"
        f"  size     {data_set.size}\n"
        f"  licence  {data_set.licence}\n"
        "  expected, unpacked or as zips, at any depth:\n"
        + "\n".join(f"    {line}" for line in data_set.tree.strip().splitlines())
    )


def missing(name: str, data_set: DataSet, folder: Path) -> UserError:
    """Returns the error for a folder without files of the set."""
    return UserError(f"{folder} has no files of {name}; give {instructions(data_set)}")


def report_counts(data_set: DataSet, counts: Mapping[str, int]) -> None:
    """Writes to stderr which splits have more or fewer records than published."""
    for name, published in data_set.published.items():
        count = sum(counts.get(split, 0) for split in name.split("+"))
        if count != published:
            sys.stderr.write(
                f"{data_set.title}, {name}: {count} of the {published} published "
                "records\n"
            )


def join(
    photographs: Mapping[tuple[str, ...], SourceFile],
    truths: Mapping[tuple[str, ...], SourceFile],
) -> Iterator[tuple[tuple[str, ...], SourceFile | None, SourceFile | None]]:
    """Yields key, photograph and truth, sorted by key; a missing file is None."""
    for key in sorted(photographs.keys() | truths.keys()):
        yield key, photographs.get(key), truths.get(key)


def with_validation(
    scenes: Iterable[str], *, share: float = VALIDATION_SHARE
) -> Callable[[str], str]:
    """Returns a function from a scene to its split, `train` or `validation`."""
    held_out = splits.held_out(scenes, share=share, seed=0)
    return lambda scene: "validation" if scene in held_out else "train"
