import struct
import subprocess
import sys
import textwrap

import numpy as np
import OpenImageIO as oiio
import pytest
import tifffile

from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.image_io.colour import primaries
from jaxhdr.image_io.radiance.rgbe_files import round_to_rgbe


@pytest.fixture
def hdr() -> np.ndarray:
    return np.random.default_rng(0).lognormal(0, 2.5, (23, 31, 3)).astype(np.float32)


def _write_exr(path, pixels, names, **attributes) -> None:
    """Writes a foreign EXR; attributes as (type, value)."""
    height, width, channels = pixels.shape
    spec = oiio.ImageSpec(width, height, channels, "float")
    spec.channelnames = names
    for name, value in attributes.items():
        if isinstance(value, int):
            setattr(spec, name, value)
        else:
            spec.attribute(name, oiio.TypeDesc(f"float[{len(value)}]"), value)
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec) and output.write_image(pixels)
    assert output.close()


def _write_rgbe(path, header: str, *, resolution: str = "-Y 2 +X 3") -> None:
    """Writes six flat RGBE pixels whose red mantissa counts from 128."""
    pixels = b"".join(bytes([128 + i, 64, 32, 129]) for i in range(6))
    text = f"#?RADIANCE\n{header}\n\n{resolution}\n"
    path.write_bytes(text.encode() + pixels)


def _read_pfm_by_hand(path) -> np.ndarray:
    """The bottom row is first, as in Debevec's description of the format."""
    kind, size, scale, data = path.read_bytes().split(b"\n", 3)
    assert kind == b"PF"
    width, height = map(int, size.split())
    order = "<" if float(scale) < 0 else ">"
    flat = struct.unpack(f"{order}{width * height * 3}f", data)
    return np.array(flat, np.float32).reshape(height, width, 3)[::-1]


@pytest.mark.parametrize("suffix", ["exr", "npy", "pfm", "tif", "TIFF"])
def test_float_formats_keep_every_bit(tmp_path, hdr, suffix):
    hdr[0, 0] = 0.0, 1e-30, 3e38
    image_io.write_hdr(tmp_path / f"x.{suffix}", hdr, half=False)
    back = image_io.read_hdr(tmp_path / f"x.{suffix}")
    np.testing.assert_array_equal(back, hdr)
    assert back.dtype == np.float32 and back.flags.writeable


@pytest.mark.parametrize("suffix", ["exr", "hdr", "npy", "pfm", "tif"])
def test_arrays_with_gaps_are_written(tmp_path, suffix):
    planes = np.random.default_rng(0).lognormal(0, 1, (3, 8, 9)).astype(np.float32)
    path, same = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    gaps = planes.transpose(1, 2, 0)[:, ::-1]
    image_io.write_hdr(path, gaps, half=False)
    image_io.write_hdr(same, np.ascontiguousarray(gaps), half=False)
    # The bytes differ, because the header of an .exr has the time of writing.
    found, expected = image_io.read_hdr(path), image_io.read_hdr(same)
    np.testing.assert_array_equal(found, expected)


def test_other_libraries_read_our_tiff(tmp_path, hdr):
    image_io.write_hdr(tmp_path / "x.tif", hdr)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "x.tif"), hdr)


def test_half_exr_equals_numpys_rounding_and_names_its_channels(tmp_path, hdr):
    image_io.write_hdr(tmp_path / "x.exr", hdr)
    np.testing.assert_array_equal(
        image_io.read_hdr(tmp_path / "x.exr"), hdr.astype(np.float16).astype(np.float32)
    )
    source = oiio.ImageInput.open(str(tmp_path / "x.exr"))
    spec = source.spec()
    assert (spec.channelnames, str(spec.format)) == (("R", "G", "B"), "half")
    assert spec.getattribute("compression") == "zip"
    # ITU-R BT.709-6.
    expected = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)
    assert spec.getattribute("chromaticities") == pytest.approx(expected)


