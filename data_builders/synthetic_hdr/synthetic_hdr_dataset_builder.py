"""Procedural HDR scenes as a data set that needs no download."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import tensorflow_datasets as tfds

from data_builders.shared import records
from data_builders.shared.building import Plan, SourceBuilder
from data_builders.shared.shards import Example, Job
from data_builders.shared.splits import hash_integer
from data_builders.synthetic_hdr import layouts, rendering


@dataclasses.dataclass(eq=False)
class SyntheticHdrConfig(tfds.core.BuilderConfig):
    """The size and the number of the scenes.

    Attributes:
      size: height and width in pixels.
      num_train: number of scenes in `train`.
      num_validation: number of scenes in `validation`.
      seed: seed of the scenes, hashed with the split's name and the scene's number.
    """

    size: int = 256
    num_train: int = 256
    num_validation: int = 32
    seed: int = 0


class Builder(SourceBuilder):
    """Builder of the `synthetic_hdr` data set."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 - the name TFDS reads
    BUILDER_CONFIGS = [  # noqa: RUF012 - the name TFDS reads
        SyntheticHdrConfig(
            name="default", description="256 and 32 scenes of 256 x 256 pixels."
        ),
        SyntheticHdrConfig(
            name="small",
            description="32 and 8 scenes of 128 x 128 pixels, for tests.",
            size=128,
            num_train=32,
            num_validation=8,
        ),
    ]

    @property
    def _config(self) -> SyntheticHdrConfig:
        return cast(SyntheticHdrConfig, self.builder_config)

    def _plan(self, folder: Path) -> Plan:
        counts = {
            "train": self._config.num_train,
            "validation": self._config.num_validation,
        }
        return Plan(
            {
                split: [self._job(split, number) for number in range(count)]
                for split, count in counts.items()
            }
        )

    def _job(self, split: str, number: int) -> Job:
        kind = layouts.KINDS[number % len(layouts.KINDS)]
        scene = f"{split}_{kind}_{number:05d}"
        arguments = (scene, kind, self._config.size, self._config.seed)
        return Job(scene, _examples, arguments)


def _examples(
    scene: str, kind: str, size: int, seed: int
) -> Iterator[tuple[str, Example]]:
    """Yields the record of one scene."""
    rng = np.random.default_rng(hash_integer(f"{seed}:{scene}"))
    hdr = rendering.render(layouts.draw_scene(rng, kind), size=size)
    yield scene, records.record(hdr, name=scene, scene=scene)
