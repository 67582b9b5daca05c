"""Local region maps: an image in bands of brightness (Oh et al. 2021, Eq. 1).

With C the cumulative histogram of one channel of one image, region n of N holds the
values v with 1 - n/N < C(v) <= 1 - (n-1)/N: the brightest N-th of the pixels is
region 1, at index 0, and the darkest region N. The printed equation is lost; this is
its reconstruction from the text and figures, and two options cover what they leave
open. Both change only where pixels are equal or counts hit a multiple of 1/N:

* `ties`: which C a value of many equal pixels has. "brighter", the default, is the
  share of pixels <= v, the usual cumulative histogram: clipped pixels are in region 1
  whatever their number. "darker" is the share < v: black pixels are in region N.
  "middle" is the mean of the two.
* `closed`: which end of its interval a region holds, "upper" (as above) or "lower".

Regions are stored as their edges, shape (N - 1, c), so that those of a whole image
apply to any part of it. Edges are in the unit of the values: `encoded` in [0, 1], or
for `sorted_edges` any finite value. Images have fewer than 2**30 pixels.
"""

import jax
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
    "sorted_edges",
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
    """Returns the edges between regions, by a histogram of the 256 8-bit codes.

    Exact for 8-bit images. Edges lie half-way between codes, so any other value counts
    by its nearest code. They carry no gradient.

    Raises:
      UserError: an option is not one of those above, or `num_regions` is below 1.
    """
    size = encoded.shape[-3] * encoded.shape[-2]
    thresholds = _thresholds(size, num_regions, closed)
    counts = _histogram(encoded)
    upto = jnp.cumsum(counts, axis=-2)
    ranks = _ranks(upto - counts, upto, ties)
    first_brighter = _count_up_to(ranks, thresholds)
    return (first_brighter.astype(encoded.dtype) - 0.5) / (_CODES - 1)


def sorted_edges(
    values: Float[Array, "*batch h w c"],
    *,
    num_regions: int = 5,
    ties: str = "brighter",
    closed: str = "upper",
) -> Float[Array, "*batch regions_minus_1 c"]:
    """Returns the edges between regions of finite values of any range, by sorting.

    An edge is the smallest value on its brighter side, infinite if there is none;
    equal values are ties. Edges carry no gradient.

    Raises:
      UserError: an option is not one of those above, or `num_regions` is below 1.
    """
    *batch, height, width, channels = values.shape
    size = height * width
    thresholds = _thresholds(size, num_regions, closed)
    rising = jnp.sort(
        jax.lax.stop_gradient(values).reshape(*batch, size, channels), axis=-2
    )
    ranks = _ranks(*_runs(rising), ties)
    first_brighter = _count_up_to(ranks, thresholds)
    end = jnp.full_like(rising, jnp.inf, shape=(*batch, 1, channels))
    padded = jnp.concatenate([rising, end], axis=-2)
    return jnp.take_along_axis(padded, first_brighter, axis=-2)


def region_index(
    values: Float[Array, "*batch h w c"],
    edges: Float[Array, "*batch regions_minus_1 c"],
) -> Int[Array, "*batch h w c"]:
    """Returns the region of each value, 0 the brightest: how many edges lie above it.

    `values` may be any part of the image that `edges` were made of.
    """
    above = values[..., None, :, :, :] < edges[..., :, None, None, :]
    return above.sum(axis=-4, dtype=jnp.int32)


def region_maps(
    values: Float[Array, "*batch h w c"],
    edges: Float[Array, "*batch regions_minus_1 c"],
) -> Float[Array, "regions *batch h w c"]:
    """Returns one map a region, brightest first: its values, zero outside it.

    The maps sum to `values`, and pass the gradient on to them.
    """
    index = region_index(values, edges)
    num_regions = edges.shape[-2] + 1
    return jnp.stack([jnp.where(index == n, values, 0) for n in range(num_regions)])


def _thresholds(size: int, num_regions: int, closed: str) -> Int[np.ndarray, " edges"]:
    """Returns the highest doubled rank on the darker side of each edge.

    Twice size * (1 - n/N), rounded: a comparison of whole numbers that is as exact as
    one of fractions. Doubled, because the ranks of "middle" are halves.
    """
    if num_regions < 1:
        raise UserError(f"num_regions is {num_regions}; expected at least 1")
    if closed not in CLOSED:
        raise UserError(f"closed is {closed!r}; expected one of {list(CLOSED)}")
    # Lower: one less than the least whole number that is not below the fraction.
    less = 0 if closed == "upper" else 1
    doubled = [2 * size * (num_regions - n) for n in range(1, num_regions)]
    return np.array([(x - less) // num_regions for x in doubled], np.int32)


def _histogram(encoded: Float[Array, "*batch h w c"]) -> Int[Array, "*batch 256 c"]:
    """Returns how many pixels of each channel have each code."""
    # One flat scatter-add: three times as fast on a CPU as one with three indices.
    *batch, height, width, channels = encoded.shape
    pixels = encoded.reshape(-1, height * width, channels)
    codes = jnp.round(jnp.clip(pixels, 0, 1) * (_CODES - 1)).astype(jnp.int32)
    rows = jnp.arange(pixels.shape[0] * channels).reshape(-1, 1, channels)
    counts = jnp.zeros(rows.size * _CODES, jnp.int32)
    places = (codes + _CODES * rows).reshape(-1)
    counts = counts.at[places].add(1, mode="promise_in_bounds")
    return counts.reshape(*batch, channels, _CODES).swapaxes(-1, -2)


def _runs(
    rising: Float[Array, "*batch size c"],
) -> tuple[Int[Array, "*batch size c"], Int[Array, "*batch size c"]]:
    """Returns how many sorted values are below each, and how many up to it."""
    axis, size = rising.ndim - 2, rising.shape[-2]
    place = jax.lax.broadcasted_iota(jnp.int32, rising.shape, axis)
    new = jnp.diff(rising, axis=axis) != 0
    edge = jnp.ones_like(new, shape=(*rising.shape[:-2], 1, rising.shape[-1]))
    first = jnp.concatenate([edge, new], axis=axis)
    last = jnp.concatenate([new, edge], axis=axis)
    below = jax.lax.cummax(jnp.where(first, place, 0), axis=axis)
    upto = jnp.where(last, place + 1, size)
    return below, jax.lax.cummin(upto, axis=axis, reverse=True)


def _ranks(
    below: Int[Array, "*batch values c"], upto: Int[Array, "*batch values c"], ties: str
) -> Int[Array, "*batch values c"]:
    """Returns the doubled count of pixels that C(v) stands for."""
    if ties not in TIES:
        raise UserError(f"ties is {ties!r}; expected one of {list(TIES)}")
    return {"brighter": 2 * upto, "darker": 2 * below, "middle": below + upto}[ties]


def _count_up_to(
    ranks: Int[Array, "*batch values c"], thresholds: Int[np.ndarray, " edges"]
) -> Int[Array, "*batch edges c"]:
    """Returns how many of the rising values are on the darker side of each edge."""
    highest = thresholds.reshape(*(1 for _ in ranks.shape[:-2]), -1, 1, 1)
    darker = ranks[..., None, :, :] <= highest
    return darker.sum(axis=-2, dtype=jnp.int32)
