"""The error of a belief about cameras, against those that took the photographs."""

import dataclasses
from typing import Final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxhdr.imaging import color
from jaxhdr.imaging.camera import Responses
from jaxhdr.models import camera_response
from jaxhdr.models.camera_response import Belief
from jaxhdr.models.response import KNOTS

# The ends of the segments, but for the lowest, which no 8-bit code is below.
_STOPS: Final = KNOTS[1:]

CODES: Final = color.srgb_encode(jnp.exp2(jnp.asarray(_STOPS, jnp.float32)))
"""The encoded values at which curves are compared."""

_EVEN_SHARE = 0.2  # of the weight of a knot, whatever the pixels of the image


@dataclasses.dataclass(frozen=True)
class ResponseError:
    """The weighted sum of the errors of the three parts of a belief.

    Attributes:
      exposure_weight: weight of the square of the mean error of a curve; the square of
        what differs from that mean has 1. Scores are computed after an alignment.
      evidence_weight: weight of the cross entropy of the evidence.
      deviation_weight: weight of the log likelihood of the error of the curve.
      mean_weight: weight of the error of the mean curve over both kinds of cameras.
    """

    exposure_weight: float = 0.3
    evidence_weight: float = 0.1
    deviation_weight: float = 0.05
    mean_weight: float = 1.0

    def __call__(
        self, belief: Belief, responses: Responses, encoded: Float[Array, "b h w 3"]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """Returns the number to minimise and its parts by name.

        Args:
          belief: what the network says of the photographs.
          responses: the cameras that took them, at `CODES`.
          encoded: the photographs.
        """
        truth = responses.stops - jnp.asarray(_STOPS, jnp.float32)[None]
        weights = _weights(encoded)
        is_other = ~responses.is_srgb
        of_other = self._square(belief.slopes, truth, weights)
        mean = camera_response.mean_slopes(belief, camera_response.TRAINING_SHARE)
        of_mean = self._square(mean, truth, weights)
        odds = belief.evidence + jnp.log(
            camera_response.TRAINING_SHARE / (1 - camera_response.TRAINING_SHARE)
        )
        entropy = -jax.nn.log_sigmoid(jnp.where(responses.is_srgb, odds, -odds)).mean()
        log_deviation = jnp.log(belief.deviation)
        likelihood = log_deviation + 0.5 * jax.lax.stop_gradient(of_other) / jnp.square(
            belief.deviation
        )
        parts = {
            "curve": _mean_where(of_other, is_other),
            "mean_curve": of_mean.mean(),
            "evidence": entropy,
            "deviation": _mean_where(likelihood, is_other),
        }
        loss = (
            parts["curve"]
            + self.mean_weight * parts["mean_curve"]
            + self.evidence_weight * parts["evidence"]
            + self.deviation_weight * parts["deviation"]
        )
        as_srgb = self._square(jnp.ones_like(belief.slopes), truth, weights)
        return loss, {"loss": loss, "srgb_curve": as_srgb.mean()} | parts

    def _square(
        self,
        slopes: Float[Array, "b segments"],
        truth: Float[Array, "b codes"],
        weights: Float[Array, "b codes"],
    ) -> Float[Array, " b"]:
        error = camera_response.deviation_in_stops(slopes) - truth
        mean = (weights * error).sum(axis=1)
        rest = (weights * jnp.square(error - mean[:, None])).sum(axis=1)
        return rest + self.exposure_weight * jnp.square(mean)


def _weights(encoded: Float[Array, "b h w 3"]) -> Float[Array, "b codes"]:
    """Returns the weight of each code by the share of values near it; their sum is 1.

    Clipped values do not count.
    """
    some = encoded[:, ::2, ::2].reshape(len(encoded), -1)
    edges = [*((CODES[:-1] + CODES[1:]) / 2), 254 / 255]
    below = jnp.stack([(some < edge).mean(axis=1) for edge in edges], axis=1)
    shares = jnp.diff(below, axis=1, prepend=0.0)
    shares = shares / jnp.maximum(shares.sum(axis=1, keepdims=True), 1e-3)
    return _EVEN_SHARE / len(CODES) + (1 - _EVEN_SHARE) * shares


def _mean_where(x: Float[Array, " b"], mask: Bool[Array, " b"]) -> Float[Array, ""]:
    return jnp.where(mask, x, 0.0).sum() / jnp.maximum(mask.sum(), 1)
