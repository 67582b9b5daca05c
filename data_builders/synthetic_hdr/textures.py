"""Textures of surfaces: stains, tiles, windows."""

from __future__ import annotations

import numpy as np

from data_builders.synthetic_hdr.scenes import Box, Scene, Surface


def _face_coordinates(points: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Returns metres on the face: (along, up), or (x, z) if the face is horizontal."""
    along = np.where(np.abs(normal[:, 0]) > 0.5, points[:, 2], points[:, 0])
    level = np.abs(normal[:, 1]) > 0.5
    return np.stack([along, np.where(level, points[:, 2], points[:, 1])], axis=-1)


def windows(
    scene: Scene, box: Box, points: np.ndarray, normal: np.ndarray, beyond: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns whether each point is on a window, and the radiance of a window there.

    The windows of a room are in its left and far walls. They show the radiance `beyond`
    the room. The windows of a house are lit or dark panes.

    Args:
      scene: the scene.
      box: the house or the room.
      points: points on the box, in metres.
      normal: surface normals at the points.
      beyond: radiance behind the points.
    """
    paint = box.surface
    nothing = np.zeros(len(points), bool)
    if paint.window_spacing is None:
        return nothing, beyond
    cell, part = np.divmod(_face_coordinates(points, normal) / paint.window_spacing, 1)
    margin = (1 - paint.window_share) / 2
    opening = (np.abs(part - 0.5) < 0.5 - margin).all(axis=-1)
    opening &= np.abs(normal[:, 1]) < 0.5
    if box.inside:
        return opening & ((normal[:, 2] < -0.5) | (normal[:, 0] > 0.5)), beyond
    table = scene.noise
    column, row = cell.astype(int).T
    side = (normal @ np.array([17, 31, 47])).astype(int)
    chance = table[(column + side) % len(table), (row * 7 + side) % len(table)]
    lit = (chance < paint.lit_share)[:, None]
    level = 0.3 + 0.7 * (chance / max(paint.lit_share, 1e-3))[:, None]
    shining = np.zeros(3) if paint.window_radiance is None else paint.window_radiance
    return opening, np.where(lit, shining * level, 0.03 * scene.ambient)


def albedo(
    scene: Scene, paint: Surface, points: np.ndarray, normal: np.ndarray
) -> np.ndarray:
    """Returns the reflectance, a pattern of fractal stains, tiles and joints."""
    place = _face_coordinates(points, normal) * paint.grain
    stains = fractal_noise(scene.noise, place, octaves=5)
    tile = np.floor(place * np.array([0.5, 0.8])).astype(int) % len(scene.noise)
    tiles = scene.noise[tile[:, 0], tile[:, 1]]
    joints = (np.mod(place * np.array([0.5, 0.8]), 1) < 0.04).any(axis=-1)
    value = 1 + paint.contrast * (stains - 0.5) + 0.5 * paint.contrast * (tiles - 0.5)
    value = np.where(joints, 0.6 * value, value)
    return np.clip(paint.albedo * value[:, None], 0.01, 0.95).astype(np.float32)


def fractal_noise(table: np.ndarray, place: np.ndarray, *, octaves: int) -> np.ndarray:
    """Returns value noise summed over octaves, in [0, 1]."""
    total = np.zeros(len(place), np.float32)
    for octave in range(octaves):
        whole = np.floor(place * 2**octave)
        part = (place * 2**octave - whole).astype(np.float32)
        x, y = (part * part * (3 - 2 * part)).T
        column, row = whole.astype(np.int64).T + 37 * octave
        size = len(table)
        left, right = column % size, (column + 1) % size
        low, high = row % size, (row + 1) % size
        below = table[left, low] * (1 - x) + table[right, low] * x
        above = table[left, high] * (1 - x) + table[right, high] * x
        total += (below * (1 - y) + above * y) / 2**octave
    return total / (2 - 2.0 ** (1 - octaves))
