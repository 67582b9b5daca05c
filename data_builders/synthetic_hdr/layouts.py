"""Random layouts of houses, crates, furniture, lamps and the sun."""

from __future__ import annotations

import math

import numpy as np

from data_builders.synthetic_hdr.scenes import Box, Lamp, Scene, Sky, Surface

KINDS = ("day", "night", "room")


def draw_scene(rng: np.random.Generator, kind: str) -> Scene:
    """Returns a random scene of one of `KINDS`."""
    draw = {"day": _draw_day, "night": _draw_night, "room": _draw_room}[kind]
    return draw(rng)


def _draw_day(rng: np.random.Generator) -> Scene:
    if rng.random() < 0.6:  # the sun is mostly in view
        azimuth, elevation = rng.uniform(-25, 25), rng.uniform(4, 26)
    else:
        azimuth, elevation = rng.uniform(45, 315), rng.uniform(4, 55)
    warmth = np.array([1.0, 0.97, 0.92]) ** (60 / (elevation + 4))
    horizon = _colour(rng, 0.1) / 0.5 * rng.uniform(0.7, 1.0)
    sky = Sky(
        horizon=horizon,
        zenith=horizon * np.array([0.25, 0.45, 0.85]) * rng.uniform(0.5, 1.0),
        clouds=rng.uniform(0.1, 0.7),
        sun_direction=_direction(azimuth, elevation),
        sun_irradiance=warmth * rng.uniform(2, 15),
    )
    return _scene(
        rng,
        boxes=_street(rng, lit_share=rng.uniform(0, 0.1)),
        sky=sky,
        ambient=horizon * rng.uniform(0.3, 0.8),
    )


def _draw_night(rng: np.random.Generator) -> Scene:
    horizon = _colour(rng, 0.6) * rng.uniform(0.002, 0.03)
    sky = Sky(
        horizon=horizon,
        zenith=0.3 * horizon,
        clouds=rng.uniform(0.2, 0.8),
        sun_direction=_direction(0, 90),
        sun_irradiance=np.zeros(3),
    )
    lamps = tuple(
        Lamp(
            position=np.array(
                [side * rng.uniform(2, 4), rng.uniform(3, 6), rng.uniform(5, 30)]
            ),
            intensity=_colour(rng, 0.7) * rng.uniform(5, 60),
            radius=rng.uniform(0.08, 0.25),
        )
        for side in rng.choice((-1, 1), rng.integers(2, 5))
    )
    return _scene(
        rng,
        boxes=_street(rng, lit_share=rng.uniform(0.1, 0.5)),
        sky=sky,
        ambient=horizon + rng.uniform(0.002, 0.01),
        lamps=lamps,
    )


def _draw_room(rng: np.random.Generator) -> Scene:
    width, height, depth = rng.uniform((3.5, 2.4, 4), (9, 4, 10))
    size = np.array([width, height, depth])
    low = np.array([-width / 2, 0, -1.5])
    room = Box(low=low, high=low + size, surface=_wall(rng), inside=True)
    furniture = [_crate(rng, room.low + 0.2, room.high - 0.2) for _ in range(5)]
    daylight = rng.uniform(1, 8)
    horizon = _colour(rng, 0.2) * daylight
    day = rng.random() < 0.8
    sky = Sky(
        horizon=horizon if day else horizon * 1e-3,
        zenith=(horizon if day else horizon * 1e-3) * np.array([0.4, 0.6, 1.0]),
        clouds=rng.uniform(0.3, 0.8),
        sun_direction=_direction(rng.uniform(-80, -10), rng.uniform(10, 50)),
        sun_irradiance=np.array([1, 0.93, 0.8]) * daylight * rng.uniform(0, 12) * day,
    )
    window_light = Lamp(
        position=np.array([low[0] + 0.3, height / 2, depth / 2]),
        intensity=horizon * 0.7 * day,
        radius=0.3,
        visible=False,
    )
    lamps = tuple(
        _ceiling_lamp(rng, room) for _ in range(rng.integers(0, 4) + (not day))
    )
    return _scene(
        rng,
        boxes=(room, *furniture),
        sky=sky,
        ambient=horizon * rng.uniform(0.01, 0.06),
        lamps=(window_light, *lamps),
    )


