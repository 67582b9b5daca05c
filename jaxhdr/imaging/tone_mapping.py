"""HDR images to display: four published tone-mapping operators.

Each takes linear BT.709 radiance in any unit, scales by statistics of the image itself,
and returns linear display values in [0, 1]; the ratios of R, G and B stay, but for the
clip at 1. A factor on the radiance changes nothing.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxhdr.imaging import color
from jaxhdr.imaging.bilateral import joint_bilateral

__all__ = ["OPERATORS", "drago", "durand", "reinhard", "schlick"]

_TINY = 1e-6  # of the mean luminance: below, there is black


def reinhard(
    radiance: Float[Array, "h w 3"], *, key: float = 0.18
) -> Float[Array, "h w 3"]:
    """Reinhard et al. (2002), "Photographic Tone Reproduction": equation 4.

    Args:
      radiance: of the scene.
      key: display value of the geometric mean, before highlights are compressed; the
        brightest pixel becomes white.
    """
    luminance = _luminance(radiance)
    scaled = key * luminance / _geometric_mean(luminance)
    white = jnp.max(scaled)
    return _colored(
        radiance, luminance, scaled * (1 + scaled / white**2) / (1 + scaled)
    )


def drago(
    radiance: Float[Array, "h w 3"], *, bias: float = 0.85
) -> Float[Array, "h w 3"]:
    """Drago et al. (2003), "Adaptive Logarithmic Mapping": equation 4.

    Args:
      radiance: of the scene, which its geometric mean brings to the eye's adaptation.
      bias: how the base of the logarithm moves from 2 to 10 over the range.
    """
    luminance = _luminance(radiance)
    adapted = luminance / _geometric_mean(luminance)
    peak = jnp.max(adapted)
    base = 2 + 8 * (adapted / peak) ** (math.log(bias) / math.log(0.5))
    mapped = jnp.log1p(adapted) / jnp.log(base) / jnp.log10(1 + peak)
    return _colored(radiance, luminance, mapped)


def schlick(
    radiance: Float[Array, "h w 3"], *, slope: float = 200.0
) -> Float[Array, "h w 3"]:
    """Schlick (1994), "Quantization Techniques for High Dynamic Range Pictures".

    Args:
      radiance: of the scene.
      slope: p of the rational curve, its slope at black over that at white's end of a
        straight line.
    """
    luminance = _luminance(radiance)
    relative = luminance / jnp.max(luminance)
    mapped = slope * relative / (1 + (slope - 1) * relative)
    return _colored(radiance, luminance, mapped)


def durand(
    radiance: Float[Array, "h w 3"], *, contrast: float = 5.0
) -> Float[Array, "h w 3"]:
    """Durand and Dorsey (2002), "Fast Bilateral Filtering": a local operator.

    The large scale of log luminance is compressed, the detail kept.

    Args:
      radiance: of the scene.
      contrast: of the large scale on the display, as a ratio.
    """
    luminance = _luminance(radiance)
    logs = jnp.log10(luminance)
    # Section 5: 2 % of the image and 0.4; 16 decades are more than any photograph has.
    space = 0.02 * max(logs.shape)
    base = joint_bilateral(logs, logs, sigma_space=space, sigma_range=0.4, span=16.0)
    span = jnp.max(base) - jnp.min(base)
    factor = math.log10(contrast) / jnp.maximum(span, math.log10(contrast))
    mapped = 10 ** (factor * (base - jnp.max(base)) + logs - base)
    return _colored(radiance, luminance, mapped)


OPERATORS = {
    operator.__name__: operator for operator in (reinhard, drago, schlick, durand)
}


def _luminance(radiance: Float[Array, "h w 3"]) -> Float[Array, "h w"]:
    """Returns luminance over its mean, nowhere quite zero."""
    luminance = color.luminance(jnp.maximum(radiance, 0))
    mean = jnp.mean(luminance)
    return jnp.maximum(luminance / jnp.where(mean > 0, mean, 1), _TINY)


def _geometric_mean(luminance: Float[Array, "h w"]) -> Float[Array, ""]:
    return jnp.exp(jnp.mean(jnp.log(luminance)))


def _colored(
    radiance: Float[Array, "h w 3"],
    luminance: Float[Array, "h w"],
    mapped: Float[Array, "h w"],
) -> Float[Array, "h w 3"]:
    radiance = jnp.maximum(radiance, 0)
    mean = jnp.mean(color.luminance(radiance))
    relative = radiance / jnp.where(mean > 0, mean, 1)
    return jnp.clip(relative * (mapped / luminance)[..., None], 0, 1)
