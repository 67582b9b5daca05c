"""What cameras say of photographs goes into the results, without the place."""

import dataclasses
import io

import numpy as np
import OpenImageIO as oiio
import pytest
import tifffile
from PIL import Image, TiffImagePlugin

from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.image_io.metadata import camera_exif
from tests.raw_photos import write_dng

CAMERA = image_io.CameraExif(
    make="Canon",
    model="Canon EOS R5",
    lens="RF50mm F1.2 L USM",
    time="2024:05:31 18:30:00",
    exposure_time=1 / 200,
    aperture=2.8,
    iso=400,
    focal_length=50.0,
)
NOTHING = image_io.CameraExif()
PLACE = b"a secret place"


def exif_of_a_camera() -> Image.Exif:
    """EXIF with a place, an orientation, a serial number and an owner."""
    ratio = TiffImagePlugin.IFDRational
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Canon\0", "Canon EOS R5 ", 6
    exif[0x0132] = "2030:01:01 00:00:00"
    exif[0x013B] = PLACE.decode()
    taken = exif.get_ifd(0x8769)
    taken[0x829A], taken[0x829D] = ratio(1, 200), ratio(28, 10)
    taken[0x8827], taken[0x920A] = 400, ratio(50, 1)
    taken[0x9003], taken[0xA434] = "2024:05:31 18:30:00", "RF50mm F1.2 L USM"
    taken[0xA431] = PLACE.decode()
    place = exif.get_ifd(0x8825)
    place[1], place[2] = "N", (ratio(48, 1), ratio(8, 1), ratio(0, 1))
    place[0x1D] = PLACE.decode()
    return exif


def write_photo(path, exif) -> None:
    Image.new("RGB", (32, 16), (200, 100, 50)).save(path, exif=exif)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif"])
