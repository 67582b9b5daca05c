"""Makes pairs from a folder of HDR images as FHDR does.

Khan et al. (2019), section III-A.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import jax
import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Float

from data_builders.shared import readings, records
from data_builders.shared.building import Plan, SourceBuilder
from data_builders.shared.resizing import shrink
from data_builders.shared.shards import Example, Job
from data_builders.shared.source_files import SourceFile, fingerprint, hdr_files
from data_builders.shared.splits import hash_integer, scene_of, split_by_series
from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.imaging import camera

# The paper names only "exposure alteration and application of different camera curves".
_CAMERA = camera.create_camera(
    curve_shares=(0.0, 1.0, 0.0), read_noise=0.0, shot_noise=0.0, jpeg_share=0.0
)
_LARGEST_FACTOR = 4

_simulate = jax.jit(camera.simulate, static_argnames="camera")


@dataclasses.dataclass(eq=False)
class CuratedConfig(tfds.core.BuilderConfig):
    """How pairs are cut from the images.

    Attributes:
      train_size: height and width of a training pair in pixels.
      test_size: height and width of a test pair in pixels.
      train_cuts: number of cuts of each image of `train`.
      test_cuts: number of cuts of each image of `test`.
      test_share: expected share of series (not of files) in `test`.
      seed: seed of cuts and cameras, hashed with the file's name and the cut's number.
    """

    train_size: int = 256
    test_size: int = 512
    train_cuts: int = 12
    test_cuts: int = 5
    test_share: float = 0.1
    seed: int = 0


class Builder(SourceBuilder):
    """Builder of the `curated` data set."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 - the name TFDS reads
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"a folder of HDR files ({', '.join(image_io.HDR_SUFFIXES)}), subfolders and "
        "zips included, whose names begin with their series and an underscore"
    )
    BUILDER_CONFIGS = [  # noqa: RUF012 - the name TFDS reads
        CuratedConfig(
            name="fhdr", description="Pairs of 256 pixels to train, 512 to test on."
        )
    ]
    is_paired = True

    def _plan(self, folder: Path) -> Plan:
        config = cast(CuratedConfig, self.builder_config)
        files = hdr_files(folder)
        sides = split_by_series(list(files), share=config.test_share, seed=config.seed)
        kinds = (
            ("train", sides["train"], config.train_size, config.train_cuts),
            ("test", sides["validation"], config.test_size, config.test_cuts),
        )
        jobs = {
            split: [
                Job(name, _examples, (files[name], size, cuts, config.seed))
                for name in names
            ]
            for split, names, size, cuts in kinds
        }
        return Plan(jobs, sources=self._sources(folder))

    def _sources(self, folder: Path) -> str:
        return fingerprint(list(hdr_files(folder).values()))


def _examples(
    file: SourceFile, size: int, cuts: int, seed: int
) -> Iterator[tuple[str, Example]]:
    """Yields the pairs of one image."""
    hdr = readings.read_radiance(file)
    if min(hdr.shape[:2]) < size:
        raise UserError(
            f"{file.name} has {hdr.shape[0]} x {hdr.shape[1]} pixels, fewer than "
            f"{size} on a side; remove it from the folder"
        )
    levels = camera.clipping_levels(hdr)[None]
    for number in range(cuts):
        name = f"{file.name}#cut{number:02d}"
        drawn = hash_integer(f"{seed}:{name}")
        part = cut(hdr, size, np.random.default_rng(drawn))
        if records.is_dark(part):
            continue
        # Without 64-bit numbers, a key keeps only 32 bits of its seed.
        pair = _simulate(
            jax.random.key(drawn % 2**31), part[None], levels, camera=_CAMERA
        )
        encoded = np.asarray(pair.encoded[0])
        ldr = np.rint(255 * encoded).astype(np.uint8)
        radiance = np.asarray(pair.hdr[0])
        yield (
            name,
            records.record(radiance, name=name, scene=scene_of(file.name), ldr=ldr),
        )


def cut(
    hdr: Float[np.ndarray, "h w 3"], size: int, rng: np.random.Generator
) -> Float[np.ndarray, "size size 3"]:
    """Returns a random square of the image, averaged down by a whole factor.

    Args:
      hdr: radiance of the image.
      size: height and width of the result in pixels.
      rng: source of the random factor and position.
    """
    largest = min(min(hdr.shape[:2]) // size, _LARGEST_FACTOR)
    side = size * int(rng.integers(1, largest + 1))
    row, column = (int(rng.integers(0, length - side + 1)) for length in hdr.shape[:2])
    return shrink(hdr[row : row + side, column : column + side], size)
