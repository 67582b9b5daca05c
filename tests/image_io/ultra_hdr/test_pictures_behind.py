"""What lies behind the pixels of a JPEG stays behind it when it gets a gain map."""

import io
import itertools
import os
import struct

import numpy as np
import pytest
from PIL import Image, MpoImagePlugin

from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.image_io.jpeg import jpeg_pictures
from jaxhdr.image_io.metadata import xmp
from tests import gain_map_files as files
from tests.image_io.ultra_hdr import test_ultra_hdr as ultra_hdr

_ITEM = "http://ns.google.com/photos/1.0/container/item/"
_VGA, _FULL_HD = 0x40010001, 0x40010002  # dependent previews (CIPA DC-007, table 4)
_PARENT = 0xA0030000  # a representative photograph with dependents
_EXIF = files.segment(0xE1, ultra_hdr.THUMBNAIL)
_NOTES = files.segment(0xEC, b"of the maker" * 9)


def _preview(height: int, width: int, grey: int) -> bytes:
    return files.jpeg(np.full((height, width, 3), grey), quality=80)


VGA, FULL_HD = _preview(48, 64, 90), _preview(108, 192, 160)


def camera_jpeg(
    *previews: bytes, order: str = "<", gap: bytes = b"", more: bytes = b""
) -> bytes:
    """A photograph as cameras write it: EXIF, an index of pictures, previews.

    Args:
      *previews: the pictures behind the photograph.
      order: order of the bytes in the index.
      gap: bytes in front of each preview.
      more: one more tag of the index, with its type and value.
    """
    base = ultra_hdr._own()
    base = base[:2] + _EXIF + base[20:]  # without the segment of JFIF
    count, tags = len(previews) + 1, 3 + bool(more)
    before = 2 + len(_EXIF)
    directory = 8 + 2 + 12 * tags + 4
    start = before + 4 + 4
    at = len(base) + 8 + directory + 16 * count + len(_NOTES)
    entries = struct.pack(f"{order}IIIHH", _PARENT, at, 0, 2 if previews else 0, 0)
    kinds = itertools.cycle((_VGA, _FULL_HD))
    for preview, kind in zip(previews, kinds, strict=False):
        at += len(gap)
        entry = (kind, len(preview), at - start, 0, 0)
        entries += struct.pack(f"{order}IIIHH", *entry)
        at += len(preview)
    index = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, tags)
    index += struct.pack(f"{order}HHI4s", 0xB000, 7, 4, b"0100")
    index += struct.pack(f"{order}HHII", 0xB001, 4, 1, count)
    index += struct.pack(f"{order}HHII", 0xB002, 7, len(entries), directory)
    index += more + bytes(4) + entries
    segments = files.segment(0xE2, b"MPF\0" + index) + _NOTES
    behind = b"".join(gap + preview for preview in previews)
    return base[:before] + segments + base[before:] + behind


def _pictures(data: bytes) -> list[bytes]:
    """The pictures that the index lists, as Pillow reads it."""
    image = MpoImagePlugin.MpoImageFile(io.BytesIO(data))
    start = data.index(b"MPF\0") + 4
    pictures = []
    for entry in image.mpinfo[0xB002]:
        at = start + entry["DataOffset"] if entry["DataOffset"] else 0
        pictures.append(data[at : at + entry["Size"]])
    return pictures


def _foreign(data: bytes) -> list[tuple[int, bytes]]:
    segments, _ = ultra_hdr._taken_apart(data)
    return [one for one in segments if not ultra_hdr._is_ours(one)]


@pytest.fixture
def source(tmp_path):
    return tmp_path / "photo.jpg"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out.jpg"


CAMERAS = {
    "one preview": camera_jpeg(VGA),
    "two previews": camera_jpeg(VGA, FULL_HD),
    "big-endian": camera_jpeg(VGA, FULL_HD, order=">"),
    "gaps": camera_jpeg(VGA, FULL_HD, gap=bytes(37)),
    "no preview": camera_jpeg(),
    "another tag": camera_jpeg(VGA, more=struct.pack("<HHII", 0xB101, 4, 1, 77)),
    "no index": ultra_hdr._own() + VGA,
    "a trailer": camera_jpeg(VGA) + b"SEFH trailing" * 9,
    "zeros": camera_jpeg(VGA) + bytes(999),
}


@pytest.mark.parametrize("name", CAMERAS)
def test_all_that_a_camera_wrote_stays(path, source, name, caplog):
    before = CAMERAS[name]
    source.write_bytes(before)
    hdr = ultra_hdr._hdr(ultra_hdr._pixels())
    data = ultra_hdr._write(path, source, hdr)
    assert ultra_hdr._taken_apart(before)[1] == ultra_hdr._taken_apart(data)[1]
    assert _foreign(data) == _foreign(before)
    first, gain, *others = _pictures(data)
    assert data.startswith(first + gain)
    assert Image.open(io.BytesIO(gain)).mode == "L"
    end = jpeg_pictures.end_of(
        io.BytesIO(before), jpeg_pictures.read_header(io.BytesIO(before), 0).scan
    )
    assert data == first + gain + before[end:]
    if name != "no index":
        assert others == _pictures(before)[1:]
    assert caplog.text == ""


