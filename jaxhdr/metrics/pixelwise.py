"""Scores that are computed from the difference of each pixel.

Images are linear BT.709 radiance, channels last. `test` is the estimate and `reference`
the truth. Both have the same shape and the same scale; nothing here aligns them. Every
function is differentiable in `test`, also where the two images are equal. An undefined
score (no pixel counts, or the reference is black) is NaN.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxhdr.errors import check_number
from jaxhdr.imaging import color
from jaxhdr.metrics.precision import in_float32

__all__ = [
    "STOPS_FLOOR",
    "linear_psnr",
    "log2_rmse",
    "max_one",
    "mu_law_codes",
    "mu_law_psnr",
    "psnr",
]

# Radiance below 1/12.92/255 = 2^-11.7 of the LDR's white is less than the first 8-bit
# sRGB code (IEC 61966-2-1). The photograph has no information about it, so errors fade
# out below this floor.
STOPS_FLOOR = 2.0**-12
_PIXELS = (-3, -2, -1)


@in_float32
def max_one(
    test: Float[Array, "*batch h w 3"], reference: Float[Array, "*batch h w 3"]
) -> tuple[Float[Array, "*batch h w 3"], Float[Array, "*batch h w 3"]]:
    """Returns both images divided by the reference's maximum and clipped to [0, 1].

    If the reference is black, both results are NaN.
    """
    peak = jnp.max(reference, axis=_PIXELS, keepdims=True)
    scale = 1 / jnp.where(peak > 0, peak, jnp.nan)
    return jnp.clip(test * scale, 0, 1), jnp.clip(reference * scale, 0, 1)


@in_float32
def mu_law_codes(
    test: Float[Array, "*batch h w 3"],
    reference: Float[Array, "*batch h w 3"],
    *,
    mu: float,
) -> tuple[Float[Array, "*batch h w 3"], Float[Array, "*batch h w 3"]]:
    """Returns the mu-law codes of both images, after `max_one`.

    Equal values get equal codes. XLA may round two copies of the same curve
    differently, and identical images scored 155 dB because of that.
    """
    check_number("mu", mu, above=0)
    test, reference = max_one(test, reference)
    code = color.mu_law(test, mu=mu)
    same = jax.lax.stop_gradient(code)
    return code, jnp.where(test == reference, same, color.mu_law(reference, mu=mu))


@in_float32
def psnr(
    test: Float[Array, "*batch h w 3"],
    reference: Float[Array, "*batch h w 3"],
    *,
    peak: float,
) -> Float[Array, "*batch"]:
    """Returns the peak signal-to-noise ratio in dB over all values of each image.

    Equal images score infinity; their gradient is defined as zero.
    """
    check_number("peak", peak, above=0)
    error = _mean((test - reference) ** 2) / peak**2
    decibels = -10 * jnp.log10(jnp.where(error == 0, 1, error))
    return jnp.where(error == 0, jnp.inf, decibels)


@in_float32
def linear_psnr(
    test: Float[Array, "*batch h w 3"], reference: Float[Array, "*batch h w 3"]
) -> Float[Array, "*batch"]:
    """Returns the PSNR in dB of linear radiance, after `max_one`."""
    return psnr(*max_one(test, reference), peak=1.0)


@in_float32
def mu_law_psnr(
    test: Float[Array, "*batch h w 3"],
    reference: Float[Array, "*batch h w 3"],
    *,
    mu: float = color.MU,
) -> Float[Array, "*batch"]:
    """Returns the PSNR in dB of mu-law codes, after `max_one`.

    The curve and mu = 5000 are from Kalantari and Ramamoorthi (2017), "Deep High
    Dynamic Range Imaging of Dynamic Scenes".
    """
    return psnr(*mu_law_codes(test, reference, mu=mu), peak=1.0)


@in_float32
def log2_rmse(
    test: Float[Array, "*batch h w 3"],
    reference: Float[Array, "*batch h w 3"],
    *,
    mask: Bool[Array, "*batch h w 1"] | None = None,
    floor: float = STOPS_FLOOR,
) -> Float[Array, "*batch"]:
    """Returns the root-mean-square difference of log2(radiance + floor), in stops.

    Images have the scale `ldr_white`. Negative radiance counts as 0.

    Args:
      test: the estimate.
      reference: the truth.
      mask: the pixels that count; by default, all of them.
      floor: radiance that is added to both images before the logarithm.
    """
    check_number("floor", floor, least=0)
    stops = jnp.log2(jnp.maximum(test, 0) + floor)
    stops -= jnp.log2(jnp.maximum(reference, 0) + floor)
    stops = jnp.where(test == reference, 0, stops)  # see `mu_law_codes`
    square = jnp.mean(stops**2, axis=-1, keepdims=True)
    if mask is None:
        share, total = 1.0, _mean(square)
    else:
        share = _mean(mask.astype(square.dtype))
        total = _mean(jnp.where(mask, square, 0))
    mean = total / jnp.where(share == 0, jnp.nan, share)
    return jnp.where(mean == 0, 0, jnp.sqrt(jnp.where(mean == 0, 1, mean)))


def _mean(values: Array) -> Array:
    return jnp.mean(values, axis=_PIXELS)
