"""The front end of a network: from the photograph's values to radiance.

What the camera did is undone before a network of the papers looks: the front end
inverts the camera's response, which it takes for sRGB's or estimates
(`jaxhdr.models.response`), and it can smooth the sensor's noise out
(`jaxhdr.imaging.noise`). Input: `encoded` in [0, 1]; output: radiance in [0, 1], in
scale `ldr_white`.
"""

from typing import NamedTuple

import jax
from flax import linen as nn
from jaxtyping import Array, Float

from jaxhdr.errors import check_choice
from jaxhdr.imaging import color, noise
from jaxhdr.models.camera_response import (
    TRAINING_SHARE,
    CameraResponse,
    mean_slopes,
    probability_of_srgb,
)
from jaxhdr.models.response import Response, ResponseSlopes, linearise
from jaxhdr.options import RESPONSES

ESTIMATORS = ("statistics", "belief")

Prior = Float[Array, ""] | float
"""Probability that a camera encodes as sRGB before the photograph is seen."""


class FrontContext(NamedTuple):
    """What the front end knows of whole images."""

    slopes: ResponseSlopes | None = None
    """The camera's response; None where it is taken for sRGB's."""
    noise: Float[Array, " b"] | None = None
    """The standard deviation of the noise, in units of white; None: do not smooth."""
    srgb: Float[Array, " b"] | None = None
    """The probability that the camera encodes as sRGB; None where nobody estimates it.
    The response is the mean over both cases."""


class Front(nn.Module):
    """The front end, which a network holds as a part.

    Its parameters, if it has any, are `response` among those of the network that holds
    it, if that network calls `nn.share_scope`.

    Attributes:
      response: how the photograph is taken to be encoded, one of
        `jaxhdr.options.RESPONSES`.
        `srgb`: as sRGB says.
        `estimated`: by a curve that is estimated from the whole image. What estimates
        it is trained alone first, and gets no gradient here.
      estimator: what estimates the response, one of `ESTIMATORS`.
        `statistics`: `Response`, of the first weights (92,174 parameters).
        `belief`: `CameraResponse`, which takes a prior (634,072 parameters).
      smooth_noise: whether the noise of the photograph is measured in its dark pixels
        and smoothed out.
    """

    response: str = "srgb"
    estimator: str = "statistics"
    smooth_noise: bool = False

    def __post_init__(self):
        check_choice("response", self.response, RESPONSES)
        check_choice("estimator", self.estimator, ESTIMATORS)
        super().__post_init__()

    @property
    def receptive_radius(self) -> int:
        """Pixels to each side of an output pixel that can change it."""
        return noise.RADIUS if self.smooth_noise else 0

    @nn.compact
    def context(
        self, encoded: Float[Array, "b h w 3"], *, prior: Prior | None = None
    ) -> FrontContext:
        """Returns the responses and the noise of whole images, as far as asked for.

        Args:
          encoded: the photographs.
          prior: what their files say of the cameras; None for the share that the
            estimate was trained with. Only the estimator `belief` reads it.
        """
        slopes = deviation = srgb = None
        if self.response == "estimated" and self.estimator == "statistics":
            estimate = Response(dropout_rate=0.0, name="response")
            slopes = jax.lax.stop_gradient(estimate.context(encoded))
        elif self.response == "estimated":
            estimate = CameraResponse(dropout_rate=0.0, name="camera_response")
            belief = jax.lax.stop_gradient(estimate.context(encoded))
            prior = TRAINING_SHARE if prior is None else prior
            slopes = mean_slopes(belief, prior)
            srgb = probability_of_srgb(belief, prior)
        if self.smooth_noise:
            deviation = noise.measure(linearise(encoded, slopes))
        return FrontContext(slopes, deviation, srgb)

    def __call__(
        self, encoded: Float[Array, "b h w 3"], context: FrontContext
    ) -> Float[Array, "b h w 3"]:
        """Returns the radiance of images, or of parts of those of the context."""
        radiance = linearise(encoded, context.slopes)
        if context.noise is None:
            return radiance
        return noise.smooth(radiance, context.noise)

    def as_srgb(
        self, encoded: Float[Array, "b h w 3"], context: FrontContext
    ) -> Float[Array, "b h w 3"]:
        """Returns what an sRGB camera without noise would have encoded, in [0, 1]."""
        if context.slopes is None and context.noise is None:
            return encoded  # decoding and encoding again would only round
        return color.srgb_encode(self(encoded, context))
