"""Notes of what made an image, as XMP of a namespace of its own (ISO 16684-1).

JPEG, PNG, AVIF and JPEG XL keep them; OpenEXR has them in its header (`exr_files`).
"""

import os
import re
from collections.abc import Mapping
from typing import Final
from xml.sax.saxutils import quoteattr

from jaxhdr.errors import UserError
from jaxhdr.image_io import formats
from jaxhdr.image_io.containers import boxes, png_chunks
from jaxhdr.image_io.jpeg import jpeg_pictures
from jaxhdr.image_io.metadata import xmp

NAMESPACE: Final = "urn:jaxhdr:notes:1.0/"
"""Namespace of the properties."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_PACKET: Final = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" {}/></rdf:RDF></x:xmpmeta>'
)


def check_names(notes: Mapping[str, str]) -> None:
    """Checks that the names of notes can be those of properties.

    Raises:
      UserError: one cannot.
    """
    for name in notes:
        if not _NAME.fullmatch(name):
            raise UserError(
                f"the name of a note is {name!r}; expected a letter, then letters, "
                "digits, points, hyphens and underscores"
            )


def attributes(notes: Mapping[str, str]) -> str:
    """Returns notes as attributes of an `rdf:Description`; "" if there are none.

    Args:
      notes: texts by name. What terminals obey becomes a question mark.
    """
    stated = [f'xmlns:jaxhdr="{NAMESPACE}"'] if notes else []
    for name, text in notes.items():
        plain = formats.printable(text.encode(errors="replace").decode())
        stated.append(f"jaxhdr:{name}={quoteattr(plain)}")
    return " ".join(stated)


def to_packet(notes: Mapping[str, str]) -> bytes:
    """Returns XMP with notes; b"" if there are none.

    Raises:
      UserError: see `check_names`.
    """
    check_names(notes)
    return _PACKET.format(attributes(notes)).encode() if notes else b""


def read_notes(path: str | os.PathLike, kind: str) -> dict[str, str]:
    """Returns the notes in the XMP of an image; {} if it has none or is damaged.

    Args:
      path: the file.
      kind: its format; see `formats.detect_format`.
    """
    try:
        packet = xmp.parse(_stored(path, kind))
    except ValueError:
        return {}
    return {
        name.removeprefix(NAMESPACE): " ".join(texts)
        for name, texts in packet.properties.items()
        if name.startswith(NAMESPACE)
    }


def _stored(path: str | os.PathLike, kind: str) -> bytes:
    """Returns the XMP of an image.

    Raises:
      ValueError: the image has none, or is damaged.
    """
    if kind == "jpeg":
        with open(path, "rb") as file:
            segments = jpeg_pictures.read_header(file, 0).segments
        _, packet = segments.get(jpeg_pictures.XMP, (0, b""))
        return packet
    if kind == "png":
        return png_chunks.read_xmp(path)
    if kind == "jxl":
        return boxes.read_box(path, b"xml ", most=xmp.MAX_BYTES)
    if kind == "avif":
        items = boxes.read_items(path)
        for item, name in items.types.items():
            if name == b"mime":
                return boxes.item_data(path, items, item)
    raise ValueError("it has no XMP")
