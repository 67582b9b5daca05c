import base64
import io
import logging
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.image_io import formats, icc, matrix_profile, photos

# Colorants (XYZ relative to D50) as published in Apple's "Display P3" profile and in
# "AdobeRGB1998.icc"; tone curves of the sRGB parametric type and gamma 563/256.
_P3 = (
    (0.51512, 0.2412, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.1571, 0.06657, 0.78407),
)
_ADOBE = (
    (0.60974, 0.31111, 0.01947),
    (0.20528, 0.62567, 0.06087),
    (0.14919, 0.06322, 0.74457),
)
_SRGB = (
    (0.43607, 0.22249, 0.01392),
    (0.38515, 0.71687, 0.09708),
    (0.14307, 0.06061, 0.7141),
)
_RED, _BLUE = (230, 40, 30), (30, 60, 220)
# 32 x 16, red beside blue, which the container turns to 16 x 32, red above blue; made
# with pillow-heif 1.8.1 from an image with EXIF orientation 6.
_HEIC = base64.b64decode(
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


def _fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(n * 65536) for n in numbers))


_SRGB_CURVE = b"para\0\0\0\0\0\3\0\0" + _fixed(
    2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045
)
_GAMMA_22 = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563) + b"\0\0"
_GAMMA_TABLE = b"curv\0\0\0\0" + struct.pack(
    ">I4096H", 4096, *(round(65535 * (i / 4095) ** (563 / 256)) for i in range(4096))
)


def _profile(space: bytes, tags: dict[bytes, bytes], *, pcs: bytes = b"XYZ ") -> bytes:
    """A minimal ICC version 4 profile (ICC.1:2022, section 7)."""
    tags = {b"wtpt": b"XYZ \0\0\0\0" + _fixed(0.9642, 1.0, 0.8249), **tags}
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    device = b"prtr" if space == b"CMYK" else b"mntr"
    head = struct.pack(
        ">I4sI4s4s4s", start + len(body), b"", 0x04000000, device, space, pcs
    )
    head += b"\0" * 12 + b"acsp" + b"\0" * 28 + _fixed(0.9642, 1.0, 0.8249)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _matrix_profile(colorants, curve: bytes) -> bytes:
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    tags = {
        n: b"XYZ \0\0\0\0" + _fixed(*c) for n, c in zip(names, colorants, strict=True)
    }
    return _profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def _red_cyan_profile() -> bytes:
    """A CMYK profile whose cyan ink is red, so that its use is unmistakable."""
    lab = {0: (255, 128, 128), 1: (136, 209, 195)}  # paper white; a strong red
    grid = [
        (0, 128, 128) if key else lab[cyan] for cyan in (0, 1)
        for _ in range(4) for key in (0, 1)
    ]  # fmt: skip
    identity = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut += identity * 4 + bytes(np.array(grid, np.uint8)) + identity * 3
    return _profile(b"CMYK", {b"A2B0": lut, b"A2B1": lut}, pcs=b"Lab ")


def _png16(path, codes, *chunks: tuple[bytes, bytes]) -> None:
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


def _iccp(profile: bytes) -> tuple[bytes, bytes]:
    return b"iCCP", b"test\0\0" + zlib.compress(profile)


def _codes(path) -> np.ndarray:
    return np.rint(image_io.read_encoded(path) * 255).astype(int)


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "ppm", "webp", "jpg"])
def test_eight_bit_colour_is_read_exactly_and_by_content(tmp_path, noise, suffix):
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(noise).save(path, lossless=True, quality=100)
    misnamed = path.rename(tmp_path / "photo.exr")
    encoded = image_io.read_encoded(misnamed)
    assert encoded.dtype == np.float32
    expected = np.asarray(Image.open(misnamed)).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(encoded, expected)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("LA", (200, 51), (40, 40, 40)),
        ("P", 3, (10, 20, 30)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("RGBA", (200, 100, 50, 255), (200, 100, 50)),
        ("RGBA", (200, 100, 50, 51), (40, 20, 10)),  # over black: 51/255 = 1/5
        ("RGBA", (200, 100, 50, 0), (0, 0, 0)),
    ],
)
def test_every_pixel_mode_becomes_rgb(tmp_path, mode, colour, expected):
    image = Image.new(mode, (5, 4), colour)
    if mode == "P":
        image.putpalette([0] * 9 + [10, 20, 30])
    image.save(tmp_path / "x.png")
    assert (_codes(tmp_path / "x.png") == expected).all()


