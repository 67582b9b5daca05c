"""The base class of all builders of this project, as TFDS requires it.

A data set describes its records (`_info`) and its jobs (`_plan`). This class does the
rest of the work that TFDS expects: it writes shards in parallel, on one machine or on a
Beam runner, resumes a killed build, and lists and counts broken sources.
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

_MOST_NAMED = 20  # problems in a message; the data set's metadata have all of them


@dataclasses.dataclass(frozen=True)
class Plan:
    """The work of a build.

    Attributes:
      jobs: jobs by split, in the order of their examples; splits without jobs are left
        out.
      problems: sources without a job, with the reason.
      sources: facts that distinguish the source files from others.
    """

    jobs: Mapping[str, Sequence[shards.Job]]
    problems: Sequence[shards.Problem] = ()
    sources: Any = ""


class SourceBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Builds a data set from sources that are independent of each other.

    Attributes:
      processes: number of processes that write shards at once.
      broken: "refuse" if broken sources stop the build, "skip" if they are left out.
      is_paired: whether records have a photograph, `ldr`.
    """

    processes = 1
    broken = "refuse"
    is_paired = False

    def _plan(self, folder: Path) -> Plan:
        """Returns the work for the files in a folder, without decoding images."""
        raise NotImplementedError

    def _sources(self, folder: Path) -> Any:
        """Returns facts that distinguish the files in a folder from others."""
        raise NotImplementedError

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=records.features(paired=self.is_paired),
            supervised_keys=None,
            # Records stay in order of scenes, so evenly spaced ones cover all scenes.
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
        )

    @property
    def metadata(self) -> dict[str, Any]:
        """The facts `sources` and `problems` of the prepared data."""
        return cast(dict, self.info.metadata)

    def is_built_from(self, manual_dir: str) -> bool:
        """Returns whether the prepared data were built from this folder's files."""
        return self.metadata.get("sources") == self._sources(Path(manual_dir))

    def download_and_prepare(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, **options: Any
    ) -> None:
        """Builds the data set unless it is already built; see TFDS for the options.

        Only one process builds at a time. Others wait, and then find the set built.
        """
        self._work.mkdir(parents=True, exist_ok=True)
        with _locked(Path(f"{self._work}.lock")):
            _remove_killed(Path(self.data_dir))
            super().download_and_prepare(**options)
            shutil.rmtree(self._work, ignore_errors=True)

    @property
    def _work(self) -> Path:
        """The folder of finished shards, beside the folder of the data set."""
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
        """Reports broken sources on stderr, or refuses to build the set.

        Raises:
          UserError: sources are broken and `broken` is "refuse", or none is left.
        """
        if not problems:
            return
        named = "\n".join(f"  {p.name}: {p.reason}" for p in problems[:_MOST_NAMED])
        more = len(problems) - _MOST_NAMED
        named += f"\n  and {more} more" if more > 0 else ""
        text = f"broken sources of {self.name}: {len(problems)}\n{named}"
        if self.broken == "refuse":
            raise UserError(
                f"{text}\nrepair these files, or leave them out with --broken=skip; "
                "finished shards are kept"
            )
        if not left:
            raise UserError(f"{text}\nno source is left; repair at least one file")
        sys.stderr.write(f"{text}\nthese sources are left out\n")

    def _assembled(
        self,
        split: str,
        parts: Sequence[shards.Shard],
        facts: Mapping[str, Mapping[str, Any]],
    ) -> tfds.core.SplitInfo:
        """Returns the facts of a split, after moving its shards to their place."""
        kept = [part for part in parts if facts[part.path]["examples"]]
        if not kept:
            raise UserError(
                f"no source of {self.name}/{split} is left; give a folder with intact "
                "files of this split"
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
    """Links or copies a file, so that the original remains if the build is killed."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a lock while the block runs; the lock of a killed process is released."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_killed(data_dir: Path) -> None:
    """Removes the files of killed builds; call it only while holding the lock."""
    for folder in data_dir.parent.glob(f"incomplete.*_{data_dir.name}"):
        shutil.rmtree(folder, ignore_errors=True)
