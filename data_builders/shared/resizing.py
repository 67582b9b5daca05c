"""Reducing the size of images by averaging their radiance."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def shrink(
    hdr: Float[np.ndarray, "h w 3"], maximum_side: int
) -> Float[np.ndarray, "h2 w2 3"]:
    """Returns the image averaged over square blocks to at most `maximum_side` pixels.

    Args:
      hdr: linear radiance.
      maximum_side: largest height and width of the result; 0 keeps the size.
    """
    block = -(-max(hdr.shape[:2]) // maximum_side) if maximum_side else 1
    height, width = (max(1, side // block) for side in hdr.shape[:2])
    rows, columns = min(block, hdr.shape[0]), min(block, hdr.shape[1])
    cropped = hdr[: height * rows, : width * columns]
    blocks = cropped.reshape(height, rows, width, columns, 3)
    return blocks.mean(axis=(1, 3), dtype=np.float64).astype(np.float32)
