import io
import logging
import pathlib
import struct

import numpy as np
import OpenImageIO as oiio
import pytest
from PIL import Image

from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.image_io.gain_maps import gain_map_metadata, gain_maps
from jaxhdr.image_io.metadata import xmp
from jaxhdr.image_io.photos import measured_photos
from tests import gain_map_files as files
from tests.damaged_files import damaged
from tests.made_photos import P3, SRGB_CURVE, make_matrix_profile

GOLDEN = pathlib.Path(__file__).parents[2] / "golden"
_HEIGHT, _WIDTH = 24, 40
_FIELDS = {
    "GainMapMin": "0.5",
    "GainMapMax": "3",
    "Gamma": "2",
    "OffsetSDR": "0.0625",
    "OffsetHDR": "0.03125",
    "HDRCapacityMin": "0",
    "HDRCapacityMax": "3",
}
_ISO = files.iso_metadata(
    minimum=(0.5,),
    maximum=(3.0,),
    gamma=(2.0,),
    base_offset=(0.0625,),
    alternate_offset=(0.03125,),
    headrooms=(0.0, 3.0),
)
_BASE_CODE, _GAIN_CODE = (200, 120, 60), 128


def _linear(codes) -> np.ndarray:
    """IEC 61966-2-1 in float64."""
    encoded = np.asarray(codes, np.float64) / 255
    return np.where(
        encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4
    )


def _expected(base_codes, gain_codes) -> np.ndarray:
    """The formula of Ultra HDR v1.1 for `_FIELDS`, in float64."""
    share = (np.asarray(gain_codes, np.float64) / 255) ** (1 / 2)
    stops = 0.5 * (1 - share) + 3 * share
    return (_linear(base_codes) + 0.0625) * 2**stops - 0.03125


def _flat_base(**options) -> bytes:
    return files.jpeg(np.full((_HEIGHT, _WIDTH, 3), _BASE_CODE), **options)


def _flat_gain(code=_GAIN_CODE, shape=(6, 10)) -> bytes:
    return files.jpeg(np.full(shape, code))


def _pixels(stored: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(stored)))


def _ramp_base(**options) -> bytes:
    rows, columns = np.mgrid[:_HEIGHT, :_WIDTH]
    ramp = np.stack([columns * 6, rows * 10, 20 + columns * 2 + rows], -1)
    return files.jpeg(ramp, **options)


def _ramp_gain(shape=(_HEIGHT, _WIDTH)) -> bytes:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return files.jpeg((rows / shape[0] * 120 + columns / shape[1] * 130).astype(int))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "phone.jpg"


