"""Reads and writes Radiance .hdr (RGBE) files.

OpenImageIO writes the pixels, and reads those of usual files; the header and the
rounding are handled here, and other encodings of the pixels in `rgbe_pixels`.
By the description of the format (Ward, "Radiance File Formats") EXPOSURE and COLORCORR
are cumulative multipliers that were already applied to the pixels, so radiance is the
stored value divided by all of them.
"""

import os
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import OpenImageIO as oiio
from jaxtyping import Float

from jaxhdr.errors import UserError
from jaxhdr.image_io import formats
from jaxhdr.image_io.containers.oiio import open_input, read_pixels, write_pixels
from jaxhdr.image_io.orientation import apply_orientation
from jaxhdr.image_io.radiance import rgbe_pixels

_MAX_HEADER_BYTES: Final = 2**20
_HEADER_END: Final = re.compile(rb"\n(?:\r?\n)+")
_RESOLUTION: Final = re.compile(
    rb"([+-][XY])[ \t]+(\d{1,9})[ \t]+([+-][XY])[ \t]+(\d{1,9})[ \t]*\r?\n"
)
_FORMAT: Final = b"FORMAT=32-bit_rle_rgbe"
# OpenImageIO 3.2 reads at most 99 lines.
_MOST_LINES, _LONGEST_LINE = 90, 200
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


class _Header(NamedTuple):
    exposure: Float[np.ndarray, "3"]
    """Product of all exposure multipliers, per channel."""
    orientation: int
    size: tuple[int, int]
    """Number of rows in the file, and of pixels in each; rows may be columns."""
    pixels_at: int
    is_usual: bool
    """Whether OpenImageIO reads this header."""


def read_rgbe(path: str | os.PathLike) -> Float[np.ndarray, "h w 3"]:
    """Returns upright radiance with EXPOSURE and COLORCORR undone.

    PRIMARIES are ignored: files state Radiance's defaults but hold BT.709. A header
    without FORMAT means RGBE, as for Radiance itself.

    Raises:
      UserError: the pixels are XYZE or damaged, or a header value is wrong.
    """
    header = _read_header(path)
    height, width = header.size
    formats.check_size(path, width, height)
    with open(path, "rb") as file:
        file.seek(header.pixels_at)
        is_adaptive = rgbe_pixels.is_adaptive(file.read(4), width)
    num_bytes = os.path.getsize(path) - header.pixels_at
    if is_adaptive and num_bytes < rgbe_pixels.fewest_bytes(height, width):
        raise formats.damaged(path, f"{num_bytes} bytes for {width * height} pixels")
    if is_adaptive and header.is_usual:
        with open_input(path, "hdr") as source:
            pixels = read_pixels(path, source, dtype="float")
    else:
        with open(path, "rb") as file:
            file.seek(header.pixels_at)
            stored = file.read(rgbe_pixels.most_bytes(height, width))
        pixels = rgbe_pixels.decode(stored, height, width)
    if not (header.exposure == 1.0).all():
        with np.errstate(over="ignore"):
            pixels = (pixels / header.exposure).astype(np.float32)
    return apply_orientation(pixels, header.orientation)


def _read_header(path: str | os.PathLike) -> _Header:
    head = formats.read_head(path, size=_MAX_HEADER_BYTES)
    end = _HEADER_END.search(head)
    found = end and _RESOLUTION.match(head, end.end())
    if not (end and found):
        raise formats.damaged(path, "no line with the size behind the header")
    axes, text = (found[1], found[3]), head[: end.start()]
    if axes not in _ORIENTATIONS:
        raise formats.damaged(path, f"{found[0].decode().strip()} is no size")
    resolution = b"%s %d %s %d\n" % (found[1], int(found[2]), found[3], int(found[4]))
    lines = text.split(b"\n")
    is_usual = (
        end[0] == b"\n\n"
        and found[0] == resolution
        and _FORMAT in lines
        and len(lines) < _MOST_LINES
        and max(map(len, lines)) < _LONGEST_LINE
    )
    return _Header(
        _parse_exposure(path, lines),
        _ORIENTATIONS[axes],
        (int(found[2]), int(found[4])),
        found.end(),
        is_usual,
    )


def _parse_exposure(
    path: str | os.PathLike, lines: Sequence[bytes]
) -> Float[np.ndarray, "3"]:
    """Returns the product of all exposure multipliers in the header, per channel.

    Lines that begin with white space are headers of the pictures that this one was made
    of; they do not count.
    """
    exposure = np.ones(3)
    for line in lines:
        name, _, value = line.partition(b"=")
        if name == b"FORMAT" and value.strip() == b"32-bit_rle_xyze":
            raise UserError(
                f"cannot read {path}: it holds XYZE pixels, expected RGBE; convert it "
                "with Radiance's ra_xyze -r"
            )
        if name == b"FORMAT" and value.strip() != b"32-bit_rle_rgbe":
            raise UserError(
                f"cannot read {path}: its header says FORMAT={_text(value)}; expected "
                "32-bit_rle_rgbe; convert it to RGBE"
            )
        if name in (b"EXPOSURE", b"COLORCORR"):
            with np.errstate(over="ignore", under="ignore"):
                exposure *= _parse_multipliers(path, name.decode(), value)
    if not (np.isfinite(exposure) & (exposure > 0)).all():
        raise UserError(
            f"cannot read {path}: the product of the exposures in its header is "
            f"{exposure.max():g}, expected a positive number; correct its header"
        )
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
        raise UserError(
            f"cannot read {path}: its header says {name}={_text(value)}; expected "
            f"{expected} positive number(s); correct that line"
        )
    return numbers


def _text(value: bytes) -> str:
    return formats.printable(value.strip()[:_LONGEST_LINE].decode("latin-1"))


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