def _scene(
    rng: np.random.Generator,
    *,
    boxes: tuple[Box, ...],
    sky: Sky,
    ambient: np.ndarray,
    lamps: tuple[Lamp, ...] = (),
) -> Scene:
    return Scene(
        boxes=boxes,
        lamps=lamps,
        sky=sky,
        ambient=ambient,
        noise=rng.random((256, 256), np.float32),
        pitch=rng.uniform(-10, 15),
        turn=rng.uniform(-20, 20),
        field_of_view=rng.uniform(50, 90),
    )


def _street(rng: np.random.Generator, *, lit_share: float) -> tuple[Box, ...]:
    """Returns the ground, houses on both sides, one across the street, and crates."""
    ground = Box(
        low=np.array([-500.0, -2, -500]),
        high=np.array([500.0, 0, 500]),
        surface=Surface(
            albedo=_colour(rng, 0.3) * rng.uniform(0.1, 0.4),
            contrast=rng.uniform(0.5, 1.5),
            grain=rng.uniform(0.4, 2),
        ),
    )
    houses = [_house(rng, side, lit_share) for side in (-1, -1, -1, 1, 1, 1, 0)]
    near, far = np.array([-3.5, 0, 3.0]), np.array([3.5, 2.5, 14])
    crates = [_crate(rng, near, far) for _ in range(rng.integers(2, 5))]
    return (ground, *houses, *crates)


def _house(rng: np.random.Generator, side: int, lit_share: float) -> Box:
    size = rng.uniform((4, 4, 4), (10, 18, 12))
    x = side * rng.uniform(4.5, 9) + (side - 1) * size[0] / 2
    z = rng.uniform(40, 70) if side == 0 else rng.uniform(4, 40)
    low = np.array([x, 0, z])
    paint = Surface(
        albedo=_colour(rng, 0.4) * rng.uniform(0.15, 0.8),
        contrast=rng.uniform(0.2, 1),
        grain=rng.uniform(0.5, 3),
        window_spacing=rng.uniform((1.2, 2.4), (3, 4)),
        window_share=rng.uniform(0.3, 0.7),
        lit_share=lit_share,
        window_radiance=_colour(rng, 0.5) * rng.uniform(0.5, 5),
    )
    return Box(low=low, high=low + size, surface=paint)


def _crate(rng: np.random.Generator, near: np.ndarray, far: np.ndarray) -> Box:
    """Returns a box on the floor between two corners, always in front of the camera."""
    size = rng.uniform((0.4, 0.3, 0.4), (1.6, 1.4, 1.6))
    low = rng.uniform(near, np.maximum(far - size, near + 0.1))
    low[1], low[2] = 0.0, max(low[2], 1.5)
    paint = Surface(
        albedo=_colour(rng, 0.7) * rng.uniform(0.1, 0.9),
        contrast=rng.uniform(0.1, 1),
        grain=rng.uniform(1, 8),
    )
    return Box(low=low, high=low + size, surface=paint)


def _wall(rng: np.random.Generator) -> Surface:
    return Surface(
        albedo=_colour(rng, 0.3) * rng.uniform(0.3, 0.85),
        contrast=rng.uniform(0.1, 0.6),
        grain=rng.uniform(0.5, 3),
        window_spacing=rng.uniform((1.5, 2.2), (3, 3.5)),
        window_share=rng.uniform(0.35, 0.7),
    )


def _ceiling_lamp(rng: np.random.Generator, room: Box) -> Lamp:
    position = rng.uniform(room.low + 0.4, room.high - 0.3)
    position[1], position[2] = room.high[1] - rng.uniform(0.2, 0.9), position[2] + 1.5
    return Lamp(
        position=np.minimum(position, room.high - 0.2),
        intensity=_colour(rng, 0.6) * rng.uniform(0.3, 6),
        radius=rng.uniform(0.05, 0.15),
    )


def _colour(rng: np.random.Generator, saturation: float) -> np.ndarray:
    """Returns a random colour whose largest channel is 1."""
    colour = 1 - saturation * rng.random(3)
    return colour / colour.max()


def _direction(azimuth: float, elevation: float) -> np.ndarray:
    """Returns a unit vector from angles in degrees; azimuth 0 is straight ahead."""
    turn, up = math.radians(azimuth), math.radians(elevation)
    level = math.cos(up)
    vector = [level * math.sin(turn), math.sin(up), level * math.cos(turn)]
    return np.array(vector, np.float32)
