"""Reads and writes HDR files: linear BT.709 radiance, float32, finite and >= 0.

Values keep the unit of the file; nothing here normalises. Resampling and conversion
from wider primaries can leave negative values. They are not radiance, so reading and
writing set them to 0.
"""

import os
import pathlib
from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float

from jaxhdr.atomic import atomic_path
from jaxhdr.errors import UserError
from jaxhdr.image_io import formats
from jaxhdr.image_io.display import display_files
from jaxhdr.image_io.metadata import notes
from jaxhdr.image_io.metadata.camera_exif import CameraExif
from jaxhdr.image_io.photos import hdr_photos, measured_photos
from jaxhdr.image_io.photos.raw_files import is_camera_raw
from jaxhdr.image_io.radiance import array_files, exr_files, rgbe_files
from jaxhdr.image_io.write_options import check_writing
from jaxhdr.options import DIFFUSE_WHITE_NITS, TRANSFERS

_READERS = {
    "hdr": rgbe_files.read_rgbe,
    "npy": array_files.read_npy,
    "pfm": array_files.read_pfm,
    "tiff": array_files.read_float_tiff,
}
_WRITERS = {
    ".hdr": rgbe_files.write_rgbe,
    ".npy": array_files.write_npy,
    ".pfm": array_files.write_pfm,
}


def read_hdr(
    path: str | os.PathLike,
    *,
    non_finite: Literal["error", "replace"] = "error",
    negative: Literal["zero", "keep"] = "zero",
    layer: str | None = None,
) -> Float[np.ndarray, "h w 3"]:
    """Returns the linear radiance in an OpenEXR, .hdr, .npy, PFM or float TIFF file.

    It also reads images in PQ and HLG: AVIF, HEIC, JPEG XL, PNG, 16-bit TIFF and JPEG.
    Their diffuse white, 203 cd/m^2, becomes 1.0 (`photos.hdr_photos`). Of a photograph
    with a gain map (JPEG, HEIC or AVIF) it is the HDR image in which 1.0 is SDR white.

    The content decides the format. A single channel becomes grey. Alpha is dropped,
    since HDR colour is already multiplied by it. TIFF and .hdr are turned upright, EXR
    is cropped or padded to its display window, and chromaticities other than BT.709 are
    converted.

    Args:
      path: the file.
      non_finite: "error" refuses values that are not finite; "replace" turns NaN and
        -inf into 0 and +inf into the largest finite value of the image.
      negative: "zero" sets negative values to 0; "keep" keeps them.
      layer: name of a layer or part of an OpenEXR file; None for its picture: plain R,
        G, B, else the layer that is named as the finished picture, else the only one.

    Raises:
      UserError: the file is unreadable, is not an HDR image, holds NaN or infinity, or
        has no such layer, or several layers and none that is the picture.
    """
    kind = formats.detect_format(formats.read_head(path))
    is_raw = is_camera_raw(path, kind)
    if kind is None or is_raw:
        what = "it is camera raw" if is_raw else "its format is unknown"
        raise UserError(
            f"cannot read {path} as HDR: {what}; expected OpenEXR, Radiance .hdr, "
            ".npy, .pfm, float TIFF, or an image in PQ or HLG"
        )
    if layer is not None and kind != "exr":
        raise UserError(
            f"cannot read layer {layer!r} of {path}: its format is {kind}, and only "
            "OpenEXR has layers; leave it out"
        )
    with formats.decoding(path):
        if kind == "exr":
            hdr = exr_files.read_exr(path, layer=layer)
        elif kind in _READERS:
            hdr = _READERS[kind](path)
        else:
            hdr = measured_photos.read_hdr_of_gain_map(path, kind)
            if hdr is None:
                hdr = hdr_photos.read_hdr_photo(path, kind)
    if non_finite == "replace":
        hdr = _replace_non_finite(hdr)
    else:
        _check_finite(
            hdr, f"cannot read {path}", 'pass non_finite="replace" to replace them'
        )
    return hdr if negative == "keep" else np.maximum(hdr, np.float32(0), out=hdr)


def write_hdr(
    path: str | os.PathLike,
    hdr: Float[np.ndarray, "h w 3"],
    *,
    half: bool = True,
    metadata: Mapping[str, str] | None = None,
    transfer: Literal["pq", "hlg", "linear"] | None = None,
    white_nits: float | None = None,
    primaries: Literal["bt709", "p3", "rec2020", "acescg", "ap0"] | None = None,
    exif: CameraExif | None = None,
) -> None:
    """Writes linear radiance atomically, in the format of the suffix.

    .avif (10 bits, extra `avif`), .png (16 bits) and .jxl hold images for HDR displays.
    PQ and HLG clip what is brighter than they hold, and log a warning.

    Args:
      path: a file name that ends in .exr, .hdr, .npy, .pfm, .tif, .tiff, .avif, .png or
        .jxl.
      hdr: finite radiance; negative values are written as 0.
      half: store 16-bit floats in .exr and linear .jxl; if a value exceeds 65504,
        32-bit floats are stored.
      metadata: strings by name, for the header of an .exr and XMP in .avif, .png, .jxl.
      transfer: transfer function: "pq" or "hlg" for .avif, .png and .jxl, or "linear"
        for .jxl; None for "linear" in .jxl and "pq" in the other two.
      white_nits: light of radiance 1.0 in cd/m^2, for PQ and HLG; None for 203.
      primaries: primaries of an .exr or a .tif, which states them; None for BT.709.
      exif: what is known of the photograph, of `read_exif`; .exr, .tif, .avif, .png and
        .jxl store it.

    Raises:
      UserError: the suffix is unknown, its format cannot keep these options, its
        library is missing, the array holds NaN or infinity or has no pixels, or the
        file cannot be written.
    """
    check_writing(path, transfer=transfer, white_nits=white_nits, primaries=primaries)
    hdr = checked_radiance(path, hdr)
    camera, suffix = exif or CameraExif(), pathlib.Path(path).suffix.lower()
    packet = notes.to_packet(metadata or {}) if suffix in TRANSFERS else b""
    with atomic_path(path) as temporary:
        if suffix == ".exr":
            header = exr_files.Header(metadata or {}, primaries or "bt709", camera)
            exr_files.write_exr(temporary, hdr, half=half, header=header)
        elif suffix in (".tif", ".tiff"):
            array_files.write_float_tiff(
                temporary, hdr, primaries_name=primaries, exif=camera
            )
        elif suffix in TRANSFERS:
            display_files.write_display_file(
                temporary,
                hdr,
                name=path,
                transfer_name=transfer or TRANSFERS[suffix][0],
                white_nits=DIFFUSE_WHITE_NITS if white_nits is None else white_nits,
                half=half,
                exif=camera,
                packet=packet,
            )
        else:
            _WRITERS[suffix](temporary, hdr)


