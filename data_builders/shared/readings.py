"""Reads published images and checks them; errors name the file."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from data_builders.shared import records
from data_builders.shared.source_files import SourceFile, opened
from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.imaging import scales

# Resampling and conversions from wider gamuts cause small negative values, which are
# allowed down to this share of the mean.
_NEGATIVE_SHARE = 0.01
# The maximum of an HDR image may be exactly 1 in few pixels; a clipped image has more.
_CLIPPED_SHARE = 0.001


def read_radiance(file: SourceFile) -> Float[np.ndarray, "h w 3"]:
    """Returns the radiance in a file, in the file's unit.

    Raises:
      UserError: the file cannot be read, or its values are no radiance; see `check`.
    """
    with opened(file) as path:
        hdr = image_io.read_hdr(path, negative="keep")
    return check(hdr, file.name)


def read_codes(file: SourceFile) -> UInt8[np.ndarray, "h w 3"]:
    """Returns a photograph as 8-bit sRGB codes.

    Raises:
      UserError: the file cannot be read.
    """
    with opened(file) as path:
        encoded = image_io.read_encoded(path)
    return np.rint(encoded * 255).astype(np.uint8)


def check(hdr: Float[np.ndarray, "h w 3"], name: str) -> Float[np.ndarray, "h w 3"]:
    """Returns finite radiance with small negative values set to 0.

    Args:
      hdr: finite values, in the file's unit.
      name: name of the file, for errors.

    Raises:
      UserError: values are clearly negative, all are zero, or the image is clipped at
        1, as only a low-dynamic-range image is.
    """
    least, mean = float(hdr.min()), float(hdr.mean(dtype=np.float64))
    if least < -_NEGATIVE_SHARE * abs(mean):
        raise UserError(
            f"{name} has negative radiance, down to {least:.4g} with a mean of "
            f"{mean:.4g}; expected values >= 0: use another file"
        )
    hdr = np.maximum(hdr, np.float32(0))
    if records.is_dark(hdr):
        raise UserError(
            f"{name} is black; expected radiance above 0 in more than single pixels: "
            "use another file"
        )
    brightest = hdr.max(axis=-1)
    clipped = float((brightest == 1).mean())
    if brightest.max() == 1 and clipped > _CLIPPED_SHARE:
        raise UserError(
            f"{name} is clipped at 1 in {clipped:.1%} of its pixels; expected an HDR "
            "image: use another file"
        )
    return hdr


def pair(
    hdr: Float[np.ndarray, "h w 3"],
    ldr: UInt8[np.ndarray, "h2 w2 3"],
    *,
    name: str,
    scene: str,
) -> dict[str, object]:
    """Returns the record of a pair, with its radiance in scale `ldr_white`.

    The radiance is multiplied by the median ratio of the linearised photograph's
    luminance to the radiance's luminance, over unclipped pixels (`scales.align`).

    Args:
      hdr: radiance in any unit.
      ldr: 8-bit sRGB codes of the photograph.
      name: name of the record.
      scene: name of the scene.

    Raises:
      UserError: the images differ in size, or no factor aligns them.
    """
    if hdr.shape != ldr.shape:
        raise UserError(
            f"{name}: the HDR image has {hdr.shape[0]} x {hdr.shape[1]} pixels, the "
            f"photograph {ldr.shape[0]} x {ldr.shape[1]}; use files of the same size"
        )
    factor = scales.align(hdr, ldr.astype(np.float32) / 255)
    aligned = hdr * np.float32(factor)
    if not np.isfinite(aligned).all() or not aligned.any():
        raise UserError(
            f"{name}: multiplied by {factor:.3g} to match the photograph, the radiance "
            "is outside the range of float32; use two files of the same scene"
        )
    return dict(records.record(aligned, name=name, scene=scene, ldr=ldr))
