"""SParam-Net: a network that estimates an image's inverse tone-mapping curve.

Oh, Shin, Hong (2021), "Use of Local Region Maps on Convolutional LSTM for Single-Image
HDR Reconstruction", section 2.1 and Fig. 5. Input: `encoded` in [0, 1]; output: one
stage, the pseudo-HDR, that is the photograph through the S-curve with the estimated
parameters, in the scale of the training data. The network sees the whole image at
256 x 256 pixels with its region maps; the curve is applied at full resolution.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from jaxhdr.errors import UserError
from jaxhdr.imaging import noise, regions, scurve
from jaxhdr.models import response
from jaxhdr.models.layers import Convolution, max_pool
from jaxhdr.models.vgg import VGG16

SIDE = 256  # section 2.1
_POOLED_SIDE = 7  # section 2.1
_HIDDEN = 4096  # section 2.1
_NUM_PARAMETERS = 4  # L'max, Rwhite, Gwhite, Bwhite

# Of the compact network: widths that take 0.56 million parameters and little time.
_COMPACT_WIDTHS = (16, 32, 64, 96, 128, 192)
_COMPACT_HIDDEN = 256

# Parameters of the curve stay above 1 / bound; exponential ones, below bound too.
_BOUND = 1e4

BACKBONES = ("vgg16", "compact")
POSITIVE = ("exponential", "softplus")
CURVE_INPUTS = ("encoded", "linear", "estimated")


class Context(NamedTuple):
    """What a part of an image needs to know of the whole."""

    curve: scurve.Curve
    edges: Float[Array, "b edges 3"]
    """Of the region maps, from `regions.histogram_edges`."""
    stretch: response.Stretch | None = None
    """The response, of `models.response`, where the curve takes radiance by it."""
    noise: Float[Array, " b"] | None = None
    """The standard deviation of the noise, where it is smoothed."""


class SParam(nn.Module):
    """SParam-Net; 134,285,572 parameters with five regions and the paper's backbone.

    Attributes:
      num_regions: N, region maps per colour channel that the network sees.
      backbone: what looks at the image.
        `vgg16`: the paper's, 13 convolutions with four poolings, adaptive average
        pooling to 7 x 7 and two layers of 4096.
        `compact`: six convolutions with five poolings, the mean and the maximum of
        each feature, and two layers of 256: small enough to ship.
      positive: how four unbounded outputs become positive parameters; zero becomes 1,
        and all 1 is the identity curve, at which training starts.
        `exponential`: exp, bent to stay within 1e-4 and 1e4. Whites and maxima span
        decades, and equal steps of the output are equal ratios at any size.
        `softplus`: grows linearly, without an upper bound; above 1e-4.
      dropout_rate: after each of the two hidden layers.
      curve_input: what the curve takes for the display's luminance.
        `encoded`: the photograph's values (the paper's Fig. 4). No S-curve of them is
        close to sRGB decoding: the best is 0.018 off in the mean mu-law code.
        `linear`: the sRGB-decoded photograph, as Banterle et al. (2006) linearise it
        first; then the identity curve is the linearised photograph.
        `estimated`: radiance by the camera's estimated response (`models.response`,
        92,174 parameters more), trained alone first and without a gradient here.
      smooth_noise: whether noise, measured in the dark pixels, is smoothed out of what
        the curve takes (`models.noise`); not of encoded values.
    """

    num_regions: int = 5
    backbone: str = "vgg16"
    positive: str = "exponential"
    dropout_rate: float = 0.5
    curve_input: str = "encoded"
    smooth_noise: bool = False

    def __post_init__(self):
        check_options(
            num_regions=self.num_regions,
            backbone=self.backbone,
            positive=self.positive,
            dropout_rate=self.dropout_rate,
            curve_input=self.curve_input,
            smooth_noise=self.smooth_noise,
        )
        super().__post_init__()

    @property
    def receptive_radius(self) -> int:
        """Pixels to each side of an output pixel that can change it."""
        return noise.RADIUS if self.smooth_noise else 0

    @nn.compact
    def context(self, encoded: Float[Array, "b h w 3"]) -> Context:
        """Returns the curve and the edges of the regions of whole images."""
        small = _shrink(encoded)
        edges = regions.histogram_edges(small, num_regions=self.num_regions)
        maps = regions.region_maps(small, edges)
        x = jnp.concatenate([small, *maps], axis=-1)
        if self.backbone == "vgg16":
            x = adaptive_average_pool(VGG16(name="features")(x), _POOLED_SIDE)
            x, hidden = x.reshape(len(x), -1), _HIDDEN
        else:
            x, hidden = CompactFeatures(name="features")(x), _COMPACT_HIDDEN
        dropout = nn.Dropout(
            self.dropout_rate, deterministic=not self.has_rng("dropout")
        )
        for i in (1, 2):
            x = dropout(nn.relu(nn.Dense(hidden, name=f"dense_{i}")(x)))
        last = nn.Dense(
            _NUM_PARAMETERS, kernel_init=nn.initializers.zeros, name="dense_3"
        )
        values = _to_positive(last(x), self.positive)
        curve = scurve.Curve(maximum=values[:, 0], white=values[:, 1:])
        edges = regions.histogram_edges(encoded, num_regions=self.num_regions)
        stretch = deviation = None
        if self.curve_input == "estimated":
            estimate = response.Response(dropout_rate=0.0, name="response")
            stretch = jax.lax.stop_gradient(estimate.context(encoded))
        if self.smooth_noise:
            values = curve_values(encoded, self.curve_input, stretch=stretch)
            deviation = noise.measure(values)
        return Context(curve, edges, stretch, deviation)

    def __call__(
        self, encoded: Float[Array, "b h w 3"], context: Context | None = None
    ) -> Float[Array, "1 b h w 3"]:
        """Returns the pseudo-HDR as the only stage."""
        if context is None:
            context = self.context(encoded)
        values = curve_values(encoded, self.curve_input, stretch=context.stretch)
        if context.noise is not None:
            values = noise.smooth(values, context.noise)
        return scurve.expand(values, context.curve)[None]


def curve_values(
    encoded: Float[Array, "b h w 3"],
    curve_input: str,
    *,
    stretch: response.Stretch | None = None,
) -> Float[Array, "b h w 3"]:
    """Returns what the curve takes for encoded values, in [0, 1] as they are."""
    if curve_input == "encoded":
        return encoded
    return response.linearise(encoded, stretch)


class CompactFeatures(nn.Module):
    """Mean and maximum over the image of the features of six convolutions."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w _"]) -> Float[Array, "b _"]:
        for i, width in enumerate(_COMPACT_WIDTHS, 1):
            if i > 1:
                x = max_pool(x)
            x = Convolution(
                width,
                relu=True,
                kernel_init=nn.initializers.he_normal(),
                name=f"convolution_{i}",
            )(x)
        return jnp.concatenate([x.mean((1, 2)), x.max((1, 2))], axis=-1)


