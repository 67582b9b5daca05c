"""Gain maps: what turns the SDR photograph of a phone into its HDR image.

Read are those of Ultra HDR v1 (XMP) and of ISO 21496-1 in JPEG, HEIC and AVIF, and
Apple's in JPEG and HEIC. Light is linear, and 1.0 is SDR white.
"""

import dataclasses
import io
import logging
import os
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, JpegImagePlugin

from jaxhdr.image_io import gain_map_items, jpeg_pictures, xmp
from jaxhdr.image_io import gain_map_metadata as metadata
from jaxhdr.image_io.gain_map_items import ItemGainMap
from jaxhdr.image_io.jpeg_pictures import ISO_21496, XMP, Header
from jaxhdr.image_io.orientation import apply_orientation

KINDS: Final = frozenset({"jpeg", "heif", "avif"})
"""Formats that may have a gain map."""

CLIPPED: Final = 254 / 255
"""Display-encoded value from which a channel of the photograph is clipped."""

_FULL_GAIN: Final = 250 / 255  # of the codes, which JPEG changes by some units

_MOST_PIXELS: Final = 4
"""Pixels that a gain map may have for each pixel of the photograph."""

_ITEM: Final = "http://ns.google.com/photos/1.0/container/item/"
_ORIENTATION: Final = 0x0112

_LOGGER: Final = logging.getLogger(__name__)


class DamagedGainMap(ValueError):
    """A file has a gain map that cannot be used; the message says why."""


@dataclasses.dataclass(frozen=True)
class GainMap:
    """A gain map in a file.

    Attributes:
      recipe: what its codes mean.
      place: where it is: the byte of a JPEG, or the item of HEIC or AVIF.
    """

    recipe: metadata.Recipe
    place: int | ItemGainMap


class Alternate(NamedTuple):
    """What a gain map makes of a photograph.

    Attributes:
      light: the light of the other image.
      has_full_gain: where the gain map is at its largest code.
    """

    light: Float[np.ndarray, "h w 3"]
    has_full_gain: Bool[np.ndarray, "h w 3"]


def find(path: str | os.PathLike, kind: str) -> GainMap | None:
    """Returns the gain map of a photograph; None if it has none.

    Only headers are read.

    Args:
      path: the file.
      kind: its format; see `formats.detect_format`.

    Raises:
      DamagedGainMap: the file announces a gain map that cannot be used.
      OSError: the file is not readable.
    """
    if kind not in KINDS:
        return None
    try:
        if kind == "jpeg":
            with open(path, "rb") as file:
                return _find_in_jpeg(file)
        found = gain_map_items.find_item(path, kind)
        return None if found is None else GainMap(found.recipe, found)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # the readers of metadata raise many types
        raise _damaged(error) from error


def has_hdr_base(path: str | os.PathLike, kind: str) -> bool:
    """Returns whether a photograph is HDR and its gain map gives the SDR image.

    A warning is logged if the gain map cannot be used.
    """
    try:
        found = find(path, kind)
    except DamagedGainMap as error:
        warn(path, error)
        return False
    return found is not None and found.recipe.is_base_hdr


def warn(path: str | os.PathLike, error: Exception) -> None:
    """Logs that the gain map of a file is ignored."""
    _LOGGER.warning("%s: its gain map is ignored (%s)", path, error)


def load_codes(
    path: str | os.PathLike, kind: str, found: GainMap, *, num_pixels: int
) -> UInt8[np.ndarray, "h w c"]:
    """Returns the codes of a gain map, upright, at their own size.

    Args:
      path: the file.
      kind: its format.
      found: the gain map.
      num_pixels: number of pixels of the photograph.

    Raises:
      DamagedGainMap: it cannot be decoded, or is much larger than the photograph.
    """
    most = _MOST_PIXELS * num_pixels
    try:
        if isinstance(found.place, ItemGainMap):
            codes = gain_map_items.decode_item(path, kind, found.place, most=most)
        else:
            codes = _decode_jpeg(path, found.place, most=most)
        return apply_orientation(codes, _orientation(path, kind))
    except MemoryError:
        raise
    except Exception as error:  # decoders raise many types
        raise _damaged(error) from error


def apply(
    recipe: metadata.Recipe,
    codes: UInt8[np.ndarray, "h2 w2 c"],
    base: Float[np.ndarray, "h w 3"],
) -> Alternate:
    """Returns what a gain map makes of a photograph at full weight.

    Args:
      recipe: what the codes mean.
      codes: the gain map, which is brought to the size of the photograph bilinearly.
      base: light of the photograph.
    """
    light = np.empty(base.shape, np.float32)
    has_full_gain = np.empty(base.shape, bool)
    values = np.empty(0)
    for channel in range(3):
        if channel < codes.shape[2]:
            values = _resized(codes[..., channel], base.shape[1], base.shape[0])
        light[..., channel] = recipe.to_alternate(
            base[..., channel], values, channel=channel
        )
        has_full_gain[..., channel] = values >= _FULL_GAIN
    return Alternate(light, has_full_gain)


