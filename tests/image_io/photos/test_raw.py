"""Camera raw photographs: DNG that the tests write, and what is no such photograph."""

import struct
import sys

import numpy as np
import pytest

from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.image_io import formats
from jaxhdr.image_io.photos import raw_files
from tests.raw_photos import write_dng, write_linear_dng

pytest.importorskip("rawpy")

_COLOURS = np.array(
    [
        [0.2, 0.2, 0.2],
        [0.5, 0.1, 0.05],
        [0.1, 0.4, 0.1],
        [0.05, 0.1, 0.5],
        [3, 3, 3],
        [0.9, 0.9, 0.9],
    ]
)
_SIDE = 48


def patches() -> np.ndarray:
    """Two rows of three patches, linear BT.709; the fifth clips."""
    colours = _COLOURS.reshape(2, 3, 3)
    return np.repeat(np.repeat(colours, _SIDE, axis=0), _SIDE, axis=1)


def linear(encoded: np.ndarray) -> np.ndarray:
    """By IEC 61966-2-1."""
    bent = ((encoded + 0.055) / 1.055) ** 2.4
    return np.where(encoded <= 0.04045, encoded / 12.92, bent)


def centres(image: np.ndarray) -> np.ndarray:
    half = _SIDE // 2
    return image[half::_SIDE, half::_SIDE]


@pytest.mark.parametrize("with_preview", [True, False])
def test_a_dng_is_linear_radiance_that_is_encoded_as_srgb(tmp_path, with_preview):
    write_dng(tmp_path / "x.dng", patches(), with_preview=with_preview)
    encoded = image_io.read_encoded(tmp_path / "x.dng")
    assert encoded.shape == (2 * _SIDE, 3 * _SIDE, 3) and encoded.dtype == np.float32
    found = linear(centres(encoded)).reshape(6, 3)
    np.testing.assert_allclose(found, np.minimum(_COLOURS, 1), rtol=0.02, atol=0.002)
    assert (centres(encoded)[1, 1] > 0.9999).all()  # what clips stays at 1
    assert encoded.max() <= 1


def test_a_dng_of_three_colours_per_pixel_clips_at_1_too(tmp_path):
    write_linear_dng(tmp_path / "x.dng", patches())
    encoded = image_io.read_encoded(tmp_path / "x.dng")
    found = linear(centres(encoded)).reshape(6, 3)
    np.testing.assert_allclose(found, np.minimum(_COLOURS, 1), rtol=0.02, atol=0.002)
    assert (centres(encoded)[1, 1] > 0.9999).all()


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_dng_is_turned_upright(tmp_path, orientation):
    write_dng(tmp_path / "x.dng", patches(), orientation=orientation)
    found = centres(image_io.read_encoded(tmp_path / "x.dng"))
    turns = {1: 0, 6: -1, 3: 2, 8: 1}[orientation]
    expected = np.rot90(np.minimum(_COLOURS, 1).reshape(2, 3, 3), turns)
    np.testing.assert_allclose(linear(found), expected, rtol=0.02, atol=0.002)


def test_a_name_that_is_no_text_is_read(tmp_path):
    if sys.platform == "linux":
        path = tmp_path / "caf\udce9.dng"
        write_dng(path, patches())
        assert image_io.read_encoded(path).shape == (2 * _SIDE, 3 * _SIDE, 3)


def test_without_rawpy_the_extra_is_named(tmp_path, monkeypatch):
    write_dng(tmp_path / "x.dng", patches())
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(UserError, match=r"camera raw, .* 'jaxhdr\[raw\]'"):
        image_io.read_encoded(tmp_path / "x.dng")


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_dng_is_one_sentence(tmp_path, share):
    write_dng(tmp_path / "x.dng", patches(), with_preview=False)
    data = (tmp_path / "x.dng").read_bytes()
    (tmp_path / "x.dng").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"x\.dng") as error:
        image_io.read_encoded(tmp_path / "x.dng")
    assert "\n" not in str(error.value) and not str(error.value).endswith(".")


def test_a_dng_whose_pixels_end_early_is_refused(tmp_path, capfd):
    write_dng(tmp_path / "x.dng", patches(), with_preview=False)
    data = bytearray((tmp_path / "x.dng").read_bytes())
    strip = bytes([0x11, 0x01, 4, 0, 1, 0, 0, 0])  # tag 273, one LONG
    at = data.index(strip) + 8
    data[at : at + 4] = struct.pack("<I", len(data) - 100)
    (tmp_path / "x.dng").write_bytes(data)
    with pytest.raises(UserError, match=r"damaged or truncated .* before its pixels"):
        image_io.read_encoded(tmp_path / "x.dng")
    assert capfd.readouterr() == ("", "")  # LibRaw would write to the terminal


@pytest.mark.parametrize("limit", ["size", "memory"])
def test_a_huge_raw_is_refused_before_it_is_developed(tmp_path, monkeypatch, limit):
    write_dng(tmp_path / "x.dng", patches())
    if limit == "size":
        monkeypatch.setattr(formats, "MAX_PIXELS", 1000)
        with pytest.raises(UserError, match="144 x 96 pixels, expected at most 1000"):
            image_io.read_encoded(tmp_path / "x.dng")
        return
    data = bytearray((tmp_path / "x.dng").read_bytes())
    for tag, value in ((256, 60000), (257, 60000)):
        at = data.index(struct.pack("<HHI", tag, 4, 1))
        data[at + 8 : at + 12] = struct.pack("<I", value)
    (tmp_path / "x.dng").write_bytes(data)
    with pytest.raises(UserError, match=r"x\.dng"):
        image_io.read_encoded(tmp_path / "x.dng")


def test_a_dng_of_floats_is_already_hdr(tmp_path):
    write_dng(tmp_path / "x.dng", patches())
    data = bytearray((tmp_path / "x.dng").read_bytes())
    planar = data.index(struct.pack("<HHI", 284, 3, 1))
    data[planar : planar + 12] = struct.pack("<HHIHH", 339, 3, 1, 3, 0)
    (tmp_path / "x.dng").write_bytes(data)
    with pytest.raises(UserError, match=r"floating-point numbers, .* already HDR"):
        image_io.read_encoded(tmp_path / "x.dng")


@pytest.mark.parametrize(
    "head",
    [
        b"FUJIFILMCCD-RAW 0201FF",
        b"IIRO\x08\0\0\0",
        b"IIU\0\x18\0\0\0",
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
        b"II*\0\x10\0\0\0CR\2\0",
        b"II\x1a\0\0\0HEAPCCDR",
        b"\0MRM\0\0\0\0",
    ],
)
def test_raw_of_other_cameras_is_recognised_by_its_content(tmp_path, head):
    (tmp_path / "x.jpg").write_bytes(head + bytes(200))
    assert image_io.origin_of(tmp_path / "x.jpg") == "raw"
    with pytest.raises(UserError, match="camera raw"):
        image_io.read_encoded(tmp_path / "x.jpg")
    with pytest.raises(UserError, match="as HDR"):
        image_io.read_hdr(tmp_path / "x.jpg")


def test_directories_that_point_at_each_other_end(tmp_path):
    tags = struct.pack("<HHII", 330, 4, 1, 8)
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + tags + struct.pack("<I", 8)
    (tmp_path / "x.tif").write_bytes(data + bytes(99))
    assert not raw_files.is_camera_raw(tmp_path / "x.tif", "tiff")
