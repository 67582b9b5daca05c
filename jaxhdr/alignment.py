"""Brings estimates of any scale to `ldr_white`, by the photograph they were made of."""

import numpy as np
from jaxtyping import Float

from jaxhdr import scales

TARGET = "ldr_white"


def factors(
    stages: Float[np.ndarray, "stages h w 3"],
    encoded: Float[np.ndarray, "h w 3"],
    *,
    scale: str,
) -> Float[np.ndarray, " stages"]:
    """Returns what brings each stage, each on its own, from `scale` to `ldr_white`.

    Args:
      stages: estimates of a whole image in a model's own unit.
      encoded: the photograph.
      scale: the model's own, one of `scales.SCALES`; only `ldr_white` is absolute.
    """
    if scale == TARGET:
        return np.ones(len(stages), np.float32)
    return np.array([scales.align(stage, encoded) for stage in stages], np.float32)


def sentence(scale: str) -> str:
    """Returns how estimates of a model's own scale are aligned; "" if they are not."""
    if scale == TARGET:
        return ""
    return (
        "median ratio to the linearised photograph on unclipped pixels; the model's "
        f"own scale is {scale}"
    )
