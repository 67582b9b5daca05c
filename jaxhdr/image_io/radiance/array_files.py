"""Files that hold the floats themselves: .npy, .pfm and 32-bit float TIFF."""

import logging
import os
from typing import Final

import numpy as np
import OpenImageIO as oiio
from jaxtyping import Float

from jaxhdr.errors import UserError
from jaxhdr.image_io import formats
from jaxhdr.image_io.colour import icc, matrix_profile, primaries
from jaxhdr.image_io.colour.linear_profile import linear_profile
from jaxhdr.image_io.containers.oiio import (
    embedded_profile,
    open_input,
    read_pixels,
    write_pixels,
)
from jaxhdr.image_io.containers.tiff_pages import find_page
from jaxhdr.image_io.metadata import camera_exif
from jaxhdr.image_io.metadata.camera_exif import CameraExif
from jaxhdr.image_io.orientation import apply_orientation
from jaxhdr.image_io.photos.hdr_photos import read_hdr_photo

_LOGGER: Final = logging.getLogger(__name__)
_PFM_HEADER_BYTES: Final = 256
_LINEAR_TOLERANCE: Final = 0.03  # of the light of half the largest code


def read_npy(path: str | os.PathLike) -> Float[np.ndarray, "h w 3"]:
    """Returns a float array (h, w), (h, w, 1) or (h, w, 3) as RGB.

    Raises:
      UserError: the array is damaged, does not hold floats, or has another shape.
    """
    try:
        # The file is mapped: its header may declare more than the file or memory holds.
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy's header parser raises many types
        raise formats.damaged(path, error) from error
    if not np.issubdtype(stored.dtype, np.floating):
        raise UserError(
            f"cannot read {path}: it holds {stored.dtype}, expected floats; convert it "
            "to linear radiance"
        )
    if stored.ndim == 2:
        stored = stored[..., None]
    if stored.ndim != 3 or stored.shape[2] not in (1, 3):
        raise UserError(
            f"cannot read {path}: its shape is {stored.shape}; expected "
            "(height, width, 3)"
        )
    formats.check_size(path, stored.shape[1], stored.shape[0])
    with np.errstate(over="ignore"):
        return _to_rgb(np.array(stored, np.float32))


def read_pfm(path: str | os.PathLike) -> Float[np.ndarray, "h w 3"]:
    """Returns the image in a portable float map, whose rows are stored bottom first.

    OpenImageIO 3.2 is not used because it reads these files upside down. As it does,
    this function multiplies by the absolute value of the header's scale; the sign
    gives the byte order.

    Raises:
      UserError: the file is damaged.
    """
    head = formats.read_head(path, size=_PFM_HEADER_BYTES)
    try:
        words = head.split(maxsplit=4)[:4]
        width, height, scale = int(words[1]), int(words[2]), float(words[3])
    except (IndexError, ValueError) as error:
        raise formats.damaged(path, "unreadable PFM header") from error
    if not (np.isfinite(scale) and scale):
        raise formats.damaged(path, f"PFM scale {scale}")
    formats.check_size(path, width, height)
    channels = 3 if words[0] == b"PF" else 1
    offset = _end_of_word(head, 4)
    count = width * height * channels
    if os.path.getsize(path) < offset + 4 * count:
        raise formats.damaged(path, f"fewer than {count} numbers")
    dtype = np.dtype("<f4" if scale < 0 else ">f4")
    flat = np.fromfile(path, dtype, count, offset=offset).astype(np.float32)
    image = flat.reshape(height, width, channels)[::-1]
    return _to_rgb(image * np.float32(abs(scale)))


def _end_of_word(head: bytes, number: int) -> int:
    """Returns the offset behind the n-th word and the one white space after it."""
    position = 0
    for word in head.split(maxsplit=number)[:number]:
        position = head.index(word, position) + len(word)
    return position + 1


def read_float_tiff(path: str | os.PathLike) -> Float[np.ndarray, "h w 3"]:
    """Returns a float TIFF turned upright; alpha is dropped.

    Colour in HDR files is already multiplied by alpha. A profile of linear light is
    converted to BT.709.

    Raises:
      UserError: the TIFF is damaged or holds integers, or its profile has a tone curve.
    """
    page = find_page(path)
    with open_input(path, "tiff") as source:
        source.seek_subimage(page.number, 0)
        spec = source.spec()
        if str(spec.format) not in ("half", "float", "double"):
            return read_hdr_photo(path, "tiff")
        pixels = read_pixels(path, source, dtype="float")
        profile = embedded_profile(spec)
    colour = pixels[..., :3] if spec.nchannels >= 3 else pixels[..., :1]
    if profile is not None and colour.shape[2] == 3:
        colour = _linear_bt709(path, colour, profile)
    return _to_rgb(apply_orientation(colour, page.orientation))


def _linear_bt709(
    path: str | os.PathLike, colour: Float[np.ndarray, "h w 3"], profile: bytes
) -> Float[np.ndarray, "h w 3"]:
    """Returns radiance in BT.709 primaries.

    Raises:
      UserError: the profile has a tone curve, so the floats are codes.
    """
    light = icc.grey_light(profile, (128,))
    if light is None:
        _LOGGER.warning("%s: its colour profile is damaged and is ignored", path)
        return colour
    if abs(light[0] - 128 / 255) > _LINEAR_TOLERANCE:
        raise UserError(
            f"cannot read {path} as HDR: its colour profile has a tone curve, so that "
            "its floats are codes, not radiance; save it with a linear profile"
        )
    colorants = matrix_profile.parse(profile)
    if colorants is None:
        _LOGGER.warning("%s: its colour profile has tables and is ignored", path)
        return colour
    to_bt709 = primaries.xyz_d50_to_bt709() @ colorants.to_xyz
    if np.allclose(to_bt709, np.eye(3), atol=2e-3):
        return colour
    return colour @ to_bt709.T.astype(np.float32)


def write_npy(path: str | os.PathLike, hdr: Float[np.ndarray, "h w 3"]) -> None:
    """Writes a .npy file that holds a float32 array."""
    with open(path, "wb") as file:
        np.save(file, hdr, allow_pickle=False)


def write_pfm(path: str | os.PathLike, hdr: Float[np.ndarray, "h w 3"]) -> None:
    """Writes a little-endian portable float map."""
    with open(path, "wb") as file:
        file.write(b"PF\n%d %d\n-1.0\n" % (hdr.shape[1], hdr.shape[0]))
        file.write(np.ascontiguousarray(hdr[::-1], "<f4").tobytes())


def write_float_tiff(
    path: str | os.PathLike,
    hdr: Float[np.ndarray, "h w 3"],
    *,
    primaries_name: str | None,
    exif: CameraExif,
) -> None:
    """Writes a 32-bit float TIFF, uncompressed so that every reader opens it.

    Args:
      path: the file.
      hdr: radiance in BT.709 primaries.
      primaries_name: a name of `primaries.NAMED`, which a profile then states; None for
        BT.709 without a profile.
      exif: what is known of the photograph.
    """
    height, width, channels = hdr.shape
    spec = oiio.ImageSpec(width, height, channels, "float")
    spec.attribute("compression", "none")
    if primaries_name is not None:
        hdr = primaries.from_bt709(hdr, primaries.NAMED[primaries_name])
        profile = linear_profile(primaries_name)
        kind = oiio.TypeDesc(f"uint8[{len(profile)}]")
        spec.attribute("ICCProfile", kind, profile)
    for key, value in camera_exif.of_tiff(exif).items():
        spec.attribute(key, value)
    write_pixels(path, hdr, spec)


def _to_rgb(image: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w 3"]:
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
