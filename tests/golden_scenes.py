"""Four HDR scenes given by formulas, and five distortions of each.

Linear BT.709 RGB in cd/m^2, float64, (h, w, 3). Coordinates are pixel indices, `c` is
the channel. `tests/golden/README.md` says which numbers belong to them.
"""

import numpy as np

_C = np.arange(3)


def _grid(height, width):
    y, x = np.mgrid[:height, :width]
    return y[..., None], x[..., None]


def _hash(y, x, k):
    """A texture in [0, 1] that looks like noise and is exact in integers."""
    cubic = x**3 + 2 * y**3 + 3 * x**2 * y + 5 * x * y**2
    return (cubic + 7 * k * x + 11 * k * y + 13 * k * x * y) % 251 / 250


def _waves(y, x, k):
    first = np.sin(1.7 * x + 0.9 * y + k)
    second = np.sin(2.3 * y - 0.8 * x + 2 * k)
    return (first + second + np.sin(2.9 * x + 1.3 * y + 3 * k)) / 3


def gradient_sun():
    y, x = _grid(64, 64)
    top, horizon = np.array([0.50, 0.72, 1.00]), np.array([1.00, 0.93, 0.82])
    sun, soil = np.array([1.00, 0.92, 0.75]), np.array([0.80, 1.00, 0.45])
    distance = (x - 18.5) ** 2 + (y - 14.5) ** 2
    s = (y + 0.5) / 38
    sky = (
        (150 + 450 * s**2) * (top + (horizon - top) * s) * (1 + 0.01 * _waves(y, x, _C))
    )
    glow = 4300 * np.exp(-distance / (2 * 3.5**2)) + 150 / (1 + distance / 49)
    rows = 1 + 0.5 * np.sin(0.45 * x + 0.2 * y + 0.6 * _C)
    ground = 35 * soil * (0.25 + 0.75 * _hash(y, x, 1)) * rows * (1 + (y - 38) / 26)
    return np.where(y < 38, sky + sun * glow, ground)


def night_lamps():
    y, x = _grid(96, 80)
    lamps = [
        (20, 14, 1.6, 2000, (1.00, 0.62, 0.25)),
        (27, 60, 1.2, 1500, (0.85, 0.95, 1.00)),
        (52, 36, 2.2, 600, (1.00, 0.15, 0.08)),
        (70, 12, 0.9, 900, (0.20, 1.00, 0.35)),
        (80, 66, 3.0, 250, (0.15, 0.30, 1.00)),
        (12, 40, 0.7, 300, (1.00, 0.90, 0.60)),
    ]
    ripple = np.sin(0.21 * x + 0.3 * _C) * np.cos(0.17 * y)
    exponent = -1.9 + 1.1 * (y + 0.5) / 96 + 0.35 * ripple
    scene = np.array([0.75, 0.85, 1.10]) * 10 ** (
        exponent + 0.45 * (_hash(y, x, 2) - 0.5)
    )
    for row, column, spread, peak, tint in lamps:
        distance = (x - column) ** 2 + (y - row) ** 2
        shape = np.exp(-distance / (2 * spread**2)) + 2e-4 / (1 + distance / 20)
        scene = scene + peak * np.array(tint) * shape
    return scene


def interior_window():
    y, x = _grid(65, 47)
    wall, floor = np.array([1.00, 0.86, 0.66]), np.array([0.70, 0.45, 0.28])
    glass, box = np.array([0.85, 0.97, 1.00]), np.array([0.90, 0.12, 0.10])
    stripes = 1 + 0.12 * np.sin(0.9 * x + 0.5 * _C) * np.sin(0.35 * y)
    scene = 28 * wall * (1 - 0.5 * y / 64) * stripes * (1 + 0.06 * _waves(y, x, _C))
    boards = 9 * floor * (1 + 0.6 * np.sin(0.55 * y + 0.08 * x))
    scene = np.where(y >= 48, boards * (0.6 + 0.4 * _hash(y, x, 3)) + 0.5, scene)
    front = box * (6 + 10 * (y - 40) / 18) * (1 + 0.15 * _waves(y, x, 4))
    scene = np.where((y >= 40) & (y < 58) & (x >= 4) & (x < 17), front, scene)
    leaves = 8 * np.array([0.18, 0.75, 0.22]) * (0.2 + _hash(y, x, 5))
    scene = np.where((y - 44) ** 2 + 2 * (x - 38) ** 2 < 150, leaves, scene)
    view = glass * (500 + 1300 * (1 - (y - 8) / 24)) * (0.55 + 0.75 * _hash(y, x, 6))
    view = np.minimum(1500, view * (1 + 0.3 * np.sin(0.7 * x - 0.4 * y + _C)))
    pane = (y >= 8) & (y < 32) & (x >= 15) & (x < 37) & (y != 20) & (x != 26)
    return np.where(pane, view, scene)


def sinusoid_chart():
    y, x = _grid(128, 96)
    phase = 2 * np.pi * (95 / 32) / np.log(14.4) * (14.4 ** (x / 95) - 1)
    contrast = 10 ** (-2 + 2 * y / 127)
    return 500 ** (0.5 + 0.5 * contrast * np.sin(phase + 0.4 * _C))


SCENES = {
    scene.__name__: scene
    for scene in (gradient_sun, night_lamps, interior_window, sinusoid_chart)
}
_WHITE = {
    "gradient_sun": 600,
    "night_lamps": 28,
    "interior_window": 400,
    "sinusoid_chart": 244,
}


def clip8(image, name):
    t = np.clip(image / _WHITE[name], 0, 1)
    code = np.where(t <= 0.0031308, 12.92 * t, 1.055 * t ** (1 / 2.4) - 0.055)
    code = np.round(255 * code) / 255
    linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    return _WHITE[name] * linear


def noise(image, _):
    y, x = _grid(*image.shape[:2])
    waves = np.sin(2.1 * x + 0.7 * y + _C) + np.sin(2.2 * y - 0.6 * x + 2 * _C)
    waves = waves + np.sin(1.5 * x - 2.7 * y + 3 * _C)
    return image * (1 + 0.05 * np.sqrt(2 / 3) * waves)


def blur(image, _):
    for axis in (0, 1, 0, 1):
        padding = [(2, 2) if a == axis else (0, 0) for a in range(3)]
        padded = np.pad(image, padding, mode="reflect")
        size = image.shape[axis]
        image = sum(
            tap / 16 * np.take(padded, range(start, start + size), axis=axis)
            for start, tap in enumerate((1, 4, 6, 4, 1))
        )
    return image


def power(image, _):
    return image.mean() * (image / image.mean()) ** 1.1


def scale(image, _):
    return 0.8 * image


DISTORTIONS = {f.__name__: f for f in (clip8, noise, blur, power, scale)}


def version(name, distortion):
    """One version of a scene; `ref` is the scene itself."""
    reference = SCENES[name]()
    if distortion == "ref":
        return reference
    return np.clip(DISTORTIONS[distortion](reference, name), 0.005, 10_000)
