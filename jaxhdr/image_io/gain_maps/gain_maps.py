"""Gain maps: what turns the SDR photograph of a phone into its HDR image.

Read are those of Ultra HDR v1 (XMP) and of ISO 21496-1 in JPEG, HEIC and AVIF, and
Apple's in JPEG and HEIC. Light is linear, and 1.0 is SDR white.
"""

import dataclasses
import logging
import os
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from jaxhdr.image_io.gain_maps import gain_map_items, gain_map_pictures
from jaxhdr.image_io.gain_maps import gain_map_metadata as metadata
from jaxhdr.image_io.gain_maps.gain_map_items import ItemGainMap
from jaxhdr.image_io.orientation import ORIENTATION, apply_orientation

KINDS: Final = frozenset({"jpeg", "heif", "avif"})
"""Formats that may have a gain map."""

CLIPPED: Final = 254 / 255
"""Display-encoded value from which a channel of the photograph is clipped."""

_FULL_GAIN: Final = 250 / 255  # of the codes, which JPEG changes by some units

_MOST_PIXELS: Final = 4
"""Pixels that a gain map may have for each pixel of the photograph."""

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
    """
    if kind not in KINDS:
        return None
    try:
        if kind == "jpeg":
            with open(path, "rb") as file:
                picture = gain_map_pictures.find_picture(file)
                return None if picture is None else GainMap(*picture)
        found = gain_map_items.find_item(path, kind)
        return None if found is None else GainMap(found.recipe, found)
    except MemoryError:
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
            codes = gain_map_pictures.decode_picture(path, found.place, most=most)
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


def _orientation(path: str | os.PathLike, kind: str) -> int:
    """Returns the EXIF orientation with which the photograph is turned upright."""
    if kind == "heif":
        return 1  # libheif has turned the image already
    Image.init()
    opener, _ = Image.OPEN[kind.upper()]
    with open(path, "rb") as file:
        try:
            return int(opener(file, "").getexif().get(ORIENTATION, 1))
        except Exception:  # damaged EXIF counts as none, as for the photograph
            return 1
