"""Losses of HDR stages against the truth, and their weighted sum.

Predictions are `stages` (stages, b, h, w, 3) and the truth is `hdr` (b, h, w, 3), both
linear radiance in one scale, whichever it is: `peak` alone is given in its unit. Both
are compared in a domain: "mu_law", where what lies outside [0, peak] counts as the
nearest end of that range, "stops", the same range on the scale of the scores in stops,
or "linear", radiance as it is. Results are one number per stage, means over images,
pixels and channels: of codes, of stops, or of the unit of `hdr`.
"""

import functools
import os
from collections.abc import Sequence
from typing import TypeVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxhdr.errors import UserError
from jaxhdr.imaging import camera, color
from jaxhdr.metrics import STOPS_FLOOR, ssim
from jaxhdr.models import vgg
from jaxhdr.storage import weight_files

Stages = Float[Array, "stages b h w 3"]
Images = Float[Array, "b h w 3"]
PerStage = Float[Array, "stages"]
_Given = TypeVar("_Given")

# Added to an image's error in the geometric mean: the mean quantisation error of 8 bits
# (a quarter of 1 / 255), below which nothing is to be gained.
_NO_ERROR = 1e-3

# The same in stops: noise, JPEG and 8 bits alone are 0.12 stops on the unclipped pixels
# of our validation images.
_NO_STOPS = 0.1

# Where no pixel of a batch has a weight, its error of 0 is divided by this.
_NO_WEIGHT = 1e-12

# Weights of relu1_1 ... relu5_1 in FHDR's official code; its paper gives none.
_FEATURE_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


def l1(
    stages: Stages,
    hdr: Images,
    *,
    peak: float,
    mu: float = color.MU,
    domain: str = "mu_law",
    weights: Float[Array, "b h w 1"] | None = None,
    image_mean: str = "arithmetic",
) -> PerStage:
    """Returns the mean absolute difference in `domain`, stage by stage.

    In "mu_law" that of Khan et al. (2019) section II-D, where `peak` is the radiance of
    code 1. The mean is divided by the mean of `weights`: an error that is the same
    everywhere costs the same under all weights, and the balance with other losses does
    not follow the number of heavy pixels in a batch.

    `image_mean` is "arithmetic" (the papers) or "geometric". A photograph's response
    is unknown, and the arithmetic mean is least for a guess between the likely ones,
    which spoils images that were nearly right; the geometric mean, as that of PSNRs,
    counts the ratio by which an image improves.

    Raises:
      UserError: `image_mean` or `domain` is another word.
    """
    truth = _in_domain(hdr, domain, peak=peak, mu=mu)
    error = jnp.abs(_in_domain(stages, domain, peak=peak, mu=mu) - truth[None])
    if _is_geometric(image_mean):
        by_image = _by_image(error, jnp.ones(()) if weights is None else weights)
        return _geometric(by_image, _NO_ERROR)
    if weights is None:
        return error.mean(axis=(1, 2, 3, 4))
    weighted = (error * weights[None]).mean(axis=(1, 2, 3, 4))
    return weighted / jnp.maximum(weights.mean(), _NO_WEIGHT)


def _geometric(by_image: Float[Array, "stages b"], no_error: float) -> PerStage:
    return jnp.exp(jnp.log(by_image + no_error).mean(axis=1)) - no_error


def _by_image(
    error: Stages, weights: Float[Array, "b h w 1"] | Float[Array, ""]
) -> Float[Array, "stages b"]:
    pixels = (-3, -2, -1)
    weights = jnp.broadcast_to(weights, (*error.shape[1:-1], 1))
    total = weights.mean(pixels)
    total = jnp.where(total > 0, total, 1.0)  # no pixel counts: no error
    return (error * weights[None]).mean(pixels) / total[None]


