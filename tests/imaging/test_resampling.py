import numpy as np
import pytest

from jaxhdr.imaging.resampling import enlarged_part, resized


def random_image(*size: int) -> np.ndarray:
    return np.random.default_rng(0).random((*size, 3), np.float32) * 1e4


@pytest.mark.parametrize("factors", [(1, 2), (3, 1), (2, 5)])
def test_a_smaller_image_has_the_means_of_its_areas(factors):
    image = random_image(12, 20)
    down, across = factors
    size = (12 // down, 20 // across)
    areas = image.reshape(size[0], down, size[1], across, 3)
    np.testing.assert_allclose(resized(image, size), areas.mean((1, 3)), rtol=1e-5)


def test_an_axis_that_shrinks_does_not_blur_the_one_that_grows():
    image = np.broadcast_to(random_image(8, 1), (8, 6, 3))
    result = resized(image, (16, 2))
    np.testing.assert_allclose(result[:, 0], result[:, 1], rtol=1e-5)
    np.testing.assert_allclose(result[:, :1], resized(image[:, :1], (16, 1)), rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (7, 3), (40, 40)])
@pytest.mark.parametrize("original", [(1, 1), (5, 9), (64, 2)])
def test_an_even_image_stays_even_at_any_size(original, size):
    result = resized(np.full((*original, 3), 0.3, np.float32), size)
    np.testing.assert_allclose(result, np.full((*size, 3), 0.3), rtol=1e-6)


def test_parts_fit_together_without_a_seam():
    image = random_image(5, 7)
    whole = resized(image, (50, 63))
    part = enlarged_part(image, (50, 63), slice(11, 37), slice(8, 9))
    np.testing.assert_allclose(part, whole[11:37, 8:9], rtol=1e-4, atol=1e-2)
