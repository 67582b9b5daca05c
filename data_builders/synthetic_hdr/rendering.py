"""Renders scenes to radiance by ray casting.

Only direct light is computed: sun or lamps with shadows, plus a constant ambient term.
Pictures have the structures that a network must learn to recognise: lit windows, bright
skies with clouds, a sun with its aureole, lamps, patches of sunlight on a floor, and
textures at several scales in light and in shadow.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from data_builders.synthetic_hdr import textures
from data_builders.synthetic_hdr.scenes import Box, Lamp, Scene

# The radius of the sun's disc; its radiance is irradiance divided by solid angle.
_SUN_RADIUS = math.radians(0.265)
_SUN_SOLID_ANGLE = math.pi * _SUN_RADIUS**2
_FAR = np.float32(1e6)
_EYE = np.array([0.0, 1.6, 0.0], np.float32)


def render(scene: Scene, *, size: int) -> Float[np.ndarray, "size size 3"]:
    """Returns the radiance that a camera at eye height sees, as a square image."""
    rays = _camera_rays(scene, size + 2)
    origin = np.broadcast_to(_EYE, rays.shape)
    radiance = _shade(scene, origin, rays)
    for lamp in scene.lamps:
        radiance += _lamp_glow(scene, lamp, rays)
    image = radiance.reshape(size + 2, size + 2, 3)
    for axis in (0, 1):  # the blur of the optics, which also softens jagged edges
        before, after = np.roll(image, 1, axis), np.roll(image, -1, axis)
        image = 0.25 * before + 0.5 * image + 0.25 * after
    return np.ascontiguousarray(image[1:-1, 1:-1], np.float32)


def _camera_rays(scene: Scene, size: int) -> np.ndarray:
    focal = size / 2 / math.tan(math.radians(scene.field_of_view) / 2)
    across = (np.arange(size) + 0.5 - size / 2) / focal
    x, y = np.meshgrid(across, -across)
    pitch = math.radians(scene.pitch)
    height = y * math.cos(pitch) + math.sin(pitch)
    forward = math.cos(pitch) - y * math.sin(pitch)
    turn = math.radians(scene.turn)
    right = x * math.cos(turn) + forward * math.sin(turn)
    ahead = forward * math.cos(turn) - x * math.sin(turn)
    rays = np.stack([right, height, ahead], axis=-1).reshape(-1, 3)
    return (rays / np.linalg.norm(rays, axis=-1, keepdims=True)).astype(np.float32)


def _shade(scene: Scene, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Returns the radiance along the rays: sky, window light or reflected light."""
    distance, index, normal = _nearest(scene.boxes, origin, rays)
    radiance = _sky_radiance(scene, rays)
    for number, box in enumerate(scene.boxes):
        seen = np.flatnonzero(index == number)
        if not seen.size:
            continue
        points = origin[seen] + distance[seen, None] * rays[seen]
        facing = normal[seen]
        light = _irradiance(scene, points + 1e-3 * facing, facing)
        albedo = textures.albedo(scene, box.surface, points, facing)
        colour = albedo * (
            light / math.pi + scene.ambient * (0.7 + 0.3 * facing[:, 1:2])
        )
        openings, glow = textures.windows(scene, box, points, facing, radiance[seen])
        radiance[seen] = np.where(openings[:, None], glow, colour)
    return radiance


