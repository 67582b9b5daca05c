"""Reads the boxes of HEIF, AVIF and JPEG XL (ISO/IEC 14496-12 and 23008-12).

Only what describes images is read: which item is the photograph, the properties of each
item, and references between items. Pixels are left to the decoders.
"""

import dataclasses
import os
import struct
from collections.abc import Iterator
from typing import Final

_MAX_META_BYTES: Final = 16 * 2**20  # of the box that describes the items
_MAX_BOXES: Final = 10_000  # in one container
_MAX_ENTRIES: Final = 100_000  # of a table; the largest grid has 65536 tiles


@dataclasses.dataclass(frozen=True)
class Items:
    """The items of a file.

    Attributes:
      primary: identifier of the photograph.
      types: four letters of each item, such as b"av01" or b"tmap", by identifier.
      properties: type and content of an item's properties, in their order.
      references: type, source and targets of references between items.
      places: construction method (0: the file, 1: the `idat` box) and extents (offset,
        length) of each item's data.
      idat: content of the `idat` box.
    """

    primary: int
    types: dict[int, bytes]
    properties: dict[int, list[tuple[bytes, bytes]]]
    references: list[tuple[bytes, int, tuple[int, ...]]]
    places: dict[int, tuple[int, list[tuple[int, int]]]]
    idat: bytes

    def of_primary(self, kind: bytes) -> list[bytes]:
        """Returns the properties of a type that the photograph has.

        A grid has its own properties, or else the properties of its first tile count.
        """
        found = self._properties(self.primary, kind)
        if found:
            return found
        for name, source, targets in self.references:
            if name == b"dimg" and source == self.primary and targets:
                return self._properties(targets[0], kind)
        return []

    def _properties(self, item: int, kind: bytes) -> list[bytes]:
        stated = self.properties.get(item, [])
        return [content for name, content in stated if name == kind]


def read_items(path: str | os.PathLike) -> Items:
    """Returns the items of a HEIF or AVIF file.

    Raises:
      ValueError: the boxes are damaged.
    """
    try:
        return _parse_meta(read_box(path, b"meta", most=_MAX_META_BYTES))
    except (struct.error, IndexError, KeyError) as error:
        raise ValueError(f"damaged boxes ({error})") from error


def item_data(path: str | os.PathLike, items: Items, item: int) -> bytes:
    """Returns the data of an item.

    Raises:
      ValueError: the file has no such data.
    """
    method, extents = items.places.get(item, (0, []))
    total = sum(length for _, length in extents)
    if not extents or method > 1 or total > os.path.getsize(path):
        raise ValueError(f"item {item} has no data")
    if method == 1:
        return b"".join(items.idat[at : at + length] for at, length in extents)
    with open(path, "rb") as file:
        parts = []
        for at, length in extents:
            file.seek(at)
            parts.append(file.read(length))
    return b"".join(parts)


def with_primary(data: bytes, item: int) -> bytes:
    """Returns a file in which another item is the photograph.

    Decoders decode the photograph only, so this makes them decode any item.

    Args:
      data: all bytes of a HEIF or AVIF file.
      item: identifier of the item.

    Raises:
      ValueError: the boxes are damaged, or the identifier does not fit.
    """
    try:
        start, end = _place_of(data, b"meta", 0, len(data))
        start, _ = _place_of(data, b"pitm", start + 4, end)
        size = 4 if data[start] >= 1 else 2
        if start + 4 + size > end:
            raise ValueError("a box is too short")
        number = item.to_bytes(size, "big")
    except (struct.error, IndexError, OverflowError) as error:
        raise ValueError(f"damaged boxes ({error})") from error
    return data[: start + 4] + number + data[start + 4 + size :]


def _place_of(data: bytes, kind: bytes, at: int, end: int) -> tuple[int, int]:
    """Returns where the content of the first box of a type begins and ends."""
    for _ in range(_MAX_BOXES):
        if at + 8 > end:
            break
        length, found, start = _box_head(data, at, end - at)
        if found == kind:
            return at + start, at + length
        at += length
    raise ValueError(f"it has no {kind.decode()} box")


def read_box(path: str | os.PathLike, kind: bytes, *, most: int) -> bytes:
    """Returns the content of the first box of a type that lies in no other.

    Args:
      path: the file.
      kind: the four letters of the type.
      most: largest number of bytes that is read.

    Raises:
      ValueError: there is no such box, it is too large, or the boxes are damaged.
    """
    name, size = kind.decode().strip(), os.path.getsize(path)
    with open(path, "rb") as file:
        at = 0
        for _ in range(_MAX_BOXES):
            file.seek(at)
            head = file.read(16)
            if len(head) < 8:
                break
            length, found, start = _box_head(head, 0, size - at)
            if found == kind:
                if length > most:
                    raise ValueError(f"its {name} box is too large")
                file.seek(at + start)
                return file.read(length - start)
            at += length
    raise ValueError(f"it has no {name} box")


