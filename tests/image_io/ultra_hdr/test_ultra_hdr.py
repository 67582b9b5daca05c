import errno
import io
import os
import pathlib
import struct

import imagecodecs
import numpy as np
import OpenImageIO as oiio
import pytest
import tifffile
from PIL import Image, ImageCms, MpoImagePlugin

from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.image_io.gain_maps import gain_maps
from jaxhdr.image_io.jpeg import jpeg_pictures, jpeg_segments
from jaxhdr.image_io.metadata import xmp
from jaxhdr.image_io.photos import measured_photos
from jaxhdr.image_io.ultra_hdr import ultra_hdr_files
from tests import gain_map_files as files
from tests.damaged_files import damaged
from tests.made_photos import (
    ADOBE,
    GAMMA_22,
    HEIC,
    P3,
    SRGB_CURVE,
    make_matrix_profile,
    make_profile,
    write_png16,
)
from tests.raw_photos import write_dng

_HEIGHT, _WIDTH = 144, 240
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ISO = b"urn:iso:std:iso:ts:21496:-1\0"
_BT709 = np.array([0.2126, 0.7152, 0.0722])
_OFFSET = 1 / 64
# In UTF-8, with a packet wrapper, two descriptions, a list and a prefix of its own.
_OWN_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Test"><r:RDF '
    'xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<r:Description r:about="uuid:1" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    'xmp:Rating="4" xmp:Label="caf\u00e9 &amp; &lt;tea&gt;"/>'
    '<r:Description r:about="uuid:1" xmlns:dc="http://purl.org/dc/elements/1.1/">'
    "<dc:subject><r:Bag><r:li>sun</r:li><r:li>sea &amp; sand</r:li></r:Bag>"
    "</dc:subject></r:Description></r:RDF></x:xmpmeta>"
    f'{" " * 500}\n<?xpacket end="w"?>'
).encode()


def _linear(codes) -> np.ndarray:
    """IEC 61966-2-1 in float64."""
    encoded = np.asarray(codes, np.float64) / 255
    return np.where(
        encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4
    )


def _pixels(height=_HEIGHT, width=_WIDTH) -> np.ndarray:
    """A smooth picture whose right end is clipped."""
    rows, columns = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    ramp = np.stack([300 * columns, 30 + 260 * columns * rows, 60 + 80 * rows], -1)
    return np.clip(ramp + 20, 0, 255).astype(np.uint8)


def _hdr(pixels, *, peak=9.0) -> np.ndarray:
    """Radiance of one hue of gain for each pixel, which is darker in the dark."""
    light = _linear(pixels)
    width = pixels.shape[1]
    stops = np.linspace(-0.5, 1, width) ** 3 * np.log2(peak)
    gain = 2 ** stops[None, :, None]
    return ((light + _OFFSET) * gain - _OFFSET).clip(0).astype(np.float32)


def _own(**options) -> bytes:
    options = {"quality": 95, "subsampling": 0, **options}
    return files.jpeg(_pixels(), **options)


def _inserted(stored: bytes, *segments: bytes) -> bytes:
    """A JPEG with segments behind that of JFIF."""
    assert stored[2:4] == b"\xff\xe0"
    at = 4 + int.from_bytes(stored[4:6], "big")
    return stored[:at] + b"".join(segments) + stored[at:]


def _xmp_segment(packet: bytes) -> bytes:
    return files.segment(0xE1, _XMP + packet)


