"""The scores of a report: names, units, and what the numbers mean."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxhdr.errors import UserError
from jaxhdr.metrics.color_video_vdp import check_installed, color_video_vdp
from jaxhdr.metrics.display import Display
from jaxhdr.metrics.hdr_vdp.v2 import hdr_vdp2
from jaxhdr.metrics.hdr_vdp.v3 import hdr_vdp3
from jaxhdr.metrics.itp import delta_e_itp
from jaxhdr.metrics.pixelwise import linear_psnr, log2_rmse, mu_law_psnr
from jaxhdr.metrics.pu21 import pu21_psnr, pu21_ssim
from jaxhdr.metrics.ssim import linear_ssim, mu_law_multi_scale_ssim, mu_law_ssim
from jaxhdr.metrics.tone_mapped import tone_mapped_psnr, tone_mapped_ssim

_RELATIVE, _WHITE, _ABSOLUTE = "relative", "ldr_white", "cd/m^2"
_DISPLAY = Display()


@dataclasses.dataclass(frozen=True)
class Metric:
    """One column of a report."""

    name: str
    unit: str  # "dB", "stops", "JOD"; "" for a ratio or a scale of its own
    higher_is_better: bool
    input_unit: str  # the light `fn` expects, before anything `fn` does itself
    reference: str  # who defined it, and what `fn` does to the images first
    fn: Callable[..., Float[Array, "*batch"]]
    pixels: Literal["all", "clipped", "unclipped"] = "all"
    is_angular: bool = False  # whether `fn` takes `pixels_per_degree`
    map_fn: Callable[..., Float[Array, "*batch h w"]] | None = None  # where it looks

    def score(
        self,
        test: Float[Array, "*batch h w 3"],
        reference: Float[Array, "*batch h w 3"],
        *,
        clipped: Bool[Array, "*batch h w 1"] | None = None,
        display: Display = _DISPLAY,
    ) -> Float[Array, "*batch"]:
        """Returns one score per image, over the pixels that this metric counts.

        Args:
          test: the estimate, linear BT.709 radiance.
          reference: the truth, in the same scale.
          clipped: the mask of clipped pixels, which `camera.is_clipped` makes from the
            LDR image; only metrics of clipped or of unclipped pixels need it.
          display: that shows both images to metrics of absolute light.
        """
        shown = self._shown(test, reference, display)
        if self.pixels == "all":
            return self.fn(*shown, **self._angle(display))
        if clipped is None:
            raise UserError(f"{self.name} needs `clipped`, the mask of clipped pixels")
        mask = clipped if self.pixels == "clipped" else jnp.logical_not(clipped)
        return self.fn(*shown, mask=mask)

    def draw(
        self,
        test: Float[Array, "*batch h w 3"],
        reference: Float[Array, "*batch h w 3"],
        *,
        display: Display = _DISPLAY,
    ) -> Float[Array, "*batch h w"]:
        """Returns the map in [0, 1] of where the score comes from.

        Args:
          test: as for `score`.
          reference: as for `score`.
          display: as for `score`.

        Raises:
          UserError: this metric has no map.
        """
        if self.map_fn is None:
            raise UserError(f"{self.name} has no map; hdr_vdp2_p_det has one")
        shown = self._shown(test, reference, display)
        return self.map_fn(*shown, **self._angle(display))

    def _shown(self, test: Array, reference: Array, display: Display):
        if self.input_unit == _ABSOLUTE:
            return display.emitted(test), display.emitted(reference)
        return test, reference

    def _angle(self, display: Display) -> dict[str, float]:
        if self.is_angular:
            return {"pixels_per_degree": display.pixels_per_degree}
        return {}


_MAX_ONE = "both images over the reference's maximum, clipped to [0, 1]"
_MU_LAW = f"mu = 5000, Kalantari and Ramamoorthi (2017); {_MAX_ONE}"
_SSIM = "Wang et al. (2004), 11-pixel Gaussian window, mean over R, G, B"
_MULTI_SCALE = "MS-SSIM, Wang et al. (2003), five scales, mean over R, G, B"
_STOPS = "log2 of radiance + 2^-12 of the LDR's white"
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
    Metric("psnr_linear", "dB", True, _RELATIVE, _MAX_ONE, linear_psnr),
    Metric("psnr_mu", "dB", True, _RELATIVE, _MU_LAW, mu_law_psnr),
    Metric("ssim_linear", "", True, _RELATIVE, f"{_SSIM}; {_MAX_ONE}", linear_ssim),
    Metric("ssim_mu", "", True, _RELATIVE, f"{_SSIM}; {_MU_LAW}", mu_law_ssim),
    Metric(
        *("ms_ssim_mu", "", True, _RELATIVE),
        f"{_MULTI_SCALE}; {_MU_LAW}",
        mu_law_multi_scale_ssim,
    ),
    Metric(
        *("psnr_tone_mapped", "dB", True, _RELATIVE),
        f"PSNR, {_TONE_MAPPED}",
        tone_mapped_psnr,
    ),
    Metric(
        *("ssim_tone_mapped", "", True, _RELATIVE),
        f"{_SSIM}; {_TONE_MAPPED}",
        tone_mapped_ssim,
    ),
    Metric("log2_rmse", "stops", False, _WHITE, _STOPS, log2_rmse),
    Metric(
        *("log2_rmse_clipped", "stops", False, _WHITE),
        f"{_STOPS}; pixels with a channel at 8-bit code 254 or 255 in the LDR",
        log2_rmse,
        "clipped",
    ),
    Metric(
        *("log2_rmse_unclipped", "stops", False, _WHITE),
        f"{_STOPS}; pixels with every channel below 8-bit code 254 in the LDR",
        log2_rmse,
        "unclipped",
    ),
)

_OF_ABSOLUTE_LIGHT = (
    Metric(
        *("pu21_psnr", "dB", True, _ABSOLUTE),
        f"{_PU21}; PSNR of R, G, B codes with peak 256",
        pu21_psnr,
    ),
    Metric(
        *("pu21_ssim", "", True, _ABSOLUTE),
        f"{_PU21}; SSIM of luminance codes with range 256",
        pu21_ssim,
    ),
    Metric(
        *("hdr_vdp2_q", "", True, _ABSOLUTE),
        f"{_VDP2}; Q, 100 for equal images",
        _vdp2("quality"),
        is_angular=True,
    ),
    Metric(
        *("hdr_vdp2_p_det", "", False, _ABSOLUTE),
        f"{_VDP2}; probability that a difference is seen anywhere",
        _vdp2("detection"),
        is_angular=True,
        map_fn=_vdp2("detection_map"),
    ),
    Metric(
        *("hdr_vdp220_q_mos", "", True, _ABSOLUTE),
        "Q_MOS of HDR-VDP-2.2.0, 0 to 100, which its authors withdrew in 2.2.1",
        _vdp2("mean_opinion"),
        is_angular=True,
    ),
    Metric(
        *("hdr_vdp3_q", "", True, _ABSOLUTE),
        f"{_VDP3}; Q, 10 for equal images",
        _vdp3("quality"),
        is_angular=True,
    ),
    Metric(
        *("hdr_vdp3_jod", "JOD", True, _ABSOLUTE),
        f"{_VDP3}; 10 for equal images, 1 less per just-objectionable difference",
        _vdp3("just_objectionable"),
        is_angular=True,
    ),
    Metric(
        *("delta_e_itp", "", False, _ABSOLUTE),
        "Delta E ITP, ITU-R BT.2124 (2019), mean over pixels",
        delta_e_itp,
    ),
)

METRICS: dict[str, Metric] = {
    metric.name: metric for metric in (*_OF_RELATIVE_LIGHT, *_OF_ABSOLUTE_LIGHT)
}

NEEDING_PACKAGES: dict[str, Metric] = {
    "cvvdp_jod": Metric(
        *("cvvdp_jod", "JOD", True, _ABSOLUTE),
        "ColorVideoVDP, Mantiuk et al. (2024), package cvvdp; 10 for equal images",
        color_video_vdp,
        is_angular=True,
    )
}
"""Metrics that are computed only where they are asked for by name."""


def select(names: Iterable[str]) -> tuple[Metric, ...]:
    """Returns the metrics of these names.

    Raises:
        UserError: a name is unknown, or its metric needs a package that is missing.
    """
    names, known = tuple(names), METRICS | NEEDING_PACKAGES
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(f"unknown metrics {unknown}; choose from {list(known)}")
    if not NEEDING_PACKAGES.keys().isdisjoint(names):
        check_installed()
    return tuple(known[name] for name in names)
