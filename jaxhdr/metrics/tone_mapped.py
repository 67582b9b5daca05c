"""Scores of tone-mapped images, as a viewer sees them on a usual display.

Oh et al. (2021) average PSNR and SSIM over four styles of a commercial program. The
scores here average over the four published operators of `jaxhdr.imaging.tone_mapping`,
so they are not comparable with the paper's. Each image is mapped by its own statistics,
so a factor between the images does not change the score. Display values are
sRGB-encoded.
"""

import functools
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxhdr.imaging import color
from jaxhdr.imaging.tone_mapping import OPERATORS
from jaxhdr.metrics import pairs
from jaxhdr.metrics.pixelwise import psnr
from jaxhdr.metrics.precision import in_float32
from jaxhdr.metrics.ssim import structural_similarity

__all__ = ["tone_mapped_psnr", "tone_mapped_ssim"]


@in_float32
def tone_mapped_psnr(
    test: Float[Array, "*batch h w 3"], reference: Float[Array, "*batch h w 3"]
) -> Float[Array, "*batch"]:
    """Returns the PSNR in dB of display values, averaged over the operators."""
    return pairs.each_pair(functools.partial(_averaged, psnr), test, reference)


@in_float32
def tone_mapped_ssim(
    test: Float[Array, "*batch h w 3"], reference: Float[Array, "*batch h w 3"]
) -> Float[Array, "*batch"]:
    """Returns the SSIM of display values, averaged over the operators."""
    return pairs.each_pair(
        functools.partial(_averaged, structural_similarity), test, reference
    )


def _averaged(
    score: Callable[..., Array], pair: Float[Array, "2 h w 3"]
) -> Float[Array, ""]:
    scores = []
    for operator in OPERATORS.values():
        shown = [color.srgb_encode(operator(image)) for image in pair]
        scores.append(score(*shown, peak=1.0))
    return jnp.mean(jnp.stack(scores))
