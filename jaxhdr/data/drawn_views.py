"""Draws views of panoramas anew for every step, with Grain.

Only numbers are drawn here; the step of training renders the views on the device
(`jaxhdr.imaging.panorama`). So no two views of a run are the same, and nothing is read
from disk.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import grain
import numpy as np

from jaxhdr.data.batches import ALL_RECORDS
from jaxhdr.data.prepared import Record
from jaxhdr.errors import UserError, check_count
from jaxhdr.fields import made_of


@dataclasses.dataclass(frozen=True)
class ViewRanges:
    """What is drawn at random for each view, uniformly; all angles in degrees.

    Attributes:
      size: height and width of a view in pixels; 0 draws no views.
      field_of_view: smallest and largest angle across the view.
      pitch: lowest and highest direction above the horizon.
      roll: largest turn around the direction of the view, to each side.
      above_horizon_only: whether views of panoramas with "puresky" in their name stay
        above the horizon; below it, such panoramas have a mirrored sky.

    Raises:
      UserError: a range is empty, or an angle is out of range.
    """

    size: int = 0
    field_of_view: tuple[float | int, float | int] = (25.0, 120.0)
    pitch: tuple[float | int, float | int] = (-35.0, 45.0)
    roll: float | int = 5.0
    above_horizon_only: bool = True

    def __post_init__(self) -> None:
        if type(self.size) is not int or self.size < 0:
            raise UserError(
                f"views.size is {self.size!r}; expected a number of pixels, or 0 for "
                "no views"
            )
        if not 0 <= self.roll <= 180:
            raise UserError(
                f"views.roll is {self.roll}; expected an angle from 0 to 180 degrees"
            )
        for name, least, most in (("field_of_view", 1, 170), ("pitch", -90, 90)):
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise UserError(
                    f"views.{name} is {(low, high)}; expected two rising angles from "
                    f"{least} to {most} degrees"
                )


def create_ranges(**fields: Any) -> ViewRanges:
    """Returns the ranges with these attributes; pairs may be lists.

    Raises:
      UserError: an attribute is unknown or has a wrong value.
    """
    return made_of("views", fields, kind=ViewRanges)


def view_batches(
    names: Sequence[str],
    *,
    batch_size: int,
    ranges: ViewRanges,
    seed: int,
    shard: grain.sharding.ShardOptions = ALL_RECORDS,
) -> grain.DatasetIterator:
    """Returns an endless iterator of batches of random views.

    A batch is {"panorama": (b,), "angles": (b, 4)}: the number of the panorama in
    `names`, and yaw, pitch, roll and field of view in degrees. Every panorama is seen
    once before one is seen twice. Batches depend only on `seed` and on their index; the
    iterator's `get_state` and `set_state` continue a sequence.

    Args:
      names: the names of the panoramas.
      batch_size: number of views in a batch.
      ranges: what is drawn.
      seed: seed of the order and of the views.
      shard: which part of the views this host draws, and the number of hosts.

    Raises:
      UserError: the batch size is below 1.
    """
    check_count("batch_size", batch_size)
    are_skies = ["puresky" in name.lower() for name in names]

    def draw(number: Any, rng: np.random.Generator) -> dict[str, Any]:
        is_sky = ranges.above_horizon_only and are_skies[number]
        angles = _angles(rng, ranges, above_horizon=is_sky)
        return {"panorama": np.int32(number), "angles": angles.astype(np.float32)}

    views = (
        grain.MapDataset.range(len(names))
        .seed(seed)
        .shuffle()
        .repeat(None)
        .random_map(draw)[shard.shard_index :: shard.shard_count]
    )
    # Drawing takes microseconds, so that one thread suffices.
    options = grain.ReadOptions(num_threads=0)
    return iter(views.to_iter_dataset(options).batch(batch_size))


def panoramas_of(
    source: Sequence[Record],
) -> tuple[list[str], list[np.ndarray]]:
    """Returns the names and the radiance of panoramas, all of the commonest size.

    Larger ones are averaged down and smaller ones repeated, by powers of two.

    Raises:
      UserError: a record is no panorama, or its size does not fit the others'.
    """
    names = [record["name"].decode() for record in source]
    images = [np.asarray(record["hdr"], np.float32) for record in source]
    heights = [len(image) for image in images]
    height = max(set(heights), key=heights.count)
    fitted = [_fitted(*each, height) for each in zip(names, images, strict=True)]
    return names, fitted


def _angles(
    rng: np.random.Generator, ranges: ViewRanges, *, above_horizon: bool
) -> np.ndarray:
    opening = rng.uniform(*ranges.field_of_view)
    low, high = ranges.pitch
    if above_horizon:
        low = max(low, min(opening / 2, 90.0))
    pitch = rng.uniform(low, max(low, high))
    roll = rng.uniform(-ranges.roll, ranges.roll)
    return np.array([rng.uniform(0.0, 360.0), pitch, roll, opening])


def _fitted(name: str, image: np.ndarray, height: int) -> np.ndarray:
    own, width, _ = image.shape
    larger, smaller = max(own, height), min(own, height)
    ratio = larger // smaller
    if width != 2 * own or larger % smaller:
        raise UserError(
            f"{name} has {width} x {own} pixels; expected a panorama of "
            f"{2 * height} x {height} pixels, or of a multiple or an even part of that"
        )
    if own > height:
        blocks = image.reshape(height, ratio, 2 * height, ratio, 3)
        return blocks.mean(axis=(1, 3))
    return image.repeat(ratio, axis=0).repeat(ratio, axis=1)
