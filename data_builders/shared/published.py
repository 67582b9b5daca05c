"""Published sets of HDR images, most of them with their photographs.

A set is described once: what somebody who has not got it must know, and how its files
are found. From that come the instructions, the error where files are missing, and the
jobs of its builder. Files are found by pattern at any depth, unpacked or zipped.
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
"""Share of a set's training scenes that become `validation` where no split is given."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSet:
    """A published data set.

    Attributes:
      title: its name in the literature.
      pages: where it is described and found.
      size: of the download.
      licence: as its authors state it.
      tree: the files that are looked for.
      published: how many records each split has when all files are there.
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
      name: of the record, unique in the set.
      scene: what must stay on one side of a split.
      split: the side.
      files: by what they are; None for one that is missing.
    """

    name: str
    scene: str
    split: str
    files: Mapping[str, SourceFile | None]

    def file(self, role: str) -> SourceFile:
        """Returns a file that is there."""
        found = self.files[role]
        if found is None:
            raise UserError(f"{self.name}: its {role} is missing.")
        return found

    def problem(self) -> Problem | None:
        """Returns what is missing, beside a file that is there."""
        absent = [role for role, file in self.files.items() if file is None]
        if not absent:
            return None
        names = [file.name for file in self.files.values() if file is not None]
        return Problem(min(names, default=self.name), f"no {' and no '.join(absent)}")


HDR, LDR = "HDR image", "photograph"
"""What the files of most groups are."""


def pair(
    *,
    name: str,
    scene: str,
    split: str,
    hdr: SourceFile | None,
    ldr: SourceFile | None,
) -> Group:
    """Returns the group of an HDR image and its photograph."""
    return Group(name=name, scene=scene, split=split, files={HDR: hdr, LDR: ldr})


def read_pair(group: Group) -> Iterator[tuple[str, Example]]:
    """Yields the record of an HDR image and its photograph."""
    hdr = readings.read_radiance(group.file(HDR))
    ldr = readings.read_codes(group.file(LDR))
    yield group.name, readings.pair(hdr, ldr, name=group.name, scene=group.scene)


class PublishedBuilder(SourceBuilder, skip_registration=True):
    """Builder of a published set, given its description and how files are grouped.

    Attributes:
      data_set: the description.
    """

    data_set: DataSet
    is_paired = True

    def _groups(self, files: Sequence[SourceFile]) -> Iterable[Group | Problem]:
        """Returns what the files make, incomplete groups and problems included."""
        raise NotImplementedError

    def _reader(self) -> Callable[[Group], Iterator[tuple[str, Example]]]:
        """Returns the function of a module that yields the records of a group."""
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
    """Returns what TFDS and our own errors tell somebody who has not got the set."""
    return (
        f"the folder of {data_set.title}\n"
        f"  pages    {', '.join(data_set.pages)}\n"
        f"  size     {data_set.size}\n"
        f"  licence  {data_set.licence}\n"
        "  expected, unpacked or as zips, at any depth:\n"
        + "\n".join(f"    {line}" for line in data_set.tree.strip().splitlines())
    )


def missing(name: str, data_set: DataSet, folder: Path) -> UserError:
    """Returns the error for a folder that has no file of the set."""
    return UserError(f"{folder} has no files of {name}; give {instructions(data_set)}")


def report_counts(data_set: DataSet, counts: Mapping[str, int]) -> None:
    """Tells on stderr which splits differ from the published set in number."""
    for name, published in data_set.published.items():
        count = sum(counts.get(split, 0) for split in name.split("+"))
        if count != published:
            sys.stderr.write(
                f"{data_set.title}, {name}: {count} of the {published} published\n"
            )


def join(
    photographs: Mapping[tuple[str, ...], SourceFile],
    truths: Mapping[tuple[str, ...], SourceFile],
) -> Iterator[tuple[tuple[str, ...], SourceFile | None, SourceFile | None]]:
    """Yields key, photograph and truth in order; None where one is missing."""
    for key in sorted(photographs.keys() | truths.keys()):
        yield key, photographs.get(key), truths.get(key)


def with_validation(
    scenes: Iterable[str], *, share: float = VALIDATION_SHARE
) -> Callable[[str], str]:
    """Returns the function that says whether a scene is in `train` or `validation`."""
    held_out = splits.held_out(scenes, share=share, seed=0)
    return lambda scene: "validation" if scene in held_out else "train"
