"""Transfer functions of image files, in NumPy: code values to light and back.

`encoded` is a display-encoded value in [0, 1]. `linear` is light in units of white.
Results have the type of the argument, float32 or float64.
"""

from typing import Final

import numpy as np
from jaxtyping import Float

from jaxhdr.options import DIFFUSE_WHITE_NITS

PQ_PEAK: Final = 10_000.0
"""Light of the largest PQ code in cd/m^2 (SMPTE ST 2084:2014)."""

HLG_PEAK: Final = 1000.0
"""Nominal peak of an HLG display in cd/m^2 (ITU-R BT.2100-2, table 5)."""

DIFFUSE_WHITE: Final = DIFFUSE_WHITE_NITS
"""Light of diffuse white in cd/m^2 (ITU-R BT.2408-7, section 2.1)."""

BT709_LUMINANCE: Final = np.array((0.2126, 0.7152, 0.0722), np.float32)
"""Luminance of linear R, G and B (ITU-R BT.709-6, item 3.2)."""

# ITU-R BT.2100-2, table 4, and SMPTE ST 2084.
_PQ_M1, _PQ_M2 = 2610 / 16384, 2523 / 32
_PQ_C1, _PQ_C2, _PQ_C3 = 3424 / 4096, 2413 / 128, 2392 / 128

# ITU-R BT.2100-2, table 5.
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073
_HLG_GAMMA: Final = 1.2  # of the system, for a peak of 1000 cd/m^2
_BT2020_LUMINANCE: Final = (0.2627, 0.6780, 0.0593)  # ITU-R BT.2020-2, table 4

Values = Float[np.ndarray, "*shape"]


def srgb_encode(linear: Values) -> Values:
    """Returns display-encoded sRGB of light (IEC 61966-2-1, section 5.2)."""
    power = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, power).astype(linear.dtype)


def srgb_decode(encoded: Values) -> Values:
    """Returns the light of display-encoded sRGB (IEC 61966-2-1, section 5.2)."""
    power = ((np.maximum(encoded, 0.04045) + 0.055) / 1.055) ** 2.4
    return np.where(encoded <= 0.04045, encoded / 12.92, power).astype(encoded.dtype)


def pq_decode(encoded: Values) -> Values:
    """Returns the light in cd/m^2 of PQ codes (SMPTE ST 2084, equation 4.1)."""
    power = np.clip(encoded, 0, 1) ** (1 / _PQ_M2)
    relative = np.maximum(power - _PQ_C1, 0) / (_PQ_C2 - _PQ_C3 * power)
    return (PQ_PEAK * relative ** (1 / _PQ_M1)).astype(encoded.dtype)


def hlg_decode(encoded: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """Returns the light in cd/m^2 of HLG codes on a display of `HLG_PEAK`.

    It is the inverse OETF and the OOTF of ITU-R BT.2100-2, table 5, in BT.2020
    primaries.
    """
    encoded = np.clip(encoded, 0, 1)
    low = encoded**2 / 3
    high = (np.exp((encoded - _HLG_C) / _HLG_A) + _HLG_B) / 12
    scene = np.where(encoded <= 0.5, low, high)
    luminance = scene @ np.asarray(_BT2020_LUMINANCE, scene.dtype)
    ratio = np.maximum(luminance, 1e-12) ** (_HLG_GAMMA - 1)
    return (HLG_PEAK * ratio[..., None] * scene).astype(encoded.dtype)


def pq_encode(light: Values) -> Values:
    """Returns the PQ codes of light in cd/m^2, clipped to [0, 1].

    It is the inverse of SMPTE ST 2084, equation 4.1 (ITU-R BT.2100-2, table 4).
    """
    power = np.clip(light / PQ_PEAK, 0, 1) ** _PQ_M1
    ratio = (_PQ_C1 + _PQ_C2 * power) / (1 + _PQ_C3 * power)
    return (ratio**_PQ_M2).astype(light.dtype)


def hlg_scene(light: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """Returns scene light that a display of `HLG_PEAK` shows as `light` in cd/m^2.

    It is the inverse OOTF of ITU-R BT.2100-2, table 5, in BT.2020 primaries. HLG holds
    [0, 1]; light beyond the display has larger values.
    """
    relative = np.maximum(light, 0) / HLG_PEAK
    luminance = relative @ np.asarray(_BT2020_LUMINANCE, relative.dtype)
    ratio = np.maximum(luminance, 1e-12) ** (1 / _HLG_GAMMA - 1)
    return (ratio[..., None] * relative).astype(light.dtype)


def hlg_encode(scene: Values) -> Values:
    """Returns the HLG codes of scene light, clipped to [0, 1].

    It is the OETF of ITU-R BT.2100-2, table 5.
    """
    scene = np.clip(scene, 0, 1)
    high = _HLG_A * np.log(np.maximum(12 * scene, 1) - _HLG_B) + _HLG_C
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high).astype(scene.dtype)