def test_a_transparent_palette_entry_is_blended_over_black(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([250, 250, 250, 10, 20, 30])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "x.png", transparency=0)
    assert _codes(tmp_path / "x.png").tolist() == [[[0, 0, 0], [10, 20, 30]]]


def test_cmyk_without_a_profile_is_the_complement(tmp_path):
    Image.new("CMYK", (16, 16), (255, 0, 0, 0)).save(tmp_path / "x.jpg", quality=100)
    assert np.abs(_codes(tmp_path / "x.jpg") - (0, 255, 255)).max() <= 2


def test_a_cmyk_profile_is_used(tmp_path):
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    image.save(tmp_path / "x.jpg", quality=100, icc_profile=_red_cyan_profile())
    red, green, blue = _codes(tmp_path / "x.jpg")[8, 8]
    assert red > 200 and green < 60 and blue < 60


def test_the_first_frame_of_an_animation_is_read(tmp_path):
    frames = [Image.new("RGB", (4, 4), c) for c in ((255, 0, 0), (0, 0, 255))]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert (_codes(tmp_path / "x.gif") == (255, 0, 0)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_the_exif_orientation_is_applied(tmp_path, noise, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(noise).save(path, exif=exif, quality=100, lossless=True)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    np.testing.assert_array_equal(_codes(path), expected)
    assert expected.shape == ((6, 9, 3) if orientation < 5 else (9, 6, 3))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_orientation_of_sixteen_bit_files_is_applied(tmp_path, noise, orientation):
    deep = noise.astype(np.uint16) * 257
    exif = Image.Exif()
    exif[0x0112] = orientation
    _png16(tmp_path / "x.png", deep, (b"eXIf", exif.tobytes()[6:]))
    tag = (274, "H", 1, orientation, True)
    tifffile.imwrite(tmp_path / "x.tif", deep, photometric="rgb", extratags=[tag])
    turns = {1: 0, 6: -1, 3: 2, 8: 1}[orientation]
    for name in ("x.png", "x.tif"):
        np.testing.assert_array_equal(_codes(tmp_path / name), np.rot90(noise, turns))


@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0c\0\0\0"],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's own, to the user
def test_damaged_exif_does_not_stop_a_sound_photo(tmp_path, noise, exif):
    Image.fromarray(noise).save(tmp_path / "x.jpg", exif=exif)
    assert image_io.read_encoded(tmp_path / "x.jpg").shape == (6, 9, 3)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        # LittleCMS 2 alone, run on these profiles; the first also by hand from the
        # P3-D65 to BT.709 matrix: 1.2249 * 0.5776 - 0.2249 * 0.1274 = 0.679 -> 215.
        (_matrix_profile(_P3, _SRGB_CURVE), (215, 93, 31)),
        (_matrix_profile(_P3, _GAMMA_22), (216, 93, 24)),
        (_matrix_profile(_ADOBE, _GAMMA_22), (227, 100, 42)),
        (_matrix_profile(_ADOBE, _GAMMA_TABLE), (227, 100, 42)),
        (_matrix_profile(_SRGB, _SRGB_CURVE), (200, 100, 50)),
    ],
    ids=["display-p3", "p3-gamma-2.2", "adobe-rgb", "adobe-rgb-table", "srgb"],
)
def test_wide_gamut_profiles_become_srgb(tmp_path, suffix, profile, expected):
    image = Image.new("RGB", (16, 16), (200, 100, 50))
    image.save(
        tmp_path / f"x.{suffix}", icc_profile=profile, quality=100, subsampling=0
    )
    tolerance = 0 if suffix == "png" else 2
    np.testing.assert_allclose(
        _codes(tmp_path / f"x.{suffix}")[8, 8], expected, atol=tolerance
    )
    deep = np.full((3, 3, 3), (51400, 25700, 12850))
    _png16(tmp_path / "deep.png", deep, _iccp(profile))
    np.testing.assert_array_equal(_codes(tmp_path / "deep.png")[1, 1], expected)