@pytest.mark.parametrize(
    "metadata",
    [{"iso": None, **_FIELDS}, {"iso": _ISO}, {"iso": _ISO, **_FIELDS}],
    ids=["xmp", "iso", "both"],
)
def test_an_ultra_hdr_photograph_is_read_as_hdr(path, metadata):
    base, gain = _ramp_base(), _ramp_gain()
    path.write_bytes(files.ultra_hdr(base, gain, **metadata))
    expected = _expected(_pixels(base), _pixels(gain)[..., None])
    hdr = image_io.read_hdr(path)
    assert hdr.dtype == np.float32 and hdr.shape == (_HEIGHT, _WIDTH, 3)
    np.testing.assert_allclose(hdr, np.maximum(expected, 0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(
        image_io.read_encoded(path), _pixels(base) / np.float32(255)
    )


def test_channels_have_their_own_gain(path):
    fields = {
        **_FIELDS,
        "GainMapMin": [0.0, -1.0, 0.5],
        "GainMapMax": [1.0, 2.0, 3.0],
        "Gamma": [1.0, 2.0, 0.5],
    }
    iso = files.iso_metadata(
        minimum=(0.0, -1.0, 0.5),
        maximum=(1.0, 2.0, 3.0),
        gamma=(1.0, 2.0, 0.5),
        base_offset=(0.0625,),
        alternate_offset=(0.03125,),
        headrooms=(0.0, 3.0),
    )
    gain = files.jpeg(np.full((6, 10, 3), (128, 200, 60)))
    codes = _pixels(gain)[3, 5] / 255
    share = codes ** (1 / np.array([1.0, 2.0, 0.5]))
    stops = np.array([0.0, -1.0, 0.5]) * (1 - share) + np.array([1.0, 2.0, 3.0]) * share
    base = _flat_base()
    expected = (_linear(_pixels(base)[0, 0]) + 0.0625) * 2**stops - 0.03125
    for metadata in (fields, {"iso": iso}):
        path.write_bytes(files.ultra_hdr(base, gain, **metadata))
        np.testing.assert_allclose(image_io.read_hdr(path)[9, 9], expected, rtol=1e-5)


def test_defaults_of_ultra_hdr_are_those_of_the_specification(path):
    base, gain = _flat_base(), _flat_gain()
    path.write_bytes(files.ultra_hdr(base, gain, GainMapMax="2", HDRCapacityMax="2"))
    stops = _pixels(gain)[0, 0] / 255 * 2  # minimum 0, gamma 1, offsets 1/64
    expected = (_linear(_pixels(base)[0, 0]) + 1 / 64) * 2**stops - 1 / 64
    np.testing.assert_allclose(image_io.read_hdr(path)[5, 5], expected, rtol=1e-5)


def test_openimageio_agrees(path):
    """OpenImageIO 3.2 decodes with libultrahdr, which uses tables and half floats."""
    base, gain = _ramp_base(), _ramp_gain()
    path.write_bytes(files.ultra_hdr(base, gain, iso=_ISO, **_FIELDS))
    source = oiio.ImageInput.open(str(path))
    theirs = np.asarray(source.read_image(0, 0, 0, 4, "float"))[..., :3]
    source.close()
    ours = image_io.read_hdr(path)
    assert ours.max() > 5
    # A code of the base is up to 1 of 255 different after libjpeg's other conversion.
    np.testing.assert_allclose(theirs, ours, rtol=0.03, atol=0.02)


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [
        (2, 2, (0.355, 0.1887, 0.0492)),
        (2, 20, (3.457, 0.1997, 0.2949)),
        (8, 12, (2.0762, 0.7871, 0.2512)),
        (13, 4, (0.6909, 1.2949, 0.2207)),
        (13, 21, (3.6348, 1.2822, 0.4407)),
    ],
)
def test_libultrahdr_agrees(row, column, expected):
    """The file and the pixels are those of libultrahdr 1.4.0 (tests/golden/README)."""
    hdr = image_io.read_hdr(GOLDEN / "libultrahdr.jpg")
    assert hdr.shape == (16, 24, 3)
    np.testing.assert_allclose(hdr[row, column], expected, rtol=0.03, atol=0.002)


@pytest.mark.parametrize(
    ("maker33", "maker48", "stops"),
    # By hand from Apple's formula.
    [(0.5, 0.0, 1.8), (0.5, 1.0, 1.5), (1.0, 0.005, 2.65), (1.0, 1.0, 2.0), (1, 9, 0)],
)
def test_apples_gain_map_is_read(path, maker33, maker48, stops):
    base = _flat_base(exif=files.apple_exif(maker33, maker48))
    gain = _flat_gain()
    stored = files.gain_jpeg(gain, xmp=files.apple_xmp())
    path.write_bytes(files.joined_jpegs(base, stored))
    # ITU-R BT.709-6, section 1: the inverse of 1.099 L^0.45 - 0.099.
    light = ((_pixels(gain)[0, 0] / 255 + 0.099) / 1.099) ** (1 / 0.45)
    expected = _linear(_pixels(base)[0, 0]) * (1 + (2**stops - 1) * light)
    np.testing.assert_allclose(image_io.read_hdr(path)[5, 5], expected, rtol=1e-5)


def test_the_headroom_that_apple_states_counts(path):
    base = _flat_base(exif=files.apple_exif(0.5, 0.0))
    stored = files.gain_jpeg(_flat_gain(255), xmp=files.apple_xmp(headroom=5.0))
    path.write_bytes(files.joined_jpegs(base, stored))
    expected = 5 * _linear(_pixels(base)[0, 0])
    np.testing.assert_allclose(image_io.read_hdr(path)[5, 5], expected, rtol=1e-5)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_turns_both_images(path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.write_bytes(files.ultra_hdr(_ramp_base(), _ramp_gain((6, 10)), **_FIELDS))
    upright = image_io.read_hdr(path)
    turned = files.ultra_hdr(_ramp_base(exif=exif), _ramp_gain((6, 10)), **_FIELDS)
    path.write_bytes(turned)
    expected = gain_maps.apply_orientation(upright, orientation)
    # Pillow enlarges rows first, so turned images differ in the last digit.
    np.testing.assert_allclose(image_io.read_hdr(path), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("shift", "has_index", "length", "tail"),
    [
        (0, True, None, b""),
        (7, True, True, b""),
        (7, True, None, b""),
        (-100_000, True, True, b""),
        (10**8, True, True, b""),
        (0, False, True, b""),
        (0, False, None, b""),
        (0, True, True, b"SEFT" * 99),
        (0, False, True, b"\xff\xd8 trailing"),
    ],
)
def test_gain_maps_are_found_in_spite_of_wrong_offsets(
    path, shift, has_index, length, tail
):
    stored = files.gain_jpeg(_flat_gain(), xmp=files.gain_xmp(**_FIELDS))
    announced = files.primary_xmp(len(stored) if length else None)
    path.write_bytes(
        files.joined_jpegs(
            _flat_base(progressive=True),
            stored,
            xmp=announced,
            has_index=has_index,
            shift=shift % 2**32,
            tail=tail,
        )
    )
    expected = _expected(_pixels(_flat_base())[0, 0], _pixels(_flat_gain())[0, 0])
    np.testing.assert_allclose(image_io.read_hdr(path)[5, 5], expected, rtol=1e-5)


def test_the_gain_map_may_be_the_third_picture(path):
    preview = files.jpeg(np.full((8, 8, 3), 9))
    stored = files.gain_jpeg(_flat_gain(), iso=_ISO)
    path.write_bytes(files.joined_jpegs(_flat_base(), preview, stored))
    assert image_io.read_hdr(path)[0, 0, 0] > 1


def test_several_pictures_without_a_gain_map_have_no_hdr(path, caplog):
    preview = files.gain_jpeg(files.jpeg(np.full((8, 8, 3), 9)), xmp=b"<not xml")
    path.write_bytes(files.joined_jpegs(_flat_base(), preview))
    with pytest.raises(UserError, match="as HDR: it is a jpeg photograph"):
        image_io.read_hdr(path)
    assert image_io.read_photograph(path).gain_map == ""
    assert not caplog.text


def test_a_gain_map_within_the_preview_of_the_exif_does_not_count(path):
    exif = Image.Exif()
    exif[0x010E] = files.ultra_hdr(_flat_base(), _flat_gain(), **_FIELDS)[:20000]
    path.write_bytes(_flat_base(exif=exif))
    with pytest.raises(UserError, match="it is a jpeg photograph"):
        image_io.read_hdr(path)


def test_ordinary_photographs_keep_their_sentence(tmp_path):
    for suffix in ("jpg", "png", "avif", "webp"):
        path = tmp_path / f"x.{suffix}"
        Image.new("RGB", (8, 8)).save(path)
        with pytest.raises(UserError, match=r"as HDR: it is a \w+ photograph; exp"):
            image_io.read_hdr(path)
        assert image_io.read_photograph(path).measured is None


def test_a_small_gain_map_is_enlarged_bilinearly(path):
    base = files.jpeg(np.full((64, 128, 3), 255))
    gain = files.jpeg(np.repeat(np.array([[0, 255]]), 8, axis=1).repeat(8, axis=0))
    linear = {**_FIELDS, "Gamma": "1", "GainMapMin": "0"}
    path.write_bytes(files.ultra_hdr(base, gain, **linear))
    stops = np.log2((image_io.read_hdr(path)[32, :, 0] + 0.03125) / 1.0625)
    np.testing.assert_allclose(stops[:56], 0, atol=0.05)
    np.testing.assert_allclose(stops[72:], 3, atol=0.05)
    assert (np.diff(stops[60:68]) > 0.3).all()


@pytest.mark.parametrize("shape", [(1, 1), (48, 80), (1, 40), (24, 1)])
def test_gain_maps_have_any_size(path, shape):
    path.write_bytes(files.ultra_hdr(_flat_base(), _flat_gain(99, shape), **_FIELDS))
    expected = _expected(_pixels(_flat_base())[0, 0], 99)
    np.testing.assert_allclose(
        image_io.read_hdr(path), np.broadcast_to(expected, (24, 40, 3)), rtol=1e-5
    )


def test_a_gain_map_is_applied_in_the_primaries_of_its_base(path):
    profile = make_matrix_profile(P3, SRGB_CURVE)
    base = _flat_base(icc_profile=profile)
    path.write_bytes(files.ultra_hdr(base, _flat_gain(), **_FIELDS))
    # SMPTE EG 432-1 (Display P3) to BT.709, as CSS Color 4 gives it.
    to_bt709 = [
        [1.22494018, -0.22494018, 0],
        [-0.04205695, 1.04205695, 0],
        [-0.01963755, -0.07863605, 1.09827360],
    ]
    expected = np.array(to_bt709) @ _expected(_pixels(base)[4, 4], _GAIN_CODE)
    np.testing.assert_allclose(image_io.read_hdr(path)[4, 4], expected, rtol=0.02)


def test_where_the_phone_clips_too_is_known(path):
    base, gain = np.full((16, 48, 3), 255), np.full((16, 48), 255)
    base[:, :16] = 120
    base[:, 16:32, 2] = 120
    gain[:, 40:] = 90
    path.write_bytes(files.ultra_hdr(files.jpeg(base), files.jpeg(gain), **_FIELDS))
    photograph = image_io.read_photograph(path)
    assert photograph.gain_map == "used" and photograph.measured is not None
    clipped = photograph.measured.is_clipped
    assert not clipped[:, :16].any() and not clipped[:, 40:].any()
    assert clipped[:, 18:30, :2].all() and not clipped[:, 18:30, 2].any()
    assert clipped[:, 32:38].all()
    np.testing.assert_array_equal(photograph.measured.hdr, image_io.read_hdr(path))
    ignored = image_io.read_photograph(path, gain_map="ignore")
    assert ignored.measured is None and ignored.gain_map == "ignored"
    np.testing.assert_array_equal(ignored.encoded, photograph.encoded)


def test_an_hdr_base_is_not_taken_for_a_photograph(path):
    fields = {**_FIELDS, "BaseRenditionIsHDR": "True"}
    iso = files.iso_metadata(headrooms=(3.0, 0.0))
    for metadata in (fields, {"iso": iso}):
        path.write_bytes(files.ultra_hdr(_flat_base(), _flat_gain(), **metadata))
        with pytest.raises(UserError, match="already HDR, and its gain map gives"):
            image_io.read_encoded(path)


def test_the_alternate_of_an_hdr_base_is_the_sdr_image():
    gain = gain_map_metadata.LogGain(
        (0.0,), (2.0,), base_headroom=2.0, alternate_headroom=0.0
    )
    base = np.full((2, 2), 4.0, np.float32)
    # ISO 21496-1: (4 + 1/64) * 2^-2 - 1/64, and unchanged where the gain is 0.
    sdr = gain.to_alternate(base, np.ones((2, 2), np.float32), channel=0)
    np.testing.assert_allclose(sdr, (4 + 1 / 64) / 4 - 1 / 64, rtol=1e-6)
    same = gain.to_alternate(base, np.zeros((2, 2), np.float32), channel=0)
    np.testing.assert_allclose(same, 4, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"Gamma": "0"}, "gamma"),
        ({"Gamma": "-1"}, "gamma"),
        ({"Gamma": "nan"}, "is nan"),
        ({"GainMapMax": "inf"}, "is inf"),
        ({"GainMapMax": "1e9"}, "beyond"),
        ({"GainMapMax": "two"}, "two"),
        ({"GainMapMin": "4"}, "exceeds"),
        ({"HDRCapacityMax": "0"}, "no headroom"),
        ({"HDRCapacityMin": "5"}, "capacity"),
        ({"GainMapMax": [1.0, 2.0]}, "three channels"),
        ({"OffsetSDR": ""}, "convert"),
    ],
)
def test_wrong_numbers_are_ignored_with_a_warning(path, caplog, wrong, reason):
    path.write_bytes(files.ultra_hdr(_flat_base(), _flat_gain(), **_FIELDS | wrong))
    with caplog.at_level(logging.WARNING):
        photograph = image_io.read_photograph(path)
    assert photograph.encoded.shape == (24, 40, 3)
    assert photograph.measured is None and photograph.gain_map == "ignored"
    assert caplog.text.count("gain map is ignored") == 1 and reason in caplog.text
    with pytest.raises(UserError, match=f"gain map is damaged .*{reason}"):
        image_io.read_hdr(path)


