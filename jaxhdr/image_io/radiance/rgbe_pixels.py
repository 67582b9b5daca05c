"""Decodes the pixels of Radiance files, in all three encodings that occur.

Rows of 8 to 32767 pixels may have adaptive run-length encoding: 2, 2, the width, and
the four components one after another. Other rows are flat, or have the older encoding,
in which the pixel 1, 1, 1, n repeats the one before it n times (Ward, "Real Pixels",
Graphics Gems II; `color.c` of Radiance).
"""

from typing import Final

import numpy as np
from jaxtyping import Float, UInt8

_NARROWEST, _WIDEST = 8, 32767
_LONGEST_RUN: Final = 127
_MOST_DIGITS: Final = 2  # of a count in the older encoding, 8 bits each
_ROWS_AT_ONCE: Final = 64  # bounds the temporaries

# The value of a mantissa of 1 for every exponent byte. OpenImageIO computes the same.
_SCALES: Final = np.ldexp(np.float32(1), np.arange(256) - 136).astype(np.float32)
_SCALES[0] = 0


def is_adaptive(data: bytes, width: int) -> bool:
    """Returns whether a row that begins with `data` has the adaptive encoding."""
    return (
        _NARROWEST <= width <= _WIDEST and data[:2] == b"\2\2" and data[2:3] < b"\x80"
    )


def fewest_bytes(height: int, width: int) -> int:
    """Returns the least size of adaptively encoded rows, all of equal pixels."""
    return height * (4 + 8 * -(-width // _LONGEST_RUN))


def most_bytes(height: int, width: int) -> int:
    """Returns the greatest size of rows in any encoding, where no run saves a byte."""
    return height * (4 + 8 * width)


def decode(data: bytes, height: int, width: int) -> Float[np.ndarray, "h w 3"]:
    """Returns the pixels in the order of the file.

    Raises:
      ValueError: the data end early, or have impossible runs.
    """
    rows, position = [], 0
    while len(rows) < height and is_adaptive(data[position : position + 4], width):
        row, position = _adaptive_row(data, position, width)
        rows.append(row)
    count = (height - len(rows)) * width
    rest = _older_pixels(data[position:], count) if count else b""
    pixels = np.frombuffer(b"".join([*rows, bytes(rest)]), np.uint8)
    return _to_float(pixels.reshape(height, width, 4))


def _adaptive_row(data: bytes, position: int, width: int) -> tuple[bytes, int]:
    if int.from_bytes(data[position + 2 : position + 4], "big") != width:
        raise ValueError("a row has another width than the header")
    position += 4
    row, size = bytearray(), 4 * width
    while len(row) < size:
        code = data[position : position + 1]
        if not code:
            raise ValueError("the pixels end early")
        length = code[0]
        if length > 128:
            row += data[position + 1 : position + 2] * (length - 128)
            position += 2
        else:
            row += data[position + 1 : position + 1 + length]
            position += 1 + length
    if len(row) > size or position > len(data):
        raise ValueError("a run is longer than its row")
    planes = np.frombuffer(row, np.uint8).reshape(4, width)
    return planes.T.tobytes(), position


def _older_pixels(data: bytes, count: int) -> UInt8[np.ndarray, "n 4"]:
    """Returns `count` pixels, flat or in the older encoding.

    Raises:
      ValueError: the data end early, or have impossible runs.
    """
    stored = np.frombuffer(data[: len(data) // 4 * 4], np.uint8).reshape(-1, 4)[:count]
    is_run = (stored[:, :3] == 1).all(axis=1)
    if not is_run.any():
        if len(stored) < count:
            raise ValueError("the pixels end early")
        return stored
    indices = np.arange(len(stored))
    repeated = np.maximum.accumulate(np.where(is_run, -1, indices))
    digit = np.minimum(indices - repeated - 1, _MOST_DIGITS)
    lengths = np.where(is_run, stored[:, 3].astype(np.int64) << 8 * digit, 1)
    ends = np.cumsum(lengths)
    used = int(np.searchsorted(ends, count)) + 1
    if used > len(ends):
        raise ValueError("the pixels end early")
    if repeated[0] < 0 or (is_run & (digit == _MOST_DIGITS))[:used].any():
        raise ValueError("a run repeats no pixel, or is too long")
    lengths = lengths[:used]
    lengths[-1] -= ends[used - 1] - count
    return np.repeat(stored[repeated[:used]], lengths, axis=0)


def _to_float(pixels: UInt8[np.ndarray, "h w 4"]) -> Float[np.ndarray, "h w 3"]:
    image = np.empty((*pixels.shape[:2], 3), np.float32)
    for start in range(0, len(pixels), _ROWS_AT_ONCE):
        rows = pixels[start : start + _ROWS_AT_ONCE]
        image[start : start + _ROWS_AT_ONCE] = rows[..., :3] * _SCALES[rows[..., 3:]]
    return image
