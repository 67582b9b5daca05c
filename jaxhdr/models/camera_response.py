"""A belief about how the camera responded, from the whole photograph.

One photograph hardly tells an sRGB camera from the rest: what a guess wins on one kind,
it loses on the other. So this network returns a belief in place of one curve: how much
more the photograph looks like one of an sRGB camera than like another's, the curve if
it is another's, and how wrong that curve may be. What the file says about its origin is
the prior (`jaxhdr.options.PRIORS`), and both together make one curve, the mean.

It sees the photograph itself by convolutions, with their means, maxima, deviations and
learned averages over the image, and the histograms of `jaxhdr.models.response`. The
layers are our own; so is the form of the curve, which is that of `response.expand`.

Input: `encoded` in [0, 1]; output: one stage, radiance in [0, 1] in scale `ldr_white`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from jaxhdr.models import response
from jaxhdr.models.checks import check_dropout_rate, check_dtype
from jaxhdr.models.layers import Convolution
from jaxhdr.models.response import KNOTS, ResponseSlopes, expand

# The convolutions see at most this many pixels; larger images are averaged down.
_AREA = 512**2

_FEATURES = (32, 64, 96, 128)
_ATTENTIONS = 8
_HIDDEN = (192, 128)

TRAINING_SHARE = 0.4
"""Share of sRGB cameras among those that the network was trained on."""


class Belief(NamedTuple):
    """What the network makes of whole images.

    `evidence` is the natural logarithm of the likelihood ratio of an sRGB camera to any
    other, and `slopes` is the curve of the other. `deviation` is the root mean square
    that the error of this curve is expected to have, in stops.
    """

    evidence: Float[Array, " b"]
    slopes: ResponseSlopes
    deviation: Float[Array, " b"]


def probability_of_srgb(
    belief: Belief, prior: Float[Array, ""] | float
) -> Float[Array, " b"]:
    """Returns the posterior probability of an sRGB camera.

    Args:
      belief: what the photographs say.
      prior: the probability before they were seen, from 0 to 1.
    """
    odds = jnp.log(prior) - jnp.log1p(-jnp.asarray(prior))
    return jax.nn.sigmoid(belief.evidence + odds)


def mean_slopes(belief: Belief, prior: Float[Array, ""] | float) -> ResponseSlopes:
    """Returns the mean curve, in stops, over an sRGB camera and the other one.

    Args:
      belief: what the photographs say.
      prior: the probability of an sRGB camera before they were seen, from 0 to 1.
    """
    share = probability_of_srgb(belief, prior)[:, None]
    return share + (1 - share) * belief.slopes  # the slopes of sRGB's curve are 1


class CameraResponse(nn.Module):
    """The belief about the camera of an image, and the image through the mean curve.

    Attributes:
      dropout_rate: share of units that dropout drops after each hidden layer.
      prior: probability of an sRGB camera before the photograph is seen.
      dtype: compute type of the convolutions.
    """

    dropout_rate: float = 0.2
    prior: float = TRAINING_SHARE
    dtype: Any = jnp.float32

    def __post_init__(self):
        check_dropout_rate(self.dropout_rate)
        check_dtype(self.dtype)
        super().__post_init__()

    @property
    def receptive_radius(self) -> int:
        """Pixels to each side of an output pixel that can change it."""
        return 0

    @nn.compact
    def context(self, encoded: Float[Array, "b h w 3"]) -> Belief:
        """Returns the belief about the cameras of whole images, without a prior."""
        encoded = jax.lax.stop_gradient(encoded)
        x = jax.vmap(response.statistics)(encoded)
        x = nn.relu(nn.Dense(_HIDDEN[0], name="statistics")(x))
        x = jnp.concatenate([x, self._of_pixels(encoded)], axis=-1)
        dropout = nn.Dropout(
            self.dropout_rate, deterministic=not self.has_rng("dropout")
        )
        for number, width in enumerate(_HIDDEN, 1):
            x = dropout(nn.relu(nn.Dense(width, name=f"dense_{number}")(x)))
        zeros = nn.initializers.zeros
        slopes = nn.Dense(len(KNOTS) - 1, kernel_init=zeros, name="slopes")(x)
        evidence = nn.Dense(1, kernel_init=zeros, name="evidence")(x)[:, 0]
        deviation = nn.Dense(1, kernel_init=zeros, name="deviation")(
            jax.lax.stop_gradient(x)
        )[:, 0]
        return Belief(evidence, jnp.exp(jnp.tanh(slopes)), jnp.exp(deviation - 1))

    def _of_pixels(
        self, encoded: Float[Array, "b h w 3"]
    ) -> Float[Array, "b features"]:
        x = _in_blocks(_averaged_down(encoded) - 0.5)
        for number, width in enumerate(_FEATURES, 1):
            layer = Convolution(
                width,
                relu=True,
                reflect=True,
                kernel_init=nn.initializers.he_normal(),
                dtype=self.dtype,
                name=f"conv_{number}",
            )
            x = layer(x)
            if number < len(_FEATURES):
                x = _halved(x)
        x = x.astype(jnp.float32).reshape(len(x), -1, x.shape[-1])
        weights = jax.nn.softmax(nn.Dense(_ATTENTIONS, name="attention")(x), axis=1)
        attended = jnp.einsum("bpa,bpf->baf", weights, x).reshape(len(x), -1)
        mean = x.mean(axis=1)
        deviation = jnp.sqrt(jnp.square(x - mean[:, None]).mean(axis=1) + 1e-6)
        return jnp.concatenate([mean, deviation, x.max(axis=1), attended], axis=-1)

    def __call__(
        self, encoded: Float[Array, "b h w 3"], context: Belief | None = None
    ) -> Float[Array, "1 b h w 3"]:
        """Returns the photograph through the inverse of its camera's mean response."""
        if context is None:
            context = self.context(encoded)
        return expand(encoded, mean_slopes(context, self.prior))[None]


