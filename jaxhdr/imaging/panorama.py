"""Perspective views of equirectangular panoramas, rendered on the device.

A panorama has shape (h, 2 h, 3). Its first row touches the zenith, and its columns run
clockwise through 360 degrees of azimuth. Views are ideal pinhole cameras. Radiance is
averaged linearly; nothing is clipped.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float16, Int

# Each level of detail has half the width and half the height of the one before.
_LEVELS = 3

# The largest value of a stacked panorama. In float16, all values that are at most 29
# stops below it have 11 significant bits.
_PEAK = 2.0**15


class Angles(NamedTuple):
    """The directions and openings of views, in degrees, one for each view.

    `yaw` is measured clockwise from the left edge of the panorama, `pitch` upwards from
    the horizon, `roll` clockwise around the direction of the view, and `field_of_view`
    across the view.
    """

    yaw: Float[Array, " b"]
    pitch: Float[Array, " b"]
    roll: Float[Array, " b"]
    field_of_view: Float[Array, " b"]


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["pixels"], meta_fields=["height"]
)
@dataclasses.dataclass(frozen=True)
class Panoramas:
    """Panoramas of one size at several levels of detail.

    Attributes:
      pixels: the pixels of all levels, level after level and row after row.
      height: number of rows of the first level.
    """

    pixels: Float16[Array, "n pixels 3"]
    height: int

    @property
    def heights(self) -> tuple[int, ...]:
        """The number of rows of each level."""
        return tuple(self.height >> level for level in range(_LEVELS))


def stack(panoramas: Sequence[Float[np.ndarray, "h w 3"]]) -> Panoramas:
    """Returns panoramas as `render` takes them; each gets a unit of its own.

    Args:
      panoramas: panoramas of one size, whose height is a multiple of 4.

    Raises:
      ValueError: they have different sizes, or one is no such panorama.
    """
    height = len(panoramas[0])
    expected = (height, 2 * height, 3)
    wrong = [each.shape for each in panoramas if each.shape != expected]
    if wrong or height % (1 << (_LEVELS - 1)):
        raise ValueError(
            f"panoramas have the shapes {wrong or [expected]}; expected one shape "
            "(h, 2 h, 3), with h a multiple of 4"
        )
    return Panoramas(jnp.asarray(np.stack([_levels(x) for x in panoramas])), height)


def _levels(panorama: Float[np.ndarray, "h w 3"]) -> Float16[np.ndarray, "pixels 3"]:
    level = panorama * np.float32(_PEAK / max(float(panorama.max()), 1e-30))
    levels = [level]
    for _ in range(_LEVELS - 1):
        height, width, _ = level.shape
        level = level.reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3))
        levels.append(level)
    flat = np.concatenate([each.reshape(-1, 3) for each in levels])
    return flat.astype(np.float16)


def render(
    panoramas: Panoramas, index: Int[Array, " b"], angles: Angles, *, size: int
) -> Float[Array, "b size size 3"]:
    """Returns square views of panoramas, interpolated bilinearly.

    The level of detail is the one whose pixels, at the horizon, are nearest in size to
    those in the middle of the view.

    Args:
      panoramas: the panoramas, from `stack`.
      index: the number of the panorama of each view.
      angles: the direction and the opening of each view.
      size: height and width of the views in pixels.
    """
    focal = size / 2 / jnp.tan(jnp.radians(angles.field_of_view) / 2)
    azimuth, elevation = jax.vmap(lambda *x: _directions(*x, size=size))(focal, angles)
    ratio = 2 * panoramas.height / (2 * jnp.pi) / focal  # panorama's pixels to a view's
    level = jnp.clip(jnp.round(jnp.log2(ratio)), 0, _LEVELS - 1).astype(jnp.int32)
    heights = jnp.asarray(panoramas.heights)
    starts = jnp.cumsum(2 * heights**2) - 2 * heights**2
    sample = jax.vmap(_bilinear, in_axes=(None, 0, 0, 0, 0, 0))
    return sample(
        panoramas.pixels, index, starts[level], heights[level], azimuth, elevation
    )


def _directions(
    focal: Float[Array, ""], angles: Angles, *, size: int
) -> tuple[Float[Array, "size size"], Float[Array, "size size"]]:
    """Returns azimuth and elevation, in radians, of the ray through every pixel."""
    yaw, pitch, roll, _ = (jnp.radians(angle) for angle in angles)
    steps = (jnp.arange(size) + 0.5 - size / 2) / focal
    right, down = steps[None, :], steps[:, None]
    across = right * jnp.cos(roll) - down * jnp.sin(roll)
    up = -right * jnp.sin(roll) - down * jnp.cos(roll)
    forward = jnp.cos(pitch) - up * jnp.sin(pitch)
    height = jnp.sin(pitch) + up * jnp.cos(pitch)
    azimuth = jnp.arctan2(across, forward) + yaw
    return azimuth, jnp.arctan2(height, jnp.hypot(across, forward))


def _bilinear(
    pixels: Float16[Array, "n pixels 3"],
    index: Int[Array, ""],
    start: Int[Array, ""],
    height: Int[Array, ""],
    azimuth: Float[Array, "size size"],
    elevation: Float[Array, "size size"],
) -> Float[Array, "size size 3"]:
    """Returns samples of one level, wrapping around and over the poles.

    The row beyond a pole is the same row, shifted by half a turn.
    """
    width = 2 * height
    rows = (0.5 - elevation / jnp.pi) * height - 0.5
    columns = azimuth / (2 * jnp.pi) * width - 0.5
    top, left = jnp.floor(rows), jnp.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    top, left = top.astype(jnp.int32), left.astype(jnp.int32)

    def at(row: Array, column: Array) -> Array:
        is_beyond = (row < 0) | (row >= height)
        column = jnp.mod(column + jnp.where(is_beyond, height, 0), width)
        row = jnp.clip(row, 0, height - 1)
        return pixels[index, start + row * width + column].astype(jnp.float32)

    upper = at(top, left) * (1 - right) + at(top, left + 1) * right
    lower = at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right
    return upper * (1 - down) + lower * down
