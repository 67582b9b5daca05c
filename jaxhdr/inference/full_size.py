"""What coarse to fine does at the size of the photograph: front end, gain, white.

It works on blocks of one shape, so images of all sizes share one compiled program and
memory is bounded. Images are float32 `(h, w, 3)`.
"""

import concurrent.futures
import functools
import os
from collections.abc import Sequence
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhdr.imaging import camera, gain, noise
from jaxhdr.imaging.resampling import enlarged_part
from jaxhdr.models.front import Front, FrontContext
from jaxhdr.models.response import linearise

_BLOCK: Final = 512

# Noise is measured in this number of pixels of three rows each.
_SAMPLES: Final = 2**18

Image = Float[np.ndarray, "h w 3"]


def measured_noise(encoded: Image, context: FrontContext) -> Float[Array, " 1"] | None:
    """Returns the noise of a photograph in units of white, or None if none is asked.

    Rows are taken at equal distances, three neighbours each, and joined to one long
    image. The few pixels where two of them meet do not change a median.

    Args:
      encoded: photograph.
      context: what the front end knows of the copy; it has the camera's response.
    """
    if context.noise is None:
        return None
    height, width, _ = encoded.shape
    if min(height, width) < 3:
        return jnp.zeros(1)
    count = -(-_SAMPLES // width)
    starts = np.linspace(0, height - 3, count).astype(int)
    bands = np.concatenate([encoded[y : y + 3] for y in starts], axis=1)
    return _measure(bands[None, :, :_SAMPLES], context)


def radiance_of(encoded: Image, front: Front, context: FrontContext) -> Image:
    """Returns the radiance of a whole image of a copy's size by the front end."""
    halo = front.receptive_radius
    padded = np.pad(encoded, ((halo, halo), (halo, halo), (0, 0)), mode="edge")
    return np.asarray(_radiance(padded[None], context, front=front))


@jax.jit
def _measure(encoded: Float[Array, "1 h w 3"], context: FrontContext) -> Array:
    return noise.measure(linearise(encoded, context.slopes))


def apply_gains(
    encoded: Image,
    gains: Sequence[Sequence[gain.Gains]],
    *,
    front: Front,
    context: FrontContext,
    keep_white: bool,
    out: Float[np.ndarray, "stages h w 3"],
) -> None:
    """Computes the radiance of a photograph times the gain of each stage.

    Args:
      encoded: photograph.
      gains: for each stage, the gains of one or several copies; their mean is applied.
      front: front end of the model.
      context: what it knows of the photograph.
      keep_white: whether values that the photograph clips are at least 1.
      out: gets the result. It may be `encoded[None]` itself, which then is lost.
    """
    height, width, _ = encoded.shape
    halo = front.receptive_radius
    above = encoded[:1].repeat(halo, axis=0)
    workers = min(os.cpu_count() or 1, 8)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for top in range(0, height, _BLOCK):
            rows = slice(top, min(top + _BLOCK, height))
            strip = _strip(encoded, rows, above)
            above = encoded[rows.stop - halo : rows.stop].copy()  # before it is lost
            work = functools.partial(
                _apply_to_block,
                strip,
                gains,
                front=front,
                context=context,
                keep_white=keep_white,
                rows=rows,
                out=out,
            )
            list(pool.map(work, range(0, width, _BLOCK)))


def _strip(
    encoded: Image, rows: slice, above: Float[np.ndarray, "halo w 3"]
) -> Float[np.ndarray, "_ _ 3"]:
    """Returns `_BLOCK` rows with a halo; beyond the image its border is repeated.

    Args:
      encoded: photograph, whose rows before these may be lost.
      rows: the rows.
      above: the halo above them.
    """
    halo = len(above)
    height, width, _ = encoded.shape
    below = np.arange(rows.start, rows.start + _BLOCK + halo).clip(max=height - 1)
    across = -(-width // _BLOCK) * _BLOCK
    strip = np.concatenate([above, encoded[below]])
    return np.pad(strip, ((0, 0), (halo, across - width + halo), (0, 0)), mode="edge")


def _apply_to_block(
    strip: Float[np.ndarray, "_ _ 3"],
    gains: Sequence[Sequence[gain.Gains]],
    left: int,
    *,
    front: Front,
    context: FrontContext,
    keep_white: bool,
    rows: slice,
    out: Float[np.ndarray, "stages h w 3"],
) -> None:
    """Computes one block of all stages; `left` is its first column."""
    halo = front.receptive_radius
    columns = slice(left, min(left + _BLOCK, out.shape[2]))
    size = (rows.stop - rows.start, columns.stop - columns.start)
    seen = strip[:, left : left + _BLOCK + 2 * halo]
    radiance = np.asarray(_radiance(seen[None], context, front=front))
    radiance = radiance[: size[0], : size[1]]
    values = seen[halo:, halo:][: size[0], : size[1]]
    is_clipped = values >= camera.CLIPPED_CODE
    whole = out.shape[1], out.shape[2]
    for stage, copies in zip(out, gains, strict=True):
        stops = np.zeros_like(radiance)
        for clipped, unclipped in copies:
            of_copy = enlarged_part(unclipped, whole, rows, columns)
            if is_clipped.any():
                inside = enlarged_part(clipped, whole, rows, columns)
                of_copy = np.where(is_clipped, inside, of_copy)
            stops += of_copy
        hdr = (radiance + gain.DARK) * np.exp2(stops / len(copies)) - gain.DARK
        floor = np.where(values >= 1, np.float32(keep_white), np.float32(0))
        stage[rows, columns] = np.maximum(hdr, floor)


@functools.partial(jax.jit, static_argnames="front")
def _radiance(
    encoded: Float[Array, "1 h w 3"], context: FrontContext, *, front: Front
) -> Float[Array, "_ _ 3"]:
    halo = front.receptive_radius
    radiance: Any = front.apply({}, encoded, context)
    height, width = encoded.shape[1:3]
    return radiance[0, halo : height - halo, halo : width - halo]
