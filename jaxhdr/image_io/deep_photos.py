"""Reads photographs with more than 8 bits per channel, through OpenImageIO."""

import logging
import os
from typing import Final

import numpy as np
import OpenImageIO as oiio
from jaxtyping import Float
from PIL import Image, PngImagePlugin, TiffImagePlugin

from jaxhdr.errors import UserError
from jaxhdr.image_io import formats, icc, matrix_profile
from jaxhdr.image_io.oiio import open_input, read_pixels
from jaxhdr.image_io.orientation import apply_orientation

_LOGGER = logging.getLogger(__name__)
_PNG_DEPTH_OFFSET: Final = (
    24  # in IHDR, after signature 8, length 4, type 4, width 4, height 4
)
# Tags of TIFF 6.0, TIFF/EP and DNG 1.4, and the photometric values CFA and LinearRaw.
_SUBFILE_TYPE, _PHOTOMETRIC, _DNG_VERSION = 254, 262, 50706
_SENSOR_PHOTOMETRICS: Final = (32803, 34892)


def is_deep(path: str | os.PathLike, kind: str) -> bool:
    """Returns whether a photograph stores more than 8 bits per channel.

    Raises:
      UserError: the file is a TIFF that is damaged or holds floats or camera raw.
    """
    if kind == "png":
        return formats.read_head(path)[_PNG_DEPTH_OFFSET:][:1] == b"\x10"
    if kind == "pnm":
        return True
    if kind != "tiff":
        return False
    with open_input(path, "tiff") as source:
        spec = source.spec()
        _check_tiff(path, spec)
        return str(spec.format) != "uint8"


def _check_tiff(path: str | os.PathLike, spec: oiio.ImageSpec) -> None:
    if _is_camera_raw(path):
        raise UserError(
            f"cannot read {path}: it looks like camera raw; develop it to a 16-bit "
            "TIFF or a JPEG first"
        )
    if str(spec.format) in ("half", "float", "double"):
        raise UserError(
            f"cannot use {path} as a photograph: it is already linear HDR; read it "
            "with read_hdr"
        )


def _is_camera_raw(path: str | os.PathLike) -> bool:
    """Returns whether a TIFF is camera raw; most raw files start with a thumbnail."""
    with open(path, "rb") as file:
        head = file.read(16)
        if head[8:10] == b"CR":  # Canon CR2
            return True
        tags = TiffImagePlugin.ImageFileDirectory_v2(head[: 8 if head[2] != 43 else 16])
        file.seek(tags.next)
        tags.load(file)
    return (
        _DNG_VERSION in tags
        or bool(tags.get(_SUBFILE_TYPE, 0) & 1)
        or tags.get(_PHOTOMETRIC) in _SENSOR_PHOTOMETRICS
    )


def read_deep(path: str | os.PathLike, kind: str) -> Float[np.ndarray, "h w 3"]:
    """Returns the image of a 16-bit PNG or TIFF, or a PNM, as display-encoded sRGB.

    Raises:
      UserError: the file is damaged or too large, or its pixels are not unsigned
        integers.
    """
    with open_input(path, kind) as source:
        spec = source.spec()
        codes = read_pixels(path, source, dtype="unknown")
        orientation = spec.get_int_attribute("Orientation", 1)
        profile = _embedded_profile(path, kind, spec)
    if not np.issubdtype(codes.dtype, np.unsignedinteger):
        raise UserError(
            f"cannot read {path}: it holds {codes.dtype} pixels, expected unsigned "
            "integers; save it as a 16-bit PNG or TIFF"
        )
    values = codes / np.float32(np.iinfo(codes.dtype).max)
    colour = values[..., :3] if spec.nchannels >= 3 else values[..., :1]
    if profile:
        colour = _apply_profile(colour, profile, name=str(path))
    if spec.alpha_channel >= 0:
        colour = colour * values[..., spec.alpha_channel, None]
    rgb = np.broadcast_to(colour, (*colour.shape[:2], 3)).astype(np.float32)
    return apply_orientation(rgb, orientation)


def _embedded_profile(
    path: str | os.PathLike, kind: str, spec: oiio.ImageSpec
) -> bytes | None:
    if kind == "png":  # OpenImageIO 3.2 drops the profile of a grey PNG
        with open(path, "rb") as file:
            return PngImagePlugin.PngImageFile(file).info.get("icc_profile")
    profile = spec.getattribute("ICCProfile")
    return None if profile is None else bytes(bytearray(profile))


def _apply_profile(
    colour: Float[np.ndarray, "h w c"], profile: bytes, *, name: str
) -> Float[np.ndarray, "h w c2"]:
    if colour.shape[2] == 3 and icc.is_srgb(profile):
        return colour
    curves = matrix_profile.parse(profile)
    if curves is not None and len(curves.tone_curves) == colour.shape[2]:
        return curves.to_srgb(colour)
    _LOGGER.warning("%s: its colour profile is applied in 8 bits", name)
    codes = np.rint(colour * 255).astype(np.uint8)
    image = Image.fromarray(codes[..., 0] if colour.shape[2] == 1 else codes)
    return np.asarray(icc.to_srgb(image, profile, name=name)) / np.float32(255)
