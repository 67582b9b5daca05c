"""AVIF, PNG and JPEG XL for HDR displays, as independent programs read them."""

import importlib
import logging
import struct
import zlib

import imagecodecs
import numpy as np
import OpenImageIO as oiio
import pytest
from PIL import Image

from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.image_io.containers import box_writer, boxes, png_writer
from jaxhdr.image_io.display import display_light

WAYS = [
    (suffix, name) for suffix in (".avif", ".png", ".jxl") for name in ("pq", "hlg")
]
BITS = {".avif": 10, ".png": 16, ".jxl": 16}
NUMBERS = {"pq": 16, "hlg": 18}
CAMERA = image_io.CameraExif(
    "Canon", "EOS R5", "RF50mm", "2024:05:31 18:30:00", 0.005, 2.8, 400, 50.0
)


@pytest.fixture
def hdr() -> np.ndarray:
    """Smooth colours from 0.001 to 4.9, which HLG holds, of an odd size."""
    rng = np.random.default_rng(0)
    light = np.exp(rng.normal(0, 0.1, (131, 77, 3)))
    ramp = np.geomspace(1e-3, 3.5, 77)[None, :, None]
    return np.clip(light * ramp, 0, 4.9).astype(np.float32)


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    at, found = 8, []
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        assert checksum == zlib.crc32(name + body)
        found.append((name, body))
        at += 12 + length
    return found


def decoded(path) -> np.ndarray:
    if path.suffix == ".png":
        return imagecodecs.png_decode(path.read_bytes())
    if path.suffix == ".avif":
        return imagecodecs.avif_decode(path.read_bytes())
    return imagecodecs.jpegxl_decode(path.read_bytes())


@pytest.mark.parametrize(("suffix", "name"), WAYS)
def test_other_programs_read_the_codes(tmp_path, hdr, suffix, name):
    path = tmp_path / f"x{suffix}"
    image_io.write_hdr(path, hdr, transfer=name, white_nits=100.0)
    expected = display_light.encode(
        path, hdr, transfer_name=name, white_nits=100.0, bits=BITS[suffix]
    ).codes
    codes = decoded(path)
    assert codes.dtype == np.uint16
    difference = np.abs(codes.astype(int) - expected).max()
    assert difference <= (1 if suffix == ".avif" else 0)  # AVIF turns RGB to YCbCr


@pytest.mark.parametrize(("suffix", "name"), WAYS)
def test_radiance_is_read_back_within_one_code(tmp_path, hdr, suffix, name):
    path = tmp_path / f"x{suffix}"
    image_io.write_hdr(path, hdr, transfer=name)
    back = image_io.read_hdr(path, negative="keep")
    bits = BITS[suffix]
    again, before = (
        display_light.encode(
            path, light, transfer_name=name, white_nits=203.0, bits=bits
        ).codes.astype(int)
        for light in (back, hdr)
    )
    assert np.abs(again - before).max() <= 1


@pytest.mark.parametrize(("suffix", "name"), WAYS)
def test_white_and_black_are_read_back(tmp_path, suffix, name):
    hdr = np.ones((20, 30, 3), np.float32)
    hdr[:, 15:] = 0
    path = tmp_path / f"x{suffix}"
    image_io.write_hdr(path, hdr, transfer=name)
    np.testing.assert_allclose(image_io.read_hdr(path), hdr, atol=0.006)
    image_io.write_hdr(path, hdr, transfer=name, white_nits=406.0)
    np.testing.assert_allclose(image_io.read_hdr(path), 2 * hdr, atol=0.012)


def test_the_defaults_are_pq_and_linear_light(tmp_path, hdr):
    for suffix in (".avif", ".png"):
        image_io.write_hdr(tmp_path / f"a{suffix}", hdr)
        image_io.write_hdr(
            tmp_path / f"b{suffix}", hdr, transfer="pq", white_nits=203.0
        )
        a, b = (tmp_path / f"{name}{suffix}" for name in "ab")
        assert a.read_bytes() == b.read_bytes()
    image_io.write_hdr(tmp_path / "a.jxl", hdr, half=False)
    np.testing.assert_array_equal(image_io.read_hdr(tmp_path / "a.jxl"), hdr)
    np.testing.assert_array_equal(decoded(tmp_path / "a.jxl"), hdr)


def test_linear_jpeg_xl_keeps_what_exceeds_half_precision(tmp_path):
    path = tmp_path / "x.jxl"
    for peak, dtype in ((60_000, "half"), (70_000, "float")):
        hdr = np.full((9, 9, 3), 0.1, np.float32)
        hdr[3, 4] = peak
        image_io.write_hdr(path, hdr)
        source = oiio.ImageInput.open(str(path))
        assert str(source.spec().format) == dtype
        assert source.spec().getattribute("CICP") == (1, 8, 0, 1)
        source.close()
        np.testing.assert_allclose(image_io.read_hdr(path), hdr, rtol=5e-4)


