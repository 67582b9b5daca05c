"""Linear HDR files: `hdr` is linear BT.709 radiance, float32, finite and >= 0.

The unit is the file's own (see the words on scale in the documentation); nothing here
normalises. Negative values, which resampling and conversions from wider primaries
leave behind, are no radiance: they become 0 when reading and when writing.
"""

import os
import pathlib
from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float

from jaxhdr.atomic import atomic_path
from jaxhdr.errors import UserError
from jaxhdr.image_io import array_files, exr_files, formats, rgbe_files
from jaxhdr.options import HDR_SUFFIXES

_READERS = {
    "exr": exr_files.read_exr,
    "hdr": rgbe_files.read_rgbe,
    "npy": array_files.read_npy,
    "pfm": array_files.read_pfm,
    "tiff": array_files.read_float_tiff,
}
_WRITERS = {
    ".hdr": rgbe_files.write_rgbe,
    ".npy": array_files.write_npy,
    ".pfm": array_files.write_pfm,
    ".tif": array_files.write_float_tiff,
    ".tiff": array_files.write_float_tiff,
}


def read_hdr(
    path: str | os.PathLike,
    *,
    non_finite: Literal["error", "replace"] = "error",
    negative: Literal["zero", "keep"] = "zero",
) -> Float[np.ndarray, "h w 3"]:
    """Returns the linear radiance in an OpenEXR, .hdr, .npy, PFM or float TIFF file.

    The format is told by content. A single channel becomes grey, alpha is dropped
    (HDR colour is premultiplied by it), EXR and TIFF are turned upright and cropped or
    padded to the picture, chromaticities other than BT.709 are converted.

    Args:
        path: The file.
        non_finite: "error", or "replace": NaN and -inf become 0, +inf becomes the
            largest finite value of the image.
        negative: "zero", or "keep" to see how far negative values go.

    Raises:
        UserError: The file is unreadable, no HDR image, or holds NaN or infinity.
    """
    kind = formats.detect_format(formats.read_head(path))
    if kind not in _READERS:
        what = f"a {kind} photograph" if kind else "no image that is known here"
        raise UserError(
            f"cannot read {path} as HDR: it is {what}; expected OpenEXR, Radiance "
            ".hdr, .npy, .pfm or float TIFF."
        )
    with formats.decoding(path):
        hdr = _READERS[kind](path)
    if non_finite == "replace":
        hdr = _replace_non_finite(hdr)
    else:
        _check_finite(
            hdr, f"cannot read {path}", 'pass non_finite="replace" to mend it'
        )
    return hdr if negative == "keep" else np.maximum(hdr, np.float32(0), out=hdr)


def write_hdr(
    path: str | os.PathLike,
    hdr: Float[np.ndarray, "h w 3"],
    *,
    half: bool = True,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes linear radiance in the format of the suffix, whole or not at all.

    Args:
        path: A file name ending in .exr, .hdr, .npy, .pfm, .tif or .tiff.
        hdr: Finite radiance; negative values are written as 0.
        half: 16-bit floats for .exr, unless a value exceeds 65504 (then 32-bit).
        metadata: Strings for the header of an .exr; other formats do not hold them.

    Raises:
        UserError: The suffix is unknown, the array holds NaN or infinity or has no
            pixels, or the file cannot be written.
    """
    check_hdr_suffix(path)
    if hdr.ndim != 3 or hdr.shape[2] != 3 or not hdr.size:
        raise UserError(
            f"cannot write {path}: the array has the shape {hdr.shape}, expected "
            "(height, width, 3) with at least one pixel."
        )
    with np.errstate(over="ignore"):
        hdr = np.asarray(hdr, np.float32)
    _check_finite(hdr, f"cannot write {path}", "HDR files must be finite")
    hdr = np.maximum(hdr, np.float32(0))
    suffix = pathlib.Path(path).suffix.lower()
    with atomic_path(path) as temporary:
        if suffix == ".exr":
            exr_files.write_exr(temporary, hdr, half=half, metadata=metadata or {})
        else:
            _WRITERS[suffix](temporary, hdr)


def read_metadata(path: str | os.PathLike) -> dict[str, str]:
    """Returns the strings that `write_hdr` put into an .exr; {} for other formats.

    Raises:
        UserError: The file is unreadable.
    """
    if formats.detect_format(formats.read_head(path)) != "exr":
        return {}
    with formats.decoding(path):
        return exr_files.read_exr_metadata(path)


def check_hdr_suffix(path: str | os.PathLike) -> None:
    """Checks that `write_hdr` knows the suffix, to fail before hours of work.

    Raises:
        UserError: It does not.
    """
    if not formats.is_hdr_suffix(path):
        raise UserError(
            f"cannot write {path}: unknown suffix {pathlib.Path(path).suffix!r}; "
            f"expected one of {', '.join(HDR_SUFFIXES)}."
        )


def _check_finite(hdr: Float[np.ndarray, "h w 3"], prefix: str, advice: str) -> None:
    finite = np.isfinite(hdr)
    if finite.all():
        return
    row, column, channel = np.argwhere(~finite)[0]
    raise UserError(
        f"{prefix}: {finite.size - np.count_nonzero(finite)} values are NaN or "
        f"infinite (beyond float32), the first at row {row}, column {column}, "
        f"channel {'RGB'[channel]}; {advice}."
    )


def _replace_non_finite(hdr: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    largest = np.max(hdr, where=np.isfinite(hdr), initial=0.0)
    return np.nan_to_num(hdr, nan=0.0, posinf=float(largest), neginf=0.0)
