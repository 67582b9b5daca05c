"""Reading published images, with what is wrong with them said by file name."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from data_builders.shared import records
from data_builders.shared.source_files import SourceFile, opened
from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.imaging import scales

# Resampling and conversions from wider primaries leave small negative values behind.
_NEGATIVE_SHARE = 0.01  # of the mean
# A single brightest pixel may be exactly 1; a clipped image has many.
_CLIPPED_SHARE = 0.001


def read_radiance(file: SourceFile) -> Float[np.ndarray, "h w 3"]:
    """Returns the radiance in a file, in its own unit.

    Raises:
      UserError: the file cannot be read, or what it holds is no radiance; see `check`.
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
    """Returns finite radiance with tiny negative values set to 0.

    Raises:
      UserError: values are clearly negative, all are zero, or the image is clipped at
        1 as only a low-dynamic-range one is.
    """
    least, mean = float(hdr.min()), float(hdr.mean(dtype=np.float64))
    if least < -_NEGATIVE_SHARE * abs(mean):
        raise UserError(
            f"{name} has negative radiance, down to {least:.4g} where the mean is "
            f"{mean:.4g}."
        )
    hdr = np.maximum(hdr, np.float32(0))
    if records.is_dark(hdr):
        raise UserError(f"{name} is black: all of its radiance is zero.")
    brightest = hdr.max(axis=-1)
    clipped = float((brightest == 1).mean())
    if brightest.max() == 1 and clipped > _CLIPPED_SHARE:
        raise UserError(
            f"{name} is clipped at 1 in {clipped:.1%} of its pixels: it is no HDR "
            "image."
        )
    return hdr


def pair(
    hdr: Float[np.ndarray, "h w 3"],
    ldr: UInt8[np.ndarray, "h2 w2 3"],
    *,
    name: str,
    scene: str,
) -> dict[str, object]:
    """Returns the record of a pair, its radiance brought to scale `ldr_white`.

    The factor is the median, over unclipped pixels, of the ratio of luminances of the
    linearised photograph and the radiance (`scales.align`).

    Raises:
      UserError: the images differ in size, or no factor makes one of the other.
    """
    if hdr.shape != ldr.shape:
        raise UserError(
            f"{name}: the HDR image has {hdr.shape[0]} x {hdr.shape[1]} pixels, the "
            f"photograph {ldr.shape[0]} x {ldr.shape[1]}."
        )
    factor = scales.align(hdr, ldr.astype(np.float32) / 255)
    aligned = hdr * np.float32(factor)
    if not np.isfinite(aligned).all() or not aligned.any():
        raise UserError(
            f"{name}: a factor of {factor:.3g} between photograph and HDR image leaves "
            "no radiance that can be stored; they do not show the same."
        )
    return dict(records.record(aligned, name=name, scene=scene, ldr=ldr))
