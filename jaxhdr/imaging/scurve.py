"""The S-curve of Oh et al. (2021), Eq. 2-6: Reinhard's tone mapping and its inverse.

`encoded` is in [0, 1]; `hdr` is radiance >= 0 in the unit of the curve's `maximum`,
to which 1.0 expands. Maxima and whites are positive and not checked. White sets the
bend: 1 is a straight line, above it the curve is steepest at the bright end.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["Curve", "compress", "expand"]


class Curve(NamedTuple):
    """One S-curve an image: a common maximum, and a white of each channel.

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

    Eq. 5 subtracts nearly equal numbers: in float32 it keeps no digit at a white of
    2000. Here its numerator is made rational, and white multiplied in: the root is
    then at least min(white, sqrt(2)), so no gradient is infinite. The slope is
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
    with the key that takes the maximum to 1 (Oh et al. 2021, Eq. 4). Radiance above the
    maximum comes out above 1.
    """
    maximum, white = _over_pixels(curve)
    share = hdr / maximum
    return share * (white + share) / (1 + white * share)


def _over_pixels(
    curve: Curve,
) -> tuple[Float[Array, "*batch 1 1 1"], Float[Array, "*batch 1 1 3"]]:
    """Returns the maximum and the white with axes for height, width and channel."""
    return curve.maximum[..., None, None, None], curve.white[..., None, None, :]