def test_metadata_that_are_missing_or_cut_off_are_damage(path, caplog):
    base, gain = _flat_base(), _flat_gain()
    for stored in (
        files.ultra_hdr(base, gain, GainMapMax="2"),  # no capacity
        files.ultra_hdr(base, gain, iso=_ISO[:-5]),
        files.ultra_hdr(base, gain, iso=b"\0\1" + _ISO[2:]),
        files.ultra_hdr(base, gain, iso=_ISO[:9] + b"\0\0\0\0" + _ISO[13:]),
        files.ultra_hdr(base, gain),
        files.joined_jpegs(base, xmp=files.primary_xmp(1000), has_index=False),
        files.joined_jpegs(base, files.gain_jpeg(gain, xmp=files.apple_xmp())),
    ):
        path.write_bytes(stored)
        caplog.clear()
        assert image_io.read_encoded(path).shape == (24, 40, 3)
        assert "gain map is ignored" in caplog.text
        with pytest.raises(UserError, match="gain map is damaged"):
            image_io.read_hdr(path)


def test_pixels_of_a_gain_map_that_are_cut_off_are_damage(path, caplog):
    stored = files.ultra_hdr(_flat_base(), _ramp_gain(), **_FIELDS)
    path.write_bytes(stored[:-120])
    photograph = image_io.read_photograph(path)
    assert photograph.gain_map == "ignored" and photograph.measured is None
    assert "gain map is ignored" in caplog.text
    with pytest.raises(UserError, match="gain map is damaged"):
        image_io.read_hdr(path)


