"""Joint bilateral filter: a mean over pixels that are close and look alike.

Paris and Durand (2006), "A Fast Approximation of the Bilateral Filter using a Signal
Processing Approach"; Chen, Paris and Durand (2007), "Real-time Edge-aware Image
Processing with the Bilateral Grid". A larger filter needs fewer cells, so the time
hardly depends on its size.
"""

import itertools
import math

import jax.numpy as jnp
import numpy as np
from jax.scipy import ndimage
from jaxtyping import Array, Float

_MARGIN = 2  # cells around the image, as far as the kernel reaches
# Linear interpolation into the cells and out of them blurs too. Each adds a variance of
# 1/6 (in squared cells), so the kernel has that much less.
_KERNEL_VARIANCE = 1 - 2 / 6


def joint_bilateral(
    image: Float[Array, "h w"],
    guide: Float[Array, "h w"],
    *,
    sigma_space: float,
    sigma_range: float,
    span: float,
) -> Float[Array, "h w"]:
    """Returns the image, averaged over neighbours of similar value in the guide.

    The result is an approximation on a grid whose cells measure one sigma in space and
    in range.

    Args:
      image: image to average.
      guide: image that says which pixels are alike.
      sigma_space: standard deviation of the weight over distance, in pixels.
      sigma_range: standard deviation of the weight over differences in the guide, in
        its unit.
      span: range of the guide above its minimum; larger values count as its end.
    """
    height, width = image.shape
    row, column = jnp.mgrid[:height, :width] / sigma_space + _MARGIN
    depth = jnp.clip(guide - jnp.min(guide), 0, span) / sigma_range + _MARGIN
    sizes = ((height - 1) / sigma_space, (width - 1) / sigma_space, span / sigma_range)
    shape = tuple(math.ceil(size) + 2 * _MARGIN + 1 for size in sizes)
    position = jnp.stack([row, column, depth]).astype(image.dtype)
    grid = jnp.zeros((2, *shape), image.dtype)
    low = jnp.floor(position)
    for corner in itertools.product((0, 1), repeat=3):
        cell = low + jnp.asarray(corner, low.dtype)[:, None, None]
        share = jnp.prod(1 - jnp.abs(position - cell), axis=0)
        index = tuple(cell.astype(jnp.int32))
        grid = grid.at[0, *index].add(share * image).at[1, *index].add(share)
    for axis in (1, 2, 3):
        grid = _blurred(grid, axis)
    total, weight = (
        ndimage.map_coordinates(part, list(position), order=1) for part in grid
    )
    return total / weight


def _blurred(grid: Array, axis: int) -> Array:
    offsets = np.arange(-_MARGIN, _MARGIN + 1)
    taps = np.exp(-(offsets**2) / (2 * _KERNEL_VARIANCE))
    margins = [(0, 0)] * grid.ndim
    margins[axis] = (_MARGIN, _MARGIN)
    padded = jnp.pad(grid, margins)
    size = grid.shape[axis]
    parts = [
        float(tap) * jnp.take(padded, jnp.arange(start, start + size), axis=axis)
        for start, tap in enumerate(taps / taps.sum())
    ]
    return sum(parts[1:], start=parts[0])
