"""Photographs of 8 and of 16 bits obey the same rules: TIFF tags, and turning."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from jaxhdr import image_io
from jaxhdr.errors import UserError
from tests.made_photos import BT2020_LINEAR, SRGB, SRGB_CURVE, make_matrix_profile

TYPES = [np.uint8, np.uint16]
XMP_TURNED = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF>'
    b"</x:xmpmeta>"
)
TURNED = b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
CODES = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


def codes_of(path) -> np.ndarray:
    return image_io.read_encoded(path) * 255


def scaled(codes: np.ndarray, dtype) -> np.ndarray:
    return (codes.astype(np.uint32) * (257 if dtype == np.uint16 else 1)).astype(dtype)


@pytest.mark.parametrize("dtype", TYPES)
def test_white_is_zero_is_no_negative(tmp_path, dtype):
    tifffile.imwrite(
        tmp_path / "x.tif", scaled(CODES[..., 0], dtype), photometric="miniswhite"
    )
    expected = 255 - CODES[..., :1].astype(int).repeat(3, axis=2)
    np.testing.assert_allclose(codes_of(tmp_path / "x.tif"), expected, atol=1e-3)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("meaning", "shown"),
    [("assocalpha", 60), ("unassalpha", 24), ("unspecified", 60)],
)
def test_alpha_is_applied_once(tmp_path, dtype, meaning, shown):
    codes = scaled(np.full((4, 4, 4), (60, 60, 60, 102)), dtype)  # 102/255 = 0.4
    tifffile.imwrite(
        tmp_path / "x.tif", codes, photometric="rgb", extrasamples=[meaning]
    )
    np.testing.assert_allclose(codes_of(tmp_path / "x.tif"), shown, atol=1.01)


@pytest.mark.parametrize("dtype", TYPES)
def test_the_photograph_behind_a_thumbnail_is_read(tmp_path, dtype):
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        small = scaled(CODES[:2, :3], dtype)
        file.write(small, photometric="rgb", subfiletype=1)
        file.write(scaled(CODES, dtype), photometric="rgb")
    np.testing.assert_allclose(codes_of(tmp_path / "x.tif"), CODES, atol=1e-3)


@pytest.mark.parametrize("dtype", TYPES)
def test_cielab_is_refused_by_its_name(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "x.tif", scaled(CODES, dtype), photometric="cielab")
    with pytest.raises(UserError, match="CIELAB pixels are not supported"):
        image_io.read_encoded(tmp_path / "x.tif")


@pytest.mark.parametrize("dtype", TYPES)
def test_inks_of_any_depth_are_read(tmp_path, dtype):
    inks = scaled(np.full((4, 4, 4), (255, 0, 0, 0)), dtype)
    tifffile.imwrite(tmp_path / "x.tif", inks, photometric="separated")
    np.testing.assert_allclose(
        codes_of(tmp_path / "x.tif")[1, 1], (0, 255, 255), atol=2
    )


def test_a_float_tiff_of_other_primaries_becomes_bt709(tmp_path):
    # ITU-R BT.2087-0: BT.2020 of BT.709's red is (0.6274, 0.0691, 0.0164).
    hdr = np.full((4, 4, 3), (0.6274, 0.0691, 0.0164), np.float32) * 5
    tag = (34675, "B", len(BT2020_LINEAR), BT2020_LINEAR, True)
    tifffile.imwrite(tmp_path / "x.tif", hdr, photometric="rgb", extratags=[tag])
    np.testing.assert_allclose(
        image_io.read_hdr(tmp_path / "x.tif")[1, 1], (5, 0, 0), atol=0.02
    )


def test_floats_that_are_codes_are_no_radiance(tmp_path):
    profile = make_matrix_profile(SRGB, SRGB_CURVE)
    tag = (34675, "B", len(profile), profile, True)
    tifffile.imwrite(
        tmp_path / "x.tif", CODES / np.float32(255), photometric="rgb", extratags=[tag]
    )
    with pytest.raises(UserError, match="tone curve"):
        image_io.read_hdr(tmp_path / "x.tif")


@pytest.mark.parametrize("dtype", TYPES)
def test_unknown_compression_is_not_called_damaged(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "x.tif", scaled(CODES, dtype), photometric="rgb")
    data = (tmp_path / "x.tif").read_bytes()
    entry = struct.pack("<HHI", 259, 3, 1)
    at = data.index(entry) + len(entry)
    (tmp_path / "x.tif").write_bytes(data[:at] + b"\x0f\x27" + data[at + 2 :])
    with pytest.raises(UserError, match="compression, number 9999") as caught:
        image_io.read_encoded(tmp_path / "x.tif")
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "webp", "avif"])
def test_xmp_turns_nothing_where_the_container_has_its_own_word(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    if suffix == "png":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP_TURNED.decode())
    else:
        options["xmp"] = XMP_TURNED
    Image.fromarray(CODES).save(path, **options)
    assert image_io.read_encoded(path).shape == CODES.shape


def test_xmp_turns_a_jpeg_without_exif(tmp_path):
    image = io.BytesIO()
    Image.fromarray(CODES).save(image, "JPEG", xmp=XMP_TURNED)
    (tmp_path / "x.jpg").write_bytes(image.getvalue())
    assert image_io.read_encoded(tmp_path / "x.jpg").shape == (9, 6, 3)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("is_before", [True, False])
def test_exif_of_a_png_stands_before_its_pixels(tmp_path, dtype, is_before):
    path = tmp_path / "x.png"
    write_png_with_exif(path, scaled(CODES, dtype), is_before)
    shape = (9, 6, 3) if is_before else CODES.shape
    assert image_io.read_encoded(path).shape == shape


def write_png_with_exif(path, codes: np.ndarray, is_before: bool) -> None:
    bits = 8 * codes.itemsize
    rows = b"".join(
        b"\0" + row.astype(f">u{codes.itemsize}").tobytes() for row in codes
    )
    header = struct.pack(">IIBBBBB", codes.shape[1], codes.shape[0], bits, 2, 0, 0, 0)
    pixels, exif = (b"IDAT", zlib.compress(rows)), (b"eXIf", TURNED)
    middle = [exif, pixels] if is_before else [pixels, exif]
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in [(b"IHDR", header), *middle, (b"IEND", b"")]:
        checksum = struct.pack(">I", zlib.crc32(name + body))
        data += struct.pack(">I", len(body)) + name + body + checksum
    path.write_bytes(data)
