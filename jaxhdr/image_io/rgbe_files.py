"""Reads and writes Radiance .hdr (RGBE) files.

OpenImageIO reads and writes the pixels; the header and the rounding are handled here.
By the description of the format (Ward, "Radiance File Formats") EXPOSURE and COLORCORR
are cumulative multipliers that were already applied to the pixels, so radiance is the
stored value divided by all of them.
"""

import os
import re
from typing import Final

import numpy as np
import OpenImageIO as oiio
from jaxtyping import Float

from jaxhdr.errors import UserError
from jaxhdr.image_io import formats
from jaxhdr.image_io.oiio import open_input, read_pixels, write_pixels
from jaxhdr.image_io.orientation import apply_orientation

_MAX_HEADER_BYTES: Final = 65536
_ROWS_AT_ONCE: Final = 64  # bounds the float64 temporaries
_LARGEST: Final = 255 * 2.0**119
"""Largest value of the format: mantissa 255, exponent byte 255."""
_SMALLEST: Final = 1e-32
"""Radiance's own writer and OpenImageIO's store smaller values as black."""

# EXIF orientations of the directions in which rows and columns of the file run.
# OpenImageIO 3.2 interchanges 6 and 8.
_ORIENTATIONS: Final = {
    (b"-Y", b"+X"): 1,
    (b"-Y", b"-X"): 2,
    (b"+Y", b"-X"): 3,
    (b"+Y", b"+X"): 4,
    (b"+X", b"-Y"): 5,
    (b"-X", b"-Y"): 6,
    (b"-X", b"+Y"): 7,
    (b"+X", b"+Y"): 8,
}


def read_rgbe(path: str | os.PathLike) -> Float[np.ndarray, "h w 3"]:
    """Returns upright radiance with EXPOSURE and COLORCORR undone.

    PRIMARIES are ignored: files state Radiance's defaults but hold BT.709.

    Raises:
      UserError: the pixels are XYZE or damaged, or a header value is wrong.
    """
    header, _, rest = formats.read_head(path, size=_MAX_HEADER_BYTES).partition(b"\n\n")
    exposure = _parse_exposure(path, header)
    with open_input(path, "hdr") as source:
        pixels = read_pixels(path, source, dtype="float")
    if not (exposure == 1.0).all():
        pixels = (pixels / exposure).astype(np.float32)
    axes = re.match(rb"([+-][XY]) *\d+ *([+-][XY])", rest)
    orientation = _ORIENTATIONS[axes[1], axes[2]] if axes else 1
    return apply_orientation(pixels, orientation)


def _parse_exposure(path: str | os.PathLike, header: bytes) -> Float[np.ndarray, "3"]:
    """Returns the product of all exposure multipliers in the header, per channel."""
    exposure = np.ones(3)
    for line in header.split(b"\n"):
        name, _, value = line.partition(b"=")
        if name == b"FORMAT" and value.strip() == b"32-bit_rle_xyze":
            raise UserError(
                f"cannot read {path}: it holds XYZE pixels, expected RGBE; convert it "
                "with Radiance's ra_xyze -r"
            )
        if name in (b"EXPOSURE", b"COLORCORR"):
            exposure *= _parse_multipliers(path, name.decode(), value)
    return exposure


def _parse_multipliers(
    path: str | os.PathLike, name: str, value: bytes
) -> Float[np.ndarray, " n"]:
    try:
        numbers = np.array([float(word) for word in value.split()])
    except ValueError:
        numbers = np.zeros(0)
    expected = 1 if name == "EXPOSURE" else 3
    if numbers.size != expected or not (np.isfinite(numbers) & (numbers > 0)).all():
        text = value.decode("latin-1").strip()
        raise UserError(
            f"cannot read {path}: its header says {name}={text}; expected {expected} "
            "positive number(s); correct that line"
        )
    return numbers


def write_rgbe(path: str | os.PathLike, hdr: Float[np.ndarray, "h w 3"]) -> None:
    """Writes run-length encoded RGBE, rounded to the nearest values."""
    height, width, channels = hdr.shape
    spec = oiio.ImageSpec(width, height, channels, "float")
    write_pixels(path, round_to_rgbe(hdr), spec)


def round_to_rgbe(hdr: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    """Returns the nearest values that RGBE can hold.

    Writers truncate the mantissa, which darkens files by 0.27 % on average. They do not
    change values that RGBE can hold.
    """
    rounded = np.empty(hdr.shape, np.float32)
    for start in range(0, len(hdr), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        rounded[rows] = _round_rows(hdr[rows])
    return rounded


def _round_rows(hdr: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    clamped = np.minimum(hdr.astype(np.float64), _LARGEST)
    brightest = clamped.max(axis=-1, keepdims=True)
    _, exponent = np.frexp(brightest)
    # A mantissa that rounds up to 256 needs the next exponent.
    exponent += np.rint(np.ldexp(brightest, 8 - exponent)) > 255
    step = np.ldexp(1.0, exponent - 8)
    rounded = np.rint(clamped / step) * step
    return np.where(brightest < _SMALLEST, 0.0, rounded)
