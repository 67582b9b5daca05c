"""Structural similarity (SSIM), at one scale and at several.

Wang, Bovik, Sheikh and Simoncelli (2004), "Image Quality Assessment: From Error
Visibility to Structural Similarity". The window is Gaussian, 11 pixels wide with sigma
1.5; variances and covariances are those of the population; K1 = 0.01, K2 = 0.03. Only
windows inside the image count, and the score is the mean over windows and channels. The
score of an image smaller than the window is NaN.

The map is computed as 1 minus its distance from 1, and the distance from the difference
of the images. So equal images score exactly 1, and float32 stays precise near 1, where
the textbook form subtracts almost equal numbers. Variances are means of squared
deviations, which stay precise at radiances of 1e4, where the mean square minus the
squared mean loses all digits. SSIM can therefore also serve as a loss: all gradients
are finite (reverse mode only).
"""

import functools
import operator
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhdr.errors import check_number
from jaxhdr.imaging import color
from jaxhdr.metrics.pixelwise import max_one, mu_law_codes
from jaxhdr.metrics.precision import in_float32

__all__ = [
    "WINDOW",
    "linear_ssim",
    "mu_law_multi_scale_ssim",
    "mu_law_ssim",
    "multi_scale_ssim",
    "structural_similarity",
]

WINDOW = 11
_SIGMA = 1.5
_OFFSETS = np.arange(WINDOW) - WINDOW // 2
_TAPS = np.exp(-0.5 * (_OFFSETS / _SIGMA) ** 2)
_TAPS = (_TAPS / _TAPS.sum()).tolist()
_K1, _K2 = 0.01, 0.03
# Wang, Simoncelli and Bovik (2003), "Multi-scale Structural Similarity for Image
# Quality Assessment", section 3.2: exponents from the finest scale to the coarsest.
_SCALE_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


@in_float32
def structural_similarity(
    test: Float[Array, "*batch h w c"],
    reference: Float[Array, "*batch h w c"],
    *,
    peak: float,
) -> Float[Array, "*batch"]:
    """Returns the mean SSIM over windows and channels, for values in [0, peak]."""
    check_number("peak", peak, above=0)
    *batch, height, width, _ = test.shape
    if min(height, width) < WINDOW:
        return jnp.full(batch, jnp.nan, test.dtype)
    luminance, contrast = _distances(test, reference, peak=peak)
    return jnp.mean((1 - luminance) * (1 - contrast), axis=(-2, -1))


@in_float32
def multi_scale_ssim(
    test: Float[Array, "*batch h w c"],
    reference: Float[Array, "*batch h w c"],
    *,
    peak: float,
) -> Float[Array, "*batch"]:
    """Returns the multi-scale SSIM, mean over channels, for values in [0, peak].

    Wang, Simoncelli and Bovik (2003), with five scales. Each scale has half the size of
    the one before, by averaging 2 x 2 pixels. Negative correlation at a scale counts as
    no correlation. The score of an image whose smaller side is below 176 pixels is NaN.
    """
    check_number("peak", peak, above=0)
    *batch, height, width, channels = test.shape
    last = len(_SCALE_EXPONENTS) - 1
    if min(height, width) >> last < WINDOW:
        return jnp.full(batch, jnp.nan, test.dtype)
    product = jnp.ones((*batch, channels), test.dtype)
    for scale, exponent in enumerate(_SCALE_EXPONENTS):
        luminance, contrast = _distances(test, reference, peak=peak)
        similarity = 1 - contrast
        if scale == last:
            similarity *= 1 - luminance
        by_channel = similarity.reshape(*similarity.shape[:-1], -1, channels)
        mean = jnp.mean(by_channel, axis=(-3, -2))
        # The mask keeps the gradient finite: the slope of the power is infinite at 0.
        power = jnp.where(mean > 0, mean, 1) ** exponent
        product *= jnp.where(mean > 0, power, 0)
        test, reference = _halved(test), _halved(reference)
    return jnp.mean(product, axis=-1)


def _halved(images: Float[Array, "*batch h w c"]) -> Array:
    *batch, height, width, channels = images.shape
    rows, columns = height // 2, width // 2
    whole = images[..., : 2 * rows, : 2 * columns, :]
    blocks = whole.reshape(*batch, rows, 2, columns, 2, channels)
    return jnp.mean(blocks, axis=(-4, -2))


