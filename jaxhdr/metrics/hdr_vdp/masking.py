"""Visual masking, in the form that both versions of HDR-VDP share.

A pair is an axis of two: the difference of test and reference first, then the
reference. `hdr_vdp.v2` says why.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhdr.metrics.hdr_vdp import bicubic

__all__ = [
    "Band",
    "band_frequency",
    "changed",
    "from_reference",
    "mutual",
    "neighbours",
    "signed_power",
]

_CHANGED = 0.001  # relative; pixels that differ by less do not lower the quality

Band = Float[Array, "_ _ _"]  # orientation, row, column


def from_reference(images: Float[Array, "2 h w"]) -> Float[Array, "2 h w"]:
    """Returns (test - reference, reference), given (test, reference)."""
    test, reference = images
    return jnp.stack([test - reference, reference])


def changed(pair: Float[Array, "2 h w c"]) -> Float[Array, "h w"]:
    """Returns 1 where test and reference differ, and 0 elsewhere."""
    test, reference = pair
    safe = jnp.where(reference == 0, 1, reference)
    difference = jnp.abs(test - reference)
    relative = jnp.where(reference == 0, jnp.sign(difference), difference / safe)
    return jnp.any(relative > _CHANGED, axis=-1).astype(pair.dtype)


def band_frequency(index: int, pixels_per_degree: float) -> float:
    """Returns a band's frequency in cycles per degree; the finest band is number 0."""
    return pixels_per_degree / 2 / 2**index


def mutual(band: Float[Array, "orientations 2 h w"]) -> Band:
    """Returns the contrast that both images share, averaged over 3 x 3 pixels.

    Pixels outside the image count as zero.
    """
    difference, reference = band[:, 0], band[:, 1]
    weaker = jnp.minimum(jnp.abs(reference + difference), jnp.abs(reference))
    padded = jnp.pad(weaker, ((0, 0), (1, 1), (1, 1)))
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9


def neighbours(masks: list[Band], index: int) -> list[Band]:
    """Returns the masks of the finer and of the coarser band beside band `index`.

    Both have the size and the number of orientations of band `index`. The mask is zero
    where a neighbour is missing: the finest band has no finer one, and the two coarsest
    bands have no coarser one.
    """
    mask = masks[index]
    beside = []
    for other in (index - 1, index + 1):
        if other < 0 or (other > index and index >= len(masks) - 2):
            beside.append(jnp.zeros_like(mask))
            continue
        chosen = np.minimum(np.arange(len(mask)), len(masks[other]) - 1)
        resized = bicubic.resize_like(masks[other][chosen], mask)
        beside.append(jnp.maximum(resized, 0))
    return beside


def signed_power(
    x: Float[Array, "*shape"], power: float, *, gain: float = 1.0
) -> Float[Array, "*shape"]:
    """Returns gain * sign(x) * |x / gain|^power."""
    # The gradient stays finite at x = 0, where the images are equal: there the slope of
    # a power below 1 is infinite.
    size = jnp.where(x == 0, 1, jnp.abs(x / gain))
    return gain * jnp.sign(x) * size**power
