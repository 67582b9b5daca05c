"""Decodes photographs through OpenImageIO: 16-bit PNG and TIFF, PNM and JPEG XL."""

import os
from typing import Final

import numpy as np

from jaxhdr.errors import UserError
from jaxhdr.image_io.colour import stated_colour
from jaxhdr.image_io.containers import png_chunks
from jaxhdr.image_io.containers.oiio import embedded_profile, open_input, read_pixels
from jaxhdr.image_io.containers.tiff_pages import Page, read_exif
from jaxhdr.image_io.orientation import read_packet
from jaxhdr.image_io.photos.raster import Raster

_READERS: Final = {"jxl": "jpegxl"}  # OpenImageIO's names where they differ
_DEPTH_IN_HEADER: Final = 8  # of IHDR, after width and height
_ASSOCIATED, _UNASSOCIATED = 1, 2  # extra samples of TIFF 6.0


def is_deep(path: str | os.PathLike, kind: str, page: Page | None) -> bool:
    """Returns whether OpenImageIO reads a photograph, because it has more than 8 bits.

    It also reads all files of two formats that Pillow reads in part or not at all.
    """
    if kind == "png":
        header = png_chunks.read_chunks(path).get(b"IHDR", b"")
        return header[_DEPTH_IN_HEADER:][:1] == b"\x10"
    # Pillow reads inks of 16 bits, but as 8 bits.
    return kind in ("pnm", "jxl") or (
        page is not None and page.bits > 8 and not page.is_cmyk
    )


def read(path: str | os.PathLike, kind: str, *, page: Page | None = None) -> Raster:
    """Returns the pixels of a 16-bit PNG or TIFF, a PNM, or a JPEG XL.

    Raises:
      UserError: the file is damaged or too large, or its pixels are not unsigned
        integers.
    """
    with open_input(path, _READERS.get(kind, kind)) as source:
        if page is not None and not source.seek_subimage(page.number, 0):
            raise UserError(f"cannot read {path}: page {page.number} is damaged")
        spec = source.spec()
        pixels = read_pixels(path, source, dtype="unknown")
        profile = embedded_profile(spec)
        numbers = spec.getattribute("CICP")
    if kind != "jxl" and not np.issubdtype(pixels.dtype, np.unsignedinteger):
        raise UserError(
            f"cannot read {path}: it holds {pixels.dtype} pixels, expected unsigned "
            "integers; save it as a 16-bit PNG or TIFF"
        )
    count = 3 if spec.nchannels >= 3 else 1
    codes, others = pixels[..., :count], pixels[..., count:]
    if page is not None:
        colour = stated_colour.of_file(profile, read_exif(path))
        return _of_tiff(codes, others, page)._replace(colour=colour)
    alpha = others[..., 0] if others.shape[2] else None
    if kind == "jxl":
        colour = stated_colour.of_cicp(numbers) or stated_colour.of_file(profile, None)
        return Raster(codes, alpha, colour=colour)
    if kind != "png":
        return Raster(codes, alpha)
    chunks = png_chunks.read_chunks(path)
    orientation, exif = read_packet(chunks.get(b"eXIf", b""))
    colour = stated_colour.of_png(chunks, exif)
    return Raster(codes, alpha, orientation=orientation, colour=colour)


def _of_tiff(codes: np.ndarray, others: np.ndarray, page: Page) -> Raster:
    if page.has_white_zero:
        codes = np.iinfo(codes.dtype).max - codes
    meanings = page.extra_samples[: others.shape[2]]
    alpha, is_associated = None, False
    for index, meaning in enumerate(meanings):
        if meaning in (_ASSOCIATED, _UNASSOCIATED):
            alpha, is_associated = others[..., index], meaning == _ASSOCIATED
            break
    return Raster(codes, alpha, is_associated, page.orientation)
