"""The builder that all data sets of this project extend, as TFDS wants it.

A data set says how it looks (`_info`) and what its jobs are (`_plan`); this class does
the rest of TFDS' contract: shards in parallel, resumed after a kill, on one machine or
on a Beam runner, with broken sources named and counted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import tensorflow_datasets as tfds
from tensorflow_datasets.core import splits as tfds_splits

from data_builders.shared import records, shards
from jaxhdr.errors import UserError

_MOST_NAMED = 20  # problems in a message; all are in the data set's metadata


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be made.

    Attributes:
      jobs: by split, in the order of their examples; splits without jobs are left out.
      problems: sources of which no job could be made.
      sources: tells the source files from others.
    """

    jobs: Mapping[str, Sequence[shards.Job]]
    problems: Sequence[shards.Problem] = ()
    sources: Any = ""


class SourceBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Builds a data set from sources that are independent of each other.

    Attributes:
      processes: how many write shards at once.
      broken: "refuse" a set with broken sources, or "skip" these.
      is_paired: whether records bring their photograph, `ldr`.
    """

    processes = 1
    broken = "refuse"
    is_paired = False

    def _plan(self, folder: Path) -> Plan:
        """Returns what is to be made of the files in a folder, without reading them."""
        raise NotImplementedError

    def _sources(self, folder: Path) -> Any:
        """Returns what tells the files in a folder from others."""
        raise NotImplementedError

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=records.features(paired=self.is_paired),
            supervised_keys=None,
            # Kept in order of scenes: evenly spaced records then spread over scenes.
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
        )

    @property
    def metadata(self) -> dict[str, Any]:
        """Facts of the prepared data: `sources` and `problems`."""
        return cast(dict, self.info.metadata)

    def is_built_from(self, manual_dir: str) -> bool:
        """Returns whether the prepared data came from this folder's present files."""
        return self.metadata.get("sources") == self._sources(Path(manual_dir))

    def download_and_prepare(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, **options: Any
    ) -> None:
        """Builds the data set unless it is there; see TFDS for the options.

        One process at a time: others wait, and find it built.
        """
        self._work.mkdir(parents=True, exist_ok=True)
        with _locked(Path(f"{self._work}.lock")):
            _remove_killed(Path(self.data_dir))
            super().download_and_prepare(**options)
            shutil.rmtree(self._work, ignore_errors=True)

    @property
    def _work(self) -> Path:
        """The folder of finished shards, beside that of the data set."""
        final = self.info.full_name.replace("/", "-")
        return Path(self.data_dir_root) / ".building" / final

    def _shard_iterators_per_split(self, dl_manager):
        raise NotImplementedError("shards are written by _download_and_prepare")

    def _download_and_prepare(self, dl_manager, download_config=None) -> None:
        config = download_config or tfds.download.DownloadConfig()
        folder = config.manual_dir
        if folder is None and self.MANUAL_DOWNLOAD_INSTRUCTIONS:
            folder = dl_manager.manual_dir
        plan = self._plan(Path(folder or os.devnull))
        self._work.mkdir(parents=True, exist_ok=True)
        planned = {
            split: shards.partition(
                jobs, self._work, split=split, is_paired=self.is_paired
            )
            for split, jobs in plan.jobs.items()
            if jobs
        }
        every = [shard for split in planned.values() for shard in split]
        if config.beam_runner:
            shards.write_all_with_beam(
                every, runner=config.beam_runner, options=config.beam_options
            )
        else:
            shards.write_all(every, processes=self.processes)
        facts = {shard.path: shard.facts() or {} for shard in every}
        found = [shards.Problem(*p) for f in facts.values() for p in f["problems"]]
        problems = [*plan.problems, *found]
        sources = sum(len(jobs) for jobs in plan.jobs.values())
        self._check(problems, left=sources - len(found))
        self.metadata["sources"] = plan.sources
        self.metadata["problems"] = {p.name: p.reason for p in problems}
        infos = [self._assembled(split, s, facts) for split, s in planned.items()]
        self.info.set_splits(tfds_splits.SplitDict(infos))

    def _check(self, problems: Sequence[shards.Problem], *, left: int) -> None:
        """Reports broken sources, and refuses the set if it is to be refused."""
        if not problems:
            return
        named = "\n".join(f"  {p.name}: {p.reason}" for p in problems[:_MOST_NAMED])
        more = len(problems) - _MOST_NAMED
        named += f"\n  and {more} more" if more > 0 else ""
        text = f"broken sources of {self.name}: {len(problems)}\n{named}"
        if self.broken == "refuse":
            raise UserError(
                f"{text}\nMend them, or leave them out with --broken=skip; what is "
                "done is kept."
            )
        if not left:
            raise UserError(f"{text}\nNone is left.")
        sys.stderr.write(f"{text}\nThey are left out.\n")

    def _assembled(
        self,
        split: str,
        parts: Sequence[shards.Shard],
        facts: Mapping[str, Mapping[str, Any]],
    ) -> tfds.core.SplitInfo:
        """Moves the shards with examples to their place; returns what they hold."""
        kept = [part for part in parts if facts[part.path]["examples"]]
        if not kept:
            raise UserError(
                f"no source of {self.name}/{split} is left; give a folder with sound "
                "files of it."
            )
        template = self._get_filename_template(split_name=split)
        for number, part in enumerate(kept):
            final = template.sharded_filepath(shard_index=number, num_shards=len(kept))
            _link(part.path, os.fspath(final))
        return tfds.core.SplitInfo(
            name=split,
            shard_lengths=[facts[part.path]["examples"] for part in kept],
            num_bytes=sum(facts[part.path]["bytes"] for part in kept),
            filename_template=template,
        )


def _link(source: str, target: str) -> None:
    """Gives a file a second name, or copies it: a kill leaves the first in place."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Waits until no other process builds the same; a killed one holds no lock."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_killed(data_dir: Path) -> None:
    """Removes what a killed process left; only with the lock held."""
    for folder in data_dir.parent.glob(f"incomplete.*_{data_dir.name}"):
        shutil.rmtree(folder, ignore_errors=True)