@pytest.mark.parametrize(("peak", "kind"), [(65504.0, "half"), (65505.0, "float")])
def test_a_value_beyond_half_makes_the_file_float(tmp_path, hdr, peak, kind):
    hdr[3, 4, 1] = peak
    image_io.write_hdr(tmp_path / "x.exr", np.minimum(hdr, peak))
    assert image_io.read_hdr(tmp_path / "x.exr").max() == peak
    assert str(oiio.ImageInput.open(str(tmp_path / "x.exr")).spec().format) == kind


def test_metadata_comes_back_from_an_exr(tmp_path, hdr):
    notes = {"scale": "ldr_white", "model": "fhdr", "software": "jaxhdr é"}
    image_io.write_hdr(tmp_path / "x.exr", hdr, metadata=notes)
    assert image_io.read_metadata(tmp_path / "x.exr") == notes
    image_io.write_hdr(tmp_path / "x.hdr", hdr, metadata=notes)
    assert image_io.read_metadata(tmp_path / "x.hdr") == {}


def test_radiance_files_are_rounded_without_bias(tmp_path, hdr):
    rng = np.random.default_rng(1)
    hdr = rng.lognormal(0, 2.5, (128, 128, 3)).astype(np.float32)
    image_io.write_hdr(tmp_path / "x.hdr", hdr)
    back = image_io.read_hdr(tmp_path / "x.hdr")
    error = (back - hdr) / hdr.max(axis=-1, keepdims=True)
    # Half a step of an 8-bit mantissa in [128, 256) is 1/256 of the brightest channel;
    # truncating writers reach 1/128 and a mean of -0.27 %.
    assert np.abs(error).max() <= 1 / 256 + 1e-6
    assert abs(error.mean()) < 2e-4
    assert (tmp_path / "x.hdr").read_bytes().startswith(b"#?R")


def test_radiance_files_hold_their_whole_range(tmp_path):
    grid = np.array([[[0, 0, 0], [1e-31, 1e-32, 0], [255.9, 255.9, 1], [3e38, 1, 0]]])
    image_io.write_hdr(tmp_path / "x.hdr", grid.astype(np.float32))
    back = image_io.read_hdr(tmp_path / "x.hdr")
    expected = np.array(
        [[[0, 0, 0], [1e-31, 1e-32, 0], [256, 256, 0], [1.69e38, 0, 0]]]
    )
    np.testing.assert_allclose(back, expected, rtol=5e-3, atol=4e-34)


def test_values_on_the_rgbe_grid_are_not_moved(hdr):
    once = round_to_rgbe(hdr)
    np.testing.assert_array_equal(round_to_rgbe(once), once)


@pytest.mark.parametrize("width", [1, 7, 8, 33000])
def test_radiance_files_of_any_width(tmp_path, width):
    hdr = np.full((2, width, 3), 0.5, np.float32)
    image_io.write_hdr(tmp_path / "x.hdr", hdr)
    np.testing.assert_array_equal(image_io.read_hdr(tmp_path / "x.hdr"), hdr)


def test_exposure_and_colorcorr_are_cumulative_and_undone(tmp_path):
    header = "FORMAT=32-bit_rle_rgbe\nEXPOSURE=2\nEXPOSURE= 4.0\nCOLORCORR=1 2 0.5"
    _write_rgbe(tmp_path / "x.hdr", header)
    stored = np.array([1.0, 0.5, 0.25])
    expected = stored / 8 / [1, 2, 0.5]
    np.testing.assert_allclose(image_io.read_hdr(tmp_path / "x.hdr")[0, 0], expected)


@pytest.mark.parametrize("header", ["EXPOSURE=0", "EXPOSURE=nan", "COLORCORR=1 2"])
def test_unusable_exposures_are_refused(tmp_path, header):
    _write_rgbe(tmp_path / "x.hdr", "FORMAT=32-bit_rle_rgbe\n" + header)
    with pytest.raises(UserError, match=header):
        image_io.read_hdr(tmp_path / "x.hdr")


