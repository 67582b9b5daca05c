"""Reads PQ, HLG and linear images in formats of photographs as radiance.

These are AVIF, HEIC, JPEG XL, PNG, TIFF and JPEG files whose colour description says
PQ or HLG, and JPEG XL and 16-bit PNG of linear light. Radiance 1.0 is diffuse white:
203 cd/m^2 of PQ, and of HLG on a display of 1000 cd/m^2 (ITU-R BT.2408-7, section 2.1).
"""

import os

import numpy as np
from jaxtyping import Float

from jaxhdr.errors import UserError
from jaxhdr.image_io.photos import photos
from jaxhdr.image_io.photos.raster import to_values


def read_hdr_photo(path: str | os.PathLike, kind: str) -> Float[np.ndarray, "h w 3"]:
    """Returns linear BT.709 radiance; colours outside BT.709 are negative.

    Transparency is dropped.

    Args:
      path: the file.
      kind: its format, a name of `formats.detect_format`.

    Raises:
      UserError: the file is damaged, or holds an SDR photograph.
    """
    raster = photos.decode(path, kind)
    if not (raster.colour.is_hdr or raster.is_float):
        raise UserError(
            f"cannot read {path} as HDR: it is a {kind} photograph; expected OpenEXR, "
            "Radiance .hdr, .npy, .pfm, float TIFF, or an image in PQ or HLG"
        )
    try:
        radiance = raster.colour.to_radiance(to_values(raster))
    except ValueError as error:
        raise UserError(f"cannot read {path}: {error}") from error
    return np.repeat(radiance, 3, axis=2) if radiance.shape[2] == 1 else radiance