@pytest.mark.parametrize("name", CAMERAS)
def test_all_readers_open_it(path, source, name):
    source.write_bytes(CAMERAS[name])
    hdr = ultra_hdr._hdr(ultra_hdr._pixels())
    data = ultra_hdr._write(path, source, hdr)
    assert ultra_hdr._error(image_io.read_hdr(path), hdr) < 0.01
    assert ultra_hdr._error(ultra_hdr._by_openimageio(path), hdr) < 0.01
    assert ultra_hdr._error(ultra_hdr._by_libultrahdr(data), hdr) < 0.01
    expected = np.asarray(ultra_hdr._opened(source))
    np.testing.assert_array_equal(np.asarray(ultra_hdr._opened(path)), expected)


def test_the_index_keeps_its_place_and_what_else_it_says(path, source):
    source.write_bytes(CAMERAS["another tag"])
    data = ultra_hdr._write(path, source)
    segments, _ = ultra_hdr._taken_apart(data)
    names = [content[:5] for _, content in segments]
    assert names.index(b"MPF\0I") < names.index(b"of th")
    image = MpoImagePlugin.MpoImageFile(io.BytesIO(data))
    assert image.mpinfo[0xB101] == 77 and image.mpinfo[0xB001] == 3
    primary, gain, preview = image.mpinfo[0xB002]
    assert primary["Attribute"]["DependentParentImageFlag"]
    # The preview was number 2, which is the gain map now.
    assert (primary["EntryNo1"], primary["EntryNo2"]) == (3, 0)
    assert gain["Attribute"]["MPType"] == "Undefined"
    assert preview["Attribute"]["MPType"] == "Large Thumbnail (VGA Equivalent)"
    assert preview["Attribute"]["DependentChildImageFlag"]


def _phone(**options) -> bytes:
    gain = files.jpeg(np.full((6, 10), 128))
    stored = files.gain_jpeg(
        gain, xmp=files.gain_xmp(GainMapMax="2", HDRCapacityMax="2")
    )
    packet = files.primary_xmp(len(stored))
    return files.joined_jpegs(ultra_hdr._own(), stored, VGA, xmp=packet, **options)


@pytest.mark.parametrize("has_index", [True, False])
def test_the_gain_map_of_a_phone_is_replaced_and_its_other_pictures_stay(
    path, source, caplog, has_index
):
    before = _phone(has_index=has_index, tail=b"film")
    source.write_bytes(before)
    hdr = ultra_hdr._hdr(ultra_hdr._pixels())
    data = ultra_hdr._write(path, source, hdr)
    assert ultra_hdr._taken_apart(before)[1] == ultra_hdr._taken_apart(data)[1]
    first, gain, *others = _pictures(data)
    assert data == first + gain + VGA + b"film"
    assert others == ([VGA] if has_index else [])
    assert caplog.messages == [f"{source}: its gain map is replaced by the new one"]
    for estimate in (
        image_io.read_hdr(path),
        ultra_hdr._by_openimageio(path),
        ultra_hdr._by_libultrahdr(data),
    ):
        assert ultra_hdr._error(estimate, hdr) < 0.01


def test_the_gain_map_of_an_iphone_is_replaced(path, source):
    gain = files.gain_jpeg(
        files.jpeg(np.full((6, 10), 128)), xmp=files.apple_xmp(headroom=3)
    )
    depth = files.jpeg(np.full((9, 9), 50))
    source.write_bytes(files.joined_jpegs(ultra_hdr._own(), depth, gain))
    data = ultra_hdr._write(path, source)
    first, new, *others = _pictures(data)
    assert data == first + new + depth and others == [depth]
    assert image_io.read_hdr(path).max() > 6


_FILM = b"\0\0\0\x18ftypmp42" + np.random.default_rng(0).bytes(5000)


