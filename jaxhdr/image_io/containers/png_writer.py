"""Writes PNG of 16 bits with chunks of our own (PNG, third edition).

OpenImageIO 3.2 is not used, because it writes gAMA, cHRM and sRGB of another colour
space beside cICP. Blocks of rows are compressed in parallel, as pigz does it.
"""

import concurrent.futures
import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from jaxtyping import UInt8, UInt16

_PIXELS_AT_ONCE: Final = 2**18
_LEVEL: Final = 1  # higher levels take twice the time and save less than 1 %
_SUB: Final = 1  # the filter that subtracts the pixel to the left
_PIXEL_BYTES: Final = 6
_RGB: Final = 2  # colour type
# The first two bytes of a zlib stream: deflate, a window of 32 KiB, fastest (RFC 1950).
_ZLIB_HEAD: Final = b"\x78\x01"


def write_png16(
    path: str | os.PathLike,
    codes: UInt16[np.ndarray, "h w 3"],
    chunks: Iterable[tuple[bytes, bytes]],
) -> None:
    """Writes codes of 16 bits.

    Args:
      path: the file.
      codes: the pixels.
      chunks: name and content of chunks to write before the pixels, in their order.
    """
    height, width, _ = codes.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _RGB, 0, 0, 0)
    num_rows = max(1, _PIXELS_AT_ONCE // width)
    starts = range(0, height, num_rows)
    with (
        open(path, "wb") as file,
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        file.write(b"\x89PNG\r\n\x1a\n")
        for name, body in [(b"IHDR", header), *chunks]:
            file.write(_chunk(name, [body]))
        checksum, head = 1, [_ZLIB_HEAD]
        blocks = pool.map(
            lambda start: _compressed(codes, start, start + num_rows), starts
        )
        for packed, sum_of_block, length in blocks:
            checksum = _adler32_combined(checksum, sum_of_block, length)
            file.write(_chunk(b"IDAT", [*head, packed]))
            head = []
        file.write(_chunk(b"IDAT", [struct.pack(">I", checksum)]))
        file.write(_chunk(b"IEND", []))


def _chunk(name: bytes, parts: Sequence[bytes]) -> bytes:
    body = b"".join([name, *parts])
    length = struct.pack(">I", len(body) - len(name))
    return length + body + struct.pack(">I", zlib.crc32(body))


def _compressed(
    codes: UInt16[np.ndarray, "h w 3"], start: int, end: int
) -> tuple[bytes, int, int]:
    """Returns deflated rows, and Adler-32 and length of what was deflated."""
    rows = _filtered(codes[start:end]).data
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    # A full flush ends at a byte, so that the next block can be appended.
    mode = zlib.Z_FINISH if end >= len(codes) else zlib.Z_FULL_FLUSH
    return (
        deflater.compress(rows) + deflater.flush(mode),
        zlib.adler32(rows),
        rows.nbytes,
    )


def _filtered(codes: UInt16[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h n"]:
    stored = codes.astype(">u2").view(np.uint8).reshape(len(codes), -1)
    rows = np.empty((len(stored), 1 + stored.shape[1]), np.uint8)
    rows[:, 0] = _SUB
    rows[:, 1 : 1 + _PIXEL_BYTES] = stored[:, :_PIXEL_BYTES]
    np.subtract(
        stored[:, _PIXEL_BYTES:],
        stored[:, :-_PIXEL_BYTES],
        out=rows[:, 1 + _PIXEL_BYTES :],
    )
    return rows


def _adler32_combined(first: int, second: int, second_length: int) -> int:
    """Returns Adler-32 of two parts one after the other (RFC 1950, section 8.2)."""
    base = 65521
    low = (first & 0xFFFF) + (second & 0xFFFF) - 1
    high = (first >> 16) + (second >> 16) + second_length * ((first & 0xFFFF) - 1)
    return (high % base) << 16 | low % base
