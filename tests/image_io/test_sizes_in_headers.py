"""A header that states more pixels than its file can hold takes no memory."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from jaxhdr import image_io
from jaxhdr.errors import UserError

SIDE = 20_000


def png(bits: int) -> bytes:
    data = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", SIDE, SIDE, bits, 2, 0, 0, 0)
    for name, body in (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ):
        checksum = struct.pack(">I", zlib.crc32(name + body))
        data += struct.pack(">I", len(body)) + name + body + checksum
    return data


def jpeg() -> bytes:
    frame = struct.pack(">BHHB", 8, SIDE, SIDE, 1) + b"\1\x11\0"
    return b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame + bytes(40)


def tiff() -> bytes:
    tags = {
        256: SIDE,
        257: SIDE,
        258: 8,
        259: 5,
        262: 1,
        273: 8,
        277: 1,
        278: SIDE,
        279: 9,
    }
    body = b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()
    )
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + body + bytes(4)


BOMBS = {"8.png": png(8), "16.png": png(16), "x.jpg": jpeg(), "x.tif": tiff()}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_memory_is_taken(tmp_path, name):
    (tmp_path / name).write_bytes(BOMBS[name])
    tracemalloc.start()
    try:
        with pytest.raises(
            UserError, match=rf"{SIDE} x {SIDE} pixels, but the file|header claims"
        ):
            image_io.read_encoded(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_a_large_image_of_one_colour_is_read(tmp_path):
    Image.new("1", (9000, 9000), 1).save(tmp_path / "x.png")
    encoded = image_io.read_encoded(tmp_path / "x.png")
    assert encoded.shape == (9000, 9000, 3) and np.all(encoded[::999, ::999] == 1)
