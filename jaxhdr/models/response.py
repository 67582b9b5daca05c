"""An estimate of how the camera responded, from the statistics of one photograph.

Photographs of one scene by two cameras differ by a curve, and what a network takes for
radiance is wrong by that curve wherever nothing is clipped. It shows in statistics of
the whole image: histograms of its values (Lin and Zhang 2005, "Determining the
Radiometric Response Function from a Single Grayscale Image") and of the differences
between neighbours. As in Linearization-Net (Liu et al. 2020, "Single-Image HDR
Reconstruction by Learning to Reverse the Camera Pipeline", section 3.2), a network
reads them and returns a rising curve; its layers and its curve are our own.

Input: `encoded` in [0, 1]; output: one stage, radiance in [0, 1] in scale `ldr_white`.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from jaxhdr.imaging import color
from jaxhdr.models.checks import check_dropout_rate

ResponseSlopes = Float[Array, "b segments"]
"""The curve of each image, by the slopes of its segments; see `expand`."""

# Statistics depend on the size of an image, so they are taken at this many pixels.
_AREA = 128**2

# Numbers of bins: of the values, and of pairs of neighbours by their mean and by their
# difference, in steps of a factor of two from a quarter of an 8-bit code.
_VALUE_BINS = 64
_LEVEL_BINS = 16
_CONTRAST_BINS = 8
_DISTANCES = (1, 2, 4)  # pixels between the neighbours

_HIDDEN = 128

# Ends of the curve's segments, in stops of the sRGB-decoded value. Code 1 of 255 is at
# -11.7; nothing is below the first.
KNOTS = np.array([-24, -10, -9, -8, -7, -6, -5, -4, -3, -2.5, -2, -1.5, -1, -0.5, 0])
_SEGMENTS = len(KNOTS) - 1


class Response(nn.Module):
    """The curve of an image, and the image through it; 92,174 parameters.

    Attributes:
      dropout_rate: share of units that dropout drops after each of the two hidden
        layers.
    """

    dropout_rate: float = 0.2

    def __post_init__(self):
        check_dropout_rate(self.dropout_rate)
        super().__post_init__()

    @property
    def receptive_radius(self) -> int:
        """Pixels to each side of an output pixel that can change it."""
        return 0

    @nn.compact
    def context(self, encoded: Float[Array, "b h w 3"]) -> ResponseSlopes:
        """Returns the slopes of whole images; before training all are 1."""
        x = jax.vmap(statistics)(jax.lax.stop_gradient(encoded))
        dropout = nn.Dropout(
            self.dropout_rate, deterministic=not self.has_rng("dropout")
        )
        for i in (1, 2):
            x = dropout(nn.relu(nn.Dense(_HIDDEN, name=f"dense_{i}")(x)))
        last = nn.Dense(_SEGMENTS, kernel_init=nn.initializers.zeros, name="dense_3")
        return jnp.exp(jnp.tanh(last(x)))

    def __call__(
        self, encoded: Float[Array, "b h w 3"], context: ResponseSlopes | None = None
    ) -> Float[Array, "1 b h w 3"]:
        """Returns the photograph through the inverse of its camera's response."""
        if context is None:
            context = self.context(encoded)
        return expand(encoded, context)[None]


def expand(
    encoded: Float[Array, "b h w 3"], slopes: ResponseSlopes
) -> Float[Array, "b h w 3"]:
    """Returns the radiance of encoded values in [0, 1] through each image's curve.

    With stops of radiance drawn over stops of the sRGB-decoded value, the curve is made
    of straight segments with these slopes, which are positive. If all of them are 1, it
    is sRGB decoding. It maps 0 to 0 and 1 to 1, and rises between them.
    """
    lowest, *_ = KNOTS
    x = jnp.log2(jnp.maximum(color.srgb_decode(encoded), 2.0**lowest))
    below_white = jnp.zeros_like(x)
    for i, (low, high) in enumerate(itertools.pairwise(KNOTS)):
        within = jnp.clip(high - x, 0.0, high - low)
        below_white += slopes[:, i, None, None, None] * within
    return jnp.where(encoded > 0, jnp.exp2(-below_white), 0.0)


def linearise(
    encoded: Float[Array, "b h w 3"], slopes: ResponseSlopes | None
) -> Float[Array, "b h w 3"]:
    """Returns radiance by each image's response, or by sRGB's if `slopes` is None."""
    if slopes is None:
        return color.srgb_decode(encoded)
    return expand(encoded, slopes)


def statistics(encoded: Float[Array, "h w 3"]) -> Float[Array, " statistics"]:
    """Returns the histograms of an image, each with mean 0 and deviation 1."""
    small = _shrink(encoded)
    values = jnp.stack([_shares(_bin(x, _VALUE_BINS), _VALUE_BINS) for x in small.T])
    pairs = [_pairs(small, distance) for distance in _DISTANCES]
    return jnp.concatenate(
        [_standardised(jnp.sqrt(values)), _standardised(jnp.sqrt(jnp.stack(pairs)))]
    )


def _shrink(encoded: Float[Array, "h w 3"]) -> Float[Array, "_ _ 3"]:
    height, width, channels = encoded.shape
    scale = (_AREA / (height * width)) ** 0.5
    size = (max(round(height * scale), 1), max(round(width * scale), 1), channels)
    small = jax.image.resize(encoded, size, "linear")
    return jnp.clip(small, 0.0, 1.0)  # rounding may leave the range


def _pairs(
    small: Float[Array, "h w 3"], distance: int
) -> Float[Array, "levels contrasts"]:
    """Returns, for each level of brightness, the shares of the contrasts there."""
    ahead = (small[distance:], small[:, distance:])
    behind = (small[:-distance], small[:, :-distance])
    a, b = (jnp.concatenate([x.ravel() for x in side]) for side in (ahead, behind))
    level = _bin((a + b) / 2, _LEVEL_BINS)
    contrast = jnp.floor(jnp.log2(255 * jnp.abs(a - b) + 0.25)) + 2
    contrast = jnp.clip(contrast.astype(jnp.int32), 0, _CONTRAST_BINS - 1)
    bins = _LEVEL_BINS * _CONTRAST_BINS
    shares = _shares(level * _CONTRAST_BINS + contrast, bins)
    shares = shares.reshape(_LEVEL_BINS, _CONTRAST_BINS)
    # A level that few pixels have counts less.
    return shares / (shares.sum(axis=-1, keepdims=True) + 1e-3)


def _bin(x: Array, bins: int) -> Array:
    return jnp.minimum((x * bins).astype(jnp.int32), bins - 1)


def _shares(index: Array, bins: int) -> Float[Array, " bins"]:
    counts = jnp.zeros(bins).at[index.ravel()].add(1.0)
    return counts / max(index.size, 1)


def _standardised(x: Array) -> Float[Array, " size"]:
    x = x.ravel()
    return (x - x.mean()) / (x.std() + 1e-3)