def _nearest(
    boxes: tuple[Box, ...], origin: np.ndarray, rays: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns distance, index (-1 = none) and surface normal of the first box hit."""
    nearest = np.full(len(rays), _FAR, np.float32)
    index = np.full(len(rays), -1)
    normal = np.zeros_like(rays)
    for number, box in enumerate(boxes):
        distance, axis = _intersect(box, origin, rays)
        closer = np.flatnonzero(distance < nearest)
        nearest[closer], index[closer] = distance[closer], number
        normal[closer] = 0.0
        sides = axis[closer]
        normal[closer, sides] = -np.sign(rays[closer, sides])
    return nearest, index, normal


def _intersect(
    box: Box, origin: np.ndarray, rays: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distance to the box (_FAR = missed) and the axis of the face hit."""
    near = np.full(len(rays), -_FAR, np.float32)
    far = np.full(len(rays), _FAR, np.float32)
    axis = np.zeros(len(rays), np.int8)
    low, high = box.low.astype(np.float32), box.high.astype(np.float32)
    for side in range(3):  # ten times as fast as reductions along an axis of three
        ray = rays[:, side]
        inverse = 1 / np.where(np.abs(ray) < 1e-7, np.float32(1e-7), ray)
        first = (low[side] - origin[:, side]) * inverse
        second = (high[side] - origin[:, side]) * inverse
        entering, leaving = np.minimum(first, second), np.maximum(first, second)
        nearer = leaving < far if box.inside else entering > near
        axis[nearer] = side
        near, far = np.maximum(near, entering), np.minimum(far, leaving)
    if box.inside:
        return far, axis
    return np.where((near < far) & (near > 1e-3), near, _FAR), axis


def _irradiance(scene: Scene, points: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Returns the irradiance from sun and lamps, with the shadows of the boxes."""
    sun = np.broadcast_to(scene.sky.sun_direction, points.shape)
    cosine = np.maximum((normal * sun).sum(axis=-1), 0.0)
    lit = np.flatnonzero(cosine)
    light = np.zeros_like(points)
    if lit.size and scene.sky.sun_irradiance.any():
        visible = _sun_visible(scene, points[lit], sun[lit])
        light[lit] += (cosine[lit] * visible)[:, None] * scene.sky.sun_irradiance
    for lamp in scene.lamps:
        light += _lamp_irradiance(scene, lamp, points, normal)
    return light


def _lamp_irradiance(
    scene: Scene, lamp: Lamp, points: np.ndarray, normal: np.ndarray
) -> np.ndarray:
    towards = (lamp.position - points).astype(np.float32)
    distance = np.sqrt(np.einsum("ij,ij->i", towards, towards))
    distance = np.maximum(distance, np.float32(lamp.radius))
    towards /= distance[:, None]
    received = np.einsum("ij,ij->i", towards, normal) / distance**2
    lit = np.flatnonzero(received > 0)
    solid = tuple(box for box in scene.boxes if not box.inside)
    blocker = _nearest(solid, points[lit], towards[lit])[0]
    received[lit] *= blocker >= distance[lit] - lamp.radius
    return np.maximum(received, 0)[:, None] * lamp.intensity


def _sun_visible(scene: Scene, points: np.ndarray, sun: np.ndarray) -> np.ndarray:
    """Returns whether the sun reaches each point, over the roofs or by a window."""
    distance, index, normal = _nearest(scene.boxes, points, sun)
    visible = index < 0
    for number, box in enumerate(scene.boxes):
        leaving = np.flatnonzero(index == number) if box.inside else np.empty(0, int)
        if leaving.size:
            exits = points[leaving] + distance[leaving, None] * sun[leaving]
            dark = np.zeros_like(exits)
            visible[leaving] = textures.windows(
                scene, box, exits, normal[leaving], dark
            )[0]
    return visible


def _sky_radiance(scene: Scene, rays: np.ndarray) -> np.ndarray:
    """Returns the radiance of the sky, or of the land below the horizon.

    The sky is a gradient with clouds, aureole and the sun's disc.
    """
    sky = scene.sky
    up = np.clip(rays[:, 1:2], 0.0, 1.0)
    radiance = sky.horizon + (sky.zenith - sky.horizon) * up**0.5
    plane = rays[:, [0, 2]] / (np.abs(rays[:, 1:2]) + 0.15) * 2
    density = textures.fractal_noise(scene.noise, plane, octaves=5)
    cloud = np.clip((density - 1 + sky.clouds) * 4, 0, 1)[:, None]
    angle = np.arccos(np.clip(rays @ sky.sun_direction, -1, 1))[:, None]
    lit = 0.7 + 1.6 * np.exp(-angle / 0.4)
    radiance = (
        radiance * (1 - cloud) + cloud * lit * sky.horizon.mean() * density[:, None]
    )
    veil = 1 - 0.97 * cloud
    peak = sky.sun_irradiance / _SUN_SOLID_ANGLE
    aureole = 2e-5 * np.exp(-angle / 0.04) + 2e-6 * np.exp(-angle / 0.25)
    disc = np.clip((_SUN_RADIUS * 1.2 - angle) / (_SUN_RADIUS * 0.4), 0, 1)
    radiance = radiance + veil * peak * (disc + aureole)
    country = (0.1 + 0.3 * density[:, None]) * sky.horizon
    return np.where(rays[:, 1:2] < 0, country, radiance).astype(np.float32)


def _lamp_glow(scene: Scene, lamp: Lamp, rays: np.ndarray) -> np.ndarray:
    """Returns a lamp's disc and the glare around it, or 0 if a box hides the lamp."""
    towards = lamp.position - _EYE
    distance = float(np.linalg.norm(towards))
    ray = (towards / distance)[None].astype(np.float32)
    if not lamp.visible or _nearest(scene.boxes, _EYE[None], ray)[0][0] < distance:
        return np.zeros_like(rays)
    angle = np.arccos(np.clip(rays @ (towards / distance), -1, 1))[:, None]
    radius = lamp.radius / distance
    peak = lamp.intensity / (math.pi * lamp.radius**2)
    disc = np.clip((1.15 * radius - angle) / (0.3 * radius), 0, 1)
    glare = 1e-3 * radius**2 / (angle**2 + radius**2)
    return (peak * (disc + glare)).astype(np.float32)