def _resized(
    codes: UInt8[np.ndarray, "h2 w2"], width: int, height: int
) -> Float[np.ndarray, "h w"]:
    values = codes.astype(np.float32)
    values /= 255
    if values.shape != (height, width):
        image = Image.fromarray(values)
        values = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    return values


def _damaged(error: Exception) -> DamagedGainMap:
    reason = " ".join(str(error).split()).rstrip(".")[:200]
    return DamagedGainMap(reason or type(error).__name__)


def _find_in_jpeg(file: BinaryIO) -> GainMap | None:
    try:
        primary = jpeg_pictures.read_header(file, 0)
    except ValueError:
        return None  # whether the photograph can be read is for the decoder to say
    lengths = _announced(primary)
    if lengths is None and not jpeg_pictures.has_index(primary):
        return None
    problem = ValueError("the file announces a gain map that it does not have")
    is_announced = lengths is not None
    try:
        for place in _places(file, primary, lengths):
            try:
                header = jpeg_pictures.read_header(file, place)
            except ValueError:
                continue  # the next way to find it may be right
            try:
                recipe = _recipe(file, header)
            except ValueError as error:
                problem = error
                is_announced |= not isinstance(error, xmp.DamagedPacket)
                continue
            if recipe is not None:
                return GainMap(recipe, place)
    except ValueError as error:
        problem = error
    if is_announced:
        raise problem
    return None  # there are several pictures, none of which is a gain map


def _places(
    file: BinaryIO, primary: Header, lengths: list[int] | None
) -> Iterator[int]:
    """Yields where further pictures may begin: by the index, then by the lengths."""
    if jpeg_pictures.has_index(primary):
        try:
            yield from jpeg_pictures.indexed_places(primary)
        except ValueError:
            if lengths is None:
                return
    if lengths is not None:
        yield from jpeg_pictures.following_places(file, primary, lengths)


def _announced(primary: Header) -> list[int] | None:
    """Returns the lengths of the pictures behind one that announces a gain map.

    None if it announces none; an empty list if the lengths are unknown.
    """
    is_announced = ISO_21496 in primary.segments
    lengths = []
    if XMP in primary.segments:
        try:
            packet = xmp.parse(primary.segments[XMP][1])
        except ValueError:  # many programs write damaged XMP
            return [] if is_announced else None
        is_announced |= metadata.HDRGM + "Version" in packet.properties
        for resource in packet.resources:
            if resource.get(_ITEM + "Semantic", "Primary") != "Primary":
                length = resource.get(_ITEM + "Length", "")
                lengths.append(int(length[:15]) if length.isdecimal() else 0)
            is_announced |= resource.get(_ITEM + "Semantic") == "GainMap"
    return lengths if is_announced else None


def _recipe(file: BinaryIO, header: Header) -> metadata.Recipe | None:
    """Returns what the codes of a picture mean; None if it is no gain map."""
    problem = None
    _, iso = header.segments.get(ISO_21496, (0, b""))
    if iso:
        try:
            return metadata.from_iso(iso)
        except ValueError as error:
            problem = error
    if XMP in header.segments:
        packet = xmp.parse(header.segments[XMP][1])
        recipe = metadata.from_xmp(packet)
        if recipe is not None:
            return recipe
        if metadata.is_apple(packet):
            note = gain_map_items.maker_note_of(_exif(file))
            return metadata.apple_headroom(packet, note)
    if problem is not None:
        raise problem
    return None


def _exif(file: BinaryIO) -> Image.Exif:
    file.seek(0)
    return JpegImagePlugin.JpegImageFile(file, "").getexif()


def _orientation(path: str | os.PathLike, kind: str) -> int:
    """Returns the EXIF orientation with which the photograph is turned upright."""
    if kind == "heif":
        return 1  # libheif has turned the image already
    Image.init()
    opener, _ = Image.OPEN[kind.upper()]
    with open(path, "rb") as file:
        try:
            return int(opener(file, "").getexif().get(_ORIENTATION, 1))
        except Exception:  # damaged EXIF counts as none, as for the photograph
            return 1


def _decode_jpeg(
    path: str | os.PathLike, place: int, *, most: int
) -> UInt8[np.ndarray, "h w c"]:
    with open(path, "rb") as file:
        file.seek(place)
        data = file.read()
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data), "")
    gain_map_items.check_size(*image.size, most=most)
    return gain_map_items.pixels_of(image)
