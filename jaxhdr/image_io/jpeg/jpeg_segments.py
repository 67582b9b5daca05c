"""Takes a JPEG apart and puts it together again, without a change of its coded pixels.

Markers and their meaning are those of ITU-T T.81, annex B, and of T.872 (JFIF, EXIF and
Adobe's segment).
"""

import io
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from jaxhdr.image_io.jpeg import jpeg_pictures, picture_index
from jaxhdr.image_io.jpeg.picture_index import Entry

MOST_BYTES: Final = 65533
"""Largest content of a segment: its length has 16 bits and counts itself."""

JFIF, APP1, APP2 = 0xE0, 0xE1, 0xE2
EXIF: Final = b"Exif\0"

_ADOBE_SEGMENT: Final = 0xEE
_SOI: Final = b"\xff\xd8"
_HEAD_BYTES: Final = 4  # the marker and the length of a segment
# Of the frames, only the baseline, the extended and the progressive one of Huffman
# codes are read by all programs. 0xC4, 0xC8 and 0xCC are no frames.
_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_USUAL_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})


class Segment(NamedTuple):
    """A segment in front of the coded pixels.

    Attributes:
      marker: second byte of its marker.
      content: what follows its length.
      stored: all of its bytes, also those that fill the space before its marker.
    """

    marker: int
    content: bytes
    stored: bytes


class Picture(NamedTuple):
    """A JPEG in parts.

    Attributes:
      segments: what stands in front of the coded pixels.
      scan: the coded pixels and all that lies between and behind them, to the marker of
        the end.
      tail: bytes behind the end.
    """

    segments: list[Segment]
    scan: bytes
    tail: bytes

    def content_of(self, marker: int, name: bytes) -> bytes | None:
        """Returns the content of the first segment of a name, without the name."""
        for segment in self.segments:
            if segment.marker == marker and segment.content.startswith(name):
                return segment.content[len(name) :]
        return None


def split(data: bytes) -> Picture:
    """Returns the parts of the first picture of a JPEG file.

    Raises:
      ValueError: the picture is damaged, or does not end.
    """
    file = io.BytesIO(data)
    segments = []
    for place in jpeg_pictures.walk(file, 0):
        if place.marker in jpeg_pictures.LAST:
            end = jpeg_pictures.end_of(file, place.start)
            return Picture(segments, data[place.start : end], data[end:])
        content, stored = data[place.content : place.end], data[place.start : place.end]
        segments.append(Segment(place.marker, content, stored))
    raise ValueError("its segments are damaged")


def make_segment(marker: int, content: bytes) -> Segment:
    """Returns a segment with its bytes.

    Raises:
      ValueError: the content has more than `MOST_BYTES`.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(f"{len(content)} bytes do not fit into a segment")
    head = struct.pack(">BBH", 0xFF, marker, len(content) + 2)
    return Segment(marker, content, head + content)


def is_usual(picture: Picture) -> bool:
    """Returns whether all programs show a picture: 8 bits, grey or YCbCr, Huffman."""
    frames = [segment for segment in picture.segments if segment.marker in _FRAMES]
    if len(frames) != 1 or frames[0].marker not in _USUAL_FRAMES:
        return False
    frame = frames[0].content
    if len(frame) < 6 or frame[0] != 8:
        return False
    if frame[5] == 1:
        return True
    adobe = picture.content_of(_ADOBE_SEGMENT, b"Adobe")
    is_rgb = frame[6::3] == b"RGB" or (adobe is not None and adobe[6:7] == b"\0")
    return frame[5] == 3 and not is_rgb


def with_segments(picture: Picture, added: Sequence[Segment]) -> Picture:
    """Returns a picture with segments behind those of JFIF and EXIF."""
    place = 0
    for number, segment in enumerate(picture.segments):
        is_leading = number == place and segment.marker == JFIF
        is_exif = segment.marker == APP1 and segment.content.startswith(EXIF)
        if is_leading or is_exif:
            place = number + 1
    segments = [*picture.segments[:place], *added, *picture.segments[place:]]
    return picture._replace(segments=segments)


def to_bytes(picture: Picture) -> bytes:
    """Returns the file of a picture, without its tail."""
    stored = [segment.stored for segment in picture.segments]
    return b"".join([_SOI, *stored, picture.scan])


def is_index(segment: Segment) -> bool:
    """Returns whether a segment is the index of the pictures in the file (MPF)."""
    return segment.marker == APP2 and segment.content.startswith(picture_index.NAME)


def with_second(picture: Picture, second: bytes, entries: Sequence[Entry]) -> bytes:
    """Returns the file of a picture, a second one behind it, and the tail of the first.

    Args:
      picture: the first. If it has an index of pictures (MPF), that is changed; else it
        gets one.
      second: the file of the second.
      entries: what the index is to say of the first picture and of those in its tail,
        whose places count from the beginning of the tail.

    Raises:
      ValueError: the index cannot state their sizes.
    """
    listed = [entries[0], Entry(0, len(second), 0), *entries[1:]]
    # The length of an index depends on the number of its entries only.
    indexed, start = _with_index(picture, listed)
    size = len(to_bytes(indexed))
    tail = size + len(second)
    if tail + len(picture.tail) >= 2**32:
        raise ValueError("it would have more than 4 GiB")
    placed = [
        listed[0]._replace(size=size, offset=0),
        listed[1]._replace(offset=size - start),
        *(one._replace(offset=tail - start + one.offset) for one in entries[1:]),
    ]
    indexed, _ = _with_index(picture, placed)
    return to_bytes(indexed) + second + picture.tail


def _with_index(picture: Picture, entries: Sequence[Entry]) -> tuple[Picture, int]:
    """Returns a picture whose index has these entries, and the byte they count from."""
    if not any(map(is_index, picture.segments)):
        empty = make_segment(APP2, picture_index.NAME + picture_index.EMPTY)
        picture = with_segments(picture, [empty])
    number, old = next(
        pair for pair in enumerate(picture.segments) if is_index(pair[1])
    )
    index = old.content.removeprefix(picture_index.NAME)
    content = picture_index.NAME + picture_index.with_entries(index, entries)
    before, after = picture.segments[:number], picture.segments[number + 1 :]
    segments = [*before, make_segment(APP2, content), *after]
    start = len(_SOI) + sum(len(one.stored) for one in before)
    start += _HEAD_BYTES + len(picture_index.NAME)
    return picture._replace(segments=segments), start
