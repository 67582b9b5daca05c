import io

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxhdr.imaging import jpeg


def textured(height, width):
    """A photograph-like image: smooth shades, edges, and luma texture; uint8."""
    random = np.random.default_rng(4)
    y, x = np.mgrid[:height, :width]
    shades = np.stack([x / width, y / height, (x + y) / (height + width)], -1)
    texture = 0.04 * random.normal(size=(height, width, 1))
    image = 0.15 + 0.6 * shades + 0.1 * (np.sin(x / 5) * np.cos(y / 7))[..., None]
    image[height // 3 : height // 2, width // 4 : width // 2] += 0.15
    return np.uint8(np.clip(image + texture, 0, 1) * 255)


def pillow_jpeg(image, quality):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=int(quality), subsampling=2)
    return np.asarray(Image.open(buffer), np.float32)


# The remaining difference comes from libjpeg's integer arithmetic, which moves some
# coefficients to the next step, and from its smoothing of the repeated chroma.
@pytest.mark.parametrize("quality", [10.0, 30.0, 60.0, 85.0, 98.0])
def test_compression_resembles_that_of_libjpeg(quality):
    image = textured(72, 104)
    theirs = pillow_jpeg(image, quality)
    ours = np.asarray(jpeg.degrade(jnp.float32(image) / 255, quality)) * 255
    difference = np.abs(ours - theirs).mean()
    compression = np.abs(theirs - image).mean()
    assert difference < 2.0
    if quality <= 60:
        assert difference < compression / 4


def test_compression_loses_less_at_higher_quality():
    image = jnp.float32(textured(64, 64)) / 255
    errors = [
        float(jnp.abs(jpeg.degrade(image, q) - image).mean()) for q in (5.0, 40.0, 95.0)
    ]
    assert errors[0] > errors[1] > errors[2] > 0


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 33, 3), (16, 1, 3)])
def test_compression_keeps_size_and_flat_colour(shape):
    decoded = jpeg.degrade(jnp.full(shape, 0.5), 90.0)
    assert decoded.shape == shape
    np.testing.assert_allclose(decoded, 0.5, atol=2 / 255)
