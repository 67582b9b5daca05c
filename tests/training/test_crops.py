import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr.errors import UserError
from jaxhdr.imaging import camera
from jaxhdr.training import crops

# Each pixel's value tells where it is: row in red, column in green.
SIDE = 20
PLACES = np.stack(
    np.broadcast_arrays(*np.ogrid[:SIDE, :SIDE], np.zeros((SIDE, SIDE))), axis=-1
).astype(np.float32)


def corners_of(encoded, crop, *, number=200):
    many = jnp.broadcast_to(encoded[None], (number, *encoded.shape))
    return np.asarray(crops.choose(jax.random.key(3), many, crop))


def test_a_part_is_what_the_image_has_at_its_corner():
    images = jnp.stack([PLACES, PLACES + 100])
    parts = crops.cut(images, jnp.array([[3, 5], [16, 0]]), 4)
    np.testing.assert_array_equal(parts[0], PLACES[3:7, 5:9])
    np.testing.assert_array_equal(parts[1], PLACES[16:20, 0:4] + 100)


@pytest.mark.parametrize("size", [1, 7, SIDE])
def test_parts_lie_inside_the_image_and_reach_all_of_it(size):
    corners = corners_of(jnp.full((SIDE, SIDE, 3), 0.5), crops.Crop(size))
    assert corners.min() == 0
    assert corners.max() == SIDE - size


def test_parts_are_drawn_around_clipped_pixels_as_often_as_wanted():
    encoded = np.full((SIDE, SIDE, 3), 0.5, np.float32)
    encoded[2, 17] = 1.0
    for share, expected in ((1.0, 1.0), (0.5, 0.5), (0.0, 0.0)):
        corners = corners_of(jnp.asarray(encoded), crops.Crop(4, share))
        rows, columns = corners.T
        holds = (rows <= 2) & (rows + 4 > 2) & (columns <= 17) & (columns + 4 > 17)
        # By chance, about one part in twelve contains the pixel.
        assert expected - 0.1 <= holds.mean() <= expected + 0.2


def test_an_image_without_clipped_pixels_is_cut_anywhere():
    encoded = jnp.full((SIDE, SIDE, 3), 0.5)
    assert not camera.is_clipped(encoded).any()
    assert len(np.unique(corners_of(encoded, crops.Crop(4, 1.0)), axis=0)) > 50


def test_the_same_key_cuts_the_same_parts():
    encoded = jnp.asarray(np.random.default_rng(0).random((3, 9, 8, 3), np.float32))
    first, again, other = (
        crops.choose(jax.random.key(seed), encoded, crops.Crop(2)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_a_part_larger_than_the_image_is_refused():
    with pytest.raises(UserError, match=r"inner crop is 21 pixels.*20 x 20"):
        corners_of(jnp.zeros((SIDE, SIDE, 3)), crops.Crop(21), number=1)
