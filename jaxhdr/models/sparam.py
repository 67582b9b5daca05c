"""SParam-Net: a network that estimates an image's inverse tone-mapping curve.

Oh, Shin, Hong (2021), "Use of Local Region Maps on Convolutional LSTM for Single-Image
HDR Reconstruction", section 2.1 and Fig. 5. Input: `encoded` in [0, 1]; output: one
stage, the pseudo-HDR: the photograph through the S-curve with the estimated parameters,
in the scale of the training data. The network sees the whole image at 256 x 256 pixels
with its region maps; the curve is applied at full resolution.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from jaxhdr.errors import UserError, check_choice, check_count
from jaxhdr.imaging import regions, scurve
from jaxhdr.models.checks import check_dropout_rate
from jaxhdr.models.front import Front, FrontContext, Prior
from jaxhdr.models.layers import Convolution, max_pool
from jaxhdr.models.vgg import VGG, VGG16_DEPTHS

SIDE = 256  # section 2.1
_POOLED_SIDE = 7  # section 2.1
_HIDDEN = 4096  # section 2.1
_NUM_PARAMETERS = 4  # L'max, Rwhite, Gwhite, Bwhite

# The compact network: with these widths it has 0.56 million parameters.
_COMPACT_WIDTHS = (16, 32, 64, 96, 128, 192)
_COMPACT_HIDDEN = 256

# Parameters of the curve stay above 1 / bound, and exponential ones below bound.
_BOUND = 1e4

BACKBONES = ("vgg16", "compact")
POSITIVE = ("exponential", "softplus")
CURVES_OF = ("encoded", "radiance")


class Context(NamedTuple):
    """What a part of an image needs to know of the whole."""

    curve: scurve.Curve
    edges: Float[Array, "b edges 3"]
    """Edges between the region maps, from `regions.histogram_edges`."""
    front: FrontContext | None = None
    """What the front end knows; None where the curve takes encoded values."""


class SParam(nn.Module):
    """SParam-Net; 134,285,572 parameters with five regions and the paper's backbone.

    Attributes:
      num_regions: N, region maps per colour channel that the network sees.
      backbone: what looks at the image.
        `vgg16`: the paper's network: 13 convolutions with four poolings, adaptive
        average pooling to 7 x 7 and two layers of 4096.
        `compact`: six convolutions with five poolings, the mean and the maximum of
        each feature, and two layers of 256. It is small enough to ship.
      positive: how four unbounded outputs become positive parameters. An output of 0
        becomes 1. Training starts there: a curve with all parameters 1 is the identity.
        `exponential`: exp, bent to stay within 1e-4 and 1e4. Whites and maxima span
        decades, and equal steps of the output are equal ratios at any size.
        `softplus`: grows linearly, without an upper bound; above 1e-4.
      dropout_rate: share of units that dropout drops after each of the two hidden
        layers.
      curve_of: what the curve takes for the display's luminance.
        `encoded`: the photograph's values (the paper's Fig. 4). No S-curve of them is
        close to sRGB decoding: the best is 0.018 off in the mean mu-law code.
        `radiance`: the radiance that the front end returns, as Banterle et al. (2006)
        linearise first; then the identity curve is the linearised photograph.
      front: the front end; a curve of encoded values has none.
    """

    num_regions: int = 5
    backbone: str = "vgg16"
    positive: str = "exponential"
    dropout_rate: float = 0.5
    curve_of: str = "encoded"
    front: Front = Front()

    def __post_init__(self):
        check_count("num_regions", self.num_regions)
        check_choice("backbone", self.backbone, BACKBONES)
        check_choice("positive", self.positive, POSITIVE)
        check_dropout_rate(self.dropout_rate)
        check_choice("curve_of", self.curve_of, CURVES_OF)
        if self.curve_of == "encoded":
            _check_no_front(self.front)
        super().__post_init__()

    def setup(self):
        # The parameters of the estimate are `response`, not `front/response`.
        nn.share_scope(self, self.front)

    @property
    def receptive_radius(self) -> int:
        """Pixels to each side of an output pixel that can change it."""
        return self.front.receptive_radius

    @nn.compact
    def context(
        self, encoded: Float[Array, "b h w 3"], *, prior: Prior | None = None
    ) -> Context:
        """Returns the curves and the edges of the regions of whole images.

        The prior is that of the front end; see there.
        """
        small = _shrink(encoded)
        edges = regions.histogram_edges(small, num_regions=self.num_regions)
        maps = regions.region_maps(small, edges)
        x = jnp.concatenate([small, *maps], axis=-1)
        if self.backbone == "vgg16":
            features = VGG(VGG16_DEPTHS, name="features")(x)["relu5_3"]
            x = adaptive_average_pool(features, _POOLED_SIDE)
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
        if self.curve_of == "encoded":
            return Context(curve, edges)
        return Context(curve, edges, self.front.context(encoded, prior=prior))

    def __call__(
        self, encoded: Float[Array, "b h w 3"], context: Context | None = None
    ) -> Float[Array, "1 b h w 3"]:
        """Returns the pseudo-HDR as the only stage."""
        if context is None:
            context = self.context(encoded)
        values = encoded
        if context.front is not None:
            values = self.front(encoded, context.front)
        return scurve.expand(values, context.curve)[None]


class CompactFeatures(nn.Module):
    """The compact backbone: six convolutions, and statistics of their features."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w _"]) -> Float[Array, "b _"]:
        """Returns the mean and the maximum of each feature over the image."""
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

    This is PyTorch's AdaptiveAvgPool2d: along an axis of n pixels, window i reaches
    from floor(i n / side) to ceil((i + 1) n / side), so that neighbours may overlap and
    an image of any size has a result.
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


def _check_no_front(front: Front) -> None:
    """Checks that nothing is asked of the front end where no curve reads it."""
    option = "smooth_noise" if front.smooth_noise else "response='estimated'"
    if front.smooth_noise or front.response != "srgb":
        raise UserError(
            f"front.{option} is for radiance, and curve_of is 'encoded'; expected "
            "'radiance'"
        )