def _taken_apart(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Segments and scan of the first picture, by a walk of its own."""
    at, found = 2, []
    while data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        found.append((data[at + 1], data[at + 4 : at + 2 + length]))
        at += 2 + length
    # There is no other end before the one of the first picture in our small files.
    return found, data[at : data.index(b"\xff\xd9", at) + 2]


def _is_ours(segment: tuple[int, bytes]) -> bool:
    return segment[1].startswith((_XMP, _ISO, b"MPF\0"))


def _opened(path) -> Image.Image:
    """A picture whose file is not left open."""
    return Image.open(io.BytesIO(path.read_bytes()))


def _gain_picture(data: bytes) -> Image.Image:
    """The second picture, found by the index alone."""
    image = MpoImagePlugin.MpoImageFile(io.BytesIO(data))
    assert image.n_frames == 2
    image.seek(1)
    return image.copy()


def _by_openimageio(path) -> np.ndarray:
    source = oiio.ImageInput.open(str(path))
    pixels = np.asarray(source.read_image(0, 0, 0, 4, "float"), np.float64)[..., :3]
    assert not source.geterror()
    source.close()
    return pixels


def _by_libultrahdr(data: bytes, **options) -> np.ndarray:
    return np.asarray(imagecodecs.ultrahdr_decode(data, **options), np.float64)[..., :3]


def _error(estimate, truth) -> float:
    return float(np.median(np.abs(estimate - truth) / np.maximum(truth, 1 / 256)))


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(_own())
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out.jpg"


def _write(path, source, hdr=None, **options) -> bytes:
    if hdr is None:
        hdr = _hdr(np.rint(image_io.read_encoded(source) * 255).astype(np.uint8))
    image_io.write_ultra_hdr(path, hdr, source, **options)
    return path.read_bytes()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("divisor", [1, 2, 4])
def test_all_readers_return_the_radiance(path, source, channels, divisor):
    hdr = _hdr(_pixels())
    data = _write(path, source, hdr, channels=channels, divisor=divisor)
    assert hdr.max() > 8
    assert _error(image_io.read_hdr(path), hdr) < 0.01
    # libultrahdr puts a smaller gain map half of its pixel too far to the upper left.
    most = {1: 0.01, 2: 0.015, 4: 0.025}[divisor]
    assert _error(_by_openimageio(path), hdr) < most
    assert _error(_by_libultrahdr(data), hdr) < most


@pytest.mark.parametrize("boost", [1, 2, 4, 8])
@pytest.mark.parametrize("channels", [1, 3])
def test_displays_of_any_headroom_show_it(path, source, boost, channels):
    pixels = np.asarray(_opened(source))
    hdr = _hdr(pixels, peak=8.0)
    data = _write(path, source, hdr, channels=channels)
    found = gain_maps.find(path, "jpeg")
    assert found is not None
    headroom = found.recipe.alternate_headroom
    assert headroom == pytest.approx(3, abs=0.1)
    weight = min(np.log2(boost) / headroom, 1)
    base = _linear(pixels)
    gain = np.log2((hdr + _OFFSET) / (base + _OFFSET))
    expected = (base + _OFFSET) * 2 ** (weight * gain) - _OFFSET
    assert _error(_by_libultrahdr(data, boost=boost), expected) < 0.01


def test_three_channels_have_the_colours_of_the_radiance(path, source):
    hdr = _hdr(_pixels()) * np.array([1.5, 1, 0.6], np.float32)
    data = _write(path, source, hdr, channels=3)
    assert _gain_picture(data).mode == "RGB"
    for estimate in (image_io.read_hdr(path), _by_libultrahdr(data)):
        assert _error(estimate, hdr) < 0.015
    data = _write(path, source, hdr)
    assert _gain_picture(data).mode == "L"
    estimate = image_io.read_hdr(path)
    assert _error(estimate @ _BT709, hdr @ _BT709) < 0.01
    assert _error(estimate, hdr) > 0.1


EXIF = Image.Exif()
EXIF[0x010F] = "Maker"
EXIF[0x0112] = 1
THUMBNAIL = b"Exif\0\0" + (
    struct.pack("<2sHIHHHII", b"II", 42, 8, 1, 0x0112, 3, 1, 1)
    + struct.pack("<I", 26)
    + struct.pack("<HHHIIHHIII", 2, 0x0201, 4, 1, 56, 0x0202, 4, 1, 700, 0)
    + files.jpeg(np.full((8, 8, 3), 99), quality=50)
)
LONG_PROFILE = make_matrix_profile(P3, SRGB_CURVE)
LONG_PROFILE += bytes(150_000)
LONG_PROFILE = struct.pack(">I", len(LONG_PROFILE)) + LONG_PROFILE[4:]


def _restarting() -> bytes:
    return _own(restart_marker_rows=1)


# Photographs that are their own base.
OWN = {
    "plain": _own(),
    "progressive": _own(progressive=True),
    "4:2:0": _own(subsampling=2),
    "4:2:2": _own(subsampling=1),
    "optimised": _own(optimize=True),
    "restart markers": _restarting(),
    "EXIF": _own(exif=EXIF),
    "thumbnail in EXIF": _inserted(_own(), files.segment(0xE1, THUMBNAIL)),
    "profile of several segments": _own(icc_profile=LONG_PROFILE),
    "EXIF, profile, comment": _own(
        exif=EXIF, icc_profile=make_matrix_profile(P3, SRGB_CURVE), comment=b"hello"
    ),
    "XMP": _inserted(_own(exif=EXIF), _xmp_segment(_OWN_XMP)),
    "40 segments": _inserted(
        _own(), *(files.segment(0xE3 + i % 11, b"test%d" % i) for i in range(40))
    ),
    "fill bytes": _own()[:2] + b"\xff\xff" + _own()[2:],
    "extended XMP": _inserted(
        _own(),
        _xmp_segment(_OWN_XMP),
        files.segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(9000)),
    ),
    "no JFIF": _own()[:2] + _own()[20:],
    "EXIF behind others": _inserted(
        _own(), files.segment(0xED, b"Photoshop 3.0\0"), files.segment(0xE1, THUMBNAIL)
    ),
    "damaged EXIF": _inserted(_own(), files.segment(0xE1, b"Exif\0\0nonsense")),
    "damaged profile": _own(icc_profile=b"nonsense" * 20),
    "grey": files.jpeg(_pixels()[..., 0], quality=95),
    "grey, progressive": files.jpeg(_pixels()[..., 0], progressive=True),
    "trailing zeros": _own() + bytes(1000),
}


@pytest.mark.parametrize("name", OWN)
def test_the_photograph_stays_as_it_is(path, source, name):
    source.write_bytes(OWN[name])
    data = _write(path, source)
    if name == "fill bytes":
        assert data[2:6] == b"\xff\xff\xff\xe0"
        return
    before, scan = _taken_apart(OWN[name])
    after, kept_scan = _taken_apart(data)
    assert scan == kept_scan
    assert [s for s in after if not _is_ours(s)] == [
        s for s in before if not _is_ours(s)
    ]
    mine = [s for s in after if _is_ours(s)]
    assert len(mine) == 3
    np.testing.assert_array_equal(
        image_io.read_encoded(path), image_io.read_encoded(source)
    )
    np.testing.assert_array_equal(
        np.asarray(_opened(path)), np.asarray(_opened(source))
    )
    np.testing.assert_array_equal(
        imagecodecs.jpeg8_decode(data), imagecodecs.jpeg8_decode(OWN[name])
    )


@pytest.mark.parametrize("name", [name for name in OWN if "grey" not in name])
def test_libultrahdr_reads_each_of_them(path, source, name):
    source.write_bytes(OWN[name])
    data = _write(path, source)
    # It takes every photograph for sRGB-encoded, in the primaries of its profile.
    pixels = np.asarray(_opened(source))
    assert _error(_by_libultrahdr(data, boost=1), _linear(pixels)) < 0.02
    assert _by_libultrahdr(data).max() > 6


def test_the_index_and_the_container_say_where_the_gain_map_is(path, source):
    source.write_bytes(OWN["XMP"])
    data = _write(path, source)
    file = io.BytesIO(data)
    header = jpeg_pictures.read_header(file, 0)
    (place,) = jpeg_pictures.indexed_places(header)
    image = MpoImagePlugin.MpoImageFile(file)
    first, second = image.mpinfo[0xB002]
    assert image.mpinfo[0xB001] == 2 and first["DataOffset"] == 0
    assert first["Size"] == place == jpeg_pictures.end_of(file, header.scan)
    assert first["Attribute"]["MPType"] == "Baseline MP Primary Image"
    assert first["Attribute"]["RepresentativeImageFlag"]
    assert place + second["Size"] == len(data)
    packet = xmp.parse(header.segments[_XMP][1])
    item = "http://ns.google.com/photos/1.0/container/item/"
    assert packet.properties[item + "Semantic"] == ["Primary", "GainMap"]
    assert packet.properties[item + "Length"] == [str(second["Size"])]
    assert header.segments[_ISO][1] == bytes(4)


def test_all_metadata_say_the_same(path, source):
    data = _write(path, source)
    place = data.rindex(b"\xff\xd8\xff\xe0")
    header = jpeg_pictures.read_header(io.BytesIO(data), place)
    of_xmp = gain_maps.metadata.from_xmp(xmp.parse(header.segments[_XMP][1]))
    assert of_xmp == gain_maps.metadata.from_iso(header.segments[_ISO][1])
    assert of_xmp is not None and of_xmp.gamma == (1.0,)


@pytest.mark.parametrize("kept", ["xmp", "iso"])
def test_either_kind_of_metadata_suffices(path, source, kept):
    hdr = _hdr(_pixels())
    data = _write(path, source, hdr)
    # A segment of another name with the same length is skipped by all readers.
    data = data.replace(*((_ISO, b"x" + _ISO[1:]) if kept == "xmp" else
                          (_XMP, b"x" + _XMP[1:])))  # fmt: skip
    path.write_bytes(data)
    assert _error(image_io.read_hdr(path), hdr) < 0.01
    assert _error(_by_libultrahdr(data), hdr) < 0.01


def test_xmp_is_merged(path, source):
    source.write_bytes(OWN["XMP"])
    data = _write(path, source)
    header = jpeg_pictures.read_header(io.BytesIO(data), 0)
    text = header.segments[_XMP][1]
    merged, before = xmp.parse(text), xmp.parse(_OWN_XMP)
    for name, values in before.properties.items():
        assert merged.properties[name][: len(values)] == values, name
    about = "http://www.w3.org/1999/02/22-rdf-syntax-ns#about"
    assert set(merged.properties[about]) == {"uuid:1"}
    assert text.startswith(b"<?xpacket begin=") and text.endswith(
        b'<?xpacket end="w"?>'
    )


def test_xmp_of_an_earlier_gain_map_is_replaced(path, source):
    old = files.primary_xmp(1234)
    source.write_bytes(_inserted(_own(), _xmp_segment(old)))
    data = _write(path, source)
    packet = xmp.parse(jpeg_pictures.read_header(io.BytesIO(data), 0).segments[_XMP][1])
    item = "http://ns.google.com/photos/1.0/container/item/"
    assert packet.properties[item + "Semantic"] == ["Primary", "GainMap"]
    assert "1234" not in packet.properties[item + "Length"]
    assert image_io.read_hdr(path).max() > 6


@pytest.mark.parametrize(
    "packet",
    [
        b"<not xml",
        b"<a/>",
        b"",
        _OWN_XMP.replace(b"sea", b"s" * 64_500),
        b'<!DOCTYPE x [<!ENTITY a "b">]>' + _OWN_XMP.partition(b"?>")[2],
        b"\0\xff" * 50,
    ],
    ids=["damaged", "no RDF", "empty", "full", "document type", "noise"],
)
def test_xmp_that_cannot_be_merged_is_kept(path, source, caplog, packet):
    source.write_bytes(_inserted(_own(), _xmp_segment(packet)))
    hdr = _hdr(_pixels())
    data = _write(path, source, hdr)
    assert _XMP + packet in data
    assert "its XMP is kept as it is" in caplog.text
    assert "\n" not in caplog.messages[0]
    assert _error(image_io.read_hdr(path), hdr) < 0.01
    assert _error(_by_libultrahdr(data), hdr) < 0.01


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_gain_map_lies_as_the_base_is_stored(path, source, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    source.write_bytes(_own(exif=exif))
    rows, columns = np.mgrid[:_HEIGHT, :_WIDTH]
    gain = 2 ** (columns / 60 - rows / 90)
    stored = (_linear(_pixels()) + _OFFSET) * gain[..., None] - _OFFSET
    upright = gain_maps.apply_orientation(stored.clip(0), orientation)
    data = _write(path, source, upright.astype(np.float32))
    assert _error(image_io.read_hdr(path), upright) < 0.01
    # Both leave it to the caller to turn the image.
    assert _error(_by_openimageio(path), stored) < 0.015
    assert _error(_by_libultrahdr(data), stored) < 0.015
    assert _opened(path).getexif()[0x0112] == orientation


@pytest.mark.parametrize("colorants, curve", [(P3, SRGB_CURVE), (ADOBE, GAMMA_22)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_gain_refers_to_the_primaries_of_the_base(
    path, source, colorants, curve, channels
):
    profile = make_matrix_profile(colorants, curve)
    source.write_bytes(_own(icc_profile=profile))
    raster = image_io.photos.photos.decode(source, "jpeg")
    base, to_bt709 = image_io.photos.raster.to_light(raster, name="")
    gain = 2 ** np.linspace(-1, 3, _WIDTH)[None, :, None]
    hdr = ((base + _OFFSET) * gain - _OFFSET).clip(0) @ to_bt709.T
    hdr = hdr.clip(0).astype(np.float32)
    data = _write(path, source, hdr, channels=channels)
    assert Image.open(io.BytesIO(data)).info["icc_profile"] == profile
    assert _error(image_io.read_hdr(path), hdr) < 0.02


def _saved(path, suffix, **options):
    path = path.with_suffix(suffix)
    Image.fromarray(_pixels()).save(path, **options)
    return path


def _tiff_with_exif(path):
    """A TIFF whose exposure is in a directory of its own, which Pillow cannot write."""
    tifffile.imwrite(
        path,
        _pixels(),
        photometric="rgb",
        extratags=[(0x010F, "s", 0, "Maker", True), (0x0112, "H", 1, 6, True)],
    )
    data = path.read_bytes()
    start = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[start : start + 2], "little")
    entries = data[start + 2 : start + 2 + 12 * count]
    exposure = struct.pack("<HHHIIIII", 1, 0x829A, 5, 1, len(data) + 18, 0, 1, 4)
    first = len(data) + len(exposure)
    pointer = struct.pack("<HHII", 0x8769, 4, 1, len(data))
    entries = b"".join(
        sorted([entries[i : i + 12] for i in range(0, len(entries), 12)] + [pointer],
               key=lambda entry: struct.unpack("<H", entry[:2]))
    )  # fmt: skip
    directory = struct.pack("<H", count + 1) + entries + bytes(4)
    path.write_bytes(
        data[:4] + struct.pack("<I", first) + data[8:] + exposure + directory
    )


def _png16(path):
    write_png16(path.with_suffix(".png"), _pixels().astype(int) * 257)
    return path.with_suffix(".png")


def _heic(path):
    path.with_suffix(".heic").write_bytes(HEIC)
    return path.with_suffix(".heic")


def _stored(path, data):
    path.write_bytes(data)
    return path


def _cmyk(**options) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(_pixels()).convert("CMYK")
    image.save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()


def _ultra_hdr() -> bytes:
    gain = files.jpeg(np.full((6, 10), 128))
    return files.ultra_hdr(_own(), gain, GainMapMax="2", HDRCapacityMax="2")


def _turned(path):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    return _saved(path, ".png", exif=exif)


# Photographs whose base is encoded.
OTHERS = {
    "PNG": lambda path: _saved(path, ".png"),
    "PNG with EXIF": _turned,
    "PNG of 16 bits": _png16,
    "WebP": lambda path: _saved(path, ".webp", quality=95),
    "TIFF": lambda path: _saved(path, ".tif"),
    "AVIF": lambda path: _saved(path, ".avif", quality=95),
    "BMP": lambda path: _saved(path, ".bmp"),
    "HEIC": _heic,
    "CMYK JPEG": lambda path: _stored(path, _cmyk()),
    "RGB JPEG": lambda path: _saved(path, ".jpg", keep_rgb=True, quality=95),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_photographs_are_encoded(path, source, name):
    source = OTHERS[name](source)
    photograph = image_io.read_photograph(source, gain_map="ignore")
    hdr = _hdr(np.rint(photograph.encoded * 255).astype(np.uint8))
    data = _write(path, source, hdr)
    base = image_io.read_encoded(path)
    assert np.abs(base - photograph.encoded).mean() < 0.012
    image = _opened(path)
    assert image.getexif().get(0x0112, 1) == 1
    assert image.size == (hdr.shape[1], hdr.shape[0])
    assert jpeg_segments.is_usual(jpeg_segments.split(data))
    assert _error(image_io.read_hdr(path), hdr) < 0.05
    assert _error(_by_libultrahdr(data), image_io.read_hdr(path)) < 0.01


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".jpg"])
def test_exif_is_carried_over_without_the_turn(path, source, suffix):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    exif.get_ifd(0x8769)[0x829A] = 0.25
    source = _saved(source, suffix, exif=exif)
    if suffix == ".tif":
        _tiff_with_exif(source)
    if suffix == ".jpg":  # of inks, so that it is encoded
        source.write_bytes(_cmyk(exif=exif))
    assert image_io.read_encoded(source).shape == (_WIDTH, _HEIGHT, 3)
    _write(path, source)
    found = _opened(path).getexif()
    assert found[0x010F] == "Maker" and found.get(0x0112, 1) == 1
    assert found.get_ifd(0x8769)[0x829A] == 0.25
    assert image_io.read_hdr(path).shape == (_WIDTH, _HEIGHT, 3)


def test_the_thumbnail_of_a_turned_photograph_is_left_out(path, source):
    turned = THUMBNAIL.replace(
        struct.pack("<HHII", 0x0112, 3, 1, 1), struct.pack("<HHII", 0x0112, 3, 1, 3)
    )
    source.write_bytes(_cmyk(exif=turned))
    _write(path, source)
    exif = _opened(path).getexif()
    assert exif[0x0112] == 1 and not exif.get_ifd(1)


def test_a_simple_profile_is_kept_and_others_become_srgb(path, source):
    profile = make_matrix_profile(P3, SRGB_CURVE)
    _write(path, _saved(source, ".png", icc_profile=profile))
    assert _opened(path).info["icc_profile"] == profile
    difference = image_io.read_encoded(path) - image_io.read_encoded(
        source.with_suffix(".png")
    )
    assert np.abs(difference).mean() < 0.01
    tables = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for other in (make_profile(b"GRAY", {b"kTRC": GAMMA_22}), tables):
        _write(path, _saved(source, ".png", icc_profile=other))
        assert "icc_profile" not in _opened(path).info


def test_camera_raw_is_encoded(path, tmp_path):
    pytest.importorskip("rawpy")
    write_dng(tmp_path / "raw.dng", np.full((30, 40, 3), 0.5))
    _write(path, tmp_path / "raw.dng", np.full((30, 40, 3), 2, np.float32))
    np.testing.assert_allclose(image_io.read_hdr(path), 2, rtol=0.1)


def test_the_sdr_image_of_an_hdr_base_is_encoded(path, source, monkeypatch):
    gain = files.jpeg(np.full((6, 10), 128))
    iso = files.iso_metadata(headrooms=(2.0, 0.0))
    source.write_bytes(files.ultra_hdr(_own(), gain, iso=iso))
    hdr = _hdr(_pixels(), peak=3.0)
    monkeypatch.setattr(measured_photos, "read_hdr_photo", lambda path, kind: hdr)
    encoded = image_io.read_photograph(source).encoded
    _write(path, source, hdr)
    assert np.abs(image_io.read_encoded(path) - encoded).mean() < 0.01
    assert _error(image_io.read_hdr(path), hdr) < 0.02


def test_what_is_hdr_already_is_refused(path, source):
    numbers = b"cicp\0\0\0\0" + bytes([9, 16, 0, 1])  # PQ, ICC.1:2022, 9.2.17
    profile = make_profile(b"RGB ", {b"cicp": numbers})
    source.write_bytes(_own(icc_profile=profile))
    with pytest.raises(UserError, match="it is already HDR"):
        _write(path, source, _hdr(_pixels()))
    image_io.write_hdr(source.with_suffix(".exr"), _hdr(_pixels()))
    with pytest.raises(UserError, match=r"cannot (use|read)"):
        _write(path, source.with_suffix(".exr"), _hdr(_pixels()))
    with pytest.raises(UserError, match="does not exist"):
        _write(path, source.with_name("none.jpg"), _hdr(_pixels()))


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 9), (7, 1), (2, 3), (17, 31), (8, 8), (64, 65), (5, 200)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_all_sizes_are_written(path, source, size, channels):
    height, width = size
    source.write_bytes(files.jpeg(_pixels(height, width)))
    hdr = np.full((height, width, 3), 3, np.float32)
    for divisor in (1, 2, 4):
        data = _write(path, source, hdr, channels=channels, divisor=divisor)
        assert image_io.read_hdr(path).shape == (height, width, 3)
        expected = (-(-width // divisor), -(-height // divisor))
        assert _gain_picture(data).size == expected
        assert _by_libultrahdr(data).shape == (height, width, 3)
        assert _by_openimageio(path).shape == (height, width, 3)


@pytest.mark.parametrize("value", [0.0, 1e-6, 0.2, 1.0, 7.5, 49.0])
@pytest.mark.parametrize("code", [0, 128, 255])
def test_an_image_of_one_value_is_exact(path, source, value, code):
    source.write_bytes(files.jpeg(np.full((16, 24, 3), code)))
    data = _write(path, source, np.full((16, 24, 3), value, np.float32))
    np.testing.assert_allclose(image_io.read_hdr(path), value, rtol=1e-4, atol=2e-5)
    theirs = _by_libultrahdr(data)
    np.testing.assert_allclose(theirs, value, rtol=0.01, atol=0.001)
    found = gain_maps.find(path, "jpeg")
    assert found is not None
    assert 0.1 <= found.recipe.alternate_headroom <= np.log2(10_000 / 203)


@pytest.mark.parametrize("side", [2, 8, 40])
def test_a_sun_does_not_spoil_the_rest(path, source, side):
    hdr = _hdr(_pixels(200, 300), peak=2.0)
    pixels = _pixels(200, 300)
    pixels[16:64, 248:296] = 255
    source.write_bytes(files.jpeg(pixels))
    hdr[20 : 20 + side, 250 : 250 + side] = 1e4
    data = _write(path, source, hdr)
    for estimate in (image_io.read_hdr(path), _by_libultrahdr(data)):
        assert _error(estimate, hdr) < 0.01
        sun = estimate[20 : 20 + side, 250 : 250 + side] @ _BT709
        assert 40 < sun.mean() < 50


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channels": 2}, "channels is 2; expected one of"),
        ({"channels": True}, "channels is True"),
        ({"divisor": 3}, "divisor is 3; expected one of"),
        ({"hdr": np.ones((9, 9, 3), np.float32)}, "9 x 9 pixels, but .*240 x 144"),
        ({"hdr": np.full((144, 240, 3), np.nan, np.float32)}, "NaN or infinite"),
    ],
)
def test_mistakes_are_one_sentence(path, source, options, words):
    options = {"hdr": _hdr(_pixels()), **options}
    with pytest.raises(UserError, match=words) as error:
        _write(path, source, **options)
    assert "\n" not in str(error.value) and not str(error.value).endswith(".")
    assert not path.exists()


@pytest.mark.parametrize(("width", "divisor"), [(256, 1), (264, 2)])
def test_the_gain_map_of_a_large_photograph_is_smaller(
    path, source, monkeypatch, width, divisor
):
    monkeypatch.setattr(ultra_hdr_files, "FULL_SIZE_PIXELS", 128 * 256)
    source.write_bytes(files.jpeg(np.full((128, width), 128)))
    data = _write(path, source, np.ones((128, width, 3), np.float32))
    assert _gain_picture(data).size == (width // divisor, 128 // divisor)


def test_other_suffixes_are_refused(tmp_path, source):
    with pytest.raises(UserError, match=r"its suffix is '.exr'; expected one of .jpg"):
        image_io.write_ultra_hdr(tmp_path / "x.exr", _hdr(_pixels()), source)


def test_write_hdr_names_the_way(tmp_path):
    for name in ("x.jpg", "x.JPEG"):
        with pytest.raises(UserError, match="use `jaxhdr PHOTO -o NAME"):
            image_io.write_hdr(tmp_path / name, _hdr(_pixels()))


def test_a_disk_that_refuses_leaves_nothing_behind(path, source, monkeypatch):
    def refuse(*paths):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match="no space is left"):
        _write(path, source)
    assert os.listdir(path.parent) == [source.name]


def _of_12_bits() -> bytes:
    return imagecodecs.jpeg8_encode(_pixels().astype(np.uint16) * 16, bitspersample=12)


def _odd_files() -> dict[str, bytes]:
    own, exif = _own(), OWN["EXIF, profile, comment"]
    sources = [
        OWN["XMP"],
        exif,
        OWN["progressive"],
        OWN["restart markers"],
        _ultra_hdr(),
    ]
    odd = {
        "12 bits": _of_12_bits(),
        "arithmetic": own.replace(b"\xff\xc0", b"\xff\xc9", 1),
        "lossless": own.replace(b"\xff\xc0", b"\xff\xc3", 1),
        "CMYK": _cmyk(),
        "no end": own[:-2],
        "half": own[: len(own) // 2],
        "header alone": own[:300],
        "signature alone": own[:3],
        "two ends": own + b"\xff\xd9",
        "height 0": own.replace(struct.pack(">HH", _HEIGHT, _WIDTH), bytes(4), 1),
        "length of 1": own[:2] + b"\xff\xe1\0\1" + own[2:],
        "bare markers": own[:2] + b"\xff\x01\xff\xd0" + own[2:],
        "index of nothing": _inserted(own, files.segment(0xE2, b"MPF\0")),
        "index alone": _inserted(own, files.segment(0xE2, b"MPF\0MM\0*" + bytes(90))),
        "ISO without a gain map": _inserted(own, files.segment(0xE2, _ISO + bytes(4))),
        "cut gain map": _ultra_hdr()[:-200],
        "two packets": _inserted(own, *2 * [_xmp_segment(_OWN_XMP)]),
        "full EXIF": _inserted(
            own, files.segment(0xE1, THUMBNAIL + bytes(65533 - len(THUMBNAIL)))
        ),
        "1000 segments": _inserted(own, *[files.segment(0xE5, b"x")] * 1000),
    }
    for seed in range(180):
        odd[f"damage {seed}"] = damaged(sources[seed % len(sources)], seed)
    return odd


ODD = _odd_files()


@pytest.mark.fast_cases(40)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of a damaged index
@pytest.mark.parametrize("name", ODD)
def test_odd_photographs_give_a_right_file_or_one_sentence(path, source, name):
    source.write_bytes(ODD[name])
    try:
        encoded = image_io.read_photograph(source, gain_map="ignore").encoded
    except UserError:
        with pytest.raises(UserError) as error:
            _write(path, source, np.ones((_HEIGHT, _WIDTH, 3), np.float32))
        assert "\n" not in str(error.value) and len(str(error.value)) < 600
        assert not path.exists()
        return
    hdr = _hdr(np.rint(encoded * 255).astype(np.uint8))
    try:
        _write(path, source, hdr)
    except UserError as error:
        assert "\n" not in str(error) and not path.exists()
        return
    assert np.abs(image_io.read_encoded(path) - encoded).mean() < 0.02
    assert image_io.read_photograph(path).gain_map == "used"
    assert image_io.read_hdr(path).shape == encoded.shape
    assert _opened(path).size == (encoded.shape[1], encoded.shape[0])


def test_the_sample_is_written(path):
    sample = pathlib.Path(image_io.__file__).parents[1] / "samples" / "rocket.jpg"
    base = image_io.read_encoded(sample)
    hdr = _hdr(np.rint(base * 255).astype(np.uint8))
    data = _write(path, sample, hdr)
    assert _taken_apart(data)[1][:9999] == _taken_apart(sample.read_bytes())[1][:9999]
    assert len(data) < 1.3 * sample.stat().st_size
