"""Tiles and smaller copies in OpenEXR, as OpenImageIO reads them."""

import numpy as np
import OpenImageIO as oiio
import pytest

from jaxhdr import image_io
from jaxhdr.errors import UserError

CAMERA = image_io.CameraExif(model="a camera")


@pytest.fixture
def hdr() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.lognormal(0, 2, (101, 150, 3)).astype(np.float32)


def levels_of(path) -> list[np.ndarray]:
    source = oiio.ImageInput.open(str(path))
    levels = []
    while source.seek_subimage(0, len(levels)):
        spec = source.spec()
        assert (spec.tile_width, spec.tile_height) == (64, 64)
        pixels = source.read_image(0, len(levels), 0, 3, "float")
        levels.append(pixels.reshape(spec.height, spec.width, 3))
    source.close()
    return levels


def test_tiles_hold_the_same_pixels(tmp_path, hdr):
    path = tmp_path / "x.exr"
    image_io.write_tiled_exr(
        path, hdr, half=False, metadata={"scale": "s"}, exif=CAMERA
    )
    (level,) = levels_of(path)
    np.testing.assert_array_equal(level, hdr)
    np.testing.assert_array_equal(image_io.read_hdr(path), hdr)
    assert image_io.read_metadata(path) == {"scale": "s"}
    assert b"cameraModel" in path.read_bytes()


def test_levels_halve_and_keep_the_mean(tmp_path, hdr):
    path = tmp_path / "x.exr"
    image_io.write_tiled_exr(path, hdr, mipmap=True, half=False)
    levels = levels_of(path)
    sizes = [level.shape[:2] for level in levels]
    # OpenEXR, "ROUND_DOWN": half of each side, at least 1, until one pixel is left.
    assert sizes == [
        (101, 150), (50, 75), (25, 37), (12, 18), (6, 9), (3, 4), (1, 2), (1, 1)
    ]  # fmt: skip
    for level in levels:
        np.testing.assert_allclose(
            level.mean((0, 1)), hdr.mean((0, 1), dtype=np.float64), rtol=1e-5
        )
    np.testing.assert_array_equal(image_io.read_hdr(path), hdr)


def test_a_level_of_even_sides_is_the_mean_of_four_pixels(tmp_path):
    hdr = np.random.default_rng(1).random((64, 128, 3), np.float32)
    image_io.write_tiled_exr(tmp_path / "x.exr", hdr, mipmap=True, half=False)
    expected = hdr.reshape(32, 2, 64, 2, 3).mean((1, 3))
    np.testing.assert_allclose(levels_of(tmp_path / "x.exr")[1], expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (70, 1), (2, 2)])
def test_any_size_has_levels(tmp_path, shape):
    hdr = np.random.default_rng(1).random((*shape, 3), np.float32)
    image_io.write_tiled_exr(tmp_path / "x.exr", hdr, mipmap=True, half=False)
    assert levels_of(tmp_path / "x.exr")[-1].shape == (1, 1, 3)
    np.testing.assert_array_equal(image_io.read_hdr(tmp_path / "x.exr"), hdr)


def test_primaries_and_half_floats_are_those_of_other_files(tmp_path, hdr):
    image_io.write_tiled_exr(tmp_path / "x.exr", hdr, primaries="ap0")
    image_io.write_hdr(tmp_path / "y.exr", hdr, primaries="ap0")
    x, y = (image_io.read_hdr(tmp_path / f"{name}.exr") for name in "xy")
    np.testing.assert_array_equal(x, y)


def test_only_exr_has_tiles(tmp_path, hdr):
    with pytest.raises(UserError, match=r"x\.tif in tiles: .*\.exr has tiles"):
        image_io.write_tiled_exr(tmp_path / "x.tif", hdr)
    with pytest.raises(UserError, match="NaN"):
        image_io.write_tiled_exr(tmp_path / "x.exr", hdr * np.nan)
    assert not list(tmp_path.iterdir())
