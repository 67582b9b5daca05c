"""Decodes photographs by Pillow, pi-heif and, where it is installed, imagecodecs.

Pillow decodes 8 bits per channel. AVIF files may have 10 or 12 bits, which imagecodecs
decodes.
"""

import contextlib
import importlib.util
import logging
import os
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from PIL import Image

from jaxhdr.errors import UserError
from jaxhdr.image_io import formats
from jaxhdr.image_io.colour import icc, stated_colour
from jaxhdr.image_io.colour.colour import Colour
from jaxhdr.image_io.containers import boxes, png_chunks
from jaxhdr.image_io.containers.tiff_pages import Page, read_exif
from jaxhdr.image_io.orientation import ORIENTATION, read_packet
from jaxhdr.image_io.photos.raster import Raster

_LOGGER: Final = logging.getLogger(__name__)
COLOUR_MODES: Final = frozenset(
    {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"}
)


def read(path: str | os.PathLike, kind: str, *, page: Page | None = None) -> Raster:
    """Returns the pixels of a photograph, and what the file says of them.

    Args:
      path: the file.
      kind: its format, a name of `formats.detect_format`.
      page: the page of a TIFF.

    Raises:
      UserError: the image is too large, or its pixels are of an unusual kind.
    """
    if kind == "heif":
        return _read_heif(path)
    with _opened(path, kind) as file:
        image = _open_image(file, kind)
        if page is not None and page.number:
            image.seek(page.number)
        formats.check_size(path, *image.size)
        orientation, colour = _turning_and_colour(path, image, kind)
        deep = _deep_codes(path, colour) if kind == "avif" else None
        if deep is not None:
            return Raster(deep, orientation=orientation, colour=colour)
        image.load()
        return of_image(path, image, colour=colour)._replace(orientation=orientation)


def of_open_image(name: str, image: Image.Image) -> Raster:
    """Returns the pixels of a Pillow image that the caller opened or made.

    Raises:
      UserError: the pixels are of an unusual kind.
    """
    # Loading a TIFF turns it and drops the tag.
    image.load()
    orientation, exif = _of_open(image)
    colour = stated_colour.of_file(image.info.get("icc_profile"), exif)
    return of_image(name, image, colour=colour)._replace(orientation=orientation)


def of_image(name: str | os.PathLike, image: Image.Image, *, colour: Colour) -> Raster:
    """Returns the pixels of a Pillow image.

    Args:
      name: name of the image for errors.
      image: the image.
      colour: what its codes mean.

    Raises:
      UserError: the pixels are of an unusual kind.
    """
    if image.mode not in COLOUR_MODES:
        raise UserError(
            f"cannot read {name}: {image.mode} pixels are not supported; save it as RGB"
        )
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = np.asarray(image.getchannel("A"))
        alpha = None if alpha.min() == 255 else alpha
    if image.mode == "CMYK":
        image = icc.to_srgb(image, colour.profile, name=str(name))
        colour = Colour()
    if image.mode != "L":
        image = image.convert("RGB")
    codes = np.asarray(image)
    codes = codes[..., None] if codes.ndim == 2 else codes
    return Raster(codes, alpha, colour=colour)


@contextlib.contextmanager
def _opened(path: str | os.PathLike, kind: str) -> Iterator[Any]:
    """Yields a file that Pillow reads without its limits on text and profiles."""
    if kind == "png" and png_chunks.has_text_or_profile(path):
        yield png_chunks.without_text_or_profile(path)
        return
    with open(path, "rb") as file:
        yield file


def _open_image(file: Any, kind: str) -> Image.Image:
    Image.init()
    # Image.open would apply Pillow's own limit on the size, which is lower.
    opener, _ = Image.OPEN[kind.upper()]
    return opener(file, "")


def _turning_and_colour(
    path: str | os.PathLike, image: Image.Image, kind: str
) -> tuple[int, Colour]:
    """Returns the orientation that counts in this format, and what codes mean.

    EXIF of a PNG stands before the pixels; in AVIF only `irot` and `imir` turn, which
    Pillow states as EXIF; XMP counts in JPEG alone, where Pillow looks for it.
    """
    if kind == "png":
        chunks = png_chunks.read_chunks(path)
        orientation, exif = read_packet(chunks.get(b"eXIf", b""))
        return orientation, stated_colour.of_png(chunks, exif)
    if kind == "tiff":
        orientation, exif = 1, read_exif(path)  # Pillow turns the page as it loads it
    elif kind == "jpeg":
        orientation, exif = _of_open(image)
    else:
        orientation, exif = read_packet(image.info.get("exif", b""))
    if kind == "avif":
        return orientation, _colour_of_items(path)
    return orientation, stated_colour.of_file(image.info.get("icc_profile"), exif)


def _of_open(image: Image.Image) -> tuple[int, Image.Exif | None]:
    try:
        exif = image.getexif()
        return int(exif.get(ORIENTATION, 1)), exif
    except Exception:  # damaged EXIF counts as none
        return 1, None


def _colour_of_items(path: str | os.PathLike) -> Colour:
    try:
        return stated_colour.of_items(boxes.read_items(path))
    except ValueError:  # a sequence has no items
        return Colour()


def _read_heif(path: str | os.PathLike) -> Raster:
    # The import takes 10 to 50 ms, and few photographs are HEIC.
    import pi_heif

    with open(path, "rb") as file:
        heif: Any = pi_heif.open_heif(file, convert_hdr_to_8bit=False)
        formats.check_size(path, *heif.size)
        colour = _colour_of_items(path)
        # libheif has already turned the image.
        if not heif.mode.endswith(";16"):
            return of_image(path, heif.to_pillow(), colour=colour)
        codes = np.asarray(heif)
        alpha = codes[..., 3] if codes.shape[2] == 4 else None
        return Raster(codes[..., :3], alpha, colour=colour)


def _deep_codes(path: str | os.PathLike, colour: Colour) -> np.ndarray | None:
    """Returns an AVIF's pixels of 16 bits, or None if Pillow's 8 bits have to do."""
    try:
        items = boxes.read_items(path)
        bits = max(items.of_primary(b"pixi")[0][5:], default=8)
    except (ValueError, IndexError):
        return None
    if bits <= 8:
        return None
    if importlib.util.find_spec("imagecodecs") is None:
        if colour.is_hdr:
            _LOGGER.warning(
                "%s: it has %d bits and is read with 8; pip install 'jaxhdr[avif]'",
                path,
                bits,
            )
        return None
    import imagecodecs

    with open(path, "rb") as file:
        codes = np.asarray(imagecodecs.avif_decode(file.read()))
    if codes.ndim != 3 or codes.shape[2] != 3:  # grey, or with opacity: Pillow reads it
        return None
    return np.rint(codes * (65535 / (2**bits - 1))).astype(np.uint16)
