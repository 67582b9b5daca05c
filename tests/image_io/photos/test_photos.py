import io
import logging
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.image_io import formats
from jaxhdr.image_io.colour import icc, matrix_profile
from jaxhdr.image_io.photos import photos
from tests.made_photos import (
    ADOBE,
    BLUE,
    GAMMA_22,
    GAMMA_TABLE,
    HEIC,
    P3,
    RED,
    SRGB,
    SRGB_CURVE,
    iccp,
    make_matrix_profile,
    make_profile,
    red_cyan_profile,
    write_png16,
)


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
    image.save(tmp_path / "x.jpg", quality=100, icc_profile=red_cyan_profile())
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
    write_png16(tmp_path / "x.png", deep, (b"eXIf", exif.tobytes()[6:]))
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
        (make_matrix_profile(P3, SRGB_CURVE), (215, 93, 31)),
        (make_matrix_profile(P3, GAMMA_22), (216, 93, 24)),
        (make_matrix_profile(ADOBE, GAMMA_22), (227, 100, 42)),
        (make_matrix_profile(ADOBE, GAMMA_TABLE), (227, 100, 42)),
        (make_matrix_profile(SRGB, SRGB_CURVE), (200, 100, 50)),
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
    write_png16(tmp_path / "deep.png", deep, iccp(profile))
    np.testing.assert_array_equal(_codes(tmp_path / "deep.png")[1, 1], expected)


def test_float_profiles_agree_with_littlecms(noise):
    for colorants, curve in ((P3, SRGB_CURVE), (ADOBE, GAMMA_22)):
        profile = make_matrix_profile(colorants, curve)
        matrix = matrix_profile.parse(profile)
        assert matrix is not None
        ours = matrix.to_srgb(noise / np.float32(255)) * 255
        theirs = np.asarray(icc.to_srgb(Image.fromarray(noise), profile, name="x"))
        assert np.abs(ours - theirs).max() < 1.5


def test_an_srgb_profile_leaves_every_pixel_as_it_is(tmp_path, noise):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, make_matrix_profile(SRGB, SRGB_CURVE)):
        Image.fromarray(noise).save(tmp_path / "x.png", icc_profile=profile)
        np.testing.assert_array_equal(_codes(tmp_path / "x.png"), noise)


def test_a_grey_profile_is_applied(tmp_path):
    profile = make_profile(b"GRAY", {b"kTRC": b"curv\0\0\0\0\0\0\0\0"})  # linear light
    Image.new("L", (4, 4), 128).save(tmp_path / "x.png", icc_profile=profile)
    write_png16(tmp_path / "deep.png", np.full((4, 4, 1), 128 * 257), iccp(profile))
    for name in ("x.png", "deep.png"):
        # IEC 61966-2-1: 255 (1.055 (128/255)^(1/2.4) - 0.055) = 187.9
        assert (_codes(tmp_path / name) == 188).all()


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize(
    "profile", [b"junk", make_matrix_profile(P3, b"junkjunkjunkjunk")]
)
def test_a_broken_profile_is_ignored_and_logged(tmp_path, caplog, mode, profile):
    path = tmp_path / "x.tif"
    Image.new(mode, (4, 4)).save(path, icc_profile=profile)
    with caplog.at_level(logging.WARNING):
        encoded = image_io.read_encoded(path)
    assert np.isin(encoded, (0, 1)).all()
    assert "x.tif" in caplog.text and "ignored" in caplog.text


def test_a_profile_of_another_colour_space_is_ignored(tmp_path, noise, caplog):
    Image.fromarray(noise).save(tmp_path / "x.png", icc_profile=red_cyan_profile())
    np.testing.assert_array_equal(_codes(tmp_path / "x.png"), noise)
    assert "ignored" in caplog.text


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bit_codes_stay_exact(tmp_path, channels):
    codes = np.random.default_rng(1).integers(0, 65536, (31, 17, channels), np.uint16)
    codes[0, 0], codes[0, 1] = 0, 65535
    write_png16(tmp_path / "x.png", codes)
    tifffile.imwrite(tmp_path / "x.tif", codes if channels == 3 else codes[..., 0])
    expected = np.broadcast_to(codes / np.float32(65535), (31, 17, 3))
    for name in ("x.png", "x.tif"):
        np.testing.assert_array_equal(image_io.read_encoded(tmp_path / name), expected)


def test_sixteen_bit_alpha_is_blended_over_black(tmp_path):
    write_png16(tmp_path / "x.png", np.full((2, 2, 4), (50000, 40000, 30000, 13107)))
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
    (tmp_path / "x.jpg").write_bytes(HEIC)
    codes = _codes(tmp_path / "x.jpg")
    assert codes.shape == (32, 16, 3)
    assert np.abs(codes[:15] - RED).max() < 12 and np.abs(codes[17:] - BLUE).max() < 12


def test_avif_is_turned_once(tmp_path):
    image = Image.new("RGB", (32, 16), RED)
    image.paste(BLUE, (16, 0, 32, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "x.avif", exif=exif, quality=95)
    codes = _codes(tmp_path / "x.avif")
    assert codes.shape == (32, 16, 3)
    assert np.abs(codes[:15] - RED).max() < 12 and np.abs(codes[17:] - BLUE).max() < 12


def test_pq_and_hlg_photographs_are_refused(tmp_path):
    write_png16(tmp_path / "x.png", np.ones((2, 2, 3)), (b"cICP", bytes([9, 16, 0, 1])))
    with pytest.raises(UserError, match=r"already HDR \(PQ"):
        image_io.read_encoded(tmp_path / "x.png")
    nclx = b"colrnclx\0\1\0"
    Image.new("RGB", (8, 8)).save(tmp_path / "x.avif")
    data = (tmp_path / "x.avif").read_bytes()
    pq = data.replace(nclx + b"\x0d", nclx + b"\x10")
    (tmp_path / "x.avif").write_bytes(pq)
    with pytest.raises(UserError, match=r"already HDR \(PQ"):
        image_io.read_encoded(tmp_path / "x.avif")
    at = HEIC.index(nclx) + len(nclx)
    (tmp_path / "x.heic").write_bytes(HEIC[:at] + b"\x12" + HEIC[at + 1 :])
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
