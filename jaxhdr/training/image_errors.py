"""Errors of HDR images against the truth, one number per stage.

Predictions are `stages` (stages, b, h, w, 3) and the truth is `hdr` (b, h, w, 3), both
linear radiance in one unit; `encoded` (b, h, w, 3) is the photograph. A `Domain` maps
radiance to the values that are compared. An error is an object: its attributes are its
options, and calling it returns the mean over images, pixels and channels for each
stage, in the unit of the domain's values.
"""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxhdr.errors import UserError
from jaxhdr.imaging import camera, color
from jaxhdr.metrics import STOPS_FLOOR

Stages = Float[Array, "stages b h w 3"]
Images = Float[Array, "b h w 3"]
PerStage = Float[Array, "stages"]
Weights = Float[Array, "b h w 1"]

# The geometric mean adds this to the error of an image: the mean quantisation error of
# 8 bits, a quarter of 1 / 255. Nothing is gained by an error below it.
_NO_ERROR = 1e-3

# The same in stops: noise, JPEG and 8 bits alone cause 0.12 stops on the unclipped
# pixels of our validation images.
_NO_STOPS = 0.1

# If no pixel of a batch has a weight, the error of 0 is divided by this.
_NO_WEIGHT = 1e-12


@dataclasses.dataclass(frozen=True)
class Domain:
    """The values in which radiance is compared.

    Attributes:
      kind: "mu_law" for the codes in [0, 1] of Khan et al. (2019) section II-D,
        "stops" for the base-2 logarithm that the scores in stops use, or "linear" for
        the radiance itself.
      peak: the largest radiance that counts, in the unit of the images. Radiance
        outside [0, peak] counts as the nearest end of this range. Mu-law code 1 stands
        for it; "linear" does not use it.
      mu: parameter of the mu-law.

    Raises:
      UserError: `kind` is another word.
    """

    kind: str = "mu_law"
    peak: float = 64.0
    mu: float = color.MU

    def __post_init__(self) -> None:
        if self.kind not in ("mu_law", "stops", "linear"):
            raise UserError(
                f"domain is {self.kind!r}; expected 'mu_law', 'stops' or 'linear'"
            )

    def __call__(self, linear: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Returns the values of linear radiance."""
        if self.kind == "linear":
            return linear
        if self.kind == "stops":
            clipped = color.clip_straight_through(linear / self.peak)
            return jnp.log2(self.peak * clipped + STOPS_FLOOR)
        return color.peak_code(linear, peak=self.peak, mu=self.mu)


@dataclasses.dataclass(frozen=True)
class L1:
    """The mean absolute difference (Khan et al. 2019, section II-D).

    Attributes:
      image_mean: how the errors of the images of a batch are averaged. "arithmetic" is
        that of the papers. "geometric" counts the ratio by which an image improves, as
        a mean of PSNRs does. The camera response of a photograph is unknown, and the
        arithmetic mean favours a guess between the likely responses, which spoils
        images that were nearly right.
      clipped_pixel_weight: weight of the pixels that the photograph clips; all others
        have 1. The sum is divided by the mean weight: a uniform error costs the same
        for any weight, however many clipped pixels the batch has.

    Raises:
      UserError: `image_mean` is another word.
    """

    name: ClassVar[str] = "l1"

    image_mean: str = "arithmetic"
    clipped_pixel_weight: float = 1.0

    def __post_init__(self) -> None:
        _check_image_mean(self.image_mean)

    def __call__(
        self, stages: Stages, hdr: Images, encoded: Images, domain: Domain
    ) -> PerStage:
        """Returns the error of each stage."""
        error = jnp.abs(_difference(stages, hdr, domain))
        weights = _pixel_weights(encoded, self.clipped_pixel_weight)
        if self.image_mean == "geometric":
            return _geometric_mean(_by_image(error, weights), _NO_ERROR)
        if weights is None:
            return error.mean(axis=(1, 2, 3, 4))
        weighted = (error * weights[None]).mean(axis=(1, 2, 3, 4))
        return weighted / jnp.maximum(weights.mean(), _NO_WEIGHT)


@dataclasses.dataclass(frozen=True)
class RMS:
    """The mean over images of the root mean square difference.

    In "stops" it is what `metrics.log2_rmse` measures. If the radiance of a pixel
    cannot be known, `RMS` is least for the mean of its possible values and `L1` for
    their median, which is lower for clipped light.

    Attributes:
      image_mean: as in `L1`.
      clipped_pixel_weight: as in `L1`; the weights of each image are divided by their
        mean.
      scale_invariance: lambda of Eigen et al. (2014), "Depth Map Prediction from a
        Single Image using a Multi-Scale Deep Network", Eq. 4: the share, 0 to 1, of
        the squared mean difference of an image that is subtracted from its mean
        square. In "stops" the mean difference is the error of the image's exposure.

    Raises:
      UserError: `image_mean` is another word, or `scale_invariance` is out of range.
    """

    name: ClassVar[str] = "rms"

    image_mean: str = "arithmetic"
    clipped_pixel_weight: float = 1.0
    scale_invariance: float = 0.0

    def __post_init__(self) -> None:
        _check_image_mean(self.image_mean)
        _check_scale_invariance(self.scale_invariance)

    def __call__(
        self, stages: Stages, hdr: Images, encoded: Images, domain: Domain
    ) -> PerStage:
        """Returns the error of each stage."""
        by_image = _root_mean_square(
            _difference(stages, hdr, domain),
            _pixel_weights(encoded, self.clipped_pixel_weight),
            scale_invariance=self.scale_invariance,
        )
        return _mean_over_images(by_image, self.image_mean, domain)


@dataclasses.dataclass(frozen=True)
class SplitRMS:
    """The `RMS` of the unclipped pixels plus that of the clipped ones.

    A single RMS over all pixels is dominated by clipped pixels, whose errors are about
    three times larger.

    Attributes:
      image_mean: as in `L1`, for the term of the unclipped pixels: a model can find out
        how the camera responded, so an image can be nearly right. The term of the
        clipped pixels always is the arithmetic mean over the images that have any.
      clipped_term_weight: factor of the term of the clipped pixels.
      scale_invariance: as in `RMS`, for the term of the unclipped pixels.

    Raises:
      UserError: `image_mean` is another word, or `scale_invariance` is out of range.
    """

    name: ClassVar[str] = "split_rms"

    image_mean: str = "arithmetic"
    clipped_term_weight: float = 1.0
    scale_invariance: float = 0.0

    def __post_init__(self) -> None:
        _check_image_mean(self.image_mean)
        _check_scale_invariance(self.scale_invariance)

    def __call__(
        self, stages: Stages, hdr: Images, encoded: Images, domain: Domain
    ) -> PerStage:
        """Returns the error of each stage."""
        difference = _difference(stages, hdr, domain)
        clipped = camera.is_clipped(encoded).astype(hdr.dtype)
        unclipped_rms = _root_mean_square(
            difference, 1 - clipped, scale_invariance=self.scale_invariance
        )
        unclipped_term = _mean_over_images(unclipped_rms, self.image_mean, domain)
        clipped_term = _root_mean_square(difference, clipped).mean(axis=1)
        # Images without a clipped pixel have the error 0 in this mean.
        share = clipped.max(axis=(1, 2, 3)).mean()
        share = jnp.maximum(share, 1 / len(hdr))
        return unclipped_term + self.clipped_term_weight * clipped_term / share


ImageError = L1 | RMS | SplitRMS
"""Any of the errors."""


def _difference(stages: Stages, hdr: Images, domain: Domain) -> Stages:
    return domain(stages) - domain(hdr)[None]


def _pixel_weights(encoded: Images, clipped_pixel_weight: float) -> Weights | None:
    """Returns the weights of the pixels, or None if all are equal."""
    if clipped_pixel_weight == 1:
        return None
    return jnp.where(camera.is_clipped(encoded), clipped_pixel_weight, 1.0)


def _by_image(error: Stages, weights: Weights | None) -> Float[Array, "stages b"]:
    """Returns the weighted mean over the pixels and channels of each image."""
    pixels = (-3, -2, -1)
    weights = jnp.ones(()) if weights is None else weights
    weights = jnp.broadcast_to(weights, (*error.shape[1:-1], 1))
    total = weights.mean(pixels)
    total = jnp.where(total > 0, total, 1.0)  # without a weight there is no error
    return (error * weights[None]).mean(pixels) / total[None]


def _root_mean_square(
    difference: Stages, weights: Weights | None, *, scale_invariance: float = 0.0
) -> Float[Array, "stages b"]:
    square = _by_image(difference**2, weights)
    if scale_invariance:
        square -= scale_invariance * _by_image(difference, weights) ** 2
        square = jnp.maximum(square, 0.0)  # rounding may make it negative
    # The offset keeps the slope of the root finite at 0.
    return jnp.sqrt(square + _NO_ERROR**2) - _NO_ERROR


def _mean_over_images(
    by_image: Float[Array, "stages b"], image_mean: str, domain: Domain
) -> PerStage:
    if image_mean == "arithmetic":
        return by_image.mean(axis=1)
    no_error = _NO_STOPS if domain.kind == "stops" else _NO_ERROR
    return _geometric_mean(by_image, no_error)


def _geometric_mean(by_image: Float[Array, "stages b"], no_error: float) -> PerStage:
    return jnp.exp(jnp.log(by_image + no_error).mean(axis=1)) - no_error


def _check_image_mean(image_mean: str) -> None:
    if image_mean not in ("arithmetic", "geometric"):
        raise UserError(
            f"image_mean is {image_mean!r}; expected 'arithmetic' or 'geometric'"
        )


def _check_scale_invariance(share: float) -> None:
    if not 0 <= share <= 1:
        raise UserError(f"scale_invariance is {share}; expected a number from 0 to 1")
