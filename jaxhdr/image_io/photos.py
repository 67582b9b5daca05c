"""Reads and writes photographs: display-encoded sRGB, float32 in [0, 1].

Pillow (with pi-heif) reads 8-bit files, because OpenImageIO reads a gain-map JPEG as
HDR and does not convert colour profiles. OpenImageIO reads 16-bit files, because Pillow
cuts 16-bit RGB to 8 bits without a warning. The result is what a viewer shows: the
first frame, turned upright, converted from the embedded ICC profile to sRGB; of a
gain-map image, the SDR base. Transparency is blended over black, so that transparent
pixels have no radiance.
"""

import os
from typing import BinaryIO, Final

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from jaxhdr.atomic import atomic_path
from jaxhdr.errors import UserError
from jaxhdr.image_io import formats, icc
from jaxhdr.image_io.deep_photos import is_deep, read_deep
from jaxhdr.image_io.orientation import apply_orientation

_EXIF_ORIENTATION: Final = 0x0112
_COLOUR_MODES: Final = frozenset(
    {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"}
)
_METADATA_BYTES: Final = 65536  # of a PNG or AVIF, enough to find its colour tags
# Transfer characteristics of ITU-T H.273, table 3.
_HDR_TRANSFERS: Final = {16: "PQ", 18: "HLG"}


def read_encoded(path: str | os.PathLike) -> Float[np.ndarray, "h w 3"]:
    """Returns a photograph as display-encoded sRGB.

    It reads JPEG, PNG, TIFF, WebP, BMP, GIF, PNM, HEIC and AVIF; the content decides
    which. If a colour profile cannot be used, it is ignored and a warning is logged.

    Raises:
      UserError: the file is unreadable, has more than `MAX_PIXELS`, or is not an SDR
        photograph (but linear HDR, PQ or HLG encoded, or camera raw).
    """
    kind = formats.detect_format(formats.read_head(path))
    if kind is None:
        raise UserError(
            f"cannot read {path}: its format is unknown; expected a photograph in "
            "JPEG, PNG, TIFF, WebP, BMP, GIF, PNM, HEIC or AVIF"
        )
    if kind in formats.HDR_FORMATS:
        raise UserError(
            f"cannot use {path} as a photograph: it is already linear HDR; read it "
            "with read_hdr"
        )
    with formats.decoding(path):
        _check_transfer(path, _stated_transfer(path, kind))
        if is_deep(path, kind):
            return read_deep(path, kind)
        return _read_with_pillow(path, kind)


def write_png(path: str | os.PathLike, encoded: Float[np.ndarray, "h w 3"]) -> None:
    """Writes an 8-bit PNG atomically; values are clipped to [0, 1].

    Raises:
      UserError: the values are not finite, or the file cannot be written.
    """
    if not np.isfinite(encoded).all():
        raise UserError(f"cannot write {path}: the image holds NaN or infinity")
    codes = np.rint(np.clip(encoded, 0, 1) * 255).astype(np.uint8)
    with atomic_path(path) as temporary:
        Image.fromarray(codes).save(temporary, format="PNG")


def _check_transfer(path: str | os.PathLike, transfer: int | None) -> None:
    """Refuses PQ and HLG codes, which would look like a flat, grey sRGB image."""
    if transfer in _HDR_TRANSFERS:
        raise UserError(
            f"cannot use {path} as a photograph: it is already HDR "
            f"({_HDR_TRANSFERS[transfer]} encoded); export it as SDR"
        )


def _stated_transfer(path: str | os.PathLike, kind: str) -> int | None:
    """Returns the transfer code in a PNG or AVIF, which the libraries do not report."""
    tag, size = {"png": (b"cICP", 1), "avif": (b"colrnclx", 2)}.get(kind, (b"", 0))
    head = formats.read_head(path, size=_METADATA_BYTES) if tag else b""
    # In a file with a gain map several images have a tag, and the base is SDR.
    if tag not in head or b"tmap" in head[:64] or not tag:
        return None
    at = head.index(tag) + len(tag) + size
    return int.from_bytes(head[at : at + size], "big")


def _read_with_pillow(path: str | os.PathLike, kind: str) -> Float[np.ndarray, "h w 3"]:
    with open(path, "rb") as file:
        if kind == "heif":
            # The import takes 10 to 50 ms, and few photographs are HEIC.
            import pi_heif

            # libheif has already turned the image, so the EXIF orientation must not
            # count.
            heif = pi_heif.open_heif(file)
            formats.check_size(path, *heif.size)
            nclx = heif.info.get("nclx_profile") or {}
            _check_transfer(path, nclx.get("transfer_characteristics"))
            image, orientation = heif.to_pillow(), 1
        else:
            image = _open_with_pillow(file, kind)
            formats.check_size(path, *image.size)
            # Load before reading the orientation: Pillow turns a TIFF and drops the
            # tag.
            image.load()
            orientation = _exif_orientation(image)
        codes = _to_srgb(path, image)
    encoded = codes.astype(np.float32)
    encoded /= 255
    return apply_orientation(encoded, orientation)


def _open_with_pillow(file: BinaryIO, kind: str) -> Image.Image:
    Image.init()
    # Image.open would apply Pillow's own limit on the size, which is lower.
    opener, _ = Image.OPEN[kind.upper()]
    return opener(file, "")


def _exif_orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # damaged EXIF counts as none
        return 1


def _to_srgb(path: str | os.PathLike, image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    if image.mode not in _COLOUR_MODES:
        raise UserError(
            f"cannot read {path}: {image.mode} pixels are not supported; save it as RGB"
        )
    profile = image.info.get("icc_profile")
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = np.asarray(image.getchannel("A"))
    if image.mode not in ("L", "CMYK"):
        image = image.convert("RGB")
    image = icc.to_srgb(image, profile, name=str(path))
    codes = np.asarray(image)
    if alpha is not None and alpha.min() < 255:
        weight = alpha[..., None].astype(np.float32) / 255
        codes = np.rint(codes * weight).astype(np.uint8)
    return codes


def encoded_of_pil(image: Image.Image) -> Float[np.ndarray, "h w 3"]:
    """Returns an open Pillow image as `read_encoded` returns its file.

    It is turned upright by its EXIF orientation and converted from its palette and its
    ICC profile, and transparency is blended over black.

    Raises:
      UserError: the mode is none of a photograph with 8 bits, or the file behind the
        image is damaged.
    """
    name = "the Pillow image"
    if image.mode not in _COLOUR_MODES:
        raise UserError(
            f"cannot use {name} of mode {image.mode}; expected a photograph with 8 "
            "bits per channel: give its file, or its pixels as an array"
        )
    formats.check_size(name, *image.size)
    with formats.decoding(name):
        image.load()  # see `_read_with_pillow`
        orientation = _exif_orientation(image)
        codes = _to_srgb(name, image)
    return apply_orientation(codes / np.float32(255), orientation)
