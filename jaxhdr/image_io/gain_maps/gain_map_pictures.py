"""Finds and decodes the gain map in a JPEG file.

It is a picture behind the photograph. Its metadata are the XMP of Ultra HDR v1, those
of ISO 21496-1, or Apple's XMP.
"""

import contextlib
import io
import os
from collections.abc import Iterator
from typing import Final

import numpy as np
from jaxtyping import UInt8
from PIL import Image, JpegImagePlugin

from jaxhdr.image_io.gain_maps import apple_gain_map, gain_map_items
from jaxhdr.image_io.gain_maps import gain_map_metadata as metadata
from jaxhdr.image_io.jpeg import jpeg_pictures
from jaxhdr.image_io.jpeg.jpeg_pictures import ISO_21496, XMP, Header, Stream
from jaxhdr.image_io.metadata import xmp

_ITEM: Final = "http://ns.google.com/photos/1.0/container/item/"


def find_picture(file: Stream) -> tuple[metadata.Recipe, int] | None:
    """Returns what the codes of a JPEG's gain map mean, and the byte where it begins.

    None if the file has no gain map.

    Raises:
      ValueError: the file announces a gain map that cannot be used.
    """
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
                return recipe, place
    except ValueError as error:
        problem = error
    if is_announced:
        raise problem
    return None  # there are several pictures, none of which is a gain map


def gain_map_ranges(file: Stream) -> list[tuple[int, int]]:
    """Returns where the gain maps of a JPEG begin and end, in their order.

    A picture whose metadata cannot be read counts as no gain map.
    """
    found = set()
    try:
        primary = jpeg_pictures.read_header(file, 0)
        for place in _places(file, primary, _announced(primary) or []):
            with contextlib.suppress(ValueError):
                header = jpeg_pictures.read_header(file, place)
                if _recipe(file, header) is not None:
                    found.add((place, jpeg_pictures.end_of(file, header.scan)))
    except ValueError:
        pass  # the first picture, or its index, is damaged
    return sorted(found)


def _places(file: Stream, primary: Header, lengths: list[int] | None) -> Iterator[int]:
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


def _recipe(file: Stream, header: Header) -> metadata.Recipe | None:
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
        if apple_gain_map.is_apple(packet):
            note = apple_gain_map.maker_note_of(_exif(file))
            return apple_gain_map.read_gain(packet, note)
    if problem is not None:
        raise problem
    return None


def decode_picture(
    path: str | os.PathLike, place: int, *, most: int
) -> UInt8[np.ndarray, "h w c"]:
    """Returns the codes of a gain map as they are stored.

    Args:
      path: the file.
      place: the byte where the gain map begins.
      most: largest number of pixels that is decoded.

    Raises:
      ValueError: the gain map is too large. The decoder raises other errors, too.
    """
    with open(path, "rb") as file:
        file.seek(place)
        data = file.read()
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data), "")
    gain_map_items.check_size(*image.size, most=most)
    return gain_map_items.pixels_of(image)


def _exif(file: Stream) -> Image.Exif:
    file.seek(0)
    return JpegImagePlugin.JpegImageFile(file, "").getexif()
