"""A folder of HDR files as a data set, whole or as perspective views of panoramas."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Float

from data_builders.hdr_images import panorama
from data_builders.shared import records
from data_builders.shared.building import Plan, SourceBuilder
from data_builders.shared.shards import Example, Job
from data_builders.shared.splits import hash_integer
from jaxhdr import image_io
from jaxhdr.errors import UserError


@dataclasses.dataclass(eq=False)
class HdrImagesConfig(tfds.core.BuilderConfig):
    """What becomes of each file, and how scenes are split.

    Attributes:
      views_per_image: perspective views cut from each panorama; 0 keeps the image.
      view_size: height and width of a view in pixels.
      field_of_view: smallest and largest opening across the wider side, degrees.
      pitch: lowest and highest direction above the horizon, degrees.
      above_horizon_only: views of files with "puresky" in their name stay above the
        horizon, below which such files hold a mirrored sky.
      maximum_side: images are averaged down to at most this many pixels; 0 = never.
      validation_share: share of series (not of files) that go to validation.
      split_seed: draws the series of the validation split. With 4, and the CC0
        panoramas of Poly Haven that are common in public repositories, validation
        has outdoor, indoor, studio, night and sky-only scenes.
      seed: draws the views, with the file's name and the view's number.
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
        f"a folder of HDR files ({', '.join(image_io.HDR_SUFFIXES)}), subfolders "
        "included, whose names begin with their series and an underscore"
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
        config = self._config
        split_names = split_by_series(
            list_images(folder), share=config.validation_share, seed=config.split_seed
        )
        facts = source_facts(folder)
        jobs = {
            split: [
                Job(name, _examples, (str(folder), name, facts[name], config))
                for name in names
            ]
            for split, names in split_names.items()
        }
        return Plan(jobs, sources=facts)

    def _sources(self, folder: Path) -> dict[str, str]:
        return source_facts(folder)


def _examples(
    folder: str, name: str, _facts: str, config: HdrImagesConfig
) -> Iterator[tuple[str, Example]]:
    """Yields the records of one file."""
    hdr = read_radiance(Path(folder) / name)
    for key, picture in pictures(hdr, name, config=config):
        if not records.is_dark(picture):
            yield key, records.record(picture, name=key, scene=scene_of(name))


def pictures(
    hdr: Float[np.ndarray, "h w 3"], name: str, *, config: HdrImagesConfig
) -> Iterator[tuple[str, Float[np.ndarray, "h2 w2 3"]]]:
    """Yields (key, image): the image itself, or the views that `config` asks for."""
    if not config.views_per_image:
        yield name, shrink(hdr, config.maximum_side)
        return
    if hdr.shape[1] != 2 * hdr.shape[0]:
        raise UserError(
            f"{name}: {hdr.shape[1]} x {hdr.shape[0]} pixels is no equirectangular "
            "panorama (width = 2 x height); take it out of the folder or prepare "
            "'hdr_images/images'."
        )
    for number in range(config.views_per_image):
        view = panorama.draw_view(
            np.random.default_rng(hash_integer(f"{config.seed}:{name}:{number}")),
            field_of_view=config.field_of_view,
            pitch=config.pitch,
            above_horizon=config.above_horizon_only and "puresky" in name.lower(),
        )
        rendered = panorama.render_view(hdr, view, size=config.view_size)
        yield f"{name}#view{number:03d}", rendered


def list_images(folder: Path) -> list[str]:
    """Returns the HDR files below a folder as sorted relative names.

    Raises:
      UserError: there is none.
    """
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in image_io.HDR_SUFFIXES and path.is_file()
    )
    if not names:
        raise UserError(
            f"{folder} holds no HDR files ({', '.join(image_io.HDR_SUFFIXES)}); "
            "give the folder that has them as manual_dir."
        )
    return names


def source_facts(folder: Path) -> dict[str, str]:
    """Returns size and hash of the beginning of every HDR file, to tell folders apart.

    Beginnings (headers and first rows) suffice and are read in no time.
    """
    facts = {}
    for name in list_images(folder):
        with open(folder / name, "rb") as file:
            digest = hashlib.sha256(file.read(65536)).hexdigest()[:16]
        facts[name] = f"{(folder / name).stat().st_size} {digest}"
    return facts


def scene_of(name: str) -> str:
    """Returns the scene, the file's name without folder and suffix."""
    return Path(name).stem


def series_of(name: str) -> str:
    """Returns the series, the first word of the scene: views of one place or set.

    First words are coarser than series, so no series is ever torn apart.
    """
    return scene_of(name).split("_")[0].lower()


def split_by_series(
    names: Sequence[str], *, share: float, seed: int
) -> dict[str, list[str]]:
    """Returns the names of `train` and `validation`, whole series on one side.

    A series is in validation if the hash of seed and series falls under `share`, so
    adding files moves no other series; in small folders the series of lowest
    (highest) hash fills a validation (train) split that would be empty.

    Raises:
      UserError: all files are of one series.
    """
    hashes = {series_of(name): 0.0 for name in names}
    for series in hashes:
        hashes[series] = hash_integer(f"{seed}:{series}") / 2.0**64
    if len(hashes) < 2:
        raise UserError(
            f"all {len(names)} files are of one series, {next(iter(hashes))!r} (the "
            "first word of their names), and cannot be split into train and "
            "validation; name files <series>_<anything>, with at least two series."
        )
    ordered = sorted(hashes, key=hashes.__getitem__)
    held_out = {series for series in ordered if hashes[series] < share}
    held_out = (held_out | {ordered[0]}) - {ordered[-1]}
    return {
        "train": [name for name in names if series_of(name) not in held_out],
        "validation": [name for name in names if series_of(name) in held_out],
    }


def read_radiance(path: Path) -> Float[np.ndarray, "h w 3"]:
    """Returns a file's radiance; small negatives (resampling, gamut) become 0.

    Raises:
      UserError: the file cannot be read or holds NaN or infinite values.
    """
    return np.maximum(image_io.read_hdr(path), np.float32(0.0))


def shrink(
    hdr: Float[np.ndarray, "h w 3"], maximum_side: int
) -> Float[np.ndarray, "h2 w2 3"]:
    """Returns the image averaged over square blocks to at most `maximum_side`."""
    block = -(-max(hdr.shape[:2]) // maximum_side) if maximum_side else 1
    height, width = (max(1, side // block) for side in hdr.shape[:2])
    rows, columns = min(block, hdr.shape[0]), min(block, hdr.shape[1])
    cropped = hdr[: height * rows, : width * columns]
    blocks = cropped.reshape(height, rows, width, columns, 3)
    return blocks.mean(axis=(1, 3), dtype=np.float64).astype(np.float32)
