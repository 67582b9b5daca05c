"""Makes the gain map that turns a photograph into an HDR image.

Light is linear, in the primaries of the photograph, and 1.0 is SDR white. The offset
and the percentiles were chosen by `benchmarks/ultra_hdr.py --variants`.
"""

import math
from typing import Final

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from jaxhdr.image_io.gain_maps.gain_map_metadata import LogGain

MOST_LIGHT: Final = 10_000 / 203
"""Largest light that is stored. libultrahdr decodes no more: it is the peak of PQ in
units of diffuse white (ITU-R BT.2408-7, section 2.1)."""

OFFSET: Final = 1 / 64
"""Light that is added before the logarithm; the default of Ultra HDR v1."""

PERCENTILES: Final = (0.01, 99.99)
"""Gains beyond these percentiles are clipped, so that a few odd pixels do not make the
steps between the 256 codes coarse. A white pixel still gets the largest light: the sun
is small, and it costs less than 6 stops."""

_LEAST_HEADROOM: Final = 0.1
"""Headroom in stops of an HDR image that is not brighter than its photograph; decoders
divide by it."""

_DIGITS: Final = 6  # of numbers in the metadata
_ROWS_AT_ONCE: Final = 256  # bounds the temporaries of a large photograph


def encode_gain(
    hdr: Float[np.ndarray, "h w 3"],
    base: Float[np.ndarray, "h w 3"],
    *,
    weights: Float[np.ndarray, "3"],
    channels: int,
    divisor: int,
) -> tuple[LogGain, UInt8[np.ndarray, "h2 w2 c"]]:
    """Returns what turns the light of a photograph into that of an HDR image.

    With one channel, it is the gain of luminance.

    Args:
      hdr: light of the HDR image; what exceeds `MOST_LIGHT` counts as that.
      base: light of the photograph.
      weights: weights of R, G and B in luminance.
      channels: number of channels of the codes, 1 or 3.
      divisor: one of `jaxhdr.options.GAIN_MAP_DIVISORS`.
    """
    stops = np.empty((channels, *base.shape[:2]), np.float32)
    peak = 0.0
    for start in range(0, len(base), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        stops[:, rows], brightest = _stops(hdr[rows], base[rows], weights, channels)
        peak = max(peak, brightest)
    stops = np.stack([_reduced(stops[i], divisor) for i in range(channels)])
    low, high = np.percentile(stops, PERCENTILES).tolist()
    of_white = math.log2((peak + OFFSET) / (1 + OFFSET))
    high = min(max(high, of_white), float(stops.max()))
    low, high = round(low, _DIGITS), round(high, _DIGITS)
    gain = LogGain(
        (low,),
        (high,),
        base_offset=(OFFSET,),
        alternate_offset=(OFFSET,),
        alternate_headroom=_headroom(high),
    )
    np.clip(stops, low, high, out=stops)
    stops -= np.float32(low)
    stops *= np.float32(255 / (high - low) if high > low else 0)
    return gain, np.moveaxis(np.rint(stops).astype(np.uint8), 0, 2)


def _headroom(largest: float) -> float:
    """Returns how many stops above white a display needs for the full gain.

    Dark pixels may gain more, but no light is above `MOST_LIGHT`.
    """
    bounded = min(max(largest, _LEAST_HEADROOM), math.log2(MOST_LIGHT))
    return round(bounded, _DIGITS)


def _stops(
    hdr: Float[np.ndarray, "h w 3"],
    base: Float[np.ndarray, "h w 3"],
    weights: Float[np.ndarray, "3"],
    channels: int,
) -> tuple[Float[np.ndarray, "c h w"], float]:
    """Returns the gain in stops, and the largest light."""
    bright = np.clip(hdr, 0, np.float32(MOST_LIGHT))
    if channels == 1:
        weights = weights.astype(np.float32)
        bright, base = (bright @ weights)[..., None], (base @ weights)[..., None]
    offset = np.float32(OFFSET)
    stops = np.log2((bright + offset) / (np.maximum(base, np.float32(0)) + offset))
    return np.moveaxis(stops, 2, 0), float(bright.max())


def _reduced(
    stops: Float[np.ndarray, "h w"], divisor: int
) -> Float[np.ndarray, "h2 w2"]:
    """Returns the means of squares of pixels."""
    if divisor == 1:
        return stops
    height, width = stops.shape
    size = (-(-width // divisor), -(-height // divisor))
    image = Image.fromarray(stops)
    return np.asarray(image.resize(size, Image.Resampling.BOX))
