import struct

import pytest

from jaxhdr.image_io.containers import boxes
from tests import gain_map_files as files

_ITEM = (b"av01", [(b"ispe", struct.pack(">III", 0, 8, 8))], b"pixels")


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def _file(**replaced: bytes) -> bytes:
    """A file whose `meta` box has only these boxes, and the photograph is item 1."""
    parts = {"pitm": struct.pack(">IH", 0, 1), **replaced}
    content = b"".join(_box(name.encode(), data) for name, data in parts.items())
    return _box(b"ftyp", b"avif\0\0\0\0avif") + _box(b"meta", b"\0" * 4 + content)


def test_items_are_read_with_what_describes_them(tmp_path):
    path = tmp_path / "x"
    second = (b"tmap", [], b"other")
    path.write_bytes(files.items_file(b"avif", [_ITEM, second], [(b"dimg", 2, [1])]))
    items = boxes.read_items(path)
    assert items.primary == 1 and items.types == {1: b"av01", 2: b"tmap"}
    assert items.properties == {1: _ITEM[1], 2: []}
    assert items.references == [(b"dimg", 2, (1,))]
    assert boxes.item_data(path, items, 1) == b"pixels"
    assert boxes.item_data(path, items, 2) == b"other"


def test_another_item_becomes_the_photograph(tmp_path):
    path = tmp_path / "x"
    whole = files.items_file(b"avif", [_ITEM, _ITEM], [])
    path.write_bytes(boxes.with_primary(whole, 2))
    assert boxes.read_items(path).primary == 2
    assert boxes.with_primary(boxes.with_primary(whole, 2), 1) == whole


@pytest.mark.parametrize(
    ("data", "item"),
    [
        (b"", 1),
        (_file()[:20], 1),
        (_file()[:-3], 1),
        (_box(b"ftyp", b"avif"), 1),
        (_file(pitm=b""), 1),
        (_file(), 2**16),
        (_file(), -1),
    ],
)
def test_a_file_without_that_item_is_damaged(data, item):
    with pytest.raises(ValueError, match=r"box|to convert|unsigned|big"):
        boxes.with_primary(data, item)


@pytest.mark.parametrize(
    "replaced",
    [
        # Each of 65535 items has 65535 places of no bytes.
        {"iloc": struct.pack(">IBBH", 0, 0, 0, 65535) + b"\0\0\0\0\xff\xff" * 65535},
        {"ipco": b"", "iprp": _box(b"ipma", b"\0" * 4 + b"\xff" * 4 + b"\0" * 2**23)},
        {"iloc": struct.pack(">IBBI", 2 << 24, 0, 0, 2**32 - 1) + b"\0" * 2**23},
    ],
    ids=["places", "properties", "items"],
)
def test_numbers_that_would_take_hours_are_refused(tmp_path, replaced):
    path = tmp_path / "x"
    path.write_bytes(_file(**replaced))
    with pytest.raises(ValueError, match="too many"):
        boxes.read_items(path)
