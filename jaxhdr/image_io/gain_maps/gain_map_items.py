"""Finds and decodes the gain map in a HEIC or AVIF file.

It is an item of its own. Either a `tmap` item (ISO/IEC 23008-12, amendment 1) derives
the HDR image from the photograph and the gain map and has the metadata of ISO 21496-1,
or the gain map is an auxiliary image of Apple's type.
"""

import io
import os
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxhdr.image_io.containers import boxes
from jaxhdr.image_io.gain_maps import apple_gain_map
from jaxhdr.image_io.gain_maps import gain_map_metadata as metadata
from jaxhdr.image_io.metadata import xmp

_MAX_METADATA_BYTES: Final = 4096  # of a `tmap` item, which has at most 142
_TURNS: Final = (b"irot", b"imir")


class ItemGainMap(NamedTuple):
    """A gain map in a file of items.

    Attributes:
      recipe: what its codes mean.
      item: its identifier.
      items: all items of the file.
    """

    recipe: metadata.Recipe
    item: int
    items: boxes.Items


def find_item(path: str | os.PathLike, kind: str) -> ItemGainMap | None:
    """Returns the gain map of the photograph in a HEIC or AVIF file, if it has one.

    Args:
      path: the file.
      kind: "heif" or "avif".

    Raises:
      ValueError: the metadata of the gain map are damaged.
    """
    try:
        items = boxes.read_items(path)
    except ValueError:
        return None  # whether the photograph can be read is for the decoder to say
    for name, source, targets in items.references:
        is_map = items.types.get(source) == b"tmap" and name == b"dimg"
        if is_map and len(targets) == 2 and targets[0] == items.primary:
            data = _data_of(path, items, source, limit=_MAX_METADATA_BYTES)
            if data[:1] != b"\0":
                raise ValueError("its gain map needs a later version of `tmap`")
            return ItemGainMap(metadata.from_iso(data[1:]), targets[1], items)
    for name, source, targets in items.references:
        if name == b"auxl" and items.primary in targets and _is_apple(items, source):
            packet = _packet_of(path, items, source)
            note = _maker_note(path) if kind == "heif" else b""
            recipe = apple_gain_map.read_gain(packet, note)
            return ItemGainMap(recipe, source, items)
    return None


def decode_item(
    path: str | os.PathLike, kind: str, found: ItemGainMap, *, most: int
) -> UInt8[np.ndarray, "h w c"]:
    """Returns the codes of a gain map.

    They lie as the photograph that the decoder returns: upright for HEIC, as they are
    stored for AVIF.

    Args:
      path: the file.
      kind: "heif" or "avif".
      found: the gain map.
      most: largest number of pixels that is decoded.

    Raises:
      ValueError: the gain map is too large. Decoders raise other errors, too.
    """
    with open(path, "rb") as file:
        data = file.read()
    if kind == "avif":
        Image.init()
        opener, _ = Image.OPEN["AVIF"]
        image = opener(io.BytesIO(boxes.with_primary(data, found.item)), "")
        check_size(*image.size, most=most)
        return pixels_of(image)
    codes = _decode_heif(data, found.item, most=most)
    return codes if _turns(found.items, found.item) else _turned(codes, found.items)


def check_size(width: int, height: int, *, most: int) -> None:
    """Checks the size of a gain map before it is decoded.

    Raises:
      ValueError: it has no pixels or more than `most`.
    """
    if not 0 < width * height <= most:
        raise ValueError(
            f"its gain map has {width} x {height} pixels, expected at most {most}"
        )


def pixels_of(image: Image.Image) -> UInt8[np.ndarray, "h w c"]:
    """Returns the pixels of an image in one channel or three.

    Raises:
      ValueError: it has other channels.
    """
    if image.mode not in ("L", "RGB", "RGBA", "LA"):
        raise ValueError(f"its gain map has {image.mode} pixels")
    codes = np.asarray(image)
    if codes.ndim == 2:
        return codes[..., None]
    return codes[..., : 3 if codes.shape[2] >= 3 else 1]


def _decode_heif(data: bytes, item: int, *, most: int) -> UInt8[np.ndarray, "h w c"]:
    import pi_heif  # see `photos`

    heif = pi_heif.open_heif(io.BytesIO(data))
    # libheif returns an auxiliary image only as such, and others only as photographs.
    if any(item in found for found in heif.info.get("aux", {}).values()):
        image = heif.get_aux_image(item)
    else:
        image = pi_heif.open_heif(io.BytesIO(boxes.with_primary(data, item)))
    check_size(*image.size, most=most)
    return pixels_of(image.to_pillow())


def _turned(
    codes: UInt8[np.ndarray, "h w c"], items: boxes.Items
) -> UInt8[np.ndarray, "h2 w2 c"]:
    """Returns the codes turned as libheif turns the photograph.

    The gain map may have no turns of its own.
    """
    for name, content in _turns(items, items.primary):
        code = content[0] if content else 0
        if name == b"irot":
            codes = np.rot90(codes, code & 3)  # anticlockwise
        else:
            codes = codes[:, ::-1] if code & 1 else codes[::-1]
    return codes


def _turns(items: boxes.Items, item: int) -> list[tuple[bytes, bytes]]:
    return [one for one in items.properties.get(item, []) if one[0] in _TURNS]


def _is_apple(items: boxes.Items, item: int) -> bool:
    stated = items.properties.get(item, [])
    kinds = [content[4:].split(b"\0")[0] for name, content in stated if name == b"auxC"]
    return apple_gain_map.APPLE_TYPE.encode() in kinds


def _packet_of(
    path: str | os.PathLike, items: boxes.Items, item: int
) -> xmp.Packet | None:
    """Returns the XMP of an item, if it has some that is sound."""
    for name, source, targets in items.references:
        if name == b"cdsc" and item in targets and items.types.get(source) == b"mime":
            try:
                data = _data_of(path, items, source, limit=xmp.MAX_BYTES)
                return xmp.parse(data)
            except ValueError:
                continue  # the MakerNote may have the headroom
    return None


def _data_of(
    path: str | os.PathLike, items: boxes.Items, item: int, *, limit: int
) -> bytes:
    _, extents = items.places.get(item, (0, []))
    if sum(length for _, length in extents) > limit:
        raise ValueError(f"item {item} is too large")
    return boxes.item_data(path, items, item)


def _maker_note(path: str | os.PathLike) -> bytes:
    import pi_heif

    with open(path, "rb") as file:
        stored = pi_heif.open_heif(file).info.get("exif")
    exif = Image.Exif()
    exif.load(stored or b"")
    return apple_gain_map.maker_note_of(exif)
