"""The noise of a photograph, measured in its dark pixels, and a filter for it.

Where a scene is dark the sensor's noise is stops of radiance, and a camera has the same
noise in the whole image, so the image tells how much. Its measure is the Laplacian's,
after Immerkaer (1996), "Fast Noise Variance Estimation", with the median for the mean,
which edges hardly move. The filter is that of Lee (1980), "Digital Image Enhancement
and Noise Filtering by Use of Local Statistics": where neighbours differ by no more than
noise does it takes their mean, where they differ by much more it changes nothing.

Radiance is in scale `ldr_white`, where the photograph's white is 1.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Above the darkest 1/64 of the range, noise is a small share of radiance.
_DARK = 2.0**-6

# Fewer dark values measure nothing.
_FEWEST = 64

# A large image has its noise measured in so many pixels, in rows at equal distances.
_SAMPLES = 2**18

# Radiance is not negative, so noise is cut off at black and its median is too small.
# On training views 1 is worse and 2 no better (docs/training.md).
_STRENGTH = 1.4

# Below this variance neighbours are equal but for rounding. Its square, which the
# gradient divides by, is a normal number of float32.
_NO_VARIANCE = 1e-18

_TAPS = tuple(math.exp(-(x**2) / 2) for x in range(-3, 4))  # a deviation of 1 pixel

RADIUS = len(_TAPS) // 2
"""Pixels to each side of an output pixel of `smooth` that can change it."""


def measure(radiance: Float[Array, "b h w 3"]) -> Float[Array, " b"]:
    """Returns the standard deviation of each image's noise, in units of white.

    It is 0 of an image without noise, and of one with hardly a dark pixel.
    """
    batch, height, width, _ = radiance.shape
    if min(height, width) < 3:
        return jnp.zeros(batch)
    step = max(1, (height - 2) * width // _SAMPLES)
    above, row, below = (radiance[:, i : height - 2 + i : step] for i in range(3))
    # [1, -2, 1] down and across, 36 times the variance of the noise.
    laplacian = _second_difference(above - 2 * row + below)
    mean = _three(above + row + below) / 9
    is_dark = (mean < _DARK).reshape(batch, -1)
    found = jnp.where(is_dark, jnp.abs(laplacian).reshape(batch, -1), jnp.inf)
    number = is_dark.sum(axis=-1)
    middle = jnp.maximum(number - 1, 0) // 2
    median = jnp.take_along_axis(jnp.sort(found), middle[:, None], axis=-1)[:, 0]
    deviation = median / (6 * 0.6745)  # of a normal distribution
    return jnp.where(number >= _FEWEST, deviation, 0.0)


def smooth(
    radiance: Float[Array, "b h w 3"], deviation: Float[Array, " b"]
) -> Float[Array, "b h w 3"]:
    """Returns radiance without noise of these deviations; of 0, as it is."""
    mean = _blurred(radiance)
    variance = _blurred(radiance**2) - mean**2
    noise = (_STRENGTH * deviation[:, None, None, None]) ** 2
    share = jnp.minimum(noise / jnp.maximum(variance, _NO_VARIANCE), 1)
    return radiance + share * (mean - radiance)


def _second_difference(x: Array) -> Array:
    return x[:, :, :-2] - 2 * x[:, :, 1:-1] + x[:, :, 2:]


def _three(x: Array) -> Array:
    return x[:, :, :-2] + x[:, :, 1:-1] + x[:, :, 2:]


def _blurred(x: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
    """Returns the Gaussian means around each pixel; beyond the border is its edge."""
    for axis in (1, 2):
        length = x.shape[axis]
        margin = [(RADIUS, RADIUS) if i == axis else (0, 0) for i in range(x.ndim)]
        padded = jnp.pad(x, margin, mode="edge")
        taps = (
            tap * jax.lax.slice_in_dim(padded, i, i + length, axis=axis)
            for i, tap in enumerate(_TAPS)
        )
        x = functools.reduce(jnp.add, taps) / sum(_TAPS)
    return x
