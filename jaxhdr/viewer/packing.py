"""Packs images as text for a web page, and the script of the page unpacks them.

Radiance becomes half floats, photographs become 8-bit codes. Both are cut into bands of
rows, which the page decodes one by one. In a band, red and blue are stored less green
and each value less its neighbour on the left, modulo the size of the type. The signed
differences are folded to small unsigned ones (0, -1, 1, -2, ...). The high bytes of all
values come before the low bytes, planes one after another. The result is compressed
(zlib) and written in base64.

A half float without its sign, read as an integer, is nearly proportional to the
logarithm of its value, so differences of these integers are small where the image is
smooth, whatever its brightness. An image that resembles another one can be stored as
the difference of their integers: the stages of FHDR then take a quarter of the space.
"""

import base64
import zlib
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8, UInt16

from jaxhdr.image_io.colour.transfer import BT709_LUMINANCE, srgb_decode

LARGEST_HALF: Final = 65504.0
"""Largest finite half float (IEEE 754, binary16)."""

BAND_PIXELS: Final = 2**20
"""A band has about this number of pixels, so a page decodes it in some 50 ms."""

# One bin of a histogram is a quarter of a stop. Half floats reach from -24 to 16 stops.
_LOWEST_STOP, _HIGHEST_STOP, _BINS_PER_STOP = -24, 16, 4

Samples = UInt8[np.ndarray, "h w c"] | UInt16[np.ndarray, "h w c"]


class Histogram(NamedTuple):
    """How many pixels have a luminance in each quarter of a stop."""

    first: float
    """Stops at which the first bin begins."""
    counts: tuple[int, ...]
    black: int
    """Number of pixels without light, which have no logarithm."""


class Halves(NamedTuple):
    """Radiance as half floats."""

    bits: UInt16[np.ndarray, "h w 3"]
    """The half floats, read as integers."""
    changed: int
    """Number of values that were too large, negative or not finite."""


def to_halves(hdr: Float[np.ndarray, "h w 3"]) -> Halves:
    """Returns radiance as half floats, all finite and without a sign.

    Values above `LARGEST_HALF` become that value. NaN and negative values become 0, and
    so does the negative zero.
    """
    with np.errstate(invalid="ignore"):
        proper = (hdr >= 0) & (hdr <= LARGEST_HALF)
        values = np.where(hdr > 0, np.minimum(hdr, np.float32(LARGEST_HALF)), 0)
    bits = values.astype(np.float16).view(np.uint16)
    return Halves(bits, hdr.size - int(np.count_nonzero(proper)))


def band_rows(width: int) -> int:
    """Returns the number of rows of a band of an image."""
    return max(1, BAND_PIXELS // width)


def pack(samples: Samples, *, base: Samples | None = None) -> list[str]:
    """Returns the text of each band of an image.

    Args:
      samples: the image, integers with red, green and blue first.
      base: an image that resembles it, to store the difference from; None for none.
    """
    if base is not None:
        samples = samples - base  # modulo the size of the type
    rows = band_rows(samples.shape[1])
    return [
        _packed_band(samples[start : start + rows])
        for start in range(0, len(samples), rows)
    ]


def histogram_of_halves(bits: UInt16[np.ndarray, "h w 3"]) -> Histogram:
    """Returns the histogram of an image of half floats."""
    return _histogram(bits.view(np.float16).astype(np.float32) @ BT709_LUMINANCE)


def histogram_of_codes(codes: UInt8[np.ndarray, "h w 3"]) -> Histogram:
    """Returns the histogram of a photograph that is taken for sRGB-encoded."""
    light = srgb_decode(np.arange(256, dtype=np.float32) / 255)
    return _histogram(light[codes] @ BT709_LUMINANCE)


def _packed_band(samples: Samples) -> str:
    planes = np.moveaxis(samples, 2, 0).copy()
    planes[0] -= planes[1]
    planes[2] -= planes[1]
    planes[..., 1:] -= planes[..., :-1].copy()
    folded = _folded(planes)
    if folded.itemsize == 2:
        split = (folded >> 8, folded & 255)
        folded = np.stack([part.astype(np.uint8) for part in split])
    return base64.b64encode(zlib.compress(folded.tobytes())).decode()


def _folded(differences: Samples) -> Samples:
    """Returns differences modulo the size of the type as 0, -1, 1, -2, ..."""
    size = differences.dtype.itemsize
    signed: Int[np.ndarray, "c h w"] = differences.view(f"int{8 * size}")
    return ((signed << 1) ^ (signed >> (8 * size - 1))).view(differences.dtype)


def _histogram(luminance: Float[np.ndarray, "h w"]) -> Histogram:
    positive = luminance[luminance > 0]
    num_bins = (_HIGHEST_STOP - _LOWEST_STOP) * _BINS_PER_STOP
    bins = np.floor((np.log2(positive) - _LOWEST_STOP) * _BINS_PER_STOP).astype(int)
    counts = np.bincount(np.clip(bins, 0, num_bins - 1), minlength=num_bins)
    used = np.flatnonzero(counts)
    first, last = (used[0], used[-1] + 1) if used.size else (0, 0)
    return Histogram(
        _LOWEST_STOP + float(first) / _BINS_PER_STOP,
        tuple(counts[first:last].tolist()),
        luminance.size - positive.size,
    )