@pytest.mark.parametrize("name", ["pq", "hlg"])
def test_jpeg_xl_states_its_colours(tmp_path, hdr, name):
    image_io.write_hdr(tmp_path / "x.jxl", hdr, transfer=name)
    source = oiio.ImageInput.open(str(tmp_path / "x.jxl"))
    assert source.spec().getattribute("CICP") == (9, NUMBERS[name], 0, 1)
    source.close()


# ST 2086 in units of 0.00002: the primaries of BT.2020 and D65 as in HDR10 streams.
RED, GREEN, BLUE, D65 = (35400, 14600), (8500, 39850), (6550, 2300), (15635, 16450)


def test_a_png_states_its_colours_and_its_light(tmp_path):
    hdr = np.zeros((4, 4, 3), np.float32)
    hdr[:2] = 5
    image_io.write_hdr(tmp_path / "x.png", hdr, white_nits=200.0, exif=CAMERA)
    names = [name for name, _ in chunks_of((tmp_path / "x.png").read_bytes())]
    assert names[:6] == [b"IHDR", b"cICP", b"mDCV", b"cLLI", b"eXIf", b"IDAT"]
    chunks = dict(chunks_of((tmp_path / "x.png").read_bytes()))
    assert chunks[b"cICP"] == bytes([9, 16, 0, 1])
    # PNG, third edition, 11.3.2.7: red, green, blue, white; light in 0.0001 cd/m^2.
    assert struct.unpack(">8H2I", chunks[b"mDCV"]) == (
        *RED, *GREEN, *BLUE, *D65, 10_000_000, 50,
    )  # fmt: skip
    assert struct.unpack(">2I", chunks[b"cLLI"]) == (10_000_000, 5_000_000)
    image_io.write_hdr(tmp_path / "x.png", hdr, transfer="hlg")
    chunks = dict(chunks_of((tmp_path / "x.png").read_bytes()))
    assert chunks[b"cICP"] == bytes([9, 18, 0, 1])
    assert not chunks.keys() & {b"mDCV", b"cLLI", b"eXIf", b"gAMA", b"sRGB", b"cHRM"}
    source = oiio.ImageInput.open(str(tmp_path / "x.png"))
    assert source.spec().getattribute("CICP") == (9, 18, 0, 1)
    source.close()


@pytest.mark.parametrize("exif", [None, CAMERA])
def test_an_avif_states_its_colours_and_its_light(tmp_path, exif):
    hdr = np.zeros((64, 64, 3), np.float32)
    hdr[:32] = 5
    path = tmp_path / "x.avif"
    image_io.write_hdr(path, hdr, white_nits=200.0, exif=exif)
    items = boxes.read_items(path)
    assert items.of_primary(b"colr") == [b"nclx\0\x09\0\x10\0\x09\x80"]
    assert items.of_primary(b"pixi") == [b"\0\0\0\0\3\x0a\x0a\x0a"]
    # ISO/IEC 23008-2 (HEVC) begins with green, and `mdcv` with it.
    assert struct.unpack(">8H2I", items.of_primary(b"mdcv")[0]) == (
        *GREEN, *BLUE, *RED, *D65, 10_000_000, 50,
    )  # fmt: skip
    assert struct.unpack(">2H", items.of_primary(b"clli")[0]) == (1000, 500)
    with Image.open(path) as image:  # libavif reads what was added
        assert (image.size, image.mode) == ((64, 64), "RGB")
        # PQ of 1000 cd/m^2 is 0.7518 (ITU-R BT.2100).
        assert abs(np.asarray(image)[5, 5].astype(int) - 0.7518 * 255).max() < 2
        read = image.getexif()
    assert read.get(0x0110, "") == ("EOS R5" if exif else "")
    image_io.write_hdr(path, hdr, transfer="hlg", exif=exif)
    items = boxes.read_items(path)
    assert items.of_primary(b"colr") == [b"nclx\0\x09\0\x12\0\x09\x80"]
    assert not items.of_primary(b"clli") and not items.of_primary(b"mdcv")


def test_a_file_that_libavif_did_not_write_is_not_changed():
    codes = np.zeros((16, 16, 3), np.uint8)
    avif = imagecodecs.avif_encode(codes)
    for old, new in (
        (b"iloc\0\0\0\0\x44", b"iloc\1\0\0\0\x44"),
        (b"ipma\0\0\0\0", b"ipma\1\0\0\0"),
        (b"iinf\0", b"iinf\1"),
        (b"iprp", b"iprq"),
    ):
        broken = avif.replace(old, new)
        assert broken != avif
        with pytest.raises(ValueError, match="unexpected"):
            box_writer.add_items(
                broken,
                properties=[(b"clli", bytes(4))],
                items=[box_writer.exif_item(b"MM")],
            )


