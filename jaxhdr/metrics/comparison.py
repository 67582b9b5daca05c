"""All scores of one pair of images, which are checked first."""

import functools
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxhdr.errors import UserError
from jaxhdr.imaging import camera
from jaxhdr.metrics.precision import at_least_float32
from jaxhdr.metrics.protocols import Protocol
from jaxhdr.metrics.table import METRICS, select

_PROTOCOL = Protocol()


def compare(
    test: Array | np.ndarray,
    reference: Array | np.ndarray,
    *,
    encoded: Array | np.ndarray | None = None,
    names: Iterable[str] | None = None,
    protocol: Protocol = _PROTOCOL,
) -> dict[str, float]:
    """Returns the scores of one image of shape (height, width, 3), after checking it.

    Args:
      test: the estimate, linear BT.709 radiance.
      reference: the truth, in the same scale.
      encoded: the LDR image, which metrics of clipped or unclipped pixels need.
      names: keys of `METRICS`; by default, all metrics that the arguments allow.
      protocol: how the images are prepared before they are scored.

    Raises:
      UserError: an image holds integers, is not finite radiance >= 0 or cannot be
        aligned, the sizes differ, a name is unknown, or its metric needs `encoded`.
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
    clipped = values = None
    if "encoded" in checked:
        clipped = camera.is_clipped(checked["encoded"])
        values = camera.clipped_values(checked["encoded"])
    prepared = protocol.prepare(
        np.asarray(checked["test"]),
        np.asarray(checked["reference"]),
        clipped=None if clipped is None else np.asarray(clipped),
    )
    pair = (jnp.asarray(x, jnp.float32) for x in (prepared.test, prepared.reference))
    scores = _score_all(*pair, values, metrics=metrics, display=protocol.shown_by)
    return {metric.name: float(scores[metric.name]) for metric in metrics}


# For a single pair, compiling without optimisation saves more time than it costs.
@functools.partial(
    jax.jit,
    static_argnames=("metrics", "display"),
    compiler_options={"xla_backend_optimization_level": 0},
)
def _score_all(test, reference, clipped, *, metrics, display):
    return {
        metric.name: metric.score(test, reference, clipped=clipped, display=display)
        for metric in metrics
    }


def _checked(image: Array | np.ndarray, name: str, shape: tuple[int, ...]) -> Array:
    values = np.asarray(at_least_float32(image, name=name), np.float32)
    if values.shape != shape or len(shape) != 3 or shape[-1] != 3 or 0 in shape:
        raise UserError(
            f"the {name} image has shape {values.shape}, the reference {tuple(shape)}; "
            "both must have the same shape (height, width, 3): crop or resize them"
        )
    wrong = values.size - int(np.count_nonzero(np.isfinite(values) & (values >= 0)))
    if wrong:
        raise UserError(
            f"the {name} image has {wrong} values that are NaN, infinite or negative; "
            "scores need radiance >= 0: clean the image first"
        )
    return jnp.asarray(values)
