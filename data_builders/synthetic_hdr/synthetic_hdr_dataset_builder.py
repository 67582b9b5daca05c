"""Procedural HDR scenes as a data set: nothing to download, any machine."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import cast

import numpy as np
import tensorflow_datasets as tfds

from data_builders import records
from data_builders.synthetic_hdr import layouts, rendering


@dataclasses.dataclass(eq=False)
class SyntheticHdrConfig(tfds.core.BuilderConfig):
    """How many scenes.

    Attributes:
      size: height and width in pixels.
      num_train: scenes in `train`.
      num_validation: scenes in `validation`.
      seed: draws the scenes, with the split's name and the scene's number.
    """

    size: int = 256
    num_train: int = 256
    num_validation: int = 32
    seed: int = 0


class Builder(tfds.core.GeneratorBasedBuilder):
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

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=records.features(), supervised_keys=None, disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        return {
            "train": self._generate_examples("train", self._config.num_train),
            "validation": self._generate_examples(
                "validation", self._config.num_validation
            ),
        }

    def _generate_examples(self, split, count):
        for number in range(count):
            kind = layouts.KINDS[number % len(layouts.KINDS)]
            scene = f"{split}_{kind}_{number:05d}"
            digest = hashlib.sha256(f"{self._config.seed}:{scene}".encode())
            rng = np.random.default_rng(int.from_bytes(digest.digest()[:8], "big"))
            drawn = layouts.draw_scene(rng, kind)
            hdr = rendering.render(drawn, size=self._config.size)
            yield scene, records.record(hdr, name=scene, scene=scene)
