"""Finds the pictures in a JPEG file, and the metadata in front of each.

A phone appends further pictures to a photograph: a gain map, a depth map, a preview.
The index of CIPA DC-007 (MPF) says where they lie. Programs that rewrite a photograph
often leave it wrong, so the lengths in the XMP of Ultra HDR, or the place at which the
picture before ends, may say it, too. Segments are walked (ITU-T T.81, annex B); bytes
are never searched for, because a preview within EXIF has all of these, too.
"""

import io
import re
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from jaxhdr.image_io.jpeg import picture_index

Stream = BinaryIO | io.BytesIO
"""A file that is open for reading, or one in memory."""

XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
"""Name of the segment with XMP."""

ISO_21496: Final = b"urn:iso:std:iso:ts:21496:-1\0"
"""Name of the segment with the metadata of ISO 21496-1."""

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
LAST: Final = (_SOS, _EOI)
"""Second bytes of the markers that end the segments of a picture."""
WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD8)})
"""Second bytes of the markers that no length follows."""

_KEPT: Final = {0xE1: (XMP,), 0xE2: (picture_index.NAME, ISO_21496)}
_MAX_SEGMENTS: Final = 10_000
_MAX_PICTURES: Final = 64
_NEXT_MARKER: Final = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
_MAX_MARKERS: Final = 10_000  # within the coded pixels of a picture


class Header(NamedTuple):
    """The metadata of one picture.

    Attributes:
      segments: content of the first segment of each name, and its place in the file.
      scan: where the segment begins that the coded pixels follow.
    """

    segments: dict[bytes, tuple[int, bytes]]
    scan: int


class Place(NamedTuple):
    """Where a segment is in a file.

    Attributes:
      marker: second byte of its marker.
      start: its first byte, or the first of those that fill the space before it.
      content: what follows its length.
      end: the byte behind it.
    """

    marker: int
    start: int
    content: int
    end: int


def read_header(file: Stream, start: int) -> Header:
    """Returns the metadata of the picture that begins at a place in a file.

    Raises:
      ValueError: no JPEG begins there, or its segments are damaged.
    """
    found = {}
    for segment in walk(file, start):
        if segment.marker in LAST:
            return Header(found, segment.start)
        names = _KEPT.get(segment.marker, ())
        if names:
            file.seek(segment.content)
            content = file.read(segment.end - segment.content)
            for name in names:
                if content.startswith(name):
                    place = segment.content + len(name)
                    found.setdefault(name, (place, content[len(name) :]))
    raise ValueError(f"the picture at byte {start} is damaged")


def walk(file: Stream, start: int) -> Iterator[Place]:
    """Yields where the segments of a picture are, in their order.

    The last one that is yielded is the one that the coded pixels follow. If there is
    none, the picture is damaged, and the segments end early.

    Args:
      file: the file. It may be read elsewhere between the segments.
      start: where the picture begins.

    Raises:
      ValueError: no JPEG begins there.
    """
    file.seek(start)
    if file.read(2) != bytes([0xFF, _SOI]):
        raise ValueError(f"no picture begins at byte {start}")
    first = at = start + 2
    for _ in range(_MAX_SEGMENTS):
        file.seek(at)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF:
            return
        marker = head[1]
        if marker == 0xFF:
            at += 1  # a marker may begin with several of these bytes
            continue
        content = at + 2
        if marker in WITHOUT_LENGTH:
            end = content
        else:
            content += 2
            end = at + 2 + max(int.from_bytes(head[2:], "big"), 2)
        yield Place(marker, first, content, end)
        if marker in LAST:
            return
        first = at = end


def begins(file: Stream, place: int) -> bool:
    """Returns whether a picture with sound segments begins at a place."""
    try:
        read_header(file, place)
    except ValueError:
        return False
    return True


def has_index(header: Header) -> bool:
    """Returns whether a picture has an index of the pictures in the file."""
    return picture_index.NAME in header.segments


def indexed_places(header: Header) -> list[int]:
    """Returns where the further pictures begin, as the index (MPF) says.

    Raises:
      ValueError: the index is damaged.
    """
    place, index = header.segments[picture_index.NAME]
    entries = picture_index.read_entries(index)
    return [place + entry.offset for entry in entries if entry.offset]


def following_places(file: Stream, header: Header, lengths: list[int]) -> Iterator[int]:
    """Yields where further pictures may begin, one behind the other.

    Args:
      file: the file.
      header: the header of the first picture.
      lengths: bytes of the pictures behind it, as its XMP says; may be empty.

    Raises:
      ValueError: the first picture does not end.
    """
    place = end = end_of(file, header.scan)
    for length in lengths[:_MAX_PICTURES]:
        yield place
        place += length
    place = end
    for _ in range(_MAX_PICTURES):
        yield place
        try:
            place = end_of(file, read_header(file, place).scan)
        except ValueError:
            return  # something else follows, or nothing


def end_of(file: Stream, scan: int) -> int:
    """Returns the place behind the picture whose coded pixels begin at a place.

    Args:
      file: the file.
      scan: where the segment begins that the coded pixels follow.

    Raises:
      ValueError: the picture does not end.
    """
    file.seek(scan)
    data = file.read()
    at = 0
    for _ in range(_MAX_MARKERS):
        found = _NEXT_MARKER.search(data, at)
        if found is None:
            break
        marker = found[1][0]
        if marker == _EOI:
            return scan + found.end()
        length = int.from_bytes(data[found.end() : found.end() + 2], "big")
        at = found.end() + (0 if marker in WITHOUT_LENGTH else length)
    raise ValueError("the photograph does not end")