@pytest.mark.parametrize("kind", ["jpeg", "heic", "avif"])
def test_a_gain_map_much_larger_than_the_photograph_is_damage(tmp_path, caplog, kind):
    path = tmp_path / "x"
    stored = files.ultra_hdr(_flat_base(), _flat_gain(99, (49, 80)), **_FIELDS)
    if kind != "jpeg":
        base, _ = _coded(tmp_path, kind)
        stream = io.BytesIO()
        Image.new("RGB", (20, 10)).save(stream, "AVIF")
        small = files.coded_item(stream.getvalue(), tmp_path / "item")
        if kind == "heic":
            small = files.coded_item(files.HEIC_GAIN, tmp_path / "item")
            base[1][:] = [
                (name, struct.pack(">III", 0, 9999, 9999) if name == b"ispe" else data)
                for name, data in base[1]
            ]
        items = [small, base, (b"tmap", [], _TMAP)]
        stored = files.items_file(kind.encode(), items, [(b"dimg", 3, [1, 2])])
    path.write_bytes(stored)
    assert image_io.read_photograph(path).gain_map == "ignored"
    assert "pixels" in caplog.text
    with pytest.raises(UserError, match=r"its gain map has \d+ x \d+ pixels"):
        image_io.read_hdr(path)


def test_long_runs_of_markers_end(path):
    announced = files.joined_jpegs(
        _flat_base(), xmp=files.primary_xmp(None), has_index=False
    )
    for tail in (b"\xff" * 2**20 + b"\0", b"\xff\xc4\0\2" * 2**18):
        path.write_bytes(announced[:-2] + tail)
        with pytest.raises(UserError, match="does not end"):
            image_io.read_hdr(path)