def test_float_profiles_agree_with_littlecms(noise):
    for colorants, curve in ((_P3, _SRGB_CURVE), (_ADOBE, _GAMMA_22)):
        profile = _matrix_profile(colorants, curve)
        matrix = matrix_profile.parse(profile)
        assert matrix is not None
        ours = matrix.to_srgb(noise / np.float32(255)) * 255
        theirs = np.asarray(icc.to_srgb(Image.fromarray(noise), profile, name="x"))
        assert np.abs(ours - theirs).max() < 1.5


def test_an_srgb_profile_leaves_every_pixel_as_it_is(tmp_path, noise):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, _matrix_profile(_SRGB, _SRGB_CURVE)):
        Image.fromarray(noise).save(tmp_path / "x.png", icc_profile=profile)
        np.testing.assert_array_equal(_codes(tmp_path / "x.png"), noise)


def test_a_grey_profile_is_applied(tmp_path):
    profile = _profile(b"GRAY", {b"kTRC": b"curv\0\0\0\0\0\0\0\0"})  # linear light
    Image.new("L", (4, 4), 128).save(tmp_path / "x.png", icc_profile=profile)
    _png16(tmp_path / "deep.png", np.full((4, 4, 1), 128 * 257), _iccp(profile))
    for name in ("x.png", "deep.png"):
        # IEC 61966-2-1: 255 (1.055 (128/255)^(1/2.4) - 0.055) = 187.9
        assert (_codes(tmp_path / name) == 188).all()


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize(
    "profile", [b"junk", _matrix_profile(_P3, b"junkjunkjunkjunk")]
)
def test_a_broken_profile_is_ignored_and_logged(tmp_path, caplog, mode, profile):
    path = tmp_path / "x.tif"
    Image.new(mode, (4, 4)).save(path, icc_profile=profile)
    with caplog.at_level(logging.WARNING):
        encoded = image_io.read_encoded(path)
    assert np.isin(encoded, (0, 1)).all()
    assert "x.tif" in caplog.text and "ignored" in caplog.text


def test_a_profile_of_another_colour_space_is_ignored(tmp_path, noise, caplog):
    Image.fromarray(noise).save(tmp_path / "x.png", icc_profile=_red_cyan_profile())
    np.testing.assert_array_equal(_codes(tmp_path / "x.png"), noise)
    assert "ignored" in caplog.text


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bit_codes_stay_exact(tmp_path, channels):
    codes = np.random.default_rng(1).integers(0, 65536, (31, 17, channels), np.uint16)
    codes[0, 0], codes[0, 1] = 0, 65535
    _png16(tmp_path / "x.png", codes)
    tifffile.imwrite(tmp_path / "x.tif", codes if channels == 3 else codes[..., 0])
    expected = np.broadcast_to(codes / np.float32(65535), (31, 17, 3))
    for name in ("x.png", "x.tif"):
        np.testing.assert_array_equal(image_io.read_encoded(tmp_path / name), expected)


def test_sixteen_bit_alpha_is_blended_over_black(tmp_path):
    _png16(tmp_path / "x.png", np.full((2, 2, 4), (50000, 40000, 30000, 13107)))
    expected = np.array([50000, 40000, 30000]) / 65535 / 5
    np.testing.assert_allclose(
        image_io.read_encoded(tmp_path / "x.png")[0, 0], expected, rtol=1e-6
    )


def test_a_gain_map_jpeg_gives_its_sdr_base(tmp_path, noise):
    base, gain = io.BytesIO(), io.BytesIO()
    Image.fromarray(noise).save(base, "JPEG", quality=100)
    Image.fromarray(noise[..., 0]).save(gain, "JPEG")
    xmp = (
        b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        b'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/>'
        b"</rdf:RDF></x:xmpmeta>"
    )
    segment = b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp
    stored = base.getvalue()
    (tmp_path / "x.jpg").write_bytes(
        stored[:2] + segment + stored[2:] + gain.getvalue()
    )
    np.testing.assert_array_equal(_codes(tmp_path / "x.jpg"), Image.open(base))


