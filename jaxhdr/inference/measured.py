"""Joins what a phone measured with what a network reconstructs.

Both are light in scale `ldr_white`, in which 1.0 is the white of the photograph.
"""

import numpy as np
from jaxtyping import Float

from jaxhdr.image_io import Measured


def combine(
    measured: Measured, estimate: Float[np.ndarray, "h w 3"]
) -> Float[np.ndarray, "h w 3"]:
    """Returns the measured image, brightened by the estimate where it is clipped.

    No pixel gets darker than it was measured. There is no soft transition: at the edge
    of a clipped area the estimate is about 1.0, which is less than was measured, so the
    larger of the two goes over from one to the other where they are equal.

    Args:
      measured: the HDR image that the photograph's gain map gives.
      estimate: the result of a model for the photograph.
    """
    hdr = measured.hdr.copy()
    return np.maximum(hdr, estimate, out=hdr, where=measured.is_clipped)
