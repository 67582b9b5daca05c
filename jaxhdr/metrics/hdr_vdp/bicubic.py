"""Bicubic resizing to a given size, as MATLAB's `imresize` computes it.

Keys (1981), "Cubic Convolution Interpolation for Digital Image Processing", with
a = -1/2. When an image shrinks, the kernel is stretched by the same factor to prevent
aliasing. Beyond its edges the image is mirrored, and the edge pixels are repeated.
"""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64


def resize(
    images: Float[Array, "*batch h w"], size: tuple[int, int]
) -> Float[Array, "*batch rows columns"]:
    """Returns the images resized to `size` (rows, columns)."""
    for axis, (before, after) in enumerate(
        zip(images.shape[-2:], size, strict=True), start=-2
    ):
        if before != after:
            weights = jnp.asarray(_weights(before, after), images.dtype)
            images = _along(images, weights, axis)
    return images


def resize_like(
    images: Float[Array, "*batch h w"], other: Float[Array, "*others rows columns"]
) -> Float[Array, "*batch rows columns"]:
    """Returns the images resized to the height and width of `other`."""
    rows, columns = other.shape[-2:]
    return resize(images, (rows, columns))


def _along(images: Array, weights: Array, axis: int) -> Array:
    if axis == -1:
        return jnp.matmul(images, weights, precision="highest")
    return jnp.matmul(weights.T, images, precision="highest")


@functools.lru_cache(maxsize=64)
def _weights(before: int, after: int) -> Float64[np.ndarray, "before after"]:
    """Returns the share of each old sample in each new one."""
    shrink = min(after / before, 1.0)
    center = (np.arange(after) + 0.5) * before / after - 0.5
    reach = int(np.ceil(2 / shrink)) + 1
    neighbours = np.floor(center)[:, None] + np.arange(-reach, reach + 1)
    share = _cubic(shrink * (center[:, None] - neighbours))
    share /= share.sum(axis=1, keepdims=True)
    period = np.mod(neighbours.astype(int), 2 * before)
    sources = np.minimum(period, 2 * before - 1 - period)
    weights = np.zeros((before, after))
    np.add.at(weights, (sources, np.arange(after)[:, None]), share)
    return weights


def _cubic(distance: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    x = np.abs(distance)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