@pytest.mark.parametrize("form", ["attributes", "elements"])
def test_the_film_of_a_motion_photo_stays(path, source, form, caplog):
    item = (
        'Item:Semantic="MotionPhoto" Item:Mime="video/mp4" '
        f'Item:Length="{len(_FILM)}" Item:Label="a &amp; b"/>'
    )
    if form == "elements":
        fields = [pair.split("=") for pair in item.removesuffix("/>").split(" Item:")]
        item = 'r:parseType="Resource">'.replace("r:", "rdf:")
        for name, value in fields:
            name = "Item:" + name.removeprefix("Item:")
            item += f"<{name}>{value[1:-1]}</{name}>"
        item += "</Container:Item>"
    packet = files.primary_xmp(1).replace(
        b"</rdf:Seq>",
        f'<rdf:li rdf:parseType="Resource"><Container:Item {item}</rdf:li>'
        "</rdf:Seq>".encode(),
    )
    packet = packet.replace(
        b"hdrgm:Version",
        b'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" '
        b'GCamera:MotionPhoto="1" hdrgm:Version',
    )
    own = ultra_hdr._inserted(ultra_hdr._own(), ultra_hdr._xmp_segment(packet))
    source.write_bytes(own + _FILM)
    data = ultra_hdr._write(path, source)
    assert data.endswith(_FILM)
    header = jpeg_pictures.read_header(io.BytesIO(data), 0)
    found = xmp.parse(header.segments[jpeg_pictures.XMP][1])
    _, gain = _pictures(data)
    assert found.properties[_ITEM + "Semantic"] == ["Primary", "GainMap", "MotionPhoto"]
    assert found.properties[_ITEM + "Length"] == [str(len(gain)), str(len(_FILM))]
    assert found.properties[_ITEM + "Label"] == ["a & b"]
    assert found.last("http://ns.google.com/photos/1.0/camera/MotionPhoto") == "1"
    assert image_io.read_hdr(path).max() > 6
    assert ultra_hdr._by_libultrahdr(data).max() > 6


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of a damaged index
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.replace(b"MPF\0II*\0", b"MPF\0II*\1"),
        lambda data: data.replace(struct.pack("<H", 0xB001), struct.pack("<H", 0xB009)),
        lambda data: data[:2] + files.segment(0xE2, b"MPF\0") + data[2:],
    ],
)
def test_a_damaged_index_is_replaced_with_a_warning(path, source, damage, caplog):
    source.write_bytes(damage(CAMERAS["one preview"]))
    data = ultra_hdr._write(path, source)
    first, gain = _pictures(data)
    assert data == first + gain + VGA
    assert "its index of pictures is damaged" in caplog.text
    assert image_io.read_hdr(path).max() > 6


def test_places_that_hold_no_picture_are_not_listed(path, source):
    before = CAMERAS["two previews"]
    source.write_bytes(before[: -len(FULL_HD) // 2])
    data = ultra_hdr._write(path, source)
    assert _pictures(data)[2:] == [VGA]
    assert data.endswith(VGA + FULL_HD[: -len(FULL_HD) // 2])


@pytest.mark.parametrize("name", [*CAMERAS, *ultra_hdr.OWN])
def test_a_photograph_is_written_in_place_if_nothing_is_lost(path, source, name):
    source.write_bytes({**CAMERAS, **ultra_hdr.OWN}[name])
    source.chmod(0o640)
    hdr = ultra_hdr._hdr(ultra_hdr._pixels())
    if "grey" in name:
        hdr = np.ones_like(hdr)
    elsewhere = ultra_hdr._write(path, source, hdr)
    assert ultra_hdr._write(source, source, hdr) == elsewhere
    assert source.stat().st_mode & 0o777 == 0o640


def _png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(ultra_hdr._pixels()).save(stream, "PNG")
    return stream.getvalue()


LOSSES = {
    "a gain map": (_phone(), "its gain map is replaced"),
    "inks": (ultra_hdr._cmyk(), "it is encoded anew"),
    "a PNG": (_png(), "it is encoded anew"),
    "two indices": (
        files.joined_jpegs(CAMERAS["one preview"]),
        "its index of pictures is damaged",
    ),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_no_loss_is_written_in_place(tmp_path, source, name, link):
    before, words = LOSSES[name]
    source.write_bytes(before)
    target = source
    if link is not None:
        target = tmp_path / "link.jpg"
        link(source, target)
    hdr = np.ones((*ultra_hdr._pixels().shape[:2], 3), np.float32)
    with pytest.raises(UserError, match=words) as error:
        image_io.write_ultra_hdr(target, hdr, source)
    assert "over itself" in str(error.value) and "\n" not in str(error.value)
    assert source.read_bytes() == before == target.read_bytes()
    with pytest.raises(UserError, match=words):
        image_io.check_in_place(target, source)
    image_io.check_in_place(tmp_path / "other.jpg", source)


def test_a_link_is_followed_and_a_hard_link_keeps_the_photograph(tmp_path, source):
    before = CAMERAS["one preview"]
    hdr = ultra_hdr._hdr(ultra_hdr._pixels())
    source.write_bytes(before)
    (tmp_path / "link.jpg").symlink_to(source)
    image_io.write_ultra_hdr(tmp_path / "link.jpg", hdr, source)
    assert (tmp_path / "link.jpg").is_symlink()
    assert image_io.read_hdr(source).max() > 6
    source.write_bytes(before)
    os.link(source, tmp_path / "hard.jpg")
    image_io.write_ultra_hdr(tmp_path / "hard.jpg", hdr, source)
    assert source.read_bytes() == before
    assert image_io.read_hdr(tmp_path / "hard.jpg").max() > 6
