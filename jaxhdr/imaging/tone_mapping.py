"""Four published tone-mapping operators, which prepare HDR images for a display.

An operator takes linear BT.709 radiance in any unit and returns linear display values
in [0, 1]. It scales the radiance by statistics of the image, so a factor on the
radiance changes nothing. The ratios of R, G and B are kept, except where values clip at
1.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxhdr.imaging import color
from jaxhdr.imaging.bilateral import joint_bilateral

__all__ = ["OPERATORS", "drago", "durand", "reinhard", "schlick"]

_TINY = 1e-6  # share of the mean luminance below which pixels count as black


def reinhard(
    radiance: Float[Array, "h w 3"], *, key: float = 0.18
) -> Float[Array, "h w 3"]:
    """Returns display values by Reinhard et al. (2002), equation 4.

    The paper is "Photographic Tone Reproduction for Digital Images". The brightest
    pixel becomes white.

    Args:
      radiance: radiance of the scene.
      key: display value of the geometric mean, before highlights are compressed.
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
    """Returns display values by Drago et al. (2003), equation 4.

    The paper is "Adaptive Logarithmic Mapping For Displaying High Contrast Scenes". The
    eye is assumed to adapt to the geometric mean of the radiance.

    Args:
      radiance: radiance of the scene.
      bias: shape of the change of the logarithm's base from 2 at black to 10 at the
        brightest pixel, in (0, 1).
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
    """Returns display values by the rational curve of Schlick (1994).

    The paper is "Quantization Techniques for Visualization of High Dynamic Range
    Pictures".

    Args:
      radiance: radiance of the scene.
      slope: p of the curve: its slope at black, where that of a straight line from
        black to white is 1.
    """
    luminance = _luminance(radiance)
    relative = luminance / jnp.max(luminance)
    mapped = slope * relative / (1 + (slope - 1) * relative)
    return _colored(radiance, luminance, mapped)


def durand(
    radiance: Float[Array, "h w 3"], *, contrast: float = 5.0
) -> Float[Array, "h w 3"]:
    """Returns display values by the local operator of Durand and Dorsey (2002).

    The paper is "Fast Bilateral Filtering for the Display of High-Dynamic-Range
    Images". The large scale of log luminance is compressed, and the detail is kept.

    Args:
      radiance: radiance of the scene.
      contrast: contrast ratio of the large scale on the display.
    """
    luminance = _luminance(radiance)
    logs = jnp.log10(luminance)
    # Section 5 has 2 % of the image and 0.4. No photograph spans 16 decades.
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
    """Returns luminance divided by its mean, at least `_TINY`."""
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
