"""Finds the pictures in a JPEG file, and the metadata in front of each.

A phone appends further pictures to a photograph: a gain map, a depth map, a preview.
The index of CIPA DC-007 (MPF) says where they lie. Programs that rewrite a photograph
often leave it wrong, so the lengths in the XMP of Ultra HDR, or the place at which the
picture before ends, may say it, too. Segments are walked (ITU-T T.81, annex B); bytes
are never searched for, because a preview within EXIF has all of these, too.
"""

import io
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

Stream = BinaryIO | io.BytesIO
"""A file that is open for reading, or one in memory."""

XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
"""Name of the segment with XMP."""

ISO_21496: Final = b"urn:iso:std:iso:ts:21496:-1\0"
"""Name of the segment with the metadata of ISO 21496-1."""

_MPF: Final = b"MPF\0"
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD8)})
"""Second bytes of the markers that no length follows."""

_KEPT: Final = {0xE1: (XMP,), 0xE2: (_MPF, ISO_21496)}
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


def read_header(file: Stream, start: int) -> Header:
    """Returns the metadata of the picture that begins at a place in a file.

    Raises:
      ValueError: no JPEG begins there, or its segments are damaged.
    """
    file.seek(start)
    if file.read(2) != bytes([0xFF, _SOI]):
        raise ValueError(f"no picture begins at byte {start}")
    at, found = start + 2, {}
    for _ in range(_MAX_SEGMENTS):
        file.seek(at)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF:
            break
        marker = head[1]
        if marker == 0xFF:
            at += 1  # a marker may begin with several of these bytes
        elif marker in WITHOUT_LENGTH:
            at += 2
        elif marker in (_SOS, _EOI):
            return Header(found, at)
        else:
            length = int.from_bytes(head[2:], "big")
            names = _KEPT.get(marker, ())
            content = file.read(length - 2) if names and length > 2 else b""
            for name in names:
                if content.startswith(name):
                    place = at + 4 + len(name)
                    found.setdefault(name, (place, content[len(name) :]))
            at += 2 + max(length, 2)
    raise ValueError(f"the picture at byte {start} is damaged")


def has_index(header: Header) -> bool:
    """Returns whether a picture has an index of the pictures in the file."""
    return _MPF in header.segments


def indexed_places(header: Header) -> list[int]:
    """Returns where the further pictures begin, as the index (MPF) says.

    Raises:
      ValueError: the index is damaged.
    """
    place, index = header.segments[_MPF]
    try:
        order = {b"II*\0": "<", b"MM\0*": ">"}[index[:4]]
        (at,) = struct.unpack_from(f"{order}I", index, 4)
        (count,) = struct.unpack_from(f"{order}H", index, at)
        entries = b""
        for row in range(min(count, 32)):
            tag, _, size, offset = struct.unpack_from(
                f"{order}HHII", index, at + 2 + 12 * row
            )
            if tag == 0xB002:
                entries = index[offset : offset + size]
    except (KeyError, struct.error) as error:
        raise ValueError("its index of pictures is damaged") from error
    offsets = [
        struct.unpack_from(f"{order}I", entries, start + 8)[0]
        for start in range(0, min(len(entries), 16 * _MAX_PICTURES) - 15, 16)
    ]
    return [place + offset for offset in offsets if offset]


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