def rms(
    stages: Stages,
    hdr: Images,
    *,
    peak: float,
    mu: float = color.MU,
    domain: str = "mu_law",
    weights: Float[Array, "b h w 1"] | None = None,
    image_mean: str = "arithmetic",
    scale_invariance: float = 0.0,
) -> PerStage:
    """Returns the mean over images of the root mean square difference in `domain`.

    In "stops" it is what `metrics.log2_rmse` measures. Where a pixel's radiance cannot
    be known it is least for the mean of what it may be, `l1` for the median, which lies
    lower for clipped light.

    Args:
      stages: the estimates.
      hdr: the truth.
      peak: the largest radiance that counts, but for "linear".
      mu: of the mu-law.
      domain: "mu_law", "stops" or "linear".
      weights: of the pixels; equal ones by default.
      image_mean: as in `l1`.
      scale_invariance: lambda of Eigen et al. (2014), "Depth Map Prediction from a
        Single Image using a Multi-Scale Deep Network", Eq. 4: the share of an image's
        squared mean difference that is forgiven, 0 to 1. In "stops" that is the error
        of its exposure.

    Raises:
      UserError: `domain` or `image_mean` is another word, or `scale_invariance` is
        out of range.
    """
    if not 0 <= scale_invariance <= 1:
        raise UserError(
            f"scale_invariance is {scale_invariance}; expected a number from 0 to 1"
        )
    truth = _in_domain(hdr, domain, peak=peak, mu=mu)
    error = _in_domain(stages, domain, peak=peak, mu=mu) - truth[None]
    weights = jnp.ones(()) if weights is None else weights
    square = _by_image(error**2, weights)
    if scale_invariance:
        square -= scale_invariance * _by_image(error, weights) ** 2
        square = jnp.maximum(square, 0.0)  # rounding may leave the range
    # The root of nothing has no slope.
    by_image = jnp.sqrt(square + _NO_ERROR**2) - _NO_ERROR
    if _is_geometric(image_mean):
        return _geometric(by_image, _NO_STOPS if domain == "stops" else _NO_ERROR)
    return by_image.mean(axis=1)


def split_rms(
    stages: Stages,
    hdr: Images,
    encoded: Images,
    *,
    peak: float,
    mu: float = color.MU,
    domain: str = "mu_law",
    clipped_weight: float = 1.0,
    image_mean: str = "arithmetic",
    scale_invariance: float = 0.0,
) -> PerStage:
    """Returns `rms` of the unclipped pixels plus a weight times that of the clipped.

    One root over all pixels is that of the clipped ones alone, whose errors are three
    times as large. `image_mean` is that of the unclipped pixels: how a camera
    responded can be found out, and its guess be nearly right. What was clipped cannot,
    so those pixels have the arithmetic mean, over the images that have any.

    Args:
      stages: the estimates.
      hdr: the truth.
      encoded: the photograph.
      peak: as in `rms`.
      mu: as in `rms`.
      domain: as in `rms`.
      clipped_weight: of the clipped pixels.
      image_mean: as in `l1`.
      scale_invariance: as in `rms`, of the unclipped pixels.

    Raises:
      UserError: as in `rms`.
    """
    in_domain = {"peak": peak, "mu": mu, "domain": domain}
    clipped = camera.is_clipped(encoded).astype(hdr.dtype)
    total = rms(
        stages,
        hdr,
        weights=1 - clipped,
        image_mean=image_mean,
        scale_invariance=scale_invariance,
        **in_domain,
    )
    of_clipped = rms(stages, hdr, weights=clipped, **in_domain)
    # Images without a clipped pixel have the error 0 in this mean.
    share = clipped.max(axis=(1, 2, 3)).mean()
    return total + clipped_weight * of_clipped / jnp.maximum(share, 1 / len(hdr))


def _is_geometric(image_mean: str) -> bool:
    if image_mean not in ("arithmetic", "geometric"):
        raise UserError(
            f"image_mean is {image_mean!r}; expected 'arithmetic' or 'geometric'"
        )
    return image_mean == "geometric"


