"""Adds properties and metadata to an AVIF file of one image.

The boxes are those of ISO/IEC 14496-12 and 23008-12.

The file is one that libavif has written: the image is item 1, and its data are placed
by offsets of 32 bits from the beginning of the file.
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from jaxhdr.image_io.containers.boxes import split_boxes

_IMAGE: Final = 1  # identifier of the item
_PLACES_HEAD: Final = b"\0\0\0\0\x44\0\0\1"  # of `iloc`: one item, 4 bytes for a number
_ASSOCIATIONS_HEAD: Final = b"\0\0\0\0\0\0\0\1\0\1"  # of `ipma`: one item, number 1
_HIDDEN: Final = 1  # flag of an item that is no picture


class Item(NamedTuple):
    """Metadata of the image.

    Attributes:
      kind: type of the item, b"Exif" or b"mime".
      media: its media type if it is b"mime".
      data: its content.
    """

    kind: bytes
    media: bytes
    data: bytes


def exif_item(exif: bytes) -> Item:
    """Returns the item of EXIF that begins with its TIFF header."""
    return Item(b"Exif", b"", b"\0\0\0\0" + exif)


def xmp_item(packet: bytes) -> Item:
    """Returns the item of an XMP packet."""
    return Item(b"mime", b"application/rdf+xml\0", packet)


def add_items(
    avif: bytes,
    *,
    properties: Sequence[tuple[bytes, bytes]],
    items: Sequence[Item] = (),
) -> bytes:
    """Returns an AVIF file with more properties of its image, and with metadata.

    Args:
      avif: a file of libavif.
      properties: type and content of properties, none of which is essential.
      items: the metadata.

    Raises:
      ValueError: the file is not as libavif writes it.
    """
    old = dict(split_boxes(avif))
    try:
        boxes = dict(split_boxes(old[b"meta"][4:]))
        boxes[b"iprp"] = _with_properties(boxes[b"iprp"], properties)
        if items:
            boxes[b"iinf"] = _with_items(boxes[b"iinf"], items)
            boxes[b"iref"] = _references(len(items))
        places = boxes[b"iloc"]
        lengths = [len(item.data) for item in items]
        # The length of the meta box does not depend on the offsets in it.
        boxes[b"iloc"] = _moved(places, 0, lengths, 0)
        more = len(_meta(boxes)) - len(old[b"meta"])
        boxes[b"iloc"] = _moved(places, more, lengths, len(avif) + more + 8)
        before = _box(b"ftyp", old[b"ftyp"]) + _box(b"meta", _meta(boxes))
        data = b"".join(item.data for item in items)
        added = _box(b"mdat", data) if items else b""
        return before + _box(b"mdat", old[b"mdat"]) + added
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


def _with_items(iinf: bytes, items: Sequence[Item]) -> bytes:
    if iinf[:6] != b"\0\0\0\0\0\1":
        raise ValueError("unexpected items")
    entries = b""
    for number, item in enumerate(items, _IMAGE + 1):
        entry = struct.pack(">BxxBHH4sx", 2, _HIDDEN, number, 0, item.kind)
        entries += _box(b"infe", entry + item.media)
    return struct.pack(">IH", 0, 1 + len(items)) + iinf[6:] + entries


def _references(count: int) -> bytes:
    """Returns that each of a number of items describes the image."""
    numbers = range(_IMAGE + 1, _IMAGE + 1 + count)
    stated = (struct.pack(">HHH", number, 1, _IMAGE) for number in numbers)
    return b"\0\0\0\0" + b"".join(_box(b"cdsc", one) for one in stated)


def _moved(iloc: bytes, distance: int, lengths: Sequence[int], at: int) -> bytes:
    """Returns the places of the image, moved by a distance, and of the metadata.

    Args:
      iloc: the places as libavif wrote them.
      distance: number of bytes by which the image is moved.
      lengths: numbers of bytes of the metadata, which lie one behind the other.
      at: where the first of them begins.
    """
    head = len(_PLACES_HEAD)
    if iloc[:head] != _PLACES_HEAD:
        raise ValueError("unexpected places of items")
    item, reference, extents, start, length = struct.unpack(">HHHII", iloc[head:])
    if (item, extents) != (_IMAGE, 1):
        raise ValueError("unexpected places of items")
    entries = struct.pack(">HHHII", item, reference, 1, start + distance, length)
    for number, size in enumerate(lengths, _IMAGE + 1):
        entries += struct.pack(">HHHII", number, 0, 1, at, size)
        at += size
    return _PLACES_HEAD[:-2] + struct.pack(">H", 1 + len(lengths)) + entries
