"""Local region maps: an image in bands of brightness (Oh et al. 2021, Eq. 1).

Let C be the cumulative histogram of one channel of one image. Region n of N holds the
values v with 1 - n/N < C(v) <= 1 - (n-1)/N. The brightest N-th of the pixels is region
1, at index 0, and the darkest N-th is region N. The printed equation is lost; this one
is reconstructed from the text and figures, and two options of `histogram_edges` cover
what they leave open. The options matter only where pixels are equal or where counts hit
a multiple of 1/N. The models use the defaults; the other values are for study:

* `ties`: C of a value that many pixels share. "brighter", the default, is the share of
  pixels <= v, the usual cumulative histogram: clipped pixels are always in region 1.
  "darker" is the share of pixels < v: black pixels are always in region N. "middle" is
  the mean of the two.
* `closed`: the end of its interval that a region includes, "upper" (as above, the
  default) or "lower".

Regions are stored as their edges, shape (N - 1, c), so that the edges of a whole image
apply to any part of it. Edges have the unit of `encoded`, in [0, 1]. Images have fewer
than 2**30 pixels.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxhdr.errors import UserError

__all__ = [
    "CLOSED",
    "TIES",
    "histogram_edges",
    "region_index",
    "region_maps",
]

TIES = ("brighter", "darker", "middle")
CLOSED = ("upper", "lower")

_CODES = 256


def histogram_edges(
    encoded: Float[Array, "*batch h w c"],
    *,
    num_regions: int = 5,
    ties: str = "brighter",
    closed: str = "upper",
) -> Float[Array, "*batch regions_minus_1 c"]:
    """Returns the edges between regions, from a histogram of the 256 8-bit codes.

    The result is exact for 8-bit images. Edges lie half-way between codes, so any other
    value counts as its nearest code. Edges have no gradient.

    Args:
      encoded: whole images in [0, 1].
      num_regions: number of regions N.
      ties: one of `TIES`.
      closed: one of `CLOSED`.

    Raises:
      UserError: `ties` or `closed` is unknown, or `num_regions` is below 1.
    """
    size = encoded.shape[-3] * encoded.shape[-2]
    thresholds = _thresholds(size, num_regions, closed)
    counts = _histogram(encoded)
    upto = jnp.cumsum(counts, axis=-2)
    ranks = _ranks(upto - counts, upto, ties)
    first_brighter = _count_up_to(ranks, thresholds)
    return (first_brighter.astype(encoded.dtype) - 0.5) / (_CODES - 1)


def region_index(
    values: Float[Array, "*batch h w c"],
    edges: Float[Array, "*batch regions_minus_1 c"],
) -> Int[Array, "*batch h w c"]:
    """Returns the region of each value, 0 for the brightest.

    It is the number of edges above the value. `values` may be any part of the image
    that `edges` were made from.
    """
    above = values[..., None, :, :, :] < edges[..., :, None, None, :]
    return above.sum(axis=-4, dtype=jnp.int32)


def region_maps(
    values: Float[Array, "*batch h w c"],
    edges: Float[Array, "*batch regions_minus_1 c"],
) -> Float[Array, "regions *batch h w c"]:
    """Returns one map per region, brightest first: its values, and zero elsewhere.

    The sum of the maps is `values`, which also receive their gradient.
    """
    index = region_index(values, edges)
    num_regions = edges.shape[-2] + 1
    return jnp.stack([jnp.where(index == n, values, 0) for n in range(num_regions)])


def _thresholds(size: int, num_regions: int, closed: str) -> Int[np.ndarray, " edges"]:
    """Returns the highest doubled rank on the darker side of each edge.

    It is 2 * size * (1 - n/N), rounded down, so that comparing integers is as exact as
    comparing fractions. Ranks are doubled because those of "middle" may be halves.
    """
    if num_regions < 1:
        raise UserError(f"num_regions is {num_regions}; expected at least 1")
    if closed not in CLOSED:
        raise UserError(f"closed is {closed!r}; expected one of {list(CLOSED)}")
    # For "lower" it is the largest integer strictly below the fraction.
    less = 0 if closed == "upper" else 1
    doubled = [2 * size * (num_regions - n) for n in range(1, num_regions)]
    return np.array([(x - less) // num_regions for x in doubled], np.int32)


def _histogram(encoded: Float[Array, "*batch h w c"]) -> Int[Array, "*batch 256 c"]:
    """Returns how many pixels of each channel have each code."""
    # One flat scatter-add is three times as fast on a CPU as one with three indices.
    *batch, height, width, channels = encoded.shape
    pixels = encoded.reshape(-1, height * width, channels)
    codes = jnp.round(jnp.clip(pixels, 0, 1) * (_CODES - 1)).astype(jnp.int32)
    rows = jnp.arange(pixels.shape[0] * channels).reshape(-1, 1, channels)
    counts = jnp.zeros(rows.size * _CODES, jnp.int32)
    places = (codes + _CODES * rows).reshape(-1)
    counts = counts.at[places].add(1, mode="promise_in_bounds")
    return counts.reshape(*batch, channels, _CODES).swapaxes(-1, -2)


def _ranks(
    below: Int[Array, "*batch values c"], upto: Int[Array, "*batch values c"], ties: str
) -> Int[Array, "*batch values c"]:
    """Returns twice the number of pixels that C(v) counts."""
    if ties not in TIES:
        raise UserError(f"ties is {ties!r}; expected one of {list(TIES)}")
    return {"brighter": 2 * upto, "darker": 2 * below, "middle": below + upto}[ties]


def _count_up_to(
    ranks: Int[Array, "*batch values c"], thresholds: Int[np.ndarray, " edges"]
) -> Int[Array, "*batch edges c"]:
    """Returns how many of the ascending values are on the darker side of each edge."""
    highest = thresholds.reshape(*(1 for _ in ranks.shape[:-2]), -1, 1, 1)
    darker = ranks[..., None, :, :] <= highest
    return darker.sum(axis=-2, dtype=jnp.int32)