def test_a_document_type_in_xmp_is_refused(path):
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    for encoding in ("utf-8", "utf-16"):
        packet = (bomb + files.gain_xmp(**_FIELDS)).decode().encode(encoding)
        with pytest.raises(ValueError, match="document type"):
            xmp.parse(packet)
        stored = files.gain_jpeg(_flat_gain(), xmp=packet)
        path.write_bytes(
            files.joined_jpegs(_flat_base(), stored, xmp=files.primary_xmp(len(stored)))
        )
        with pytest.raises(UserError, match="document type"):
            image_io.read_hdr(path)
        assert image_io.read_encoded(path).shape == (24, 40, 3)


@pytest.mark.parametrize(
    "packet",
    [
        b"<x>" * 100_000,
        b"<x>" + b"<y a='b'/>" * 100_000 + b"</x>",
        b" " * (2**20 + 1),
        b"<x>&undefined;</x>",
        b"",
        b"\xff\xfe\0",
    ],
    ids=["deep", "many", "large", "entity", "empty", "binary"],
)
def test_hostile_xmp_is_refused(packet):
    with pytest.raises(xmp.DamagedPacket, match="XMP"):
        xmp.parse(packet)


_TMAP = b"\0" + files.iso_metadata(
    maximum=(2.0,), base_offset=(0.0,), alternate_offset=(0.0,)
)
_APPLE_AUXILIARY = (b"auxC", b"\0\0\0\0" + files.APPLE_TYPE.encode() + b"\0")
_QUADRANTS = np.repeat(np.repeat([[40, 140], [40, 255]], 32, 0), 32, 1).astype(np.uint8)


