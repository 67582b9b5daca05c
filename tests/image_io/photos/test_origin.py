import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from jaxhdr import image_io
from jaxhdr.errors import UserError
from tests.raw_photos import write_dng

_MAKE, _SOFTWARE, _EXIF_IFD, _USER_COMMENT = 0x010F, 0x0131, 0x8769, 0x9286


def write(path, *, exif=None, comment=None, texts=None):
    tags = Image.Exif()
    for tag, text in (exif or {}).items():
        tags[tag] = text
    if comment is not None:
        tags.get_ifd(_EXIF_IFD)[_USER_COMMENT] = comment
    options = {"exif": tags} if exif or comment else {}
    if texts:
        info = PngImagePlugin.PngInfo()
        for keyword, text in texts.items():
            info.add_text(keyword, text)
        options["pnginfo"] = info
    Image.new("RGB", (8, 8), (90, 120, 200)).save(path, **options)
    return path


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.webp", "x.tif"])
def test_the_maker_of_a_camera_makes_a_camera(tmp_path, name):
    path = write(tmp_path / name, exif={_MAKE: "ACME"})
    assert image_io.origin_of(path) == "camera"
    assert image_io.read_photograph(path).origin == "camera"


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.webp", "x.tif"])
def test_a_file_that_names_nothing_has_no_origin(tmp_path, name):
    assert image_io.origin_of(write(tmp_path / name)) is None


@pytest.mark.parametrize("software", ["Adobe Photoshop 26.1", "GIMP 3.0", "Arnoldson"])
def test_an_editor_says_nothing_of_the_origin(tmp_path, software):
    path = write(tmp_path / "x.jpg", exif={_SOFTWARE: software})
    assert image_io.origin_of(path) is None
    path = write(tmp_path / "y.jpg", exif={_SOFTWARE: software, _MAKE: "ACME"})
    assert image_io.origin_of(path) == "camera"


@pytest.mark.parametrize("software", ["Mitsuba 3.6", "POV-Ray 3.8", "gnome-screenshot"])
def test_a_renderer_or_a_copy_of_the_screen_is_a_render(tmp_path, software):
    path = write(tmp_path / "x.png", texts={"Software": software})
    assert image_io.origin_of(path) == "render"
    path = write(tmp_path / "x.jpg", exif={_SOFTWARE: software})
    assert image_io.origin_of(path) == "render"


def test_what_blender_and_a_phone_write_is_a_render(tmp_path):
    path = write(tmp_path / "x.png", texts={"Camera": "Camera", "RenderTime": "00:12"})
    assert image_io.origin_of(path) == "render"
    comment = b"ASCII\0\0\0Screenshot"
    path = write(tmp_path / "x.jpg", exif={_MAKE: "ACME"}, comment=comment)
    assert image_io.origin_of(path) == "render"


def test_only_camera_raw_is_raw_whatever_its_name(tmp_path):
    write_dng(tmp_path / "x.jpg", np.full((40, 48, 3), 0.5))
    assert image_io.origin_of(tmp_path / "x.jpg") == "raw"
    write(tmp_path / "x.png").rename(tmp_path / "x.dng")
    assert image_io.origin_of(tmp_path / "x.dng") is None


@pytest.mark.parametrize("end", [20, 60, -30, -5])
def test_a_truncated_png_still_has_an_origin_or_none(tmp_path, end):
    path = write(tmp_path / "x.png", texts={"Software": "Mitsuba"})
    path.write_bytes(path.read_bytes()[:end])
    assert image_io.origin_of(path) in ("render", None)


def test_texts_beyond_reason_are_left_out(tmp_path):
    texts = {f"Key{n}": "x" for n in range(100)} | {"Software": "Mitsuba"}
    assert image_io.origin_of(write(tmp_path / "x.png", texts=texts)) is None
    texts = {"Software": "Mitsuba " + "x" * 10_000}
    assert image_io.origin_of(write(tmp_path / "y.png", texts=texts)) is None


def test_a_file_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        image_io.origin_of(tmp_path / "missing.dng")