def test_exif_of_photographs_is_read(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    write_photo(path, exif_of_a_camera())
    assert image_io.read_exif(path) == CAMERA


def test_a_heic_is_read(tmp_path):
    from tests.made_photos import HEIC

    (tmp_path / "x.heic").write_bytes(HEIC)  # its EXIF has only an orientation
    assert image_io.read_exif(tmp_path / "x.heic") == NOTHING


@pytest.mark.parametrize("suffix", ["bmp", "ppm", "gif"])
def test_formats_without_exif_say_nothing(tmp_path, suffix):
    Image.new("RGB", (8, 8)).save(tmp_path / f"x.{suffix}")
    assert image_io.read_exif(tmp_path / f"x.{suffix}") == NOTHING


def test_radiance_and_raw_and_text_say_nothing(tmp_path):
    image_io.write_hdr(tmp_path / "x.hdr", np.ones((8, 8, 3), np.float32))
    write_dng(tmp_path / "x.dng", np.full((30, 40, 3), 0.5))
    (tmp_path / "x.txt").write_text("no image")
    for name in ("x.hdr", "x.txt"):
        assert image_io.read_exif(tmp_path / name) == NOTHING
    assert image_io.read_exif(tmp_path / "x.dng").iso is None


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        image_io.read_exif(tmp_path / "x.jpg")


STRANGE = {
    "no time": {0x9003: "    :  :     :  :  "},
    "a time in words": {0x9003: "yesterday"},
    "nothing divided by nothing": {0x829A: TiffImagePlugin.IFDRational(0, 0)},
    "an infinite number": {0x829D: TiffImagePlugin.IFDRational(1, 0)},
    "a negative number": {0x920A: TiffImagePlugin.IFDRational(-50, 1)},
    "zero": {0x8827: 0},
    "a part of a speed": {0x8827: TiffImagePlugin.IFDRational(1, 3)},
    "text for a number": {0x8827: "fast"},
    "a number for text": {0xA434: 17},
    "two speeds": {0x8827: (400, 100)},
}


@pytest.mark.parametrize("tags", STRANGE.values(), ids=STRANGE)
def test_strange_values_count_as_unknown(tmp_path, tags):
    exif = Image.Exif()
    exif[0x0110] = "model"
    exif.get_ifd(0x8769).update(tags)
    write_photo(tmp_path / "x.jpg", exif)
    iso = 400 if (400, 100) in tags.values() else None
    assert image_io.read_exif(tmp_path / "x.jpg") == image_io.CameraExif(
        model="model", iso=iso
    )


def test_text_cannot_command_a_terminal_or_fill_a_header(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "\x1b[2J" + "x" * 60_000
    write_photo(tmp_path / "x.jpg", exif)
    assert image_io.read_exif(tmp_path / "x.jpg").make == "?[2J" + "x" * 196


def test_speeds_beyond_16_bits_stand_in_another_tag(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x8827: 65535, 0x8832: 102_400})
    write_photo(tmp_path / "x.jpg", exif)
    assert image_io.read_exif(tmp_path / "x.jpg").iso == 102_400


def write_tiff(path) -> None:
    """Pillow writes no directory of EXIF into a TIFF; OpenImageIO does."""
    image_io.write_hdr(path, np.ones((4, 4, 3), np.float32), exif=CAMERA)


def test_exif_of_a_tiff_is_read(tmp_path):
    write_tiff(tmp_path / "x.tif")
    read = image_io.read_exif(tmp_path / "x.tif")
    assert read.exposure_time == pytest.approx(CAMERA.exposure_time)
    assert read.aperture == pytest.approx(CAMERA.aperture)
    exact = dataclasses.replace(CAMERA, exposure_time=None, aperture=None)
    assert dataclasses.replace(read, exposure_time=None, aperture=None) == exact


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_exif_is_no_error(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    if suffix == "tif":
        write_tiff(path)
    else:
        write_photo(path, exif_of_a_camera())
    data, rng = path.read_bytes(), np.random.default_rng(0)
    starts = [data.find(mark) for mark in (b"MM\0*", b"II*\0") if mark in data]
    for length in range(min(starts) + 4, min(starts) + 200, 7):
        path.write_bytes(data[:length])
        image_io.read_exif(path)
    for _ in range(200):
        broken = bytearray(data)
        for at in rng.integers(0, min(len(data), min(starts) + 500), 4):
            broken[at] = int(rng.integers(256))
        path.write_bytes(broken)
        image_io.read_exif(path)


@pytest.mark.parametrize("suffix", ["exr", "tif", "png", "avif", "jxl"])
def test_results_keep_the_camera_but_not_the_place(tmp_path, suffix):
    write_photo(tmp_path / "photo.jpg", exif_of_a_camera())
    path = tmp_path / f"x.{suffix}"
    hdr = np.ones((32, 16, 3), np.float32)
    image_io.write_hdr(path, hdr, exif=image_io.read_exif(tmp_path / "photo.jpg"))
    assert image_io.read_hdr(path).shape == hdr.shape  # orientation 6 would turn it
    data = path.read_bytes()
    assert PLACE not in data and b"GPS" not in data
    if suffix in ("png", "avif"):
        assert image_io.read_exif(path) == CAMERA
        with Image.open(path) as image:  # an independent reader
            exif = image.getexif()
            assert exif[0x0112] == 1 and exif[0x0110] == "Canon EOS R5"
            assert float(exif.get_ifd(0x8769)[0x829A]) == 0.005
            assert not exif.get_ifd(0x8825)


def test_an_exr_has_the_standard_attributes(tmp_path):
    hdr = np.ones((4, 4, 3), np.float32)
    image_io.write_hdr(tmp_path / "x.exr", hdr, exif=CAMERA, metadata={"scale": "s"})
    # OpenEXR 3.2, "Standard Attributes"; OpenImageIO renames three of them.
    data = (tmp_path / "x.exr").read_bytes()
    for name in (b"capDate\0string", b"expTime\0float", b"aperture\0float"):
        assert name in data
    source = oiio.ImageInput.open(str(tmp_path / "x.exr"))
    read = {entry.name: entry.value for entry in source.spec().extra_attribs}
    source.close()
    assert read["cameraMake"] == "Canon" and read["cameraModel"] == "Canon EOS R5"
    assert read["lensModel"] == "RF50mm F1.2 L USM"
    assert read["DateTime"] == "2024:05:31 18:30:00"
    assert read["isoSpeed"] == 400 and read["nominalFocalLength"] == 50
    assert read["ExposureTime"] == pytest.approx(0.005)
    assert read["FNumber"] == pytest.approx(2.8)
    assert image_io.read_metadata(tmp_path / "x.exr") == {"scale": "s"}


def test_a_tiff_has_the_tags_of_exif(tmp_path):
    image_io.write_hdr(tmp_path / "x.tif", np.ones((4, 4, 3), np.float32), exif=CAMERA)
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        tags = file.pages[0].tags
        assert tags["Model"].value == "Canon EOS R5"
        taken = tags["ExifTag"].value
        assert taken["DateTimeOriginal"] == "2024:05:31 18:30:00"
        assert taken["LensModel"] == "RF50mm F1.2 L USM"


def test_without_exif_nothing_is_stated(tmp_path):
    assert camera_exif.to_bytes(NOTHING) == b""
    assert camera_exif.of_exr(NOTHING) == camera_exif.of_tiff(NOTHING) == {}
    hdr = np.ones((16, 16, 3), np.float32)
    for suffix in ("png", "avif"):
        image_io.write_hdr(tmp_path / f"x.{suffix}", hdr)
        assert b"xif" not in (tmp_path / f"x.{suffix}").read_bytes()


def test_what_is_known_survives_its_own_bytes():
    exif = Image.Exif()
    exif.load(camera_exif.to_bytes(CAMERA))
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", exif=exif)
    assert b"Exif\0\0" in stream.getvalue()


@pytest.mark.parametrize("number", [0.0, -1.0, float("nan"), float("inf")])
def test_numbers_that_make_no_sense_are_refused(number):
    with pytest.raises(UserError, match="the aperture of a photograph is"):
        image_io.CameraExif(aperture=number)


def test_a_number_too_small_for_exif_is_left_out():
    assert camera_exif.to_bytes(image_io.CameraExif(exposure_time=1e-6))
