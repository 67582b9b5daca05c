"""Makes the base of an Ultra HDR file: a photograph as a JPEG of its own.

A usual JPEG is its own base, bit for bit (`own_base`). All other photographs are
encoded.
"""

import io
import logging
import os
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, JpegImagePlugin

from jaxhdr.errors import UserError
from jaxhdr.image_io import formats
from jaxhdr.image_io.colour import matrix_profile
from jaxhdr.image_io.gain_maps import gain_maps
from jaxhdr.image_io.jpeg import jpeg_segments, picture_index
from jaxhdr.image_io.jpeg.jpeg_segments import Picture
from jaxhdr.image_io.jpeg.picture_index import Entry
from jaxhdr.image_io.metadata import exif_bytes
from jaxhdr.image_io.orientation import apply_orientation
from jaxhdr.image_io.photos import measured_photos, photos, pillow_photos
from jaxhdr.image_io.photos.raster import Raster, to_encoded
from jaxhdr.image_io.photos.raw_files import is_camera_raw
from jaxhdr.image_io.ultra_hdr import own_base
from jaxhdr.image_io.ultra_hdr.own_base import OwnBase

_QUALITY: Final = 95
_MOST_SIDE: Final = 65_500  # of libjpeg
_ENCODED: Final = (
    "it is encoded anew, because it is no usual JPEG (8 bits, grey or YCbCr, SDR), "
    "with its EXIF and a simple profile only"
)

_LOGGER: Final = logging.getLogger(__name__)


class Base(NamedTuple):
    """The base of an Ultra HDR file.

    Attributes:
      picture: the JPEG, without a gain map; see `OwnBase`.
      raster: its pixels, as readers decode them.
      entries: as in `OwnBase`.
    """

    picture: Picture
    raster: Raster
    entries: list[Entry]


def read_base(path: str | os.PathLike) -> Base:
    """Returns the base that a photograph gives.

    If the base of a JPEG does not keep all of it, a warning is logged.

    Raises:
      UserError: it cannot be read as a photograph, or is too large for JPEG.
    """
    kind = formats.detect_format(formats.read_head(path)) or ""
    with formats.decoding(path):
        taken = own_base.take(path) if kind == "jpeg" else None
        if taken is None:
            first = Entry(picture_index.REPRESENTATIVE, 0, 0)
            taken = OwnBase(_encoded(path, kind), [first], _ENCODED)
        picture, entries, loss = taken
        # Readers see the JPEG and not what was encoded, so the gain refers to it.
        stored = jpeg_segments.to_bytes(picture)
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(stored), "")
        formats.check_size(path, *image.size)
        raster = pillow_photos.of_open_image(str(path), image)
        if raster.colour.is_hdr:
            photos.read_encoded(path)  # it says what is wrong
        if loss and kind == "jpeg":
            _LOGGER.warning("%s: %s", path, loss)
        return Base(picture, raster, entries)


def loss_of(path: str | os.PathLike) -> str:
    """Returns what the base does not keep of a photograph, as a clause; "" if nothing.

    Raises:
      UserError: the file is unreadable.
    """
    kind = formats.detect_format(formats.read_head(path))
    with formats.decoding(path):
        taken = own_base.take(path) if kind == "jpeg" else None
    return _ENCODED if taken is None else taken.loss


def _encoded(path: str | os.PathLike, kind: str) -> Picture:
    codes, profile = _codes(path, kind)
    height, width = codes.shape[:2]
    if max(height, width) > _MOST_SIDE:
        raise UserError(
            f"cannot write {path} as JPEG: it has {width} x {height} pixels, expected "
            f"at most {_MOST_SIDE} on each side; choose another format"
        )
    exif = exif_bytes.upright_exif(path, kind)
    if len(exif) > jpeg_segments.MOST_BYTES:
        _LOGGER.warning("%s: its EXIF is left out, because it is too large", path)
        exif = b""
    stream = io.BytesIO()
    Image.fromarray(codes).save(
        stream,
        "JPEG",
        quality=_QUALITY,
        subsampling="4:4:4",
        exif=exif,
        icc_profile=profile,
    )
    return jpeg_segments.split(stream.getvalue())


def _codes(
    path: str | os.PathLike, kind: str
) -> tuple[UInt8[np.ndarray, "h w 3"], bytes | None]:
    """Returns upright pixels of 8 bits, and their profile if they are not sRGB.

    Raises:
      UserError: the photograph cannot be read.
    """
    if is_camera_raw(path, kind) or gain_maps.has_hdr_base(path, kind):
        photograph = measured_photos.read_photograph(path, gain_map="ignore")
        return _eight_bits(photograph.encoded), None
    raster = photos.decode(path, kind)
    if raster.is_float or raster.colour.is_hdr:
        return _eight_bits(photos.read_encoded(path)), None  # it says what is wrong
    if raster.alpha is not None or not _is_simple(raster):
        return _eight_bits(to_encoded(raster, name=str(path))), None
    codes = apply_orientation(raster.codes, raster.orientation)
    if codes.dtype != np.uint8:
        codes = _eight_bits(codes / np.float32(np.iinfo(codes.dtype).max))
    if codes.shape[2] == 1:
        codes = np.repeat(codes, 3, axis=2)
    return codes, raster.colour.profile


def _is_simple(raster: Raster) -> bool:
    """Returns whether a JPEG can have the codes of a photograph, with its profile."""
    profile = raster.colour.profile
    if profile is None:
        return raster.colour.is_srgb
    curves = matrix_profile.parse(profile)
    return curves is not None and len(curves.tone_curves) == raster.codes.shape[2] == 3


def _eight_bits(encoded: Shaped[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    return np.rint(encoded * np.float32(255)).astype(np.uint8)
