"""Takes a JPEG photograph as the base of an Ultra HDR file, as it is.

Its coded pixels, its segments and all that lies behind its pixels stay: the previews of
cameras, depth maps, the film of a "motion photo". Only an earlier gain map is left out,
because the new one takes its place.
"""

import io
import os
from collections.abc import Sequence
from typing import NamedTuple

from jaxhdr.image_io.gain_maps import gain_map_pictures, gain_maps
from jaxhdr.image_io.jpeg import jpeg_pictures, jpeg_segments, picture_index
from jaxhdr.image_io.jpeg.jpeg_pictures import ISO_21496, Stream
from jaxhdr.image_io.jpeg.jpeg_segments import APP2, Picture, Segment
from jaxhdr.image_io.jpeg.picture_index import Entry


class OwnBase(NamedTuple):
    """A photograph in parts, without an earlier gain map.

    Attributes:
      picture: the photograph. Its index of pictures, if it has one, is the old one.
      entries: what the index is to say of the photograph and of the pictures behind it,
        without the gain map, which becomes the second picture. Their places count from
        the beginning of the tail.
      loss: what is not kept, as a clause; "" if everything is.
    """

    picture: Picture
    entries: list[Entry]
    loss: str


def take(path: str | os.PathLike) -> OwnBase | None:
    """Returns a JPEG in parts if it can be a base as it is, else None.

    It must be a usual JPEG, and its gain map, if it has one, must not be that of an HDR
    base.
    """
    with open(path, "rb") as file:
        data = file.read()
    try:
        picture = jpeg_segments.split(data)
    except ValueError:
        return None  # whether the photograph can be read is for the decoder to say
    if not jpeg_segments.is_usual(picture) or _is_hdr(path):
        return None
    start = len(data) - len(picture.tail)
    removed = [
        range(place - start, end - start)
        for place, end in gain_map_pictures.gain_map_ranges(io.BytesIO(data))
        if place >= start
    ]
    losses = ["its gain map is replaced by the new one"] if removed else []
    kept = [segment for segment in picture.segments if not _announces(segment)]
    try:
        entries = _entries(io.BytesIO(data), picture, start, removed)
    except ValueError:
        losses.append("its index of pictures is damaged and is replaced by a new one")
        kept = [segment for segment in kept if not jpeg_segments.is_index(segment)]
        entries = [Entry(picture_index.REPRESENTATIVE, 0, 0)]
    tail = _without(picture.tail, removed)
    return OwnBase(Picture(kept, picture.scan, tail), entries, " and ".join(losses))


def _is_hdr(path: str | os.PathLike) -> bool:
    """Returns whether the gain map of a JPEG gives its SDR image."""
    try:
        found = gain_maps.find(path, "jpeg")
    except gain_maps.DamagedGainMap:
        return False
    return found is not None and found.recipe.is_base_hdr


def _announces(segment: Segment) -> bool:
    """Returns whether a segment announces a gain map by the metadata of ISO 21496-1."""
    return segment.marker == APP2 and segment.content.startswith(ISO_21496)


def _entries(
    file: Stream, picture: Picture, start: int, removed: Sequence[range]
) -> list[Entry]:
    """Returns `OwnBase.entries`.

    Args:
      file: the photograph.
      picture: its parts.
      start: where its tail begins.
      removed: bytes of the tail that are left out.

    Raises:
      ValueError: the index is damaged, or there are several.
    """
    indices = [one for one in picture.segments if jpeg_segments.is_index(one)]
    if not indices:
        return [Entry(picture_index.REPRESENTATIVE, 0, 0)]
    if len(indices) > 1:
        raise ValueError("it has several indices of pictures")
    place, index = jpeg_pictures.read_header(file, 0).segments[picture_index.NAME]
    picture_index.with_entries(index, [])  # it must be possible to change it
    first, *others = picture_index.read_entries(index)
    kept = {1: first}
    for number, entry in enumerate(others, 2):
        at = place + entry.offset - start
        is_inside = at >= 0 and at + entry.size <= len(picture.tail)
        is_removed = any(at in one for one in removed)
        if is_inside and not is_removed and jpeg_pictures.begins(file, start + at):
            shift = sum(len(one) for one in removed if one.start < at)
            kept[number] = entry._replace(offset=at - shift)
    # The gain map becomes number 2.
    numbers = {old: new + (new > 1) for new, old in enumerate(kept, 1)}
    return [
        entry._replace(dependents=tuple(numbers.get(n, 0) for n in entry.dependents))
        for entry in kept.values()
    ]


def _without(data: bytes, removed: Sequence[range]) -> bytes:
    """Returns data without some ranges of its bytes."""
    for one in sorted(removed, key=lambda one: one.start, reverse=True):
        data = data[: one.start] + data[one.stop :]
    return data