def structure(
    stages: Stages,
    hdr: Images,
    *,
    peak: float,
    mu: float = color.MU,
    domain: str = "mu_law",
) -> PerStage:
    """Returns 1 - SSIM in `domain`, stage by stage; SSIM is that of the metrics.

    Its data range is 1: that of the codes in "mu_law"; in "linear" the white of
    `ldr_white`, or twice the mean of `mean_half`. Every pixel counts the same.

    Raises:
      UserError: the images are smaller than SSIM's window, or `domain` is another word.
    """
    *_, height, width, _ = hdr.shape
    if min(height, width) < ssim.WINDOW:
        raise UserError(
            f"SSIM has a window of {ssim.WINDOW} x {ssim.WINDOW} pixels, the images "
            f"have {height} x {width}: train on larger patches (and inner crops), or "
            "set the structure weight to 0"
        )
    truth = _in_domain(hdr, domain, peak=peak, mu=mu)
    values = _in_domain(stages, domain, peak=peak, mu=mu)
    truth = jnp.broadcast_to(truth[None], values.shape)
    return 1 - ssim.structural_similarity(values, truth, peak=1.0).mean(axis=1)


def perceptual(
    stages: Stages,
    hdr: Images,
    *,
    vgg_params: vgg.Params,
    peak: float,
    mu: float = color.MU,
) -> PerStage:
    """Returns the weighted L1 between VGG19 features of mu-law codes, stage by stage.

    Layers, weights and the input (codes in [0, 1], without ImageNet's mean and
    standard deviation) are those of FHDR's official code.

    Raises:
      UserError: the images are smaller than 16 x 16 pixels.
    """
    code = functools.partial(_in_domain, domain="mu_law", peak=peak, mu=mu)
    truth = vgg.vgg19_features(vgg_params, code(hdr))
    codes = code(stages)
    # One pass over all stages and images, and none is made twice for the truth.
    merged = vgg.vgg19_features(vgg_params, codes.reshape(-1, *codes.shape[2:]))
    total = jnp.zeros(stages.shape[0], codes.dtype)
    for weight, of_truth, of_stages in zip(
        _FEATURE_WEIGHTS, truth, merged, strict=True
    ):
        of_stages = of_stages.reshape(-1, *of_truth.shape)
        error = jnp.abs(of_stages - of_truth[None])
        total += weight * error.mean(axis=(1, 2, 3, 4))
    return total