@pytest.mark.parametrize(
    ("resolution", "turned"),
    [
        ("-Y 2 +X 3", lambda a: a),
        ("-Y 2 -X 3", lambda a: a[:, ::-1]),
        ("+Y 2 +X 3", lambda a: a[::-1]),
        ("+Y 2 -X 3", lambda a: a[::-1, ::-1]),
        # Scan lines follow the first axis, which is X here: three lines of two pixels.
        ("+X 3 -Y 2", lambda a: a.reshape(3, 2).T),
        ("-X 3 -Y 2", lambda a: a.reshape(3, 2).T[:, ::-1]),
        ("+X 3 +Y 2", lambda a: a.reshape(3, 2).T[::-1]),
        ("-X 3 +Y 2", lambda a: a.reshape(3, 2).T[::-1, ::-1]),
    ],
)
def test_radiance_orientations_are_applied(tmp_path, resolution, turned):
    _write_rgbe(tmp_path / "x.hdr", "FORMAT=32-bit_rle_rgbe", resolution=resolution)
    red = image_io.read_hdr(tmp_path / "x.hdr")[..., 0] * 128 - 128
    np.testing.assert_array_equal(red, turned(np.arange(6).reshape(2, 3)))


def test_xyze_is_refused(tmp_path):
    _write_rgbe(tmp_path / "x.hdr", "FORMAT=32-bit_rle_xyze")
    with pytest.raises(UserError, match="XYZE"):
        image_io.read_hdr(tmp_path / "x.hdr")


def test_pfm_is_right_side_up_for_others_and_for_us(tmp_path, hdr):
    image_io.write_hdr(tmp_path / "x.pfm", hdr)
    np.testing.assert_array_equal(_read_pfm_by_hand(tmp_path / "x.pfm"), hdr)
    body = hdr[::-1].astype(">f4").tobytes()
    (tmp_path / "big.pfm").write_bytes(b"PF\n31 23\n2.0\n" + body)
    np.testing.assert_array_equal(image_io.read_hdr(tmp_path / "big.pfm"), 2 * hdr)
    grey = hdr[::-1, :, 0].astype("<f4").tobytes()
    (tmp_path / "grey.pfm").write_bytes(b"Pf 31 23 -1.0\n" + grey)
    expected = np.repeat(hdr[..., :1], 3, axis=-1)
    np.testing.assert_array_equal(image_io.read_hdr(tmp_path / "grey.pfm"), expected)


@pytest.mark.parametrize(
    ("names", "picked"),
    [
        (("B", "G", "R"), [2, 1, 0]),
        (("A", "B", "G", "R"), [3, 2, 1]),
        (("Z", "r", "g", "b"), [1, 2, 3]),
        (("Y",), [0, 0, 0]),
        (("diffuse.B", "diffuse.G", "diffuse.R", "depth.Z"), [2, 1, 0]),
        (("R", "G", "B", "spec.R", "spec.G", "spec.B"), [0, 1, 2]),
    ],
)
def test_exr_channels_are_picked_by_name(tmp_path, names, picked):
    pixels = np.random.default_rng(2).random((3, 4, len(names)), np.float32)
    _write_exr(tmp_path / "x.exr", pixels, names)
    expected = pixels[..., picked]
    np.testing.assert_array_equal(image_io.read_hdr(tmp_path / "x.exr"), expected)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("U", "V"), "channels are U, V"),
        (
            ("a.R", "a.G", "a.B", "b.R", "b.G", "b.B"),
            r"layers \(A, B\)|layers \(a, b\)",
        ),
    ],
)
def test_exr_without_one_clear_picture_is_refused(tmp_path, names, message):
    _write_exr(tmp_path / "x.exr", np.ones((3, 4, len(names)), np.float32), names)
    with pytest.raises(UserError, match=message):
        image_io.read_hdr(tmp_path / "x.exr")


