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
from jaxhdr.models.response import Response, ResponseSlopes, linearise
from jaxhdr.options import RESPONSES


class FrontContext(NamedTuple):
    """What the front end knows of whole images."""

    slopes: ResponseSlopes | None = None
    """The camera's response; None where it is taken for sRGB's."""
    noise: Float[Array, " b"] | None = None
    """The standard deviation of the noise, in units of white; None: do not smooth."""


class Front(nn.Module):
    """The front end, which a network holds as a part.

    Its parameters, if it has any, are `response` among those of the network that holds
    it, if that network calls `nn.share_scope`.

    Attributes:
      response: how the photograph is taken to be encoded, one of
        `jaxhdr.options.RESPONSES`.
        `srgb`: as sRGB says.
        `estimated`: by a curve that `Response` estimates from the whole image (92,174
        parameters). It is trained alone first, and gets no gradient here.
      smooth_noise: whether the noise of the photograph is measured in its dark pixels
        and smoothed out.
    """

    response: str = "srgb"
    smooth_noise: bool = False

    def __post_init__(self):
        check_choice("response", self.response, RESPONSES)
        super().__post_init__()

    @property
    def receptive_radius(self) -> int:
        """Pixels to each side of an output pixel that can change it."""
        return noise.RADIUS if self.smooth_noise else 0

    @nn.compact
    def context(self, encoded: Float[Array, "b h w 3"]) -> FrontContext:
        """Returns the responses and the noise of whole images, as far as asked for."""
        slopes = deviation = None
        if self.response == "estimated":
            estimate = Response(dropout_rate=0.0, name="response")
            slopes = jax.lax.stop_gradient(estimate.context(encoded))
        if self.smooth_noise:
            deviation = noise.measure(linearise(encoded, slopes))
        return FrontContext(slopes, deviation)

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
