"""The parts of a scene.

Radiance is linear BT.709, in units of a clear sky near the horizon. Lengths are in
metres. The y axis points up, and azimuth 0 is along +z.
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Surface:
    """The paint of a box, of the ground or of a room, and its grid of windows."""

    albedo: np.ndarray
    contrast: float
    grain: float
    window_spacing: np.ndarray | None = None
    window_share: float = 0.5
    lit_share: float = 0.0
    window_radiance: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Box:
    """An axis-aligned box; if `inside`, a room that is seen from within."""

    low: np.ndarray
    high: np.ndarray
    surface: Surface
    inside: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lamp:
    """A sphere with a radiant intensity; an invisible one is the light of a window."""

    position: np.ndarray
    intensity: np.ndarray
    radius: float
    visible: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sky:
    """The sky's colours, its cloud cover (0 to 1), and the sun."""

    horizon: np.ndarray
    zenith: np.ndarray
    clouds: float
    sun_direction: np.ndarray
    sun_irradiance: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that is visible, and the camera's angles in degrees."""

    boxes: tuple[Box, ...]
    lamps: tuple[Lamp, ...]
    sky: Sky
    ambient: np.ndarray
    noise: np.ndarray
    pitch: float
    turn: float
    field_of_view: float
