"""Shards of a data set, written in parallel, each completely or not at all.

A job makes the examples of one source, and a shard has the examples of consecutive
jobs. The number of jobs alone decides which of them share a shard, and every finished
shard is kept together with a hash of its sources. So the bytes of a set do not depend
on the number of processes, on the order of writing, or on killed builds. Only one
example at a time is in memory.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import importlib
import itertools
import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import tqdm
from tensorflow_datasets.core import example_serializer, file_adapters

from data_builders.shared import records
from jaxhdr.atomic import atomic_path
from jaxhdr.errors import UserError

# Many shards lose little when a build is killed, and keep many cores busy; few shards
# can all be kept open by a reader.
_MOST_SHARDS = 64

Example = Mapping[str, object]


class Problem(NamedTuple):
    """A source without examples, and the reason."""

    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Job:
    """One source, and the function that makes its examples.

    Attributes:
      name: name of the source in messages.
      make: function, defined in a module, that yields (name, example) and raises
        `UserError` for a broken source.
      arguments: arguments of the function; their `repr` must show everything on which
        the examples depend.
    """

    name: str
    make: Callable[..., Iterable[tuple[str, Example]]]
    arguments: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Shard:
    """Jobs whose examples are written to one file.

    Attributes:
      path: path of the file, in an existing folder.
      jobs: jobs, in the order of their examples.
      is_paired: whether the examples have a photograph.
    """

    path: str
    jobs: tuple[Job, ...]
    is_paired: bool

    def facts(self) -> dict[str, Any] | None:
        """Returns the facts of a finished shard, or None if it must be written."""
        try:
            facts = json.loads(self.facts_path.read_text())
        except (OSError, ValueError):
            return None
        is_current = facts["made_of"] == self.made_of and Path(self.path).is_file()
        return facts if is_current else None

    @property
    def facts_path(self) -> Path:
        """The path of the shard's facts, which are written after the shard."""
        return Path(f"{self.path}.json")

    @property
    def made_of(self) -> str:
        """A hash that distinguishes shards of different sources or options."""
        facts = [
            (job.name, job.make.__module__, job.make.__qualname__, job.arguments)
            for job in self.jobs
        ]
        return hashlib.sha256(repr(facts).encode()).hexdigest()


def partition(
    jobs: Sequence[Job], folder: Path, *, split: str, is_paired: bool
) -> list[Shard]:
    """Returns the shards of a split; their sizes differ by one job at most."""
    count = min(len(jobs), _MOST_SHARDS)
    edges = [number * len(jobs) // count for number in range(count + 1)]
    return [
        Shard(
            path=str(folder / f"{split}-{number:05d}-of-{count:05d}"),
            jobs=tuple(jobs[start:end]),
            is_paired=is_paired,
        )
        for number, (start, end) in enumerate(itertools.pairwise(edges))
    ]


def write(shard: Shard) -> None:
    """Writes a shard, and beside it a file of its facts and its broken sources."""
    sizes: list[int] = []
    problems: list[Problem] = []
    with atomic_path(shard.path) as temporary:
        file_adapters.ArrayRecordFileAdapter.write_examples(
            str(temporary), _serialised(shard, sizes, problems)
        )
    facts = {
        "made_of": shard.made_of,
        "examples": len(sizes),
        "bytes": sum(sizes),
        "problems": problems,
    }
    with atomic_path(shard.facts_path) as temporary:
        temporary.write_text(json.dumps(facts))


def write_all(shards: Sequence[Shard], *, processes: int) -> None:
    """Writes the missing shards, with a progress bar if stderr is a terminal.

    Raises:
      UserError: a process died, or a file cannot be written.
    """
    missing = [shard for shard in shards if shard.facts() is None]
    done = sum(len(s.jobs) for s in shards) - sum(len(s.jobs) for s in missing)
    total = sum(len(shard.jobs) for shard in shards)
    with tqdm.tqdm(
        total=total, initial=done, unit=" sources", disable=None, leave=False
    ) as bar:
        for shard in _written(missing, min(processes, len(missing))):
            bar.update(len(shard.jobs))


def write_all_with_beam(shards: Sequence[Shard], *, runner: Any, options: Any) -> None:
    """Writes the missing shards on an Apache Beam runner.

    The folders of sources and of prepared data must have the same path on all machines.
    """
    beam = importlib.import_module("apache_beam")
    missing = [shard for shard in shards if shard.facts() is None]
    if not missing:
        return
    with beam.Pipeline(runner=runner, options=options) as pipeline:
        _ = (
            pipeline
            | "Shards" >> beam.Create(missing)
            | "Spread" >> beam.Reshuffle()
            | "Write" >> beam.Map(write)
        )


def _serialised(
    shard: Shard, sizes: list[int], problems: list[Problem]
) -> Iterator[tuple[int, bytes]]:
    """Yields the number and the bytes of each example.

    Args:
      shard: the shard.
      sizes: list to which the size of each example is appended.
      problems: list to which each broken source is appended.
    """
    specs = records.features(paired=shard.is_paired)
    serializer = example_serializer.ExampleSerializer(
        cast(Any, specs.get_serialized_info())
    )
    for job in shard.jobs:
        try:
            for _, example in job.make(*job.arguments):
                encoded = specs.encode_example(example)
                # Without this option, the order of a map differs between processes.
                serialised = serializer.get_tf_example(encoded).SerializeToString(
                    deterministic=True
                )
                yield len(sizes), serialised
                sizes.append(len(serialised))
        except UserError as error:
            problems.append(Problem(job.name, str(error)))


def _written(shards: Sequence[Shard], processes: int) -> Iterator[Shard]:
    """Yields each shard when it is written, in any order."""
    if processes <= 1:
        for shard in shards:
            write(shard)
            yield shard
        return
    # "fork" is unsafe here: a lock that a thread of JAX or Grain holds during the fork
    # would stay locked in the child forever.
    pool = concurrent.futures.ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
    )
    try:
        futures = {pool.submit(write, shard): shard for shard in shards}
        for future in concurrent.futures.as_completed(futures):
            future.result()
            yield futures[future]
    except concurrent.futures.process.BrokenProcessPool as error:
        raise UserError(
            "a process of the build died, perhaps because memory ran out; run the same "
            "command with fewer --processes: finished shards are kept"
        ) from error
    finally:
        workers = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()


def _start_worker() -> None:
    """Ignores Ctrl-C, and ends this process as soon as its parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