def test_exr_pixels_are_placed_in_the_display_window(tmp_path):
    pixels = np.arange(1, 37, dtype=np.float32).reshape(3, 4, 3)
    window = dict(x=-1, y=1, full_x=0, full_y=0, full_width=5, full_height=3)
    _write_exr(tmp_path / "x.exr", pixels, ("R", "G", "B"), **window)
    expected = np.zeros((3, 5, 3), np.float32)
    expected[1:3, 0:3] = pixels[0:2, 1:4]
    np.testing.assert_array_equal(image_io.read_hdr(tmp_path / "x.exr"), expected)


def test_the_first_part_with_colour_is_read(tmp_path):
    path = str(tmp_path / "x.exr")
    specs = [oiio.ImageSpec(4, 3, n, "float") for n in (1, 3)]
    specs[0].channelnames = ("Z",)
    for spec, name in zip(specs, ("depth", "beauty"), strict=True):
        spec.attribute("oiio:subimagename", name)
    output = oiio.ImageOutput.create(path)
    output.open(path, specs)
    output.write_image(np.full((3, 4, 1), 9, np.float32))
    output.open(path, specs[1], "AppendSubimage")
    output.write_image(np.full((3, 4, 3), 2, np.float32))
    output.close()
    assert (image_io.read_hdr(path) == 2).all()


def test_aces_primaries_become_bt709(tmp_path):
    ap0 = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.0770, 0.32168, 0.33767)
    pixels = np.array([[[1, 1, 1], [0.5, 0.4, 0.3]]], np.float32)
    _write_exr(tmp_path / "x.exr", pixels, ("R", "G", "B"), chromaticities=ap0)
    back = image_io.read_hdr(tmp_path / "x.exr")
    # ACES2065-1 to linear sRGB with Bradford, as in the ACES configuration of OCIO:
    # (2.5217 -1.1341 -0.3876) (-0.2765 1.3727 -0.0962) (-0.0154 -0.1530 1.1684).
    np.testing.assert_allclose(back[0, 0], 1, atol=1e-3)
    np.testing.assert_allclose(back[0, 1], [0.6909, 0.3820, 0.2816], atol=1e-3)


def test_useless_chromaticities_are_one_sentence(tmp_path):
    for xy in ((0.0,) * 8, (0.3, 0.3) * 4, (float("nan"),) * 8):
        with pytest.raises(ValueError, match="not usable"):
            primaries.to_bt709(np.ones((1, 1, 3), np.float32), xy)
        pixels = np.ones((2, 2, 3), np.float32)
        _write_exr(tmp_path / "x.exr", pixels, ("R", "G", "B"), chromaticities=xy)
        with pytest.raises(UserError, match=r"x\.exr.*not usable"):
            image_io.read_hdr(tmp_path / "x.exr")


def test_other_array_shapes_and_types_are_read(tmp_path, hdr):
    for stored in (hdr[..., 0], hdr[..., :1], hdr[..., :1].astype(np.float64)):
        np.save(tmp_path / "x.npy", stored)
        expected = np.repeat(hdr[..., :1], 3, axis=-1)
        np.testing.assert_array_equal(image_io.read_hdr(tmp_path / "x.npy"), expected)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2, 3), np.uint8), "uint8"),
        (np.zeros((2, 2, 4)), r"\(2, 2, 4\)"),
        (np.zeros(3), r"\(3,\)"),
        (np.zeros((0, 4, 3)), "no pixels"),
        (np.array([{"a": 1}]), "damaged"),
        (np.full((2, 2, 3), 1e300), "12 values .*beyond float32"),
    ],
)
def test_arrays_that_are_no_hdr_image_are_refused(tmp_path, array, message):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(UserError, match=message):
        image_io.read_hdr(tmp_path / "x.npy")


