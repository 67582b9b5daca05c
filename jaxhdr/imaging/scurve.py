"""The S-curve of Oh et al. (2021), Eq. 2-6: Reinhard's tone mapping and its inverse.

`encoded` is in [0, 1], and 1.0 expands to the curve's `maximum`. `hdr` is radiance >= 0
in the unit of `maximum`. Maxima and whites must be positive, which is not checked.
White sets the bend: at 1 the curve is a straight line, above 1 it is steepest at the
bright end.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["Curve", "compress", "expand"]


class Curve(NamedTuple):
    """One S-curve per image: one maximum, and a white per channel.

    Attributes:
      maximum: L'max, the radiance of encoded 1.0, > 0.
      white: Rwhite, Gwhite and Bwhite, dimensionless, > 0.
    """

    maximum: Float[Array, "*batch"]
    white: Float[Array, "*batch 3"]


def expand(
    encoded: Float[Array, "*batch h w 3"], curve: Curve
) -> Float[Array, "*batch h w 3"]:
    """Returns the radiance of encoded values in [0, 1] (Oh et al. 2021, Eq. 6).

    Eq. 5 subtracts nearly equal numbers, and in float32 no digit is left at a white of
    2000. So its numerator is rationalised here and multiplied by white. The root is
    then at least min(white, sqrt(2)), and no gradient is infinite. The slope is
    maximum / white at 0 and maximum (1 + white) / 2 at 1.
    """
    maximum, white = _over_pixels(curve)
    bend = white * (1 - encoded)
    return 2 * maximum * encoded / (bend + jnp.sqrt(bend**2 + 4 * encoded))


def compress(
    hdr: Float[Array, "*batch h w 3"], curve: Curve
) -> Float[Array, "*batch h w 3"]:
    """Returns the encoded values of radiance, the inverse of `expand`.

    Reinhard et al. (2002), "Photographic Tone Reproduction for Digital Images", Eq. 4,
    with the key that maps the maximum to 1 (Oh et al. 2021, Eq. 4). Radiance above the
    maximum is mapped above 1.
    """
    maximum, white = _over_pixels(curve)
    share = hdr / maximum
    return share * (white + share) / (1 + white * share)


def _over_pixels(
    curve: Curve,
) -> tuple[Float[Array, "*batch 1 1 1"], Float[Array, "*batch 1 1 3"]]:
    """Returns the maximum and the white with axes for height, width and channel."""
    return curve.maximum[..., None, None, None], curve.white[..., None, None, :]
