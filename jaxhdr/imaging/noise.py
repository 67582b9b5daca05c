"""Measures the noise of a photograph in its dark pixels, and filters it.

In dark parts of a scene, sensor noise changes radiance by stops. A camera has the same
noise in the whole image, so it can be measured there. The measure is the response to a
Laplacian (Immerkaer 1996, "Fast Noise Variance Estimation"), but with a median in place
of the mean, because edges hardly change a median. The filter is that of Lee (1980),
"Digital Image Enhancement and Noise Filtering by Use of Local Statistics": where
neighbours differ by no more than the noise, it takes their mean; where they differ by
much more, it changes nothing.

Radiance is in scale `ldr_white`, where the photograph's white is 1.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Pixels below 1/64 of white are dark; above it, noise is a small share of radiance.
_DARK = 2.0**-6

# Fewer dark values are too few to measure noise.
_FEWEST = 64

# Noise is measured in about this number of pixels of a large image, in equally spaced
# rows.
_SAMPLES = 2**18

# Radiance is not negative, so noise is cut off at black and its measured median is too
# small. This factor corrects it: on training views 1 is worse and 2 is not better
# (docs/training.md).
_STRENGTH = 1.4

# Neighbours whose variance is smaller differ by rounding only. The gradient divides by
# the square of this number, which is still a normal number of float32.
_NO_VARIANCE = 1e-18

_TAPS = tuple(math.exp(-(x**2) / 2) for x in range(-3, 4))  # deviation: 1 pixel

RADIUS = len(_TAPS) // 2
"""Largest distance in pixels at which an input of `smooth` changes an output."""


def measure(radiance: Float[Array, "b h w 3"]) -> Float[Array, " b"]:
    """Returns the standard deviation of each image's noise, in units of white.

    It is 0 for an image without noise and for one with fewer than 64 dark values.
    """
    batch, height, width, _ = radiance.shape
    if min(height, width) < 3:
        return jnp.zeros(batch)
    step = max(1, (height - 2) * width // _SAMPLES)
    above, row, below = (radiance[:, i : height - 2 + i : step] for i in range(3))
    # The filter [1, -2, 1] down and across has 36 times the variance of the noise.
    laplacian = _second_difference(above - 2 * row + below)
    mean = _three(above + row + below) / 9
    is_dark = (mean < _DARK).reshape(batch, -1)
    found = jnp.where(is_dark, jnp.abs(laplacian).reshape(batch, -1), jnp.inf)
    number = is_dark.sum(axis=-1)
    middle = jnp.maximum(number - 1, 0) // 2
    median = jnp.take_along_axis(jnp.sort(found), middle[:, None], axis=-1)[:, 0]
    deviation = median / (6 * 0.6745)  # for a normal distribution
    return jnp.where(number >= _FEWEST, deviation, 0.0)


def smooth(
    radiance: Float[Array, "b h w 3"], deviation: Float[Array, " b"]
) -> Float[Array, "b h w 3"]:
    """Returns radiance with noise of these standard deviations removed.

    A deviation of 0 changes nothing.
    """
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
    """Returns the Gaussian mean around each pixel; border pixels are repeated."""
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
