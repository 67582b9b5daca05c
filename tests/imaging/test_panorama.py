import jax.numpy as jnp
import numpy as np
import pytest

from data_builders.hdr_images import panorama as exact
from jaxhdr.imaging import panorama
from jaxhdr.imaging.panorama import Angles

HEIGHT = 64


def directions(height=HEIGHT):
    """A panorama whose three values are 2 plus the direction of each pixel."""
    elevation = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    azimuth = (np.arange(2 * height) + 0.5) / height * np.pi
    elevation, azimuth = np.meshgrid(elevation, azimuth, indexing="ij")
    level = np.cos(elevation)
    axes = (level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation))
    return (2 + np.stack(axes, -1)).astype(np.float32)


def angles(*views):
    return Angles(*jnp.asarray(views, jnp.float32).T)


def rendered(image, *views, size=16):
    """Views in the unit of the image."""
    stacked = panorama.stack([image])
    index = jnp.zeros(len(views), jnp.int32)
    views = panorama.render(stacked, index, angles(*views), size=size)
    return np.asarray(views) * image.max() / 2**15


@pytest.mark.parametrize("yaw", [0, 1, 90, 179, 359])
@pytest.mark.parametrize("pitch", [-90, -40, 0, 30, 90])
def test_the_middle_of_a_view_shows_its_direction(yaw, pitch):
    view = rendered(directions(), (yaw, pitch, 12, 30), size=17)[0]
    yaw, pitch = np.radians([yaw, pitch])
    level = np.cos(pitch)
    expected = (level * np.cos(yaw), level * np.sin(yaw), np.sin(pitch))
    np.testing.assert_allclose(view[8, 8] - 2, expected, atol=0.01)


@pytest.mark.slow
def test_the_sides_of_a_view_are_its_field_of_view_apart():
    (view,) = rendered(directions(), (40, 0, 0, 80), size=64) - 2
    left, right = view[32, 0], view[32, -1]
    cosine = left @ right / np.linalg.norm(left) / np.linalg.norm(right)
    # The rays of the outer pixels pass half a pixel inside.
    edge = np.arctan(np.tan(np.radians(40)) * 63 / 64)
    assert np.arccos(cosine) == pytest.approx(2 * edge, abs=0.01)
    assert np.arctan2(right[1], right[0]) > np.arctan2(left[1], left[0])  # clockwise


@pytest.mark.slow
def test_roll_turns_the_camera_clockwise_and_so_the_image_back():
    (level, turned) = rendered(directions(), (0, 0, 0, 60), (0, 0, 90, 60), size=32) - 2
    np.testing.assert_allclose(turned, np.rot90(level), atol=0.01)


@pytest.mark.parametrize("view", [(30, 20, 0, 40), (300, -25, 0, 60)])
def test_magnified_views_are_those_of_the_data_set(view):
    image = np.random.default_rng(0).random((HEIGHT, 2 * HEIGHT, 3), np.float32)
    image[20, 100] = 500.0
    yaw, pitch, _, opening = view
    direction = exact.View(yaw=yaw, pitch=pitch, field_of_view=opening)
    expected = exact.render_view(image, direction, size=(64, 64))
    np.testing.assert_allclose(rendered(image, view, size=64)[0], expected, rtol=5e-3)


def test_reduced_views_keep_the_mean_radiance():
    image = np.random.default_rng(0).random((HEIGHT, 2 * HEIGHT, 3), np.float32)
    view = rendered(image, (10, 0, 0, 100), size=8)[0]
    assert view.mean() == pytest.approx(image.mean(), rel=0.05)
    assert view.std() < image.std() / 2


@pytest.mark.slow
def test_each_view_shows_its_own_panorama():
    images = [np.full((8, 16, 3), value, np.float32) for value in (1.0, 2.0)]
    images[0][0, 0], images[1][0, 0] = 4.0, 4.0
    stacked = panorama.stack(images)
    views = panorama.render(
        stacked, jnp.array([1, 0]), angles(*[(90, 0, 0, 40)] * 2), size=4
    )
    np.testing.assert_allclose(views[0], 2 * views[1])


@pytest.mark.slow
def test_black_panoramas_stay_black_and_large_ones_finite():
    assert (rendered(np.zeros((8, 16, 3), np.float32), (0, 0, 0, 60)) == 0).all()
    image = np.full((8, 16, 3), 1e-30, np.float32)
    image[2, 2] = 1e30
    assert np.isfinite(rendered(image, (0, 0, 0, 60))).all()


@pytest.mark.parametrize("shapes", [[(6, 12, 3)], [(8, 8, 3)], [(8, 16, 3), (4, 8, 3)]])
def test_what_is_no_panorama_is_refused(shapes):
    with pytest.raises(ValueError, match="expected one shape"):
        panorama.stack([np.ones(shape, np.float32) for shape in shapes])
