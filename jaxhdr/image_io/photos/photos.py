"""Reads and writes photographs: display-encoded sRGB, float32 in [0, 1].

Pillow (with pi-heif) reads 8-bit files, because OpenImageIO reads a gain-map JPEG as
HDR. OpenImageIO reads 16-bit files, because Pillow cuts 16-bit RGB to 8 bits without a
warning. The result is what a viewer shows: the first frame, turned upright, converted
from the colours that the file states to sRGB; of a gain-map image, the SDR base.
Transparency is blended over black, so that transparent pixels have no radiance.
"""

import os

import numpy as np
from jaxtyping import Float
from PIL import Image, TiffImagePlugin

from jaxhdr.atomic import atomic_path
from jaxhdr.errors import UserError
from jaxhdr.image_io import formats
from jaxhdr.image_io.containers.tiff_pages import Page, find_page
from jaxhdr.image_io.gain_maps import gain_maps
from jaxhdr.image_io.photos import deep_photos, pillow_photos
from jaxhdr.image_io.photos.raster import Raster, to_encoded
from jaxhdr.image_io.photos.raw_files import is_camera_raw, read_raw


class AlreadyHdrError(UserError):
    """A file holds radiance, or PQ or HLG, where a photograph was expected."""


def read_encoded(path: str | os.PathLike) -> Float[np.ndarray, "h w 3"]:
    """Returns a photograph as display-encoded sRGB.

    It reads JPEG, PNG, TIFF, WebP, BMP, GIF, PNM, HEIC, AVIF and JPEG XL, and camera
    raw with the extra `raw`; the content decides which. If a colour profile cannot be
    used, it is ignored and a warning is logged.

    Raises:
      AlreadyHdrError: the file is linear HDR, or PQ or HLG encoded.
      UserError: the file is unreadable, has more than `MAX_PIXELS`, or is not an SDR
        photograph (but CIELAB, for example).
    """
    kind = formats.detect_format(formats.read_head(path))
    if kind is None:
        raise UserError(
            f"cannot read {path}: its format is unknown; expected a photograph in "
            "JPEG, PNG, TIFF, WebP, BMP, GIF, PNM, HEIC, AVIF or JPEG XL"
        )
    if kind in formats.HDR_FORMATS:
        raise _already_linear(path)
    with formats.decoding(path):
        if is_camera_raw(path, kind):
            return read_raw(path)
        if gain_maps.has_hdr_base(path, kind):
            raise AlreadyHdrError(
                f"cannot use {path} as a photograph: it is already HDR, and its gain "
                "map gives the SDR image; read it with read_hdr"
            )
        raster = decode(path, kind)
        if raster.colour.is_hdr:
            raise AlreadyHdrError(
                f"cannot use {path} as a photograph: it is already HDR "
                f"({raster.colour.transfer} encoded); read it with read_hdr, or export "
                "it as SDR"
            )
        if raster.is_float:
            raise _already_linear(path)
        return to_encoded(raster, name=str(path))


def decode(path: str | os.PathLike, kind: str) -> Raster:
    """Returns the pixels of a photograph as they are stored.

    Args:
      path: the file.
      kind: its format, a name of `formats.detect_format`.

    Raises:
      UserError: the image is too large, or not of a kind that is read.
    """
    page = find_page(path) if kind == "tiff" else None
    if page is not None:
        _check_page(path, page)
    if deep_photos.is_deep(path, kind, page):
        return deep_photos.read(path, kind, page=page)
    return pillow_photos.read(path, kind, page=page)


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


def _check_page(path: str | os.PathLike, page: Page) -> None:
    """Checks that a page of a TIFF is a photograph of a kind that is read.

    Raises:
      UserError: it is not.
    """
    if page.is_thumbnail:
        raise UserError(
            f"cannot read {path}: it looks like camera raw; develop it to a 16-bit "
            "TIFF or a JPEG first"
        )
    if page.is_float:
        raise _already_linear(path)
    if page.is_lab or page.is_signed:
        what = "CIELAB" if page.is_lab else "signed"
        raise UserError(
            f"cannot read {path}: {what} pixels are not supported; save it as RGB"
        )
    if page.compression not in TiffImagePlugin.COMPRESSION_INFO:
        raise UserError(
            f"cannot read {path}: its compression, number {page.compression}, is not "
            "supported; save it with another"
        )


def _already_linear(path: str | os.PathLike) -> AlreadyHdrError:
    return AlreadyHdrError(
        f"cannot use {path} as a photograph: it is already linear HDR; read it with "
        "read_hdr"
    )


def encoded_of_pil(image: Image.Image) -> Float[np.ndarray, "h w 3"]:
    """Returns an open Pillow image as `read_encoded` returns its file.

    It is turned upright by its EXIF orientation and converted from its palette and its
    ICC profile, and transparency is blended over black.

    Raises:
      UserError: the mode is none of a photograph with 8 bits, the profile says PQ or
        HLG, or the file behind the image is damaged.
    """
    name = "the Pillow image"
    if image.mode not in pillow_photos.COLOUR_MODES:
        raise UserError(
            f"cannot use {name} of mode {image.mode}; expected a photograph with 8 "
            "bits per channel: give its file, or its pixels as an array"
        )
    formats.check_count(name, *image.size)
    with formats.decoding(name):
        raster = pillow_photos.of_open_image(name, image)
        if raster.colour.is_hdr:
            raise UserError(
                f"cannot use {name} as a photograph: it is already HDR "
                f"({raster.colour.transfer} encoded)"
            )
        return to_encoded(raster, name=name)
