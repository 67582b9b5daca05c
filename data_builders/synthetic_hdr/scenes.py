"""What a scene is made of.

Linear BT.709 radiance in units of a clear sky near the horizon; metres; y is up and
azimuth 0 is along +z.
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Surface:
    """Paint of a box, of the ground or of a room, and its grid of windows."""

    albedo: np.ndarray
    contrast: float
    grain: float
    window_spacing: np.ndarray | None = None
    window_share: float = 0.5
    lit_share: float = 0.0
    window_radiance: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Box:
    """An axis-aligned box; `inside` is seen from within: a room."""

    low: np.ndarray
    high: np.ndarray
    surface: Surface
    inside: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lamp:
    """A sphere of some radiant intensity; an invisible one stands for a window."""

    position: np.ndarray
    intensity: np.ndarray
    radius: float
    visible: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sky:
    """Sky colours, cloud cover (0 to 1) and the sun (direction, irradiance)."""

    horizon: np.ndarray
    zenith: np.ndarray
    clouds: float
    sun_direction: np.ndarray
    sun_irradiance: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """All that is seen, and the camera's angles in degrees."""

    boxes: tuple[Box, ...]
    lamps: tuple[Lamp, ...]
    sky: Sky
    ambient: np.ndarray
    noise: np.ndarray
    pitch: float
    turn: float
    field_of_view: float