def _coded(tmp_path, kind):
    """The base, 128 x 64, and the gain map, `_QUADRANTS`, as items."""
    stored = files.HEIC_BASE, files.HEIC_GAIN
    if kind == "avif":
        rows, columns = np.mgrid[:64, :128]
        base = np.stack([columns * 2, rows * 4, np.full_like(rows, 60)], -1)
        stored = []
        for pixels in (base.astype(np.uint8), _QUADRANTS):
            stream = io.BytesIO()
            options = {"quality": 100, "subsampling": "4:4:4"}
            Image.fromarray(pixels).save(stream, "AVIF", **options)
            stored.append(stream.getvalue())
    return [files.coded_item(data, tmp_path / "item") for data in stored]


def _quadrants_of(photograph) -> np.ndarray:
    """The gain in the middle of each quadrant of an image, relative to its base."""
    gain = photograph.measured.hdr / gain_maps_light(photograph.encoded)
    height, width = gain.shape[:2]
    rows, columns = [height // 4, height * 3 // 4], [width // 4, width * 3 // 4]
    return np.median(gain[rows][:, columns], axis=2)


def gain_maps_light(encoded) -> np.ndarray:
    return np.maximum(_linear(encoded * np.float64(255)), 1e-6)


@pytest.mark.parametrize("kind", ["heic", "avif"])
@pytest.mark.parametrize(
    "turn",
    [None, (b"irot", b"\1"), (b"irot", b"\2"), (b"imir", b"\0"), (b"imir", b"\1")],
)
@pytest.mark.parametrize("is_map_turned", [False, True])
def test_an_item_of_the_file_is_the_gain_map(tmp_path, kind, turn, is_map_turned):
    base, gain = _coded(tmp_path, kind)
    if turn:
        base[1].append(turn)
    if turn and is_map_turned:
        gain[1].append(turn)
    path = tmp_path / "x"
    path.write_bytes(
        files.items_file(
            kind.encode(), [base, gain, (b"tmap", [], _TMAP)], [(b"dimg", 3, [1, 2])]
        )
    )
    photograph = image_io.read_photograph(path)
    expected = 2 ** (2 * np.array([[40, 140], [40, 255]]) / 255)
    if turn and turn[0] == b"irot":
        expected = np.rot90(expected, turn[1][0])
    elif turn:
        expected = expected[::-1] if turn[1] == b"\0" else expected[:, ::-1]
    np.testing.assert_allclose(_quadrants_of(photograph), expected, rtol=0.02)
    np.testing.assert_array_equal(photograph.measured.hdr, image_io.read_hdr(path))


@pytest.mark.parametrize("stated", [None, 4.0])
@pytest.mark.parametrize("kind", ["heic", "avif"])
def test_an_auxiliary_image_is_apples_gain_map(tmp_path, kind, stated):
    base, gain = _coded(tmp_path, kind)
    gain[1].append(_APPLE_AUXILIARY)
    exif = (b"Exif", [], b"\0\0\0\0" + files.apple_exif(1.0, 1.0)[6:])
    items, references = [base, gain, exif], [(b"auxl", 2, [1]), (b"cdsc", 3, [1])]
    if stated:
        packet = files.apple_xmp(headroom=stated)
        exif = (b"Exif", [], b"\0\0\0\0" + files.apple_exif(0.0, 9.0)[6:])
        items = [base, gain, exif, (b"mime", [], packet)]
        references = [*references, (b"cdsc", 4, [2])]
    path = tmp_path / "x"
    path.write_bytes(files.items_file(kind.encode(), items, references))
    if kind == "avif" and not stated:  # no phone writes this, and it has no EXIF
        assert image_io.read_photograph(path).gain_map == "ignored"
        return
    codes = np.array([[40, 140], [40, 255]]) / 255
    light = np.where(
        codes < 0.081, codes / 4.5, ((codes + 0.099) / 1.099) ** (1 / 0.45)
    )
    photograph = image_io.read_photograph(path)
    np.testing.assert_allclose(_quadrants_of(photograph), 1 + 3 * light, rtol=0.02)


@pytest.mark.parametrize("kind", ["heic", "avif"])
@pytest.mark.parametrize(
    ("metadata", "targets", "reason"),
    [
        (_TMAP[:20], [1, 2], "cut off"),
        (b"\7" + _TMAP[1:], [1, 2], "later version"),
        (_TMAP + b"\0" * 5000, [1, 2], "too large"),
        (_TMAP, [1, 9], ""),
        (_TMAP, [1, 3], ""),
        (b"", [1, 2], ""),
    ],
)
def test_a_damaged_item_is_ignored(tmp_path, caplog, kind, metadata, targets, reason):
    base, gain = _coded(tmp_path, kind)
    path = tmp_path / "x"
    items = [base, gain, (b"tmap", [], metadata)]
    path.write_bytes(files.items_file(kind.encode(), items, [(b"dimg", 3, targets)]))
    photograph = image_io.read_photograph(path)
    assert photograph.encoded.shape == (64, 128, 3)
    assert photograph.gain_map == "ignored"
    assert "gain map is ignored" in caplog.text and reason in caplog.text
    with pytest.raises(UserError, match=f"gain map is damaged .*{reason}"):
        image_io.read_hdr(path)


def test_a_tmap_of_another_image_does_not_count(tmp_path):
    base, gain = _coded(tmp_path, "avif")
    path = tmp_path / "x"
    items = [base, gain, (b"tmap", [], _TMAP)]
    path.write_bytes(files.items_file(b"avif", items, [(b"dimg", 3, [2, 1])]))
    with pytest.raises(UserError, match="it is a avif photograph"):
        image_io.read_hdr(path)


def test_an_avif_with_an_hdr_base_is_not_taken_for_a_photograph(tmp_path):
    base, gain = _coded(tmp_path, "avif")
    metadata = b"\0" + files.iso_metadata(headrooms=(2.0, 0.0))
    path = tmp_path / "x"
    items = [base, gain, (b"tmap", [], metadata)]
    path.write_bytes(files.items_file(b"avif", items, [(b"dimg", 3, [1, 2])]))
    with pytest.raises(UserError, match="already HDR"):
        image_io.read_encoded(path)


@pytest.mark.parametrize("gain_map", ["use", "ignore"])
def test_the_photograph_of_an_hdr_base_comes_from_its_gain_map(
    tmp_path, monkeypatch, gain_map
):
    base, gain = _coded(tmp_path, "avif")
    metadata = b"\0" + files.iso_metadata(maximum=(2.0,), headrooms=(2.0, 0.0))
    path = tmp_path / "x"
    items = [base, gain, (b"tmap", [], metadata)]
    path.write_bytes(files.items_file(b"avif", items, [(b"dimg", 3, [1, 2])]))
    hdr = np.full((64, 128, 3), 3.0, np.float32)
    monkeypatch.setattr(measured_photos, "read_hdr_photo", lambda path, kind: hdr)
    photograph = image_io.read_photograph(path, gain_map=gain_map)
    np.testing.assert_array_equal(image_io.read_hdr(path), hdr)
    # ISO 21496-1 at weight -1, then the sRGB curve.
    light = (3 + 1 / 64) * 2 ** (-2 * 255 / 255) - 1 / 64
    encoded = 1.055 * light ** (1 / 2.4) - 0.055
    np.testing.assert_allclose(photograph.encoded[60, 120], encoded, rtol=1e-4)
    np.testing.assert_allclose(photograph.encoded[10, 10], 1, rtol=1e-6)
    assert (photograph.measured is None) == (gain_map == "ignore")


def test_gain_map_is_one_of_two_words(path):
    path.write_bytes(_flat_base())
    with pytest.raises(UserError, match="gain_map is 'yes'; expected one of"):
        image_io.read_photograph(path, gain_map="yes")


def _whole(tmp_path, kind) -> bytes:
    if kind == "ultra_hdr":
        return files.ultra_hdr(_ramp_base(), _ramp_gain((6, 10)), iso=_ISO, **_FIELDS)
    if kind == "xmp":
        return files.ultra_hdr(_ramp_base(), _ramp_gain((6, 10)), **_FIELDS)
    if kind == "apple":
        base = _ramp_base(exif=files.apple_exif(1.0, 1.0))
        gain = files.gain_jpeg(_ramp_gain((6, 10)), xmp=files.apple_xmp())
        return files.joined_jpegs(base, gain)
    base, gain = _coded(tmp_path, kind)
    gain[1].append(_APPLE_AUXILIARY)
    items = [base, gain, (b"tmap", [], _TMAP)]
    references = [(b"auxl", 2, [1]), (b"dimg", 3, [1, 2])]
    return files.items_file(kind.encode(), items, references)


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("kind", ["ultra_hdr", "xmp", "apple", "heic", "avif"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's own, to the user
def test_damaged_files_give_an_image_or_one_sentence(tmp_path, caplog, kind):
    whole, path = _whole(tmp_path, kind), tmp_path / "x"
    path.write_bytes(whole)
    assert image_io.read_photograph(path).gain_map == "used"
    seen = set()
    for seed in range(100):
        path.write_bytes(damaged(whole, seed))
        try:
            photograph = image_io.read_photograph(path)
            seen.add(photograph.gain_map)
        except UserError as error:
            assert "Type-check" not in str(error), seed
            seen.add("refused")
        try:
            assert np.isfinite(image_io.read_hdr(path)).all()
        except UserError as error:
            assert "Type-check" not in str(error) and "\n" not in str(error), seed
    assert "Type-check" not in caplog.text
    assert len(seen) > 1 and "refused" in seen


def test_one_denominator_for_all_numbers_is_understood():
    """Bit 3 of the flags; libultrahdr 1.4.0 decodes such a file to the same image."""
    numbers = struct.pack(">IIIiiIii", 64, 0, 128, 32, 128, 64, 1, 2)
    gain = gain_map_metadata.from_iso(b"\0\0\0\0\x08" + numbers)
    assert gain == gain_map_metadata.LogGain(
        (0.5,), (2.0,), (1.0,), (1 / 64,), (2 / 64,), 0.0, 2.0
    )
