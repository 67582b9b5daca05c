"""Radiance files: every encoding of the pixels, and every header that occurs."""

import resource
import struct

import numpy as np
import pytest

from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.image_io.radiance import rgbe_pixels

_USUAL = "#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n"
_AXES = ["-Y +X", "-Y -X", "+Y +X", "+Y -X", "+X -Y", "-X -Y", "+X +Y", "-X +Y"]


def noise(height: int, width: int) -> np.ndarray:
    """RGBE pixels with runs, of normalised mantissas as writers make them."""
    rng = np.random.default_rng(height * width)
    pixels = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
    pixels[..., 0] |= 128
    pixels[..., 3] = 120 + pixels[..., 3] % 16
    pixels[:, width // 4 : width // 2] = pixels[:, width // 4, None]
    pixels[height // 2, :, :] = pixels[height // 2, 0]
    return pixels


def radiance(pixels: np.ndarray) -> np.ndarray:
    """By the description of the format: mantissa / 256 times 2^(exponent - 128)."""
    return np.ldexp(pixels[..., :3] / 256, pixels[..., 3:].astype(int) - 128)


def flat(pixels: np.ndarray) -> bytes:
    return pixels.tobytes()


def old_runs(pixels: np.ndarray) -> bytes:
    """The first run-length encoding: 1, 1, 1, n repeats the pixel before n times.

    Successive counts are the digits of a number, the lowest first.
    """
    out = bytearray()
    for row in pixels:
        at = 0
        while at < len(row):
            same = 1
            while at + same < len(row) and (row[at + same] == row[at]).all():
                same += 1
            out += row[at].tobytes()
            repeats = same - 1
            while repeats:
                out += bytes([1, 1, 1, repeats % 256])
                repeats //= 256
            at += same
    return bytes(out)


def new_runs(pixels: np.ndarray, *, longest: int = 127) -> bytes:
    """Adaptive run-length encoding: the four components of a row one after another."""
    out = bytearray()
    for row in pixels:
        out += b"\2\2" + struct.pack(">H", len(row))
        for values in row.T:
            at = 0
            while at < len(values):
                same = 1
                while at + same < len(values) and values[at + same] == values[at]:
                    same += 1
                    if same == longest:
                        break
                if same > 2:
                    out += bytes([128 + same, values[at]])
                else:
                    same = min(5, len(values) - at)
                    out += bytes([same]) + values[at : at + same].tobytes()
                at += same
    return bytes(out)


_ENCODINGS = [flat, old_runs, new_runs]


def write(path, body: bytes, shape, *, header: str = _USUAL, axes: str = "-Y +X"):
    first, second = axes.split()
    text = f"{header}\n{first} {shape[0]} {second} {shape[1]}\n"
    path.write_bytes(text.encode("latin-1") + body)


@pytest.mark.parametrize("encode", _ENCODINGS)
@pytest.mark.parametrize("shape", [(5, 8), (3, 7), (1, 1), (7, 300), (3, 1000)])
@pytest.mark.parametrize("header", [_USUAL, _USUAL.replace("\n", "\r\n")])
def test_every_encoding_is_read(tmp_path, encode, shape, header):
    if encode is new_runs and shape[1] < 8:
        pytest.skip("Radiance writes short rows flat")
    pixels = noise(*shape)
    write(tmp_path / "x.hdr", encode(pixels), shape, header=header)
    hdr = image_io.read_hdr(tmp_path / "x.hdr")
    np.testing.assert_array_equal(hdr, radiance(pixels).astype(np.float32))


@pytest.mark.parametrize("encode", _ENCODINGS)
@pytest.mark.parametrize("axes", _AXES)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_every_direction_is_turned_upright(tmp_path, encode, axes, line_end):
    pixels = noise(9, 12)
    path = tmp_path / "x.hdr"
    write(path, encode(pixels), (9, 12), axes=axes)
    data = path.read_bytes()
    end = data.index(b"12\n") + 3
    path.write_bytes(data[:end].replace(b"\n", line_end.encode()) + data[end:])
    expected = radiance(pixels)
    if "X" in axes.split()[0]:
        expected = expected.swapaxes(0, 1)
    expected = expected[::-1] if "+Y" in axes else expected
    expected = expected[:, ::-1] if "-X" in axes else expected
    np.testing.assert_array_equal(image_io.read_hdr(path), expected.astype(np.float32))


@pytest.mark.parametrize("encode", _ENCODINGS)
@pytest.mark.parametrize(
    "header",
    [
        "#?RGBE\nFORMAT=32-bit_rle_rgbe\nEXPOSURE=4\n",
        "#?RADIANCE\nEXPOSURE=4\nFORMAT= 32-bit_rle_rgbe \n",
        "#?RADIANCE\nEXPOSURE= 4 \nFORMAT=\t32-bit_rle_rgbe\n",
        "#?RADIANCE\nFORMAT=32-bit_rle_rgbe\nEXPOSURE=4\n\n\n",
        "#?RADIANCE\nEXPOSURE=4\n",  # Radiance takes this for RGBE
        "#?RADIANCE\n" + 98 * "oconv\n" + "EXPOSURE=4\nFORMAT=32-bit_rle_rgbe\n",
        "#?RADIANCE\n"
        + 5000 * "oconv x.rad\n"
        + "EXPOSURE=4\nFORMAT=32-bit_rle_rgbe\n",
        "#?RADIANCE\nEXPOSURE=4\nFORMAT=32-bit_rle_rgbe\n" + 300 * "xform\n",
        "#?RADIANCE\nx=" + 5000 * "y" + "\nEXPOSURE=4\nFORMAT=32-bit_rle_rgbe\n",
        "#?RADIANCE\n\xe9\nEXPOSURE=2\nEXPOSURE=2\nFORMAT=32-bit_rle_rgbe\n",
        # Headers of the pictures that a picture was made of are indented.
        _USUAL + "pcomb a.hdr\n\tEXPOSURE=16\n\tFORMAT=32-bit_rle_xyze\nEXPOSURE=4\n",
    ],
)
def test_every_header_is_read_and_exposure_undone(tmp_path, encode, header):
    pixels = noise(6, 16)
    write(tmp_path / "x.hdr", encode(pixels), (6, 16), header=header)
    hdr = image_io.read_hdr(tmp_path / "x.hdr")
    np.testing.assert_array_equal(hdr, (radiance(pixels) / 4).astype(np.float32))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("#?RADIANCE\nFORMAT= 32-bit_rle_xyze\n", "XYZE"),
        ("#?RADIANCE\nFORMAT=32-bit_float\n", "FORMAT=32-bit_float; expected"),
        ("#?RADIANCE\nEXPOSURE=\x1b[2J\n", r"EXPOSURE=\?\[2J; expected 1 positive"),
        (_USUAL + 300 * "EXPOSURE=1e30\n", "product"),
        (_USUAL + 300 * "EXPOSURE=1e-30\n", "product"),
        (_USUAL.replace("\n", "\r\n") + "EXPOSURE=0\r\n", "EXPOSURE=0"),
    ],
)
def test_unusable_headers_are_refused(tmp_path, header, message):
    write(tmp_path / "x.hdr", flat(noise(2, 9)), (2, 9), header=header)
    with pytest.raises(UserError, match=message):
        image_io.read_hdr(tmp_path / "x.hdr")


