"""Reads and changes the index of the pictures in a JPEG file (MPF).

The index is a small TIFF within a segment of the first picture (CIPA DC-007, section
5). It has an entry for each picture. Places count from the first byte of that TIFF.
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

NAME: Final = b"MPF\0"
"""Name of the segment with the index."""

REPRESENTATIVE: Final = 0x20030000
"""Attribute of a first picture that represents the others (table 4)."""

MOST_ENTRIES: Final = 64
"""Number of entries that are read."""

_COUNT, _ENTRIES = 0xB001, 0xB002  # tags
_LONG, _UNDEFINED = 4, 7  # types of TIFF 6.0
_MOST_TAGS: Final = 32
_TAG_BYTES, _ENTRY_BYTES = 12, 16
_ORDERS: Final = {b"II*\0": "<", b"MM\0*": ">"}


class Entry(NamedTuple):
    """What the index says of one picture.

    Attributes:
      attribute: bits that say what the picture is (table 4).
      size: number of its bytes.
      offset: where it begins; 0 for the first picture.
      dependents: numbers of two other entries, from 1; 0 for none.
    """

    attribute: int
    size: int
    offset: int
    dependents: tuple[int, int] = (0, 0)


class _Layout(NamedTuple):
    """Byte order of an index, and where it keeps each tag."""

    order: str
    tags: dict[int, int]


EMPTY: Final = (
    struct.pack(">2sHIH", b"MM", 42, 8, 3)
    + struct.pack(">HHI4s", 0xB000, _UNDEFINED, 4, b"0100")  # version
    + struct.pack(">HHII", _COUNT, _LONG, 1, 0)
    + struct.pack(">HHII", _ENTRIES, _UNDEFINED, 0, 0)
    + bytes(4)
)
"""An index without entries."""


def read_entries(index: bytes) -> list[Entry]:
    """Returns the entries of an index, that of the first picture first.

    Raises:
      ValueError: the index is damaged.
    """
    order, tags = _layout(index)
    if _ENTRIES not in tags:
        return []
    _, _, size, start = struct.unpack_from(f"{order}HHII", index, tags[_ENTRIES])
    stored = index[start : start + min(size, _ENTRY_BYTES * MOST_ENTRIES)]
    whole = len(stored) // _ENTRY_BYTES * _ENTRY_BYTES
    return [
        Entry(attribute, length, offset, (first, second))
        for attribute, length, offset, first, second in struct.iter_unpack(
            f"{order}IIIHH", stored[:whole]
        )
    ]


def with_entries(index: bytes, entries: Sequence[Entry]) -> bytes:
    """Returns an index with other entries, whose length depends on their number only.

    All else that the index says stays at its place; the new entries stand behind it.

    Raises:
      ValueError: the index is damaged.
    """
    order, tags = _layout(index)
    if not {_COUNT, _ENTRIES} <= tags.keys():
        raise ValueError("its index of pictures is damaged")
    count = (_COUNT, _LONG, 1, len(entries))
    listed = (_ENTRIES, _UNDEFINED, _ENTRY_BYTES * len(entries), len(index))
    changed = bytearray(index)
    for tag in (count, listed):
        struct.pack_into(f"{order}HHII", changed, tags[tag[0]], *tag)
    for attribute, size, offset, dependents in entries:
        changed += struct.pack(f"{order}IIIHH", attribute, size, offset, *dependents)
    return bytes(changed)


def _layout(index: bytes) -> _Layout:
    try:
        order = _ORDERS[index[:4]]
        (directory,) = struct.unpack_from(f"{order}I", index, 4)
        (count,) = struct.unpack_from(f"{order}H", index, directory)
        tags = {}
        for row in range(min(count, _MOST_TAGS)):
            at = directory + 2 + _TAG_BYTES * row
            tag, _, _, _ = struct.unpack_from(f"{order}HHII", index, at)
            tags[tag] = at
    except (KeyError, struct.error) as error:
        raise ValueError("its index of pictures is damaged") from error
    return _Layout(order, tags)
