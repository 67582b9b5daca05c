"""Makes a data set of a folder of HDR files: whole images, or views of panoramas."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Float

from data_builders.hdr_images import panorama
from data_builders.shared import records, splits
from data_builders.shared.building import Plan, SourceBuilder
from data_builders.shared.resizing import shrink
from data_builders.shared.shards import Example, Job
from data_builders.shared.source_files import SourceFile, hdr_files, opened
from jaxhdr import image_io
from jaxhdr.errors import UserError


@dataclasses.dataclass(eq=False)
class HdrImagesConfig(tfds.core.BuilderConfig):
    """How the records of each file are made, and how scenes are split.

    Attributes:
      views_per_image: number of perspective views of each panorama; 0 keeps the image.
      view_size: height and width of a view in pixels.
      field_of_view: smallest and largest angle of view across the wider side, in
        degrees.
      pitch: lowest and highest direction above the horizon, in degrees.
      above_horizon_only: whether views of files with "puresky" in their name stay above
        the horizon; below it, such files have a mirrored sky.
      maximum_side: largest height and width in pixels, to which images are averaged
        down; 0 keeps their size.
      validation_share: expected share of series (not of files) in validation.
      split_seed: seed of the validation split. With seed 4 and the CC0 panoramas of
        Poly Haven that are common in public repositories, validation has outdoor,
        indoor, studio, night and sky-only scenes.
      seed: seed of the views, hashed with the file's name and the view's number.
    """

    views_per_image: int = 0
    view_size: tuple[int, int] = (256, 256)
    field_of_view: tuple[float, float] = (40.0, 100.0)
    pitch: tuple[float, float] = (-30.0, 40.0)
    above_horizon_only: bool = True
    maximum_side: int = 0
    validation_share: float = 0.22
    split_seed: int = 4
    seed: int = 0


class Builder(SourceBuilder):
    """Builder of the `hdr_images` data set."""

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {  # noqa: RUF012 - the name TFDS reads
        "1.0.0": "First release.",
        "1.1.0": "Views of 40 to 100 degrees; 22 % of the series validate, not 15 %.",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"a folder of HDR files ({', '.join(image_io.HDR_SUFFIXES)}), subfolders and "
        "zips included, whose names begin with their series and an underscore"
    )
    BUILDER_CONFIGS = [  # noqa: RUF012 - the name TFDS reads
        HdrImagesConfig(name="images", description="The images as they are."),
        HdrImagesConfig(
            name="images_1k",
            description="The images, at most 1024 pixels wide and high.",
            maximum_side=1024,
        ),
        HdrImagesConfig(
            name="panorama_views",
            description="16 perspective views, 256 x 256, of each panorama.",
            views_per_image=16,
        ),
    ]

    @property
    def _config(self) -> HdrImagesConfig:
        return cast(HdrImagesConfig, self.builder_config)

    def _plan(self, folder: Path) -> Plan:
        config, files = self._config, hdr_files(folder)
        split_names = splits.split_by_series(
            list(files), share=config.validation_share, seed=config.split_seed
        )
        facts = source_facts(files)
        jobs = {
            split: [
                Job(name, _examples, (files[name], facts[name], config))
                for name in names
            ]
            for split, names in split_names.items()
        }
        return Plan(jobs, sources=facts)

    def _sources(self, folder: Path) -> dict[str, str]:
        return source_facts(hdr_files(folder))


def _examples(
    file: SourceFile, _facts: str, config: HdrImagesConfig
) -> Iterator[tuple[str, Example]]:
    """Yields the records of one file."""
    with opened(file) as path:
        hdr = read_radiance(path)
    scene = splits.scene_of(file.name)
    for key, picture in pictures(hdr, file.name, config=config):
        if not records.is_dark(picture):
            yield key, records.record(picture, name=key, scene=scene)


def pictures(
    hdr: Float[np.ndarray, "h w 3"], name: str, *, config: HdrImagesConfig
) -> Iterator[tuple[str, Float[np.ndarray, "h2 w2 3"]]]:
    """Yields (key, image): the whole image, or its views if `config` has some.

    Args:
      hdr: radiance of one file.
      name: the file's name.
      config: the number and the kind of the views.

    Raises:
      UserError: views are configured, but the image is no panorama.
    """
    if not config.views_per_image:
        yield name, shrink(hdr, config.maximum_side)
        return
    if hdr.shape[1] != 2 * hdr.shape[0]:
        raise UserError(
            f"{name} has {hdr.shape[1]} x {hdr.shape[0]} pixels and is no "
            "equirectangular panorama (width = 2 x height); remove it from the folder "
            "or build hdr_images/images"
        )
    for number in range(config.views_per_image):
        seed = splits.hash_integer(f"{config.seed}:{name}:{number}")
        view = panorama.draw_view(
            np.random.default_rng(seed),
            field_of_view=config.field_of_view,
            pitch=config.pitch,
            above_horizon=config.above_horizon_only and "puresky" in name.lower(),
        )
        rendered = panorama.render_view(hdr, view, size=config.view_size)
        yield f"{name}#view{number:03d}", rendered


def source_facts(files: Mapping[str, SourceFile]) -> dict[str, str]:
    """Returns the size of every file and a hash of its first 64 KiB.

    These facts distinguish one folder's files from another's. The header and the first
    rows suffice for that, and they are read quickly. A zip has checksums of its own.
    """
    return {name: f"{file.size} {_checksum(file)}" for name, file in files.items()}


def _checksum(file: SourceFile) -> str:
    if file.member:
        return file.modified
    with open(file.path, "rb") as opened_file:
        return hashlib.sha256(opened_file.read(65536)).hexdigest()[:16]


def read_radiance(path: Path) -> Float[np.ndarray, "h w 3"]:
    """Returns a file's radiance, with negative values set to 0.

    Resampling and gamut conversion cause small negative values.

    Raises:
      UserError: the file cannot be read or has NaN or infinite values.
    """
    return np.maximum(image_io.read_hdr(path), np.float32(0.0))