def test_heic_is_turned_once(tmp_path):
    (tmp_path / "x.jpg").write_bytes(_HEIC)
    codes = _codes(tmp_path / "x.jpg")
    assert codes.shape == (32, 16, 3)
    assert (
        np.abs(codes[:15] - _RED).max() < 12 and np.abs(codes[17:] - _BLUE).max() < 12
    )


def test_avif_is_turned_once(tmp_path):
    image = Image.new("RGB", (32, 16), _RED)
    image.paste(_BLUE, (16, 0, 32, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "x.avif", exif=exif, quality=95)
    codes = _codes(tmp_path / "x.avif")
    assert codes.shape == (32, 16, 3)
    assert (
        np.abs(codes[:15] - _RED).max() < 12 and np.abs(codes[17:] - _BLUE).max() < 12
    )


def test_pq_and_hlg_photographs_are_refused(tmp_path):
    _png16(tmp_path / "x.png", np.ones((2, 2, 3)), (b"cICP", bytes([9, 16, 0, 1])))
    with pytest.raises(UserError, match=r"already HDR \(PQ"):
        image_io.read_encoded(tmp_path / "x.png")
    nclx = b"colrnclx\0\1\0"
    Image.new("RGB", (8, 8)).save(tmp_path / "x.avif")
    data = (tmp_path / "x.avif").read_bytes()
    pq = data.replace(nclx + b"\x0d", nclx + b"\x10")
    (tmp_path / "x.avif").write_bytes(pq)
    with pytest.raises(UserError, match=r"already HDR \(PQ"):
        image_io.read_encoded(tmp_path / "x.avif")
    # A gain map states PQ for its alternate image: the base is still SDR.
    (tmp_path / "x.avif").write_bytes(pq.replace(b"MA1B", b"tmap", 1))
    assert photos._stated_transfer(tmp_path / "x.avif", "avif") is None
    at = _HEIC.index(nclx) + len(nclx)
    (tmp_path / "x.heic").write_bytes(_HEIC[:at] + b"\x12" + _HEIC[at + 1 :])
    with pytest.raises(UserError, match=r"already HDR \(HLG"):
        image_io.read_encoded(tmp_path / "x.heic")


@pytest.mark.parametrize("tag", [(254, "I", 1, 1, True), (50706, "B", 4, (1, 4, 0, 0))])
def test_camera_raw_is_not_read_as_its_thumbnail(tmp_path, noise, tag):
    tifffile.imwrite(tmp_path / "x.nef", noise, photometric="rgb", extratags=[tag])
    with pytest.raises(UserError, match="camera raw"):
        image_io.read_encoded(tmp_path / "x.nef")


def test_a_panorama_above_pillows_own_limit_is_read(tmp_path, monkeypatch, noise):
    Image.fromarray(noise).save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert image_io.read_encoded(tmp_path / "x.png").shape == (6, 9, 3)


def test_pixels_that_no_viewer_shows_are_refused(tmp_path):
    Image.new("LAB", (2, 2)).save(tmp_path / "x.tif")
    with pytest.raises(UserError, match="LAB pixels are not supported"):
        image_io.read_encoded(tmp_path / "x.tif")


def test_write_png_rounds_to_the_nearest_code(tmp_path):
    encoded = np.array([[[0.0, 0.5, 1.0], [-1.0, 2.0, 0.3]]], np.float32)
    image_io.write_png(tmp_path / "x.png", encoded)
    assert np.asarray(Image.open(tmp_path / "x.png")).tolist() == [
        [[0, 128, 255], [0, 255, 76]]
    ]
    with pytest.raises(UserError, match="NaN"):
        image_io.write_png(tmp_path / "y.png", encoded * np.float32(np.nan))
    assert not (tmp_path / "y.png").exists()


def test_signatures_tell_heif_from_avif_by_their_brands():
    shared = b"\0\0\0\x20ftypmif1\0\0\0\0mif1"
    assert formats.detect_format(shared + b"heic") == "heif"
    assert formats.detect_format(shared + b"avif") == "avif"
    assert photos.read_encoded is image_io.read_encoded
