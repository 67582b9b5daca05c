"""Adds properties and EXIF to an AVIF file of one image (ISO/IEC 14496-12, 23008-12).

The file is one that libavif has written: the image is item 1, and its data are placed
by offsets of 32 bits from the beginning of the file.
"""

import struct
from collections.abc import Sequence
from typing import Final

from jaxhdr.image_io.boxes import split_boxes

_IMAGE, _EXIF = 1, 2  # identifiers of items
_PLACES_HEAD: Final = b"\0\0\0\0\x44\0\0\1"  # of `iloc`: one item, 4 bytes for a number
_ASSOCIATIONS_HEAD: Final = b"\0\0\0\0\0\0\0\1\0\1"  # of `ipma`: one item, number 1
_HIDDEN: Final = 1  # flag of an item that is no picture


def add_items(
    avif: bytes, *, properties: Sequence[tuple[bytes, bytes]], exif: bytes = b""
) -> bytes:
    """Returns an AVIF file with more properties of its image, and with EXIF.

    Args:
      avif: a file of libavif.
      properties: type and content of properties, none of which is essential.
      exif: EXIF that begins with its TIFF header; empty for none.

    Raises:
      ValueError: the file is not as libavif writes it.
    """
    old = dict(split_boxes(avif))
    try:
        boxes = dict(split_boxes(old[b"meta"][4:]))
        boxes[b"iprp"] = _with_properties(boxes[b"iprp"], properties)
        if exif:
            boxes[b"iinf"] = _with_exif_item(boxes[b"iinf"])
            boxes[b"iref"] = b"\0\0\0\0" + _box(
                b"cdsc", struct.pack(">HHH", _EXIF, 1, _IMAGE)
            )
        places = boxes[b"iloc"]
        # The length of the meta box does not depend on the offsets in it.
        boxes[b"iloc"] = _moved(places, 0, len(exif), 0)
        more = len(_meta(boxes)) - len(old[b"meta"])
        exif_data = _box(b"mdat", b"\0\0\0\0" + exif) if exif else b""
        boxes[b"iloc"] = _moved(places, more, len(exif), len(avif) + more + 8)
        before = _box(b"ftyp", old[b"ftyp"]) + _box(b"meta", _meta(boxes))
        return before + _box(b"mdat", old[b"mdat"]) + exif_data
    except (KeyError, struct.error) as error:
        raise ValueError(f"unexpected boxes ({error})") from error


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _meta(boxes: dict[bytes, bytes]) -> bytes:
    return b"\0\0\0\0" + b"".join(_box(*box) for box in boxes.items())


def _with_properties(iprp: bytes, properties: Sequence[tuple[bytes, bytes]]) -> bytes:
    parts = dict(split_boxes(iprp))
    listed, associations = parts[b"ipco"], parts[b"ipma"]
    head = len(_ASSOCIATIONS_HEAD)
    if associations[:head] != _ASSOCIATIONS_HEAD:
        raise ValueError("unexpected associations of properties")
    number = sum(1 for _ in split_boxes(listed))
    indices = bytes(range(number + 1, number + 1 + len(properties)))
    count = bytes([associations[head] + len(indices)])
    associations = associations[:head] + count + associations[head + 1 :] + indices
    listed += b"".join(_box(*entry) for entry in properties)
    return _box(b"ipco", listed) + _box(b"ipma", associations)


def _with_exif_item(iinf: bytes) -> bytes:
    if iinf[:6] != b"\0\0\0\0\0\1":
        raise ValueError("unexpected items")
    entry = struct.pack(">BxxBHH4sx", 2, _HIDDEN, _EXIF, 0, b"Exif")
    return b"\0\0\0\0\0\2" + iinf[6:] + _box(b"infe", entry)


def _moved(iloc: bytes, distance: int, exif_length: int, exif_at: int) -> bytes:
    """Returns the places of the image, moved by a distance, and of EXIF."""
    head = len(_PLACES_HEAD)
    if iloc[:head] != _PLACES_HEAD:
        raise ValueError("unexpected places of items")
    item, reference, extents, at, length = struct.unpack(">HHHII", iloc[head:])
    if (item, extents) != (_IMAGE, 1):
        raise ValueError("unexpected places of items")
    entries = struct.pack(">HHHII", item, reference, 1, at + distance, length)
    if exif_length:
        entries += struct.pack(">HHHII", _EXIF, 0, 1, exif_at, 4 + exif_length)
    count = 2 if exif_length else 1
    return _PLACES_HEAD[:-2] + struct.pack(">H", count) + entries
