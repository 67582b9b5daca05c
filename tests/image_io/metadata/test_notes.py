"""Notes of what made a result come back from every format that keeps them."""

import io
import zlib

import imagecodecs
import numpy as np
import OpenImageIO as oiio
import pytest
from PIL import Image

from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.image_io.containers import boxes
from jaxhdr.image_io.jpeg import jpeg_pictures
from jaxhdr.image_io.metadata import xmp
from tests.image_io.ultra_hdr import test_ultra_hdr as ultra_hdr

NOTES = {
    "scale": "ldr_white",
    "model": "fhdr",
    "software": "jaxhdr 0.1.0",
    "source": "caf\u00e9 <1> & \"2\" '3'.jpg",
    "x-y.z_1": "a  b",
}
CAMERA = image_io.CameraExif(make="Maker", exposure_time=0.25)
FORMATS = [
    (".png", {}),
    (".png", {"transfer": "hlg"}),
    (".avif", {}),
    (".avif", {"transfer": "hlg"}),
    (".jxl", {}),
    (".jxl", {"half": False}),
    (".jxl", {"transfer": "pq"}),
]


@pytest.fixture
def hdr() -> np.ndarray:
    return np.random.default_rng(0).random((24, 40, 3)).astype(np.float32)


@pytest.mark.parametrize("exif", [None, CAMERA])
@pytest.mark.parametrize(("suffix", "options"), FORMATS)
def test_notes_come_back_and_change_no_pixel(tmp_path, hdr, suffix, options, exif):
    plain, noted = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    image_io.write_hdr(plain, hdr, exif=exif, **options)
    image_io.write_hdr(noted, hdr, exif=exif, metadata=NOTES, **options)
    assert image_io.read_metadata(plain) == {}
    assert image_io.read_metadata(noted) == NOTES
    np.testing.assert_array_equal(image_io.read_hdr(noted), image_io.read_hdr(plain))
    assert image_io.read_exif(noted) == image_io.read_exif(plain)


@pytest.mark.parametrize("suffix", [".png", ".avif"])
def test_pillow_finds_the_packet(tmp_path, hdr, suffix):
    path = tmp_path / f"x{suffix}"
    image_io.write_hdr(path, hdr, metadata=NOTES, exif=CAMERA)
    with Image.open(path) as image:
        image.load()
        packet = image.info["xmp"]
        assert image.getexif()[0x010F] == "Maker"
    found = xmp.parse(packet if isinstance(packet, bytes) else packet.encode())
    assert found.last("urn:jaxhdr:notes:1.0/model") == "fhdr"


def test_openimageio_and_libjxl_read_a_jpeg_xl_with_notes(tmp_path, hdr):
    path = tmp_path / "x.jxl"
    image_io.write_hdr(path, hdr, half=False, metadata=NOTES, exif=CAMERA)
    source = oiio.ImageInput.open(str(path))
    np.testing.assert_array_equal(source.read_image("float"), hdr)
    assert not source.geterror()
    source.close()
    np.testing.assert_array_equal(imagecodecs.jpegxl_decode(path.read_bytes()), hdr)
    packet = boxes.read_box(path, b"xml ", most=2**20)
    assert xmp.parse(packet).last("urn:jaxhdr:notes:1.0/scale") == "ldr_white"


@pytest.mark.parametrize("name", ["plain", "XMP", "EXIF"])
def test_a_photograph_with_a_gain_map_keeps_them(tmp_path, name):
    source, path = tmp_path / "photo.jpg", tmp_path / "out.jpg"
    source.write_bytes(ultra_hdr.OWN[name])
    hdr = ultra_hdr._hdr(ultra_hdr._pixels())
    data = ultra_hdr._write(path, source, hdr, metadata=NOTES)
    assert image_io.read_metadata(path) == NOTES
    assert image_io.read_metadata(source) == {}
    assert (
        ultra_hdr._taken_apart(data)[1]
        == (ultra_hdr._taken_apart(ultra_hdr.OWN[name])[1])
    )
    for estimate in (
        image_io.read_hdr(path),
        ultra_hdr._by_openimageio(path),
        ultra_hdr._by_libultrahdr(data),
    ):
        assert ultra_hdr._error(estimate, hdr) < 0.01
    # A further result has its own notes only.
    ultra_hdr._write(tmp_path / "again.jpg", path, hdr, metadata={"model": "aky"})
    assert image_io.read_metadata(tmp_path / "again.jpg") == {"model": "aky"}
    if name == "XMP":
        header = jpeg_pictures.read_header(
            io.BytesIO((tmp_path / "again.jpg").read_bytes()), 0
        )
        packet = xmp.parse(header.segments[jpeg_pictures.XMP][1])
        assert packet.last("http://ns.adobe.com/xap/1.0/Rating") == "4"


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_what_is_no_name_or_no_text_of_xml(tmp_path, hdr, suffix):
    source = tmp_path / "photo.jpg"
    source.write_bytes(ultra_hdr._own())

    def write(notes):
        path = tmp_path / f"out{suffix}"
        if suffix == ".png":
            image_io.write_hdr(path, hdr, metadata=notes)
        else:
            ultra_hdr._write(path, source, metadata=notes)
        return image_io.read_metadata(path)

    for name in ("", "a b", "1a", "a:b", "a\n", "\u00e9"):
        with pytest.raises(UserError, match="the name of a note is"):
            write({name: "x"})
        assert sorted(one.name for one in tmp_path.iterdir()) == ["photo.jpg"]
    assert write({"a": "\0\x1b[1m\udcff"}) == {"a": "??[1m?"}


def test_a_damaged_packet_has_no_notes(tmp_path, hdr):
    path = tmp_path / "x.png"
    image_io.write_hdr(path, hdr, metadata=NOTES)
    data = path.read_bytes()
    at = data.index(b"iTXt") - 4
    length = int.from_bytes(data[at : at + 4], "big")
    body = data[at + 4 : at + 8 + length].replace(b"</rdf:RDF>", b"</rdf:RDX>")
    chunk = data[at : at + 4] + body + zlib.crc32(body).to_bytes(4, "big")
    path.write_bytes(data[:at] + chunk + data[at + 12 + length :])
    assert image_io.read_metadata(path) == {}
    assert image_io.read_hdr(path).shape == hdr.shape