def total(
    stages: Stages,
    hdr: Images,
    encoded: Images,
    *,
    peak: float,
    mu: float = color.MU,
    domain: str = "mu_law",
    error: str = "l1",
    structure_weight: float = 0.0,
    perceptual_weight: float = 0.0,
    stage_weights: Sequence[float] = (),
    clipped_weight: float = 1.0,
    image_mean: str = "arithmetic",
    scale_invariance: float = 0.0,
    vgg_params: vgg.Params | None = None,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Returns the loss to be minimised and its parts by name.

    The loss of a stage is, with w = `structure_weight`, w times `structure` plus
    (1 - w) times `error`, both in `domain`, plus `perceptual_weight` times
    `perceptual`. `error` is "l1" (both papers), "rms" or "split_rms".
    Oh et al. (2021) Eq. 7, after Zhao et al. (2017), has 0.83 for one of the first
    two, without perceptual loss; which one is not legible, so w is 0.83 or 0.17.

    Stages are summed with `stage_weights`: (beta, alpha) of Oh et al. Eq. 8 for the
    pseudo-HDR and the HDR; for () one over their number (Khan et al. 2019, section
    II-D). `clipped_weight` is the weight in `l1` of pixels that the LDR image `encoded`
    clips; 1 is the papers' loss. `image_mean` is that of `error`, and
    `scale_invariance` that of "rms" and "split_rms". The parts are "loss",
    "l1_stage_1", ... and, where used, "ssim_loss_stage_1", "perceptual_stage_1", ...

    Raises:
      UserError: an option has another value than those named here, the patches are
        too small for SSIM, or the perceptual loss is wanted without `vgg_params`.
    """
    in_domain = {"peak": peak, "mu": mu, "domain": domain}
    weights = None
    if clipped_weight != 1:
        weights = jnp.where(camera.is_clipped(encoded), clipped_weight, 1.0)
    means = {"image_mean": image_mean, "scale_invariance": scale_invariance}
    if error == "l1":
        if scale_invariance:
            raise UserError("l1 has no scale_invariance: take 'rms' or 'split_rms'")
        found = l1(stages, hdr, weights=weights, image_mean=image_mean, **in_domain)
    elif error == "rms":
        found = rms(stages, hdr, weights=weights, **means, **in_domain)
    elif error == "split_rms":
        means |= {"clipped_weight": clipped_weight}
        found = split_rms(stages, hdr, encoded, **means, **in_domain)
    else:
        raise UserError(f"error is {error!r}; expected 'l1', 'rms' or 'split_rms'")
    parts = {error: found}
    per_stage = found
    if _share(structure_weight):
        parts["ssim_loss"] = structure(stages, hdr, **in_domain)
        per_stage = (
            structure_weight * parts["ssim_loss"] + (1 - structure_weight) * per_stage
        )
    if perceptual_weight:
        vgg_params = _required(vgg_params, perceptual_weight)
        parts["perceptual"] = perceptual(
            stages, hdr, vgg_params=vgg_params, peak=peak, mu=mu
        )
        per_stage = per_stage + perceptual_weight * parts["perceptual"]
    loss = per_stage @ _stage_weights(stage_weights, per_stage)
    return loss, {"loss": loss} | _by_stage(parts)


def load_perceptual(
    path: str | os.PathLike[str] | None, weight: float
) -> vgg.Params | None:
    """Returns the VGG19 parameters for the perceptual loss; None if it has weight 0.

    `path` names a state dict of torchvision's vgg19, as .pth or as safetensors.

    Raises:
      UserError: the weight is negative, or the file is not given, cannot be read or
        holds another network.
    """
    if weight < 0:
        raise UserError(f"the perceptual weight is {weight}, expected 0 or more")
    if weight == 0:
        return None
    return vgg.vgg19_params(weight_files.read(_required(path, weight)))


def _required(given: _Given | None, weight: float) -> _Given:
    if given is None:
        raise UserError(
            f"a perceptual loss of weight {weight} needs the weights of VGG19: name a "
            "file of them, torchvision's vgg19-dcbb9e9d.pth from the PyTorch model zoo "
            "or the same arrays as safetensors, or set the weight to 0"
        )
    return given


def _share(weight: float) -> float:
    if not 0 <= weight <= 1:
        raise UserError(
            f"the structure weight is {weight}, expected 0 (L1 alone) to 1 (SSIM alone)"
        )
    return weight


def _stage_weights(given: Sequence[float], per_stage: PerStage) -> PerStage:
    num_stages = per_stage.shape[0]
    weights = given or [1 / num_stages] * num_stages
    if len(weights) != num_stages:
        raise UserError(
            f"{len(weights)} stage weights for a model of {num_stages} stages: "
            "give one for each stage"
        )
    return jnp.asarray(weights, per_stage.dtype)


def _in_domain(
    linear: Float[Array, "*shape"], domain: str, *, peak: float, mu: float
) -> Float[Array, "*shape"]:
    if domain == "linear":
        return linear
    if domain == "stops":
        return jnp.log2(peak * color.clip_straight_through(linear / peak) + STOPS_FLOOR)
    if domain != "mu_law":
        raise UserError(f"domain is {domain!r}; expected 'mu_law', 'stops' or 'linear'")
    return color.peak_code(linear, peak=peak, mu=mu)


def _by_stage(parts: dict[str, PerStage]) -> dict[str, Float[Array, ""]]:
    return {
        f"{name}_stage_{i}": value
        for name, values in parts.items()
        for i, value in enumerate(values, 1)
    }