@pytest.mark.parametrize(
    "resolution",
    ["", "-Y 2", "-Y 2 -Y 9", "Y 2 X 9", "-Y -2 +X 9", "-Y 2 +X " + 99 * "9"],
)
def test_a_wrong_line_of_the_size_is_one_sentence(tmp_path, resolution):
    data = f"{_USUAL}\n{resolution}\n".encode() + flat(noise(2, 9))
    (tmp_path / "x.hdr").write_bytes(data)
    with pytest.raises(UserError, match=r"damaged or truncated .*size"):
        image_io.read_hdr(tmp_path / "x.hdr")


@pytest.mark.parametrize("encode", _ENCODINGS)
@pytest.mark.parametrize("header", [_USUAL, _USUAL.replace("\n", "\r\n")])
def test_truncated_pixels_are_refused_and_what_follows_them_ignored(
    tmp_path, encode, header
):
    body = encode(noise(12, 20))
    for end in (0, 1, 7, len(body) // 2, len(body) - 1):
        write(tmp_path / "x.hdr", body[:end], (12, 20), header=header)
        with pytest.raises(UserError, match="damaged or truncated"):
            image_io.read_hdr(tmp_path / "x.hdr")
    write(tmp_path / "x.hdr", body + b"\1\1\1\xff" * 9, (12, 20), header=header)
    assert image_io.read_hdr(tmp_path / "x.hdr").shape == (12, 20, 3)


@pytest.mark.parametrize(
    "body",
    [
        b"\1\1\1\5" * 30,  # nothing to repeat
        b"\x80\0\0\x80" + b"\1\1\1\0" * 900,  # runs without pixels
        b"\2\2\0\x14" + b"\0" * 900,  # codes without values
        b"\2\2\0\x15" + b"\x94\7" * 900,  # another width than in the header
        b"\2\2\0\x14" + b"\xff\7" * 900,  # runs longer than the row
    ],
)
@pytest.mark.parametrize("header", [_USUAL, _USUAL.replace("\n", "\r\n")])
def test_impossible_runs_are_one_sentence(tmp_path, body, header):
    write(tmp_path / "x.hdr", body, (12, 20), header=header)
    with pytest.raises(UserError, match="damaged or truncated"):
        image_io.read_hdr(tmp_path / "x.hdr")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        flat(noise(2, 90)),
        b"\2\2\x75\x30" + bytes(1000),
        b"\x80\0\0\x80" + b"\1\1\1\xff" * 200,
    ],
)
@pytest.mark.parametrize("header", [_USUAL, _USUAL.replace("\n", "\r\n")])
def test_few_bytes_for_many_pixels_take_no_memory(tmp_path, body, header):
    write(tmp_path / "x.hdr", body, (16000, 30000), header=header)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match="damaged"):
        image_io.read_hdr(tmp_path / "x.hdr")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100e3  # kB


def test_both_decoders_agree(tmp_path):
    """OpenImageIO reads the usual files; our own decoder gives the same."""
    hdr = np.random.default_rng(7).lognormal(0, 3, (40, 64, 3)).astype(np.float32)
    hdr[5:9], hdr[:, 20:50] = 0, 1e-20
    image_io.write_hdr(tmp_path / "x.hdr", hdr)
    data = (tmp_path / "x.hdr").read_bytes()
    start = data.index(b"+X 64\n") + 6
    decoded = rgbe_pixels.decode(data[start:], 40, 64)
    np.testing.assert_array_equal(decoded, image_io.read_hdr(tmp_path / "x.hdr"))
