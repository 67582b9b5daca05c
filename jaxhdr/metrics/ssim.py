"""Structural similarity (SSIM).

Wang, Bovik, Sheikh and Simoncelli (2004), "Image Quality Assessment: From Error
Visibility to Structural Similarity": Gaussian window of 11 pixels with sigma 1.5,
population (co)variances, K1 = 0.01, K2 = 0.03, only windows that lie inside the image,
mean over windows and channels. Images smaller than the window have no score (NaN).

The map is computed as 1 minus its distance from 1, from the filtered difference of the
images: equal images score exactly 1, and float32 keeps its digits near 1, where the
textbook form subtracts almost equal numbers.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhdr import color
from jaxhdr.metrics.pixelwise import max_one, mu_law_codes

__all__ = ["WINDOW", "linear_ssim", "mu_law_ssim", "structural_similarity"]

WINDOW = 11
_SIGMA = 1.5
_K1, _K2 = 0.01, 0.03


def structural_similarity(
    test: Float[Array, "*batch h w 3"],
    reference: Float[Array, "*batch h w 3"],
    *,
    peak: float,
) -> Float[Array, "*batch"]:
    """Returns the mean SSIM over windows and channels, for values in [0, peak]."""
    *batch, height, width, _ = test.shape
    if min(height, width) < WINDOW:
        return jnp.full(batch, jnp.nan, test.dtype)
    difference = test - reference
    fields = (test, difference, test**2 + reference**2, difference**2)
    # One filter call for all: it compiles 2 to 6 times faster than four calls do.
    means = jnp.split(_window_mean(jnp.concatenate(fields, axis=-1)), 4, axis=-1)
    mean_test, mean_difference, squares, squared_difference = means
    mean_squares = mean_test**2 + (mean_test - mean_difference) ** 2
    variances = squares - mean_squares
    variance_of_difference = squared_difference - mean_difference**2
    luminance = mean_difference**2 / (mean_squares + (_K1 * peak) ** 2)
    contrast = jnp.maximum(variance_of_difference, 0) / (
        jnp.maximum(variances, 0) + (_K2 * peak) ** 2
    )
    return jnp.mean((1 - luminance) * (1 - contrast), axis=(-3, -2, -1))


def linear_ssim(
    test: Float[Array, "*batch h w 3"], reference: Float[Array, "*batch h w 3"]
) -> Float[Array, "*batch"]:
    """Returns the SSIM of linear radiance, after `max_one`."""
    return structural_similarity(*max_one(test, reference), peak=1.0)


def mu_law_ssim(
    test: Float[Array, "*batch h w 3"],
    reference: Float[Array, "*batch h w 3"],
    *,
    mu: float = color.MU,
) -> Float[Array, "*batch"]:
    """Returns the SSIM of mu-law codes, after `max_one`."""
    return structural_similarity(*mu_law_codes(test, reference, mu=mu), peak=1.0)


def _window_mean(image: Array) -> Array:
    """Returns the Gaussian mean of each whole window: 10 pixels fewer each way."""
    offset = np.arange(WINDOW) - WINDOW // 2
    taps = np.exp(-0.5 * (offset / _SIGMA) ** 2)
    taps = (taps / taps.sum()).tolist()
    for axis in (-3, -2):
        size = image.shape[axis] - WINDOW + 1
        # Sums of slices fuse; XLA's convolution took 7 to 12 times as long on a CPU.
        shifted = (
            tap * jax.lax.slice_in_dim(image, start, start + size, axis=axis)
            for start, tap in enumerate(taps)
        )
        image = sum(shifted, start=jnp.zeros((), image.dtype))
    return image