def checked_radiance(
    path: str | os.PathLike, hdr: Float[np.ndarray, "h w 3"]
) -> Float[np.ndarray, "h w 3"]:
    """Returns radiance as it is written: float32, without negative values.

    Args:
      path: the file that is to be written, for messages.
      hdr: radiance.

    Raises:
      UserError: the array holds NaN or infinity, or has no pixels.
    """
    if hdr.ndim != 3 or hdr.shape[2] != 3 or not hdr.size:
        raise UserError(
            f"cannot write {path}: the shape of the array is {hdr.shape}; expected "
            "(height, width, 3) with at least one pixel"
        )
    with np.errstate(over="ignore"):
        hdr = np.asarray(hdr, np.float32)
    _check_finite(hdr, f"cannot write {path}", "expected finite values")
    if hdr.min() < 0:  # a copy of a large image takes memory
        hdr = np.maximum(hdr, np.float32(0))
    return hdr


def write_tiled_exr(
    path: str | os.PathLike,
    hdr: Float[np.ndarray, "h w 3"],
    *,
    mipmap: bool = False,
    half: bool = True,
    metadata: Mapping[str, str] | None = None,
    primaries: Literal["bt709", "p3", "rec2020", "acescg", "ap0"] | None = None,
    exif: CameraExif | None = None,
) -> None:
    """Writes linear radiance atomically as an OpenEXR file of tiles of 64 x 64 pixels.

    Programs read parts of such a file quickly; renderers take it as a texture.

    Args:
      path: a file name that ends in .exr.
      hdr: finite radiance; negative values are written as 0.
      mipmap: also store smaller copies, each half as wide and high as the one before,
        whose pixels are means.
      half: as in `write_hdr`.
      metadata: as in `write_hdr`.
      primaries: as in `write_hdr`.
      exif: as in `write_hdr`.

    Raises:
      UserError: the suffix is another one, the array holds NaN or infinity or has no
        pixels, or the file cannot be written.
    """
    check_writing(path, primaries=primaries)
    if pathlib.Path(path).suffix.lower() != ".exr":
        raise UserError(
            f"cannot write {path} in tiles: only .exr has tiles; choose that suffix"
        )
    hdr = checked_radiance(path, hdr)
    layout = "mipmap" if mipmap else "tiled"
    header = exr_files.Header(
        metadata or {}, primaries or "bt709", exif or CameraExif(), layout
    )
    with atomic_path(path) as temporary:
        exr_files.write_exr(temporary, hdr, half=half, header=header)


def read_metadata(path: str | os.PathLike) -> dict[str, str]:
    """Returns the strings that `write_hdr` or `write_ultra_hdr` stored.

    They are in .exr, .jpg, .avif, .png and .jxl; other formats have none: {}.

    Raises:
      UserError: the file is unreadable.
    """
    kind = formats.detect_format(formats.read_head(path)) or ""
    if kind != "exr":
        return notes.read_notes(path, kind)
    with formats.decoding(path):
        return exr_files.read_exr_metadata(path)


def layer_names(path: str | os.PathLike) -> list[str]:
    """Returns the names of the layers in an .exr; [""] for other formats.

    A layer without a name is "". Ids, integers and deep pixels are no layers.

    Raises:
      UserError: the file is unreadable.
    """
    if formats.detect_format(formats.read_head(path)) != "exr":
        return [""]
    with formats.decoding(path):
        return exr_files.exr_layer_names(path)


def _check_finite(hdr: Float[np.ndarray, "h w 3"], prefix: str, advice: str) -> None:
    finite = np.isfinite(hdr)
    if finite.all():
        return
    row, column, channel = np.argwhere(~finite)[0]
    raise UserError(
        f"{prefix}: {finite.size - np.count_nonzero(finite)} values are NaN or "
        f"infinite (beyond float32), the first at row {row}, column {column}, "
        f"channel {'RGB'[channel]}; {advice}"
    )


def _replace_non_finite(hdr: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    largest = np.max(hdr, where=np.isfinite(hdr), initial=0.0)
    return np.nan_to_num(hdr, nan=0.0, posinf=float(largest), neginf=0.0)