def _averaged_down(encoded: Float[Array, "b h w 3"]) -> Float[Array, "b _ _ 3"]:
    batch, height, width, channels = encoded.shape
    scale = (_AREA / (height * width)) ** 0.5
    if scale >= 1:
        return encoded
    small = (max(round(height * scale), 1), max(round(width * scale), 1))
    return jax.image.resize(encoded, (batch, *small, channels), "linear")


def _in_blocks(x: Float[Array, "b h w c"]) -> Float[Array, "b _ _ _"]:
    """Returns the pixels of 2 x 2 blocks as channels; an odd last one is repeated."""
    batch, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    x = x.reshape(batch, x.shape[1] // 2, 2, x.shape[2] // 2, 2, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(*x.shape[:3], 4 * channels)


def _halved(x: Float[Array, "b h w c"]) -> Float[Array, "b _ _ c"]:
    """Returns the means of 2 x 2 pixels; an odd last row or column is left out.

    An axis of one pixel stays.
    """
    for axis in (1, 2):
        count = x.shape[axis] // 2
        if count:
            first = jax.lax.slice_in_dim(x, 0, 2 * count, 2, axis=axis)
            second = jax.lax.slice_in_dim(x, 1, 2 * count, 2, axis=axis)
            x = (first + second) / 2
    return x


def deviation_in_stops(slopes: ResponseSlopes) -> Float[Array, "b knots"]:
    """Returns how far curves are from sRGB's, in stops, at all knots but the lowest.

    The last one, at white, is 0.
    """
    excess = (slopes - 1) * jnp.asarray(np.diff(KNOTS), jnp.float32)[None]
    below = jnp.cumsum(excess[:, ::-1], axis=1)[:, ::-1]
    at_knots = jnp.concatenate([below[:, 1:], jnp.zeros_like(below[:, :1])], axis=1)
    return -at_knots
