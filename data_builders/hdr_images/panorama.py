"""Perspective views of equirectangular panoramas by gnomonic projection.

A panorama has shape (height, width, 3) with width = 2 x height. Its first row touches
the zenith, and its columns run clockwise through 360 degrees of azimuth. Angles are in
degrees: `yaw` is measured clockwise from the panorama's left edge, `pitch` upwards from
the horizon, and `field_of_view` across the wider side of the view. Views have no roll:
the horizon is level. Radiance is averaged linearly; nothing is clipped or scaled.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Float


@dataclasses.dataclass(frozen=True, kw_only=True)
class View:
    """The direction and field of view of an ideal pinhole camera, in degrees."""

    yaw: float
    pitch: float
    field_of_view: float


def draw_view(
    rng: np.random.Generator,
    *,
    field_of_view: tuple[float, float],
    pitch: tuple[float, float],
    above_horizon: bool = False,
) -> View:
    """Returns a random view.

    Args:
      rng: source of the random numbers.
      field_of_view: smallest and largest field of view in degrees.
      pitch: lowest and highest pitch in degrees.
      above_horizon: whether even the lowest ray points above the horizon.
    """
    opening = rng.uniform(*field_of_view)
    lowest = max(pitch[0], opening / 2) if above_horizon else pitch[0]
    return View(
        yaw=rng.uniform(0.0, 360.0),
        pitch=rng.uniform(lowest, max(pitch[1], lowest)),
        field_of_view=opening,
    )


def render_view(
    panorama: Float[np.ndarray, "h w 3"], view: View, *, size: tuple[int, int]
) -> Float[np.ndarray, "view_h view_w 3"]:
    """Returns a view with `size` (height, width) pixels.

    The panorama is interpolated bilinearly where the view magnifies it. Where the
    panorama is finer than the view, every pixel averages several rays. Rows near the
    poles, where pixels are narrow slivers, are averaged first.
    """
    focal = max(size) / 2 / math.tan(math.radians(view.field_of_view) / 2)
    pixels_per_radian = panorama.shape[1] / (2 * math.pi)
    rays = max(1, math.ceil(pixels_per_radian / focal))
    fine = (size[0] * rays, size[1] * rays)
    azimuth, elevation = _directions(view, fine, focal * rays)
    scale = pixels_per_radian / (focal * rays)
    source = _average_rows(panorama, elevation, scale=scale)
    height, width = panorama.shape[:2]
    pixels = _bilinear(
        source,
        rows=(0.5 - elevation / math.pi) * height - 0.5,
        columns=np.mod(azimuth / (2 * math.pi), 1.0) * width - 0.5,
    )
    blocks = pixels.reshape(size[0], rays, size[1], rays, 3)
    return np.ascontiguousarray(blocks.mean(axis=(1, 3), dtype=np.float32))


def _directions(
    view: View, size: tuple[int, int], focal: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns azimuth and elevation (radians) of the ray through every pixel."""
    across = (np.arange(size[1]) + 0.5 - size[1] / 2)[None, :] / focal
    up = (size[0] / 2 - np.arange(size[0]) - 0.5)[:, None] / focal
    pitch = math.radians(view.pitch)
    forward = math.cos(pitch) - up * math.sin(pitch)
    height = math.sin(pitch) + up * math.cos(pitch)
    azimuth = np.arctan2(across, forward) + math.radians(view.yaw)
    elevation = np.arctan2(height, np.hypot(across, forward))
    return azimuth, elevation


def _average_rows(
    panorama: Float[np.ndarray, "h w 3"],
    elevation: Float[np.ndarray, "view_h view_w"],
    *,
    scale: float,
) -> Float[np.ndarray, "h w 3"]:
    """Returns the panorama with all rows in view box-filtered horizontally.

    One ray covers `scale` panorama pixels at the horizon and scale / cos(elevation)
    pixels in other rows, at most the whole circle. A width of up to one pixel changes
    nothing.
    """
    height, width = panorama.shape[:2]
    latitude = (0.5 - (np.arange(height) + 0.5) / height) * math.pi
    margin = math.pi / height  # bilinear sampling reaches one row further
    seen = (latitude >= elevation.min() - margin) & (
        latitude <= elevation.max() + margin
    )
    boxes = np.minimum(scale / np.cos(latitude), width)
    rows = np.flatnonzero(seen & (boxes > 1.0))
    averaged = panorama.copy()
    averaged[rows] = _box_filter(panorama[rows], boxes[rows])
    return averaged


def _box_filter(
    rows: Float[np.ndarray, "n w 3"], boxes: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n w 3"]:
    """Returns circular means over windows, whose fractional widths differ by row.

    Sums are in double precision: with a sun of radiance 60,000, running sums in single
    precision lose all digits.
    """
    count, width = rows.shape[:2]
    sums = np.zeros((count, width + 1, 3))
    np.cumsum(rows, axis=1, out=sums[:, 1:])
    half = boxes[:, None] / 2
    centre = np.arange(width)[None, :] + 0.5
    upper = _circular_sum(sums, centre + half)
    lower = _circular_sum(sums, centre - half)
    return np.maximum((upper - lower) / boxes[:, None, None], 0.0).astype(np.float32)


def _circular_sum(
    sums: Float[np.ndarray, "n edges 3"], positions: Float[np.ndarray, "n w"]
) -> Float[np.ndarray, "n w 3"]:
    """Returns running sums of periodically repeated rows at fractional positions."""
    width = sums.shape[1] - 1
    whole = np.floor(positions).astype(np.intp)
    part = (positions - whole)[..., None]
    turns, column = np.divmod(whole, width)
    row = np.arange(len(sums))[:, None]
    start = sums[row, column]
    step = sums[row, column + 1] - start
    return turns[..., None] * sums[:, -1:] + start + part * step


def _bilinear(
    panorama: Float[np.ndarray, "h w 3"], *, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Returns samples at pixel-centre coordinates, wrapping around and over the poles.

    The row beyond a pole is the same row, shifted by half a turn.
    """
    half_turn = panorama.shape[1] // 2
    over_top = np.roll(panorama[:1], half_turn, axis=1)
    under_bottom = np.roll(panorama[-1:], half_turn, axis=1)
    padded = np.concatenate([over_top, panorama, under_bottom])
    padded = np.concatenate([padded[:, -1:], padded, padded[:, :1]], axis=1)
    top, left = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    down = (rows - top).astype(np.float32)[..., None]
    right = (columns - left).astype(np.float32)[..., None]
    flat = padded.reshape(-1, 3)
    corner = (top + 1) * padded.shape[1] + left + 1
    upper = flat[corner] * (1 - right) + flat[corner + 1] * right
    corner += padded.shape[1]
    lower = flat[corner] * (1 - right) + flat[corner + 1] * right
    return upper * (1 - down) + lower * down
