"""Shards of a data set: written whole or not at all, in parallel, and once only.

A job makes the examples of one source, and a shard holds those of some jobs in a row.
Which jobs share a shard depends on their number alone, and a finished shard is kept
with what it was made of: whoever writes it, in whichever order and however often the
build was killed, the bytes are the same. Nothing here holds more than one example.
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

# Enough that a killed build loses little and many cores have work, few enough that a
# reader can keep all of them open.
_MOST_SHARDS = 64

Example = Mapping[str, object]


class Problem(NamedTuple):
    """A source that gives no examples, and why."""

    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Job:
    """One source and how its examples are made.

    Attributes:
      name: of the source, in messages.
      make: a function of a module, which raises `UserError` for a broken source.
      arguments: of the function; their `repr` says all that the examples depend on.
    """

    name: str
    make: Callable[..., Iterable[tuple[str, Example]]]
    arguments: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Shard:
    """Jobs whose examples are one file.

    Attributes:
      path: of the file, in a folder that exists.
      jobs: in the order of their examples.
      is_paired: whether the examples have a photograph.
    """

    path: str
    jobs: tuple[Job, ...]
    is_paired: bool

    def facts(self) -> dict[str, Any] | None:
        """Returns what is known of the shard, or None if it has to be written."""
        try:
            facts = json.loads(self.facts_path.read_text())
        except (OSError, ValueError):
            return None
        is_current = facts["made_of"] == self.made_of and Path(self.path).is_file()
        return facts if is_current else None

    @property
    def facts_path(self) -> Path:
        """The file of what is known, written after the shard."""
        return Path(f"{self.path}.json")

    @property
    def made_of(self) -> str:
        """Tells the shard from one of other sources or options."""
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
    """Writes a shard, and beside it what it holds and which sources were broken."""
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
    """Writes the shards that are missing, with a bar on a terminal.

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
    """Writes the shards that are missing on an Apache Beam runner.

    All machines must see the folders of sources and of prepared data under one path.
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
    """Yields number and bytes of each example; adds to `sizes` and `problems`."""
    specs = records.features(paired=shard.is_paired)
    serializer = example_serializer.ExampleSerializer(
        cast(Any, specs.get_serialized_info())
    )
    for job in shard.jobs:
        try:
            for _, example in job.make(*job.arguments):
                encoded = specs.encode_example(example)
                # The order of a protocol buffer's map is one of the process otherwise.
                serialised = serializer.get_tf_example(encoded).SerializeToString(
                    deterministic=True
                )
                yield len(sizes), serialised
                sizes.append(len(serialised))
        except UserError as error:
            problems.append(Problem(job.name, str(error)))


def _written(shards: Sequence[Shard], processes: int) -> Iterator[Shard]:
    """Yields each shard once it is written, in whichever order that is."""
    if processes <= 1:
        for shard in shards:
            write(shard)
            yield shard
        return
    # Not by fork: JAX and Grain have threads, whose locks a fork may copy held.
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
            "a process of the build died, perhaps for want of memory; run the same "
            "command with fewer --processes: what is done is kept."
        ) from error
    finally:
        workers = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()


def _start_worker() -> None:
    """Leaves Ctrl-C to the parent, and ends with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