def _distances(
    test: Float[Array, "*batch h w c"],
    reference: Float[Array, "*batch h w c"],
    *,
    peak: float,
) -> tuple[
    Float[Array, "*batch rows columns_c"], Float[Array, "*batch rows columns_c"]
]:
    """Returns 1 minus the similarity of luminance, and of contrast with structure."""
    # With s = test + reference and d = test - reference, the squares (and variances) of
    # both images sum to half of those of s and d. Columns and channels are merged,
    # because XLA's loops are fast over long rows.
    fields = jnp.stack([test + reference, test - reference])
    fields = fields.reshape(*fields.shape[:-2], -1)
    along_rows = _moments(fields, jnp.zeros_like(fields), -1, test.shape[-1])
    means, variances = _moments(*along_rows, -2, 1)
    squares = (means[0] ** 2 + means[1] ** 2) / 2
    luminance = means[1] ** 2 / (squares + (_K1 * peak) ** 2)
    contrast = variances[1] / ((variances[0] + variances[1]) / 2 + (_K2 * peak) ** 2)
    return luminance, contrast


@in_float32
def linear_ssim(
    test: Float[Array, "*batch h w 3"], reference: Float[Array, "*batch h w 3"]
) -> Float[Array, "*batch"]:
    """Returns the SSIM of linear radiance, after `max_one`."""
    return structural_similarity(*max_one(test, reference), peak=1.0)


@in_float32
def mu_law_ssim(
    test: Float[Array, "*batch h w 3"],
    reference: Float[Array, "*batch h w 3"],
    *,
    mu: float = color.MU,
) -> Float[Array, "*batch"]:
    """Returns the SSIM of mu-law codes, after `max_one`."""
    return structural_similarity(*mu_law_codes(test, reference, mu=mu), peak=1.0)


@in_float32
def mu_law_multi_scale_ssim(
    test: Float[Array, "*batch h w 3"], reference: Float[Array, "*batch h w 3"]
) -> Float[Array, "*batch"]:
    """Returns the multi-scale SSIM of mu-law codes, after `max_one`."""
    codes = mu_law_codes(test, reference, mu=color.MU)
    return multi_scale_ssim(*codes, peak=1.0)


def _two_pass(
    means: Array, variances: Array, axis: int, step: int
) -> tuple[Array, Array]:
    """Returns the mean and variance in each whole window along one axis.

    By the law of total variance, the variance in a window is the mean of its elements'
    variances plus the variance of its elements' means.

    Args:
      means: the mean of each element.
      variances: the variance of each element.
      axis: the axis along which the windows lie.
      step: distance on this axis between neighbouring elements of a window.
    """
    shifted = list(_windows(means, axis, step))
    mean = _weighted(shifted)
    squares = (
        variance + (part - mean) ** 2
        for part, variance in zip(shifted, _windows(variances, axis, step), strict=True)
    )
    return mean, _weighted(squares)


def _moments_forward(means, variances, axis, step):
    mean, variance = _two_pass(means, variances, axis, step)
    return (mean, variance), (means, mean)


def _moments_backward(axis, step, saved, cotangents):
    # Each element gathers its gradient from the windows that contain it. JAX's own
    # transposition pads and sums each slice, which took 3 to 7 times as long on a CPU.
    means, mean = saved
    margins = [(0, 0)] * means.ndim
    margins[axis] = ((WINDOW - 1) * step,) * 2
    of_mean, of_variance, mean = (
        list(_windows(jnp.pad(x, margins), axis, step)) for x in (*cotangents, mean)
    )
    to_means = (
        a + 2 * (means - center) * b
        for a, b, center in zip(of_mean, of_variance, mean, strict=True)
    )
    return _weighted(to_means), _weighted(of_variance)


_moments = jax.custom_vjp(_two_pass, nondiff_argnums=(2, 3))
_moments.defvjp(_moments_forward, _moments_backward)


def _windows(values: Array, axis: int, step: int) -> Iterable[Array]:
    """Yields the first elements of all windows, then the second ones, and so on."""
    size = values.shape[axis] - (WINDOW - 1) * step
    # XLA fuses sums of slices; its convolution took 7 to 12 times as long on a CPU.
    for start in range(0, WINDOW * step, step):
        yield jax.lax.slice_in_dim(values, start, start + size, axis=axis)


def _weighted(parts: Iterable[Array]) -> Array:
    """Returns the Gaussian mean of the parts of a window."""
    weighted = (tap * part for tap, part in zip(_TAPS, parts, strict=True))
    return functools.reduce(operator.add, weighted)
