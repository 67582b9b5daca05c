"""Image quality scores of an HDR estimate against the truth.

Each score is a pure JAX function `fn(test, reference) -> one value per image` that
works under jit, vmap and grad. `METRICS` lists them by name and says what each number
means. Images of 16-bit floats are scored in float32, and integers are refused. The
functions do not check the values: both images must have the same shape and finite
values, and negative radiance counts as 0. `compare` checks its images first. An
undefined score (no pixel counts, or the image is smaller than the metric's window) is
NaN: leave NaN out of means, and report how many values a mean has.
"""

from jaxhdr.metrics.clipped_detail import (
    clipped_detail_correlation,
    clipped_detail_invented,
)
from jaxhdr.metrics.color_video_vdp import color_video_vdp
from jaxhdr.metrics.comparison import compare
from jaxhdr.metrics.display import Display
from jaxhdr.metrics.hdr_vdp.v2 import hdr_vdp2
from jaxhdr.metrics.hdr_vdp.v3 import hdr_vdp3
from jaxhdr.metrics.itp import delta_e_itp
from jaxhdr.metrics.lpips import pu21_lpips
from jaxhdr.metrics.metric import Metric
from jaxhdr.metrics.pixelwise import (
    STOPS_FLOOR,
    linear_psnr,
    log2_rmse,
    max_one,
    mu_law_psnr,
    psnr,
)
from jaxhdr.metrics.protocols import Protocol
from jaxhdr.metrics.pu21 import pu21_code, pu21_psnr, pu21_ssim
from jaxhdr.metrics.ssim import (
    linear_ssim,
    mu_law_multi_scale_ssim,
    mu_law_ssim,
    multi_scale_ssim,
    structural_similarity,
)
from jaxhdr.metrics.table import METRICS, NEEDING_PACKAGES, select
from jaxhdr.metrics.tone_mapped import tone_mapped_psnr, tone_mapped_ssim
from jaxhdr.options import ALIGNMENTS

__all__ = [
    "ALIGNMENTS",
    "METRICS",
    "NEEDING_PACKAGES",
    "STOPS_FLOOR",
    "Display",
    "Metric",
    "Protocol",
    "clipped_detail_correlation",
    "clipped_detail_invented",
    "color_video_vdp",
    "compare",
    "delta_e_itp",
    "hdr_vdp2",
    "hdr_vdp3",
    "linear_psnr",
    "linear_ssim",
    "log2_rmse",
    "max_one",
    "mu_law_multi_scale_ssim",
    "mu_law_psnr",
    "mu_law_ssim",
    "multi_scale_ssim",
    "psnr",
    "pu21_code",
    "pu21_lpips",
    "pu21_psnr",
    "pu21_ssim",
    "select",
    "structural_similarity",
    "tone_mapped_psnr",
    "tone_mapped_ssim",
]