@pytest.mark.parametrize("shape", [(1, 1), (64, 3), (65, 1), (600, 900), (3, 300_000)])
def test_a_png_of_any_size_is_read_by_other_programs(tmp_path, shape):
    codes = np.random.default_rng(0).integers(0, 65536, (*shape, 3), np.uint16)
    png_writer.write_png16(tmp_path / "x.png", codes, [])
    data = (tmp_path / "x.png").read_bytes()
    np.testing.assert_array_equal(imagecodecs.png_decode(data), codes)
    # This checks Adler-32 of the whole stream.
    pixels = b"".join(body for name, body in chunks_of(data) if name == b"IDAT")
    assert len(zlib.decompress(pixels)) == shape[0] * (1 + 6 * shape[1])
    with Image.open(tmp_path / "x.png") as image:
        image.load()


def test_an_avif_without_its_library_is_one_sentence(tmp_path, hdr, monkeypatch):
    load = importlib.import_module

    def refuse(name, *more):
        if name == "imagecodecs":
            raise ImportError(name)
        return load(name, *more)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(UserError, match=r"pip install 'jaxhdr\[avif\]'") as error:
        image_io.write_hdr(tmp_path / "x.avif", hdr)
    assert "\n" not in str(error.value) and not str(error.value).endswith(".")
    assert not list(tmp_path.iterdir())


REFUSED = {
    "linear AVIF": ("x.avif", {"transfer": "linear"}, "has pq or hlg; choose one"),
    "linear PNG": ("x.png", {"transfer": "linear"}, "has pq or hlg; choose one"),
    "PQ EXR": ("x.exr", {"transfer": "pq"}, "has linear; choose"),
    "unknown": ("x.png", {"transfer": "srgb"}, "'srgb'"),
    "white of EXR": ("x.exr", {"white_nits": 203.0}, "relative; leave it out$"),
    "white of linear": ("x.jxl", {"white_nits": 203.0}, "transfer function pq or hlg"),
    "no white": ("x.png", {"white_nits": 0.0}, "0.0 cd/m.*; expected more than 0"),
    "NaN": ("x.png", {"white_nits": float("nan")}, "nan cd/m"),
    "bright white": ("x.png", {"white_nits": 10_001.0}, "at most 10000"),
    "primaries of PNG": ("x.png", {"primaries": "p3"}, r"\.png is always in BT.2020"),
    "primaries of .hdr": ("x.hdr", {"primaries": "ap0"}, r"\.hdr is always in BT.709"),
    "unknown primaries": ("x.exr", {"primaries": "xyz"}, "one of bt709, p3, rec2020"),
}


@pytest.mark.parametrize(("name", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_a_format_cannot_keep_is_refused(tmp_path, name, options, message):
    with pytest.raises(UserError, match=message) as error:
        image_io.check_writing(tmp_path / name, **options)
    assert not str(error.value).endswith(".") and "\n" not in str(error.value)


def test_what_a_format_cannot_keep_is_not_written(tmp_path):
    hdr = np.ones((4, 4, 3), np.float32)
    with pytest.raises(UserError, match=r"\.exr has linear"):
        image_io.write_hdr(tmp_path / "x.exr", hdr, transfer="pq")
    assert not list(tmp_path.iterdir())


def test_a_bright_image_says_that_it_is_clipped(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    hdr = np.full((16, 16, 3), 100.0, np.float32)
    image_io.write_hdr(tmp_path / "x.png", hdr)
    assert f"{tmp_path / 'x.png'}: 256 of 256 pixels" in caplog.text
    assert image_io.read_hdr(tmp_path / "x.png").max() == pytest.approx(10_000 / 203)


def test_a_library_without_avif_counts_as_none(tmp_path, hdr, monkeypatch):
    monkeypatch.setattr(imagecodecs.AVIF, "available", False)
    with pytest.raises(UserError, match=r"pip install 'jaxhdr\[avif\]'"):
        image_io.write_hdr(tmp_path / "x.avif", hdr)


@pytest.mark.parametrize("suffix", ["avif", "png", "jxl"])
def test_an_image_of_one_pixel_is_written(tmp_path, suffix):
    image_io.write_hdr(tmp_path / f"x.{suffix}", np.ones((1, 1, 3), np.float32))
    hdr = image_io.read_hdr(tmp_path / f"x.{suffix}")
    np.testing.assert_allclose(hdr, np.ones((1, 1, 3)), rtol=0.01)


def test_an_avif_that_nobody_could_read_is_refused(tmp_path):
    wide = np.ones((1, 32769, 3), np.float32)
    with pytest.raises(UserError, match=r"32769 x 1 pixels.*choose .png or .jxl"):
        image_io.write_hdr(tmp_path / "x.avif", wide)
    image_io.write_hdr(tmp_path / "x.avif", wide[:, 1:])
    assert image_io.read_hdr(tmp_path / "x.avif").shape == (1, 32768, 3)


def test_what_an_encoder_refuses_is_one_sentence(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise imagecodecs.AvifError("avif_encode", "Out of memory")

    monkeypatch.setattr(imagecodecs, "avif_encode", refuse)
    with pytest.raises(UserError, match=r"cannot write .*x.avif: avif_encode"):
        image_io.write_hdr(tmp_path / "x.avif", np.ones((4, 4, 3), np.float32))
    assert not list(tmp_path.iterdir())
