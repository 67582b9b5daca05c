"""Scales of radiance: from one to another, and back to that of the photograph.

`hdr` and estimates are linear BT.709 radiance >= 0; `encoded` is display-encoded in
[0, 1]. In `ldr_white` 1.0 is the radiance that just clips the photograph; in
`mean_half` the mean of an image is 0.5 (Oh et al. 2021, section 3.1); in `max_one` its
maximum is 1 (the data of FHDR's official code). A factor is dimensionless.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxhdr.errors import UserError
from jaxhdr.imaging import camera, color

__all__ = [
    "LDR_WHITE",
    "SCALES",
    "align",
    "alignment_factors",
    "alignment_note",
    "factor",
]

LDR_WHITE = "ldr_white"
"""The scale of all results."""

SCALES = (LDR_WHITE, "mean_half", "max_one")

# Pixels that `align` handles at once: it bounds the memory, and one compiled function
# serves images of all sizes.
_BLOCK = 2**20


def factor(hdr: Float[Array, "b h w 3"], scale: str) -> Float[Array, " b"]:
    """Returns what each image, in `ldr_white`, is multiplied by to be in `scale`.

    The images must be whole: a patch has another mean and another maximum. The factor
    of a black image is 1.

    Raises:
      UserError: `scale` is not one of `SCALES`.
    """
    pixels = (-3, -2, -1)
    if scale == LDR_WHITE:
        return jnp.ones(hdr.shape[0], hdr.dtype)
    if scale == "mean_half":
        measured = 2 * hdr.mean(axis=pixels)
    elif scale == "max_one":
        measured = hdr.max(axis=pixels)
    else:
        raise UserError(f"scale is {scale!r}; expected one of {list(SCALES)}")
    # Below the least normal number a reciprocal may overflow.
    dark = measured < jnp.finfo(hdr.dtype).tiny
    return 1 / jnp.where(dark, 1.0, measured)


def align(
    estimate: Float[np.ndarray, "h w 3"], encoded: Float[np.ndarray, "_h _w 3"]
) -> float:
    """Returns the factor that brings `estimate`, of unknown scale, to `ldr_white`.

    It is the median, over the unclipped pixels of the photograph `encoded`, of the
    ratio of the photograph's linearised luminance to that of the estimate. Luminance,
    so that one factor keeps the estimate's colours, and noise or an error in a dark
    channel weighs as little as one sees of it. The median, because the camera's
    response is not known to be sRGB and errors of an estimate grow towards black and
    white: up to half of the pixels may be wrong by any amount.

    Only pixels with positive and finite luminance in both images count. Where none is
    unclipped, the clipped ones are taken, which sets the estimate near white; where
    none counts at all (a black image) the factor is 1.

    Raises:
      UserError: the images differ in size.
    """
    if estimate.shape != encoded.shape or estimate.shape[-1:] != (3,):
        raise UserError(
            f"the estimate has shape {estimate.shape}, the photograph {encoded.shape}; "
            "both must be one (height, width, 3): pass the photograph it was made of"
        )
    for clipped_too in (False, True):
        ratios = [
            np.asarray(_ratios(*blocks, clipped_too))
            for blocks in zip(_blocks(estimate), _blocks(encoded), strict=True)
        ]
        counted = [block[block > 0] for block in ratios]
        if sum(block.size for block in counted):
            return float(np.median(np.concatenate(counted), overwrite_input=True))
    return 1.0


def alignment_factors(
    stages: Float[np.ndarray, "stages h w 3"],
    encoded: Float[np.ndarray, "h w 3"],
    *,
    scale: str,
) -> Float[np.ndarray, " stages"]:
    """Returns what brings each stage, each on its own, from `scale` to `ldr_white`.

    Args:
      stages: estimates of a whole image in a model's own unit.
      encoded: the photograph.
      scale: the model's own, one of `SCALES`; only `ldr_white` is absolute.
    """
    if scale == LDR_WHITE:
        return np.ones(len(stages), np.float32)
    return np.array([align(stage, encoded) for stage in stages], np.float32)


def alignment_note(scale: str) -> str:
    """Returns how estimates of a model's own scale are aligned; "" if they are not."""
    if scale == LDR_WHITE:
        return ""
    return (
        "median ratio to the linearised photograph on unclipped pixels; the model's "
        f"own scale is {scale}"
    )


def _blocks(image: Float[np.ndarray, "h w 3"]) -> Iterator[Float[np.ndarray, "1 n 3"]]:
    """Yields an image's pixels in parts of one size, the last filled up with black."""
    pixels = image.reshape(1, -1, 3)
    for start in range(0, pixels.shape[1], _BLOCK):
        block = pixels[:, start : start + _BLOCK]
        missing = _BLOCK - block.shape[1]
        yield np.pad(block, ((0, 0), (0, missing), (0, 0))) if missing else block


@jax.jit
def _ratios(
    estimate: Float[Array, "1 n 3"],
    encoded: Float[Array, "1 n 3"],
    clipped_too: Bool[Array, ""] | bool,
) -> Float[Array, " n"]:
    """Returns the ratio of luminances, 0 for pixels that do not count."""
    ratios = color.luminance(color.srgb_decode(encoded)) / color.luminance(estimate)
    counted = jnp.isfinite(ratios) & (clipped_too | ~camera.is_clipped(encoded)[..., 0])
    return jnp.where(counted, ratios, 0.0)[0]