def test_negative_values_become_zero_on_both_ways(tmp_path):
    pixels = np.array([[[-1, 2, -0.5], [0, 1, 1]]], np.float32)
    _write_exr(tmp_path / "x.exr", pixels, ("R", "G", "B"))
    expected = np.maximum(pixels, 0)
    np.testing.assert_array_equal(image_io.read_hdr(tmp_path / "x.exr"), expected)
    for suffix in ("exr", "hdr", "pfm", "npy"):
        image_io.write_hdr(tmp_path / f"y.{suffix}", pixels)
        back = image_io.read_hdr(tmp_path / f"y.{suffix}")
        np.testing.assert_array_equal(back, expected)


def test_non_finite_values_are_named_or_replaced(tmp_path, hdr):
    hdr[2, 5] = np.nan, np.inf, -np.inf
    _write_exr(tmp_path / "x.exr", hdr, ("R", "G", "B"))
    with pytest.raises(UserError, match=r"3 values .* row 2, column 5, channel R"):
        image_io.read_hdr(tmp_path / "x.exr")
    back = image_io.read_hdr(tmp_path / "x.exr", non_finite="replace")
    assert back[2, 5].tolist() == [0.0, hdr[np.isfinite(hdr)].max(), 0.0]


@pytest.mark.parametrize("suffix", ["exr", "hdr", "npy", "pfm", "tif"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_non_finite_values_are_never_written(tmp_path, hdr, suffix, value):
    bad = hdr.astype(np.float64)
    bad[1, 2, 2] = value
    with pytest.raises(UserError, match=r"1 values .* row 1, column 2, channel B"):
        image_io.write_hdr(tmp_path / f"x.{suffix}", bad)
    assert list(tmp_path.iterdir()) == []


def test_imageio_reads_and_writes_through_the_plugin(tmp_path):
    """Runs in a new process, where nothing is registered yet."""
    code = """
        import io, sys
        import imageio.v3 as iio, imageio.v2, numpy as np
        import jaxhdr.image_io as ours
        hdr = np.random.default_rng(0).lognormal(0, 2, (5, 7, 3)).astype(np.float32)
        for suffix in (".exr", ".hdr", ".pfm"):
            path = sys.argv[1] + "/x" + suffix
            iio.imwrite(path, hdr)
            kind = ours.formats.detect_format(open(path, "rb").read(64))
            assert kind == suffix[1:], (suffix, kind)
            expected = ours.read_hdr(path)
            for image in (iio.imread(path), imageio.v2.imread(path)):
                assert image.dtype == np.float32 and (image == expected).all(), suffix
            assert (iio.imread(open(path, "rb").read()) == expected).all()
            data = iio.imwrite("<bytes>", hdr, extension=suffix)
            assert (iio.imread(data, extension=suffix) == expected).all()
            assert iio.improps(path).shape == (5, 7, 3)
            assert [i.shape for i in iio.imiter(path)] == [(5, 7, 3)]
        iio.imwrite(path[:-4] + ".exr", hdr, half=False, metadata={"scale": "max_one"})
        assert (iio.imread(path[:-4] + ".exr") == hdr).all()
        assert iio.immeta(path[:-4] + ".exr") == {"scale": "max_one"}
        for bad in ((hdr * 255).astype(np.uint8), hdr[None, None], hdr[..., :2]):
            try:
                iio.imwrite(sys.argv[1] + "/bad.exr", bad)
            except ours.plugin.UserError:
                continue
            raise AssertionError(bad.shape)
        photo = (hdr.clip(0, 1) * 255).astype(np.uint8)
        for suffix in (".png", ".tif", ".bmp"):
            iio.imwrite(sys.argv[1] + "/y" + suffix, photo)
            assert (iio.imread(sys.argv[1] + "/y" + suffix) == photo).all(), suffix
        data = iio.imwrite("<bytes>", photo, extension=".png")
        assert (iio.imread(data) == photo).all()
    """
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), str(tmp_path)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert not (tmp_path / "bad.exr").exists()
