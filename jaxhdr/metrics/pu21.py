"""Scores of PU21 codes, in which equal differences are about equally visible.

Mantiuk and Azimi (2021), "PU21: A novel perceptually uniform encoding for adapting
existing quality metrics for HDR", with the parameters `banding_glare` of the authors'
program. Images are linear BT.709 radiance in cd/m^2, as emitted by the display.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxhdr.metrics.pixelwise import psnr
from jaxhdr.metrics.precision import in_float32
from jaxhdr.metrics.ssim import WINDOW, structural_similarity

__all__ = ["pu21_code", "pu21_psnr", "pu21_ssim"]

_P1, _P2, _P3 = 0.353487901, 0.3734658629, 8.277049286e-05
_P4, _P5, _P6, _P7 = 0.9062562627, 0.09150303166, 0.9099517204, 596.3148142
_DARKEST, _BRIGHTEST = 0.005, 10_000.0  # cd/m^2; the code was fitted in this range
PEAK = 256.0  # the code of 100 cd/m^2, the white of a usual display
# These weights are from the authors' program and have more digits than BT.709's.
_LUMINANCE = (0.212656, 0.715158, 0.072186)


@in_float32
def pu21_code(light: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Returns the PU21 code, from 0 to 595, of light in cd/m^2.

    Light is clipped to [0.005, 10000] first.
    """
    power = jnp.clip(light, _DARKEST, _BRIGHTEST) ** _P4
    ratio = (_P1 + _P2 * power) / (1 + _P3 * power)
    return jnp.maximum(_P7 * (ratio**_P5 - _P6), 0)


@in_float32
def pu21_psnr(
    test: Float[Array, "*batch h w 3"], reference: Float[Array, "*batch h w 3"]
) -> Float[Array, "*batch"]:
    """Returns the PSNR in dB of the codes of R, G and B, with peak 256."""
    return psnr(*_codes(test, reference), peak=PEAK)


@in_float32
def pu21_ssim(
    test: Float[Array, "*batch h w 3"], reference: Float[Array, "*batch h w 3"]
) -> Float[Array, "*batch"]:
    """Returns the SSIM of the codes of luminance, as the authors' program computes it.

    The range is 256. Every pixel has a window, because the edges of the image are
    repeated outwards.
    """
    weights = jnp.asarray(_LUMINANCE, test.dtype)[:, None]
    test, reference = (
        jnp.matmul(image, weights, precision="highest") for image in (test, reference)
    )
    margin = WINDOW // 2
    margins = [(0, 0)] * (test.ndim - 3) + [(margin, margin)] * 2 + [(0, 0)]
    padded = (jnp.pad(x, margins, mode="edge") for x in _codes(test, reference))
    return structural_similarity(*padded, peak=PEAK)


def _codes(
    test: Float[Array, "*batch h w c"], reference: Float[Array, "*batch h w c"]
) -> tuple[Float[Array, "*batch h w c"], Float[Array, "*batch h w c"]]:
    """Returns the codes of both images; equal values get equal codes."""
    code = pu21_code(test)
    same = jax.lax.stop_gradient(code)
    return code, jnp.where(test == reference, same, pu21_code(reference))
