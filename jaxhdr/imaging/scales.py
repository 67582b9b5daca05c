"""Converts between scales of radiance, and aligns estimates to their photograph.

`hdr` and estimates are linear BT.709 radiance >= 0; `encoded` is display-encoded in
[0, 1]. In `ldr_white` 1.0 is the radiance that just clips the photograph. In
`mean_half` the mean of an image is 0.5 (Oh et al. 2021, section 3.1). In `max_one` its
maximum is 1 (the data of FHDR's official code). Factors are dimensionless.
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
"""Scale of all results of reconstruction."""

SCALES = (LDR_WHITE, "mean_half", "max_one")

# `align` handles this number of pixels at once. So its memory is bounded, and one
# compiled function serves images of all sizes.
_BLOCK = 2**20


def factor(hdr: Float[Array, "b h w 3"], scale: str) -> Float[Array, " b"]:
    """Returns the factor of each image from `ldr_white` to `scale`.

    The factor of a black image is 1.

    Args:
      hdr: whole images, because a patch has another mean and another maximum.
      scale: one of `SCALES`.

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
    # The reciprocal of a number below the smallest normal one may overflow.
    dark = measured < jnp.finfo(hdr.dtype).tiny
    return 1 / jnp.where(dark, 1.0, measured)


def align(
    estimate: Float[np.ndarray, "h w 3"], encoded: Float[np.ndarray, "_h _w 3"]
) -> float:
    """Returns the factor that brings `estimate`, of unknown scale, to `ldr_white`.

    It is the median of the ratio of the photograph's linearised luminance to that of
    the estimate, over the unclipped pixels of the photograph `encoded`. Luminance is
    used so that one factor keeps the estimate's colours, and so that noise and errors
    in dark channels, which one hardly sees, weigh little. The median is used because up
    to half of the pixels may be wrong by any amount: the camera's response may not be
    sRGB, and errors of an estimate grow towards black and white.

    Only pixels with positive and finite luminance in both images count. If all of them
    are clipped, the clipped ones are used, which sets the estimate near white. If no
    pixel counts (a black image), the factor is 1.

    Raises:
      UserError: the images differ in size.
    """
    if estimate.shape != encoded.shape or estimate.shape[-1:] != (3,):
        raise UserError(
            f"the estimate has shape {estimate.shape}, the photograph {encoded.shape}; "
            "expected one (height, width, 3) for both; pass the photograph that the "
            "estimate was made from"
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
    """Returns the factor of each stage from `scale` to `ldr_white`.

    The factors are 1 in scale `ldr_white`; otherwise each stage is aligned to the
    photograph by `align`.

    Args:
      stages: estimates of a whole image, in the model's own scale.
      encoded: photograph.
      scale: scale of the model, one of `SCALES`.
    """
    if scale == LDR_WHITE:
        return np.ones(len(stages), np.float32)
    return np.array([align(stage, encoded) for stage in stages], np.float32)


def alignment_note(scale: str) -> str:
    """Returns a description of how estimates in `scale` are aligned, or ""."""
    if scale == LDR_WHITE:
        return ""
    return (
        "median ratio to the linearised photograph on unclipped pixels; the model's "
        f"own scale is {scale}"
    )


def _blocks(image: Float[np.ndarray, "h w 3"]) -> Iterator[Float[np.ndarray, "1 n 3"]]:
    """Yields the pixels in blocks of one size, the last padded with black."""
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