def _box_head(data: bytes, at: int, rest: int) -> tuple[int, bytes, int]:
    """Returns the length of a box, its type, and where its content begins."""
    length, kind = struct.unpack_from(">I4s", data, at)
    start = 8
    if length == 1:
        (length,) = struct.unpack_from(">Q", data, at + 8)
        start = 16
    elif length == 0:
        length = rest
    if length < start or length > rest:
        raise ValueError("a box has a wrong length")
    return length, kind, start


def split_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields the type and the content of each box.

    Raises:
      ValueError: a box is longer than the data.
    """
    at = 0
    for _ in range(_MAX_BOXES):
        if at + 8 > len(data):
            return
        length, kind, start = _box_head(data, at, len(data) - at)
        yield kind, data[at + start : at + length]
        at += length


def _parse_meta(meta: bytes) -> Items:
    boxes = dict(reversed(list(split_boxes(meta[4:]))))  # the first of each type
    (primary,) = _numbers(boxes[b"pitm"][4:], _size_of_id(boxes[b"pitm"], 1), 1)
    properties = dict(reversed(list(split_boxes(boxes.get(b"iprp", b"")))))
    listed = list(split_boxes(properties.get(b"ipco", b"")))
    return Items(
        primary=primary,
        types=_types(boxes.get(b"iinf", b"")),
        properties=_associations(properties.get(b"ipma", b""), listed),
        references=_references(boxes.get(b"iref", b"")),
        places=_places(boxes.get(b"iloc", b"")),
        idat=boxes.get(b"idat", b""),
    )


def _size_of_id(full_box: bytes, first_wide_version: int) -> int:
    return 4 if full_box[0] >= first_wide_version else 2


def _numbers(data: bytes, size: int, count: int) -> tuple[int, ...]:
    if len(data) < size * count:
        raise ValueError("a box is too short")
    return tuple(
        int.from_bytes(data[size * i : size * (i + 1)], "big") for i in range(count)
    )


def _check_entries(count: int) -> None:
    if count > _MAX_ENTRIES:
        raise ValueError(f"a box has too many entries ({count})")


def _types(iinf: bytes) -> dict[int, bytes]:
    if not iinf:
        return {}
    entries = iinf[6:] if iinf[0] == 0 else iinf[8:]
    types = {}
    for kind, entry in split_boxes(entries):
        if kind == b"infe" and entry[0] >= 2:
            size = _size_of_id(entry, 3)
            (item,) = _numbers(entry[4:], size, 1)
            types[item] = entry[4 + size + 2 :][:4]
    return types


def _associations(
    ipma: bytes, listed: list[tuple[bytes, bytes]]
) -> dict[int, list[tuple[bytes, bytes]]]:
    if not ipma:
        return {}
    id_size = _size_of_id(ipma, 1)
    index_size = 2 if ipma[3] & 1 else 1
    (count,) = _numbers(ipma[4:], 4, 1)
    _check_entries(count)
    at, found = 8, {}
    for _ in range(count):
        (item,) = _numbers(ipma[at : at + id_size], id_size, 1)
        number = ipma[at + id_size]
        at += id_size + 1
        end = at + index_size * number
        indices = _numbers(ipma[at:end], index_size, number)
        at = end
        essential = 1 << (8 * index_size - 1)
        places = [(index & ~essential) - 1 for index in indices]
        found[item] = [listed[place] for place in places if 0 <= place < len(listed)]
    return found


def _references(iref: bytes) -> list[tuple[bytes, int, tuple[int, ...]]]:
    if not iref:
        return []
    size = _size_of_id(iref, 1)
    found = []
    for kind, content in split_boxes(iref[4:]):
        (source,) = _numbers(content, size, 1)
        (count,) = _numbers(content[size:], 2, 1)
        found.append((kind, source, _numbers(content[size + 2 :], size, count)))
    return found


def _places(iloc: bytes) -> dict[int, tuple[int, list[tuple[int, int]]]]:
    if not iloc:
        return {}
    version = iloc[0]
    offset_size, length_size = iloc[4] >> 4, iloc[4] & 15
    base_size, index_size = iloc[5] >> 4, iloc[5] & 15 if version else 0
    id_size = 4 if version == 2 else 2
    (count,) = _numbers(iloc[6:], id_size, 1)
    _check_entries(count)
    at, found, num_extents = 6 + id_size, {}, 0

    def take(size: int) -> int:
        nonlocal at
        (number,) = _numbers(iloc[at : at + size], size, 1)
        at += size
        return number

    for _ in range(count):
        item = take(id_size)
        method = take(2) & 15 if version else 0
        take(2)  # the data reference: this file
        base = take(base_size)
        extents = []
        num_here = take(2)
        num_extents += num_here  # an extent may take no bytes
        _check_entries(num_extents)
        for _ in range(num_here):
            take(index_size)
            offset = take(offset_size)
            extents.append((base + offset, take(length_size)))
        found[item] = (method, extents)
    return found
