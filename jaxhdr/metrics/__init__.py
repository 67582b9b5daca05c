"""Image quality scores of an HDR estimate against the truth.

Each score is a pure JAX function `fn(test, reference) -> one value per image`, for jit,
vmap and grad; `METRICS` names them and says what a number means. The functions check
nothing: shapes must be equal and values finite; negative radiance counts as none.
`compare` checks. NaN is a score that does not exist (no pixel to count, an image below
the metric's window): leave it out of means and say how many are left.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxhdr import camera
from jaxhdr.errors import UserError
from jaxhdr.metrics.pixelwise import (
    STOPS_FLOOR,
    linear_psnr,
    log2_rmse,
    max_one,
    mu_law_psnr,
    psnr,
)
from jaxhdr.metrics.ssim import linear_ssim, mu_law_ssim, structural_similarity

__all__ = [
    "METRICS",
    "STOPS_FLOOR",
    "Metric",
    "compare",
    "linear_psnr",
    "linear_ssim",
    "log2_rmse",
    "max_one",
    "mu_law_psnr",
    "mu_law_ssim",
    "psnr",
    "select",
    "structural_similarity",
]


@dataclasses.dataclass(frozen=True)
class Metric:
    """One column of a report."""

    name: str
    unit: str  # "dB", "stops"; "" for a ratio
    higher_is_better: bool
    input_unit: str  # the light `fn` expects, before anything `fn` does itself
    reference: str  # who defined it, and what `fn` does to the images first
    fn: Callable[..., Float[Array, "*batch"]]
    pixels: Literal["all", "clipped", "unclipped"] = "all"

    def score(
        self,
        test: Float[Array, "*batch h w 3"],
        reference: Float[Array, "*batch h w 3"],
        *,
        clipped: Bool[Array, "*batch h w 1"] | None = None,
    ) -> Float[Array, "*batch"]:
        """Returns one score per image, over the pixels that this metric counts.

        Only metrics of clipped or unclipped pixels need `clipped`, which
        `camera.is_clipped` makes from the LDR image.
        """
        if self.pixels == "all":
            return self.fn(test, reference)
        if clipped is None:
            raise UserError(f"{self.name} needs `clipped`, the mask of clipped pixels")
        mask = clipped if self.pixels == "clipped" else jnp.logical_not(clipped)
        return self.fn(test, reference, mask=mask)


_MAX_ONE = "both images over the reference's maximum, clipped to [0, 1]"
_MU_LAW = f"mu = 5000, Kalantari and Ramamoorthi (2017); {_MAX_ONE}"
_SSIM = "Wang et al. (2004), 11-pixel Gaussian window, mean over R, G, B"
_STOPS = "log2 of radiance + 2^-12 of the LDR's white"
_RELATIVE, _WHITE = "relative", "ldr_white"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("psnr_linear", "dB", True, _RELATIVE, _MAX_ONE, linear_psnr),
        Metric("psnr_mu", "dB", True, _RELATIVE, _MU_LAW, mu_law_psnr),
        Metric("ssim_linear", "", True, _RELATIVE, f"{_SSIM}; {_MAX_ONE}", linear_ssim),
        Metric("ssim_mu", "", True, _RELATIVE, f"{_SSIM}; {_MU_LAW}", mu_law_ssim),
        Metric("log2_rmse", "stops", False, _WHITE, _STOPS, log2_rmse),
        Metric(
            "log2_rmse_clipped",
            *("stops", False, _WHITE),
            f"{_STOPS}; pixels with a channel at 8-bit code 254 or 255 in the LDR",
            log2_rmse,
            "clipped",
        ),
        Metric(
            "log2_rmse_unclipped",
            *("stops", False, _WHITE),
            f"{_STOPS}; pixels with every channel below 8-bit code 254 in the LDR",
            log2_rmse,
            "unclipped",
        ),
    )
}


def select(names: Iterable[str]) -> tuple[Metric, ...]:
    """Returns the metrics of these names.

    Raises:
        UserError: a name is unknown.
    """
    names = tuple(names)
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise UserError(f"unknown metrics {unknown}; choose from {list(METRICS)}")
    return tuple(METRICS[name] for name in names)


def compare(
    test: Array | np.ndarray,
    reference: Array | np.ndarray,
    *,
    encoded: Array | np.ndarray | None = None,
    names: Iterable[str] | None = None,
) -> dict[str, float]:
    """Returns the scores of one image of shape (height, width, 3), checked first.

    Args:
        test: The estimate, linear BT.709 radiance.
        reference: The truth, in the same scale.
        encoded: The LDR image, for metrics of clipped or unclipped pixels.
        names: Keys of `METRICS`; by default all that the arguments allow.

    Raises:
        UserError: an image is not finite radiance >= 0, the sizes differ, a name is
            unknown, or its metric needs `encoded`.
    """
    if names is None:
        names = [
            n for n, m in METRICS.items() if m.pixels == "all" or encoded is not None
        ]
    metrics = select(names)
    needing = [metric.name for metric in metrics if metric.pixels != "all"]
    if needing and encoded is None:
        raise UserError(f"{needing} need the LDR image: pass it as `encoded`")
    arrays = {"test": test, "reference": reference, "encoded": encoded}
    checked = {
        name: _checked(image, name, np.shape(reference))
        for name, image in arrays.items()
        if image is not None
    }
    clipped = camera.is_clipped(checked["encoded"]) if "encoded" in checked else None
    scores = _score_all(checked["test"], checked["reference"], clipped, metrics)
    return {name: float(value) for name, value in scores.items()}


@functools.partial(jax.jit, static_argnames="metrics")
def _score_all(test, reference, clipped, metrics):
    return {m.name: m.score(test, reference, clipped=clipped) for m in metrics}


def _checked(image: Array | np.ndarray, name: str, shape: tuple[int, ...]) -> Array:
    values = np.asarray(image, dtype=np.float32)
    if values.shape != shape or len(shape) != 3 or shape[-1] != 3 or 0 in shape:
        raise UserError(
            f"the {name} image has shape {values.shape}, the reference {tuple(shape)}; "
            "both must be one (height, width, 3): crop or resize them to one size"
        )
    wrong = values.size - int(np.count_nonzero(np.isfinite(values) & (values >= 0)))
    if wrong:
        raise UserError(
            f"the {name} image has {wrong} values that are NaN, infinite or negative; "
            "scores need radiance >= 0: clean the image first"
        )
    return jnp.asarray(values)
