"""Colour profiles and photographs that tests write without an image library."""

import base64
import struct
import zlib

import numpy as np

# Colorants (XYZ relative to D50) as published in Apple's "Display P3" profile and in
# "AdobeRGB1998.icc"; tone curves of the sRGB parametric type and gamma 563/256.
P3 = (
    (0.51512, 0.2412, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.1571, 0.06657, 0.78407),
)
ADOBE = (
    (0.60974, 0.31111, 0.01947),
    (0.20528, 0.62567, 0.06087),
    (0.14919, 0.06322, 0.74457),
)
SRGB = (
    (0.43607, 0.22249, 0.01392),
    (0.38515, 0.71687, 0.09708),
    (0.14307, 0.06061, 0.7141),
)
RED, BLUE = (230, 40, 30), (30, 60, 220)
# 32 x 16, red beside blue, which the container turns to 16 x 32, red above blue; made
# with pillow-heif 1.8.1 from an image with EXIF orientation 6.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAcdtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0"
    "AAAAAAAAAAAAAAAAAAAAADRpbG9jAAAAAERAAAIAAQAAAAAB6wABAAAAAAAAALUAAgAAAAACoAABAAAA"
    "AAAAACQAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZlAgAAAQACAABFeGlm"
    "AAAAAA5waXRtAAAAAAABAAABBmlwcnAAAADlaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAA"
    "DwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq"
    "rprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAA"
    "AABAAAAAQAAAAChjbGFwAAAAIAAAAAEAAAAQAAAAAf///+AAAAAC////0AAAAAIAAAAQcGl4aQAAAAAD"
    "CAgIAAAACWlyb3QDAAAAGWlwbWEAAAAAAAAAAQABBoECAwWEhgAAABppcmVmAAAAAAAAAA5jZHNjAAIA"
    "AQABAAAA4W1kYXQAAACxKAGvCchnsLI5I1d//8TfH/9TX6H8seYrf/dYK+/inU//v6A/lOv97tpE53Po"
    "12gI5ni/kjnIubCkpJyRfpcRGqTEaqNB2NZXpRj70aV7JmnFA2KUz6fMkNduImySrZKlELbuOyR9u8I2"
    "9fnXgp2R4T1gioc2QxHB+4b4d9W+iixX0Yl7KKPv1zPIdIGMlGRYVIuxAwyDkfyxrIUYa3DIUDMq6CUf"
    "qepVETqdWPPo6oLsAAAABkV4aWYAAE1NACoAAAAIAAEBEgADAAAAAQAGAAAAAAAA"
)


def fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(n * 65536) for n in numbers))


SRGB_CURVE = b"para\0\0\0\0\0\3\0\0" + fixed(
    2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045
)
GAMMA_22 = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563) + b"\0\0"
GAMMA_TABLE = b"curv\0\0\0\0" + struct.pack(
    ">I4096H", 4096, *(round(65535 * (i / 4095) ** (563 / 256)) for i in range(4096))
)


def make_profile(
    space: bytes, tags: dict[bytes, bytes], *, pcs: bytes = b"XYZ "
) -> bytes:
    """A minimal ICC version 4 profile (ICC.1:2022, section 7)."""
    tags = {b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1.0, 0.8249), **tags}
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    device = b"prtr" if space == b"CMYK" else b"mntr"
    head = struct.pack(
        ">I4sI4s4s4s", start + len(body), b"", 0x04000000, device, space, pcs
    )
    head += b"\0" * 12 + b"acsp" + b"\0" * 28 + fixed(0.9642, 1.0, 0.8249)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def make_matrix_profile(colorants, curve: bytes) -> bytes:
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    tags = {
        n: b"XYZ \0\0\0\0" + fixed(*c) for n, c in zip(names, colorants, strict=True)
    }
    return make_profile(
        b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    )


def red_cyan_profile() -> bytes:
    """A CMYK profile whose cyan ink is red, so that its use is unmistakable."""
    lab = {0: (255, 128, 128), 1: (136, 209, 195)}  # paper white; a strong red
    grid = [
        (0, 128, 128) if key else lab[cyan] for cyan in (0, 1)
        for _ in range(4) for key in (0, 1)
    ]  # fmt: skip
    identity = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut += identity * 4 + bytes(np.array(grid, np.uint8)) + identity * 3
    return make_profile(b"CMYK", {b"A2B0": lut, b"A2B1": lut}, pcs=b"Lab ")


def write_png16(path, codes, *chunks: tuple[bytes, bytes]) -> None:
    """Writes a 16-bit PNG without any image library (ISO/IEC 15948)."""
    height, width, channels = codes.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in codes)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in parts:
        checksum = zlib.crc32(name + body)
        data += struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)
    path.write_bytes(data)


def iccp(profile: bytes) -> tuple[bytes, bytes]:
    return b"iCCP", b"test\0\0" + zlib.compress(profile)


# Colorants of BT.2020 relative to D50, as in the profiles of browsers.
BT2020 = (
    (0.67348, 0.27904, -0.00193),
    (0.16566, 0.67534, 0.02998),
    (0.12505, 0.0456, 0.7968),
)
BT2020_LINEAR = make_matrix_profile(BT2020, b"curv\0\0\0\0\0\0\0\0")
