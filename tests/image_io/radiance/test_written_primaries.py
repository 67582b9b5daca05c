"""Radiance in other primaries, as the file states them.

The matrices are those of colour-science 0.4.7, `matrix_RGB_to_RGB(BT.709, NAME,
"Bradford")` with `use_derived_transformation_matrices(True)` for both spaces. The
colorants are those of the profiles that `tests/made_photos.py` names.
"""

import io

import numpy as np
import OpenImageIO as oiio
import pytest
import tifffile
from PIL import ImageCms

from jaxhdr import image_io
from jaxhdr.image_io.colour import linear_profile, matrix_profile, primaries
from jaxhdr.options import PRIMARIES
from tests import made_photos

FROM_BT709 = {
    "bt709": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "p3": (
        (0.8224619687, 0.1775380313, 0.0),
        (0.0331941989, 0.9668058011, 0.0),
        (0.0170826307, 0.0723974407, 0.9105199286),
    ),
    "rec2020": (
        (0.6274038959, 0.3292830384, 0.0433130657),
        (0.0690972894, 0.9195403951, 0.0113623156),
        (0.0163914389, 0.0880133079, 0.8955952532),
    ),
    "acescg": (
        (0.6130974024, 0.3395231462, 0.0473794514),
        (0.0701937225, 0.9163538791, 0.0134523985),
        (0.0206155929, 0.1095697729, 0.8698146342),
    ),
    "ap0": (
        (0.4396329819, 0.3829886982, 0.1773783199),
        (0.089776443, 0.8134394287, 0.0967841283),
        (0.0175411704, 0.1115465533, 0.8709122763),
    ),
}
# SMPTE ST 2065-1 and S-2014-004 (ACEScg); the others are of H.273, tables 2.
CHROMATICITIES = {
    "bt709": (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329),
    "p3": (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329),
    "rec2020": (0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.329),
    "acescg": (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767),
    "ap0": (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767),
}


@pytest.fixture
def hdr() -> np.ndarray:
    rng = np.random.default_rng(0)
    hdr = rng.lognormal(0, 2, (20, 30, 3)).astype(np.float32)
    hdr[0, :3] = np.eye(3)
    return hdr


def stored(path) -> tuple[np.ndarray, oiio.ImageSpec]:
    source = oiio.ImageInput.open(str(path))
    spec = source.spec()
    pixels = source.read_image("float").reshape(spec.height, spec.width, 3)
    source.close()
    return pixels, spec


def test_every_name_has_its_golden_numbers():
    assert set(PRIMARIES) == set(primaries.NAMED) == set(FROM_BT709)


@pytest.mark.parametrize("name", PRIMARIES)
@pytest.mark.parametrize("suffix", [".exr", ".tif"])
def test_pixels_are_converted_and_read_back(tmp_path, hdr, name, suffix):
    path = tmp_path / f"x{suffix}"
    image_io.write_hdr(path, hdr, half=False, primaries=name)
    pixels, _ = stored(path)
    expected = hdr @ np.array(FROM_BT709[name], np.float32).T
    np.testing.assert_allclose(pixels, expected, rtol=1e-5, atol=1e-6)
    back = image_io.read_hdr(path, negative="keep")
    brightest = hdr.max(axis=2, keepdims=True)
    # A profile has numbers of 16 bits after the point.
    tolerance = 1e-4 if suffix == ".tif" else 1e-6
    assert np.abs((back - hdr) / brightest).max() < tolerance


@pytest.mark.parametrize("name", PRIMARIES)
def test_an_exr_states_its_primaries(tmp_path, hdr, name):
    image_io.write_hdr(tmp_path / "x.exr", hdr, primaries=name)
    _, spec = stored(tmp_path / "x.exr")
    np.testing.assert_allclose(
        spec.getattribute("chromaticities"), CHROMATICITIES[name], atol=1e-7
    )
    # SMPTE ST 2065-4 forbids compression in an ACES container.
    assert b"acesImageContainerFlag" not in (tmp_path / "x.exr").read_bytes()


def test_colours_between_primaries_survive_half_precision(tmp_path, hdr):
    image_io.write_hdr(tmp_path / "x.exr", hdr, primaries="ap0")
    back = image_io.read_hdr(tmp_path / "x.exr", negative="keep")
    assert np.abs((back - hdr) / hdr.max(axis=2, keepdims=True)).max() < 3e-3


@pytest.mark.parametrize("name", PRIMARIES)
def test_a_tiff_has_a_profile_that_others_understand(tmp_path, hdr, name):
    image_io.write_hdr(tmp_path / "x.tif", hdr, primaries=name)
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        profile = file.pages[0].tags[34675].value
        assert file.pages[0].asarray().dtype == np.float32
    assert profile == linear_profile.linear_profile(name)
    read = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
    assert read.profile_description == f"jaxhdr linear {name}"
    assert (read.version, read.xcolor_space.strip()) == (4.4, "RGB")
    # LittleCMS converts the colorants to chromaticities of D50.
    white = sum(
        np.array(colorant[0])
        for colorant in (read.red_colorant, read.green_colorant, read.blue_colorant)
    )
    np.testing.assert_allclose(white, (0.9642, 1.0, 0.8249), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "colorants"),
    [
        ("bt709", made_photos.SRGB),
        ("p3", made_photos.P3),
        ("rec2020", made_photos.BT2020),
    ],
)
def test_the_colorants_are_those_of_published_profiles(name, colorants):
    parsed = matrix_profile.parse(linear_profile.linear_profile(name))
    assert parsed is not None
    np.testing.assert_allclose(parsed.to_xyz.T, colorants, atol=2e-4)
    codes = np.array([0.0, 0.25, 1.0])
    for curve in parsed.tone_curves:
        np.testing.assert_array_equal(curve(codes), codes)


def test_the_length_and_the_tags_of_a_profile_are_consistent():
    profile = linear_profile.linear_profile("ap0")
    assert int.from_bytes(profile[:4], "big") == len(profile) < 700
    assert profile[36:40] == b"acsp" and len(profile) % 4 == 0
    tags = matrix_profile.read_tags(profile)
    assert set(tags) >= {b"desc", b"cprt", b"wtpt", b"chad", b"rXYZ", b"rTRC"}
    adaptation = np.frombuffer(tags[b"chad"][8:], ">i4").reshape(3, 3) / 65536
    white = np.array([0.32168 / 0.33767, 1, (1 - 0.32168 - 0.33767) / 0.33767])
    np.testing.assert_allclose(adaptation @ white, (0.9642, 1.0, 0.8249), atol=1e-4)


def test_a_tiff_without_primaries_has_no_profile(tmp_path, hdr):
    image_io.write_hdr(tmp_path / "x.tif", hdr)
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        assert 34675 not in file.pages[0].tags
    np.testing.assert_array_equal(image_io.read_hdr(tmp_path / "x.tif"), hdr)