def adaptive_average_pool(
    x: Float[Array, "b _ _ c"], side: int
) -> Float[Array, "b side side c"]:
    """Returns the means over side x side windows that cover the image.

    As PyTorch's AdaptiveAvgPool2d: along an axis of n, window i reaches from
    floor(i n / side) to ceil((i + 1) n / side), so that neighbours may overlap and
    any size has a result.
    """
    rows, columns = (_window_weights(n, side) for n in x.shape[1:3])
    return jnp.einsum("ih,jw,bhwc->bijc", rows, columns, x)


def _window_weights(length: int, side: int) -> Float[np.ndarray, "side length"]:
    weights = np.zeros((side, length), np.float32)
    for i in range(side):
        start, stop = i * length // side, -(-(i + 1) * length // side)
        weights[i, start:stop] = 1 / (stop - start)
    return weights


def _shrink(encoded: Float[Array, "b h w 3"]) -> Float[Array, "b 256 256 3"]:
    batch, height, width, channels = encoded.shape
    if (height, width) == (SIDE, SIDE):
        return encoded
    small = jax.image.resize(encoded, (batch, SIDE, SIDE, channels), "linear")
    return jnp.clip(small, 0.0, 1.0)  # rounding may leave the range


def _to_positive(x: Float[Array, "b n"], kind: str) -> Float[Array, "b n"]:
    if kind == "softplus":
        # Softplus alone is zero in float32 below -90, and zero is no curve.
        positive = jax.nn.softplus(x + math.log(math.e - 1))
        return 1 / _BOUND + (1 - 1 / _BOUND) * positive
    bound = math.log(_BOUND)
    return jnp.exp(bound * jnp.tanh(x / bound))


def check_options(
    *,
    num_regions: int,
    backbone: str,
    positive: str,
    dropout_rate: float,
    curve_input: str,
    smooth_noise: bool,
) -> None:
    """Checks what a configuration says of the network.

    Raises:
      UserError: an option has no such value.
    """
    if backbone not in BACKBONES:
        raise UserError(f"backbone is {backbone!r}; expected one of {BACKBONES}")
    if positive not in POSITIVE:
        raise UserError(f"positive is {positive!r}; expected one of {POSITIVE}")
    if curve_input not in CURVE_INPUTS:
        raise UserError(
            f"curve_input is {curve_input!r}; expected one of {CURVE_INPUTS}"
        )
    if smooth_noise and curve_input == "encoded":
        raise UserError(
            "smooth_noise is for radiance, and curve_input is 'encoded'; expected "
            "'linear' or 'estimated'"
        )
    if type(num_regions) is not int or num_regions < 1:
        raise UserError(
            f"num_regions is {num_regions!r}; expected an integer of at least 1"
        )
    if not isinstance(dropout_rate, int | float) or not 0 <= dropout_rate < 1:
        raise UserError(
            f"dropout_rate is {dropout_rate!r}; expected a number from 0 to below 1"
        )
