"""Turns images upright."""

from typing import Final

import numpy as np
from jaxtyping import Shaped
from PIL import Image

ORIENTATION: Final = 0x0112
"""Tag of EXIF and TIFF 6.0 that says how a photograph is turned."""


def read_packet(packet: bytes) -> tuple[int, Image.Exif | None]:
    """Returns the orientation that bytes of EXIF state, and the EXIF itself.

    Damaged EXIF counts as none.
    """
    exif = Image.Exif()
    try:
        exif.load(packet)
        return int(exif.get(ORIENTATION, 1)), exif
    except Exception:  # Pillow raises many types
        return 1, None


def apply_orientation(
    image: Shaped[np.ndarray, "h w c"], orientation: int
) -> Shaped[np.ndarray, "h2 w2 c"]:
    """Returns the upright image for an EXIF orientation.

    Orientations are 1 to 8; other numbers change nothing. The numbers are those of TIFF
    6.0, tag 274: they say where row 0 and column 0 of the stored image lie in the
    picture.
    """
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def undo_orientation(
    image: Shaped[np.ndarray, "h w c"], orientation: int
) -> Shaped[np.ndarray, "h2 w2 c"]:
    """Returns the stored image of an upright one, for an EXIF orientation."""
    # Only the quarter turns, 6 and 8, are not their own inverse.
    return apply_orientation(image, {6: 8, 8: 6}.get(orientation, orientation))
