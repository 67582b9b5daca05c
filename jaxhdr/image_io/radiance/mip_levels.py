"""Smaller copies of an image, each half as wide and high as the one before."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float


def mip_levels(image: Float[np.ndarray, "h w c"]) -> Iterator[Float[np.ndarray, "..."]]:
    """Yields the image and its copies down to one pixel; each has the same mean.

    Sides are rounded down, as in OpenEXR with "ROUND_DOWN".
    """
    yield image
    while max(image.shape[:2]) > 1:
        image = _halved(_halved(image).swapaxes(0, 1)).swapaxes(0, 1)
        yield image


def _halved(image: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "h2 w c"]:
    """Returns the means of areas over half as many rows, rounded down.

    An area of an odd number of rows covers two rows and a part of a third.
    """
    rows = len(image)
    if rows == 1:
        return image
    half = rows // 2
    if rows % 2 == 0:
        return (image[::2] + image[1::2]) / 2
    index = np.arange(half, dtype=image.dtype)[:, None, None]
    first, third = (half - index) / rows, (index + 1) / rows
    return (
        image[:-1:2] * first
        + image[1::2] * np.float32(half / rows)
        + image[2::2] * third
    )
