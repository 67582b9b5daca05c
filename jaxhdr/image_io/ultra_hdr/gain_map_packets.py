"""Writes what a gain map says of itself: XMP of Ultra HDR v1, and ISO 21496-1.

The layouts are those of Google's "Ultra HDR Image Format v1.1" and of ISO 21496-1,
annex C.2.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Final
from xml.dom import minidom
from xml.sax.saxutils import quoteattr

from jaxhdr.image_io.gain_maps.gain_map_metadata import HDRGM, LogGain
from jaxhdr.image_io.metadata import notes, xmp

ISO_VERSION: Final = bytes(4)
"""Minimum version and version of the writer, which the base states, too."""

_CONTAINER: Final = "http://ns.google.com/photos/1.0/container/"
_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_ITEM: Final = _CONTAINER + "item/"
_OUTDATED: Final = (HDRGM, _CONTAINER, notes.NAMESPACE)
_OWN_ITEMS: Final = ("Primary", "GainMap")  # by their semantic

_DENOMINATOR: Final = 10**6
_MULTICHANNEL, _BASE_COLOURS = 0x80, 0x40

_PACKET: Final = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="' + _RDF + '">{}'
    "</rdf:RDF></x:xmpmeta>"
)
_GAIN: Final = f'<rdf:Description rdf:about="" xmlns:hdrgm="{HDRGM}" {{}}/>'
_LISTED: Final = '<rdf:li rdf:parseType="Resource"><Container:Item {}/></rdf:li>'
_DIRECTORY: Final = (
    f'<rdf:Description rdf:about="" xmlns:rdf="{_RDF}" xmlns:hdrgm="{HDRGM}" '
    f'xmlns:Container="{_CONTAINER}" xmlns:Item="{_ITEM}" '
    'hdrgm:Version="1.0" {}><Container:Directory><rdf:Seq>{}</rdf:Seq>'
    "</Container:Directory></rdf:Description>"
)


def iso_metadata(gain: LogGain) -> bytes:
    """Returns the binary metadata of ISO 21496-1."""
    count = max(len(gain.minimum), len(gain.maximum))
    flags = _BASE_COLOURS | (_MULTICHANNEL if count == 3 else 0)
    data = ISO_VERSION + bytes([flags])
    for headroom in (gain.base_headroom, gain.alternate_headroom):
        data += struct.pack(">II", round(headroom * _DENOMINATOR), _DENOMINATOR)
    for channel in range(count):
        for numbers, layout in (
            (gain.minimum, ">iI"),
            (gain.maximum, ">iI"),
            (gain.gamma, ">II"),
            (gain.base_offset, ">iI"),
            (gain.alternate_offset, ">iI"),
        ):
            number = numbers[channel if len(numbers) == 3 else 0]
            data += struct.pack(layout, round(number * _DENOMINATOR), _DENOMINATOR)
    return data


def gain_xmp(gain: LogGain) -> bytes:
    """Returns the XMP of a gain map whose numbers are the same for all channels."""
    fields = {
        "Version": "1.0",
        "GainMapMin": _text(gain.minimum[0]),
        "GainMapMax": _text(gain.maximum[0]),
        "Gamma": _text(gain.gamma[0]),
        "OffsetSDR": _text(gain.base_offset[0]),
        "OffsetHDR": _text(gain.alternate_offset[0]),
        "HDRCapacityMin": _text(gain.base_headroom),
        "HDRCapacityMax": _text(gain.alternate_headroom),
        "BaseRenditionIsHDR": "False",
    }
    listed = " ".join(f'hdrgm:{name}="{text}"' for name, text in fields.items())
    return _PACKET.format(_GAIN.format(listed)).encode()


def base_xmp(
    packet: bytes | None, *, gain_length: int, stated: Mapping[str, str]
) -> bytes:
    """Returns the XMP of a photograph, which announces a gain map behind it.

    What an earlier packet says of a gain map, and its notes, are left out; all else is
    kept. The items that it lists behind the photograph follow the gain map.

    Args:
      packet: XMP that the photograph has already.
      gain_length: number of bytes of the gain map.
      stated: notes of what made it.

    Raises:
      ValueError: the packet that the photograph has is damaged.
    """
    jpeg = {"Mime": "image/jpeg"}
    items = [
        {"Semantic": "Primary", **jpeg},
        {"Semantic": "GainMap", **jpeg, "Length": str(gain_length)},
    ]
    if packet is None:
        return _PACKET.format(_announcement(items, stated)).encode()
    xmp.parse(packet)  # it refuses document types, which could exhaust memory
    document = minidom.parseString(packet.rstrip(b"\0"))
    roots = document.getElementsByTagNameNS(_RDF, "RDF")
    if not roots:
        raise xmp.DamagedPacket("its XMP has no rdf:RDF")
    root = roots[0]
    items += _other_items(root)
    _remove_outdated(root)
    added = minidom.parseString(_PACKET.format(_announcement(items, stated)))
    (description,) = added.getElementsByTagNameNS(_RDF, "Description")
    for other in root.getElementsByTagNameNS(_RDF, "Description"):
        # All descriptions of a packet are about the same thing (ISO 16684-1, 7.4).
        description.setAttribute("rdf:about", other.getAttributeNS(_RDF, "about"))
        break
    root.appendChild(document.importNode(description, True))
    return "".join(node.toxml() for node in document.childNodes).encode()


def _announcement(items: Sequence[Mapping[str, str]], stated: Mapping[str, str]) -> str:
    """Returns the description of a file with a gain map.

    Args:
      items: what is stated of each item of the file.
      stated: notes.
    """
    listed = (
        " ".join(f"Item:{name}={quoteattr(text)}" for name, text in item.items())
        for item in items
    )
    content = "".join(map(_LISTED.format, listed))
    return _DIRECTORY.format(notes.attributes(stated), content)


def _other_items(root: minidom.Element) -> list[dict[str, str]]:
    """Returns what is stated of the items that are no photograph and no gain map."""
    items = []
    for item in root.getElementsByTagNameNS(_CONTAINER, "Item"):
        # XMP may state a property by an attribute or by an element.
        stated = {
            node.localName: _text_in(node)
            for node in [*(item.attributes or {}).values(), *item.childNodes]
            if node.namespaceURI == _ITEM
        }
        if stated.get("Semantic") not in _OWN_ITEMS:
            items.append(stated)
    return items


def _text_in(node: minidom.Node) -> str:
    """Returns the text of an attribute or of an element."""
    return "".join(child.nodeValue or "" for child in node.childNodes)


def _remove_outdated(root: minidom.Element) -> None:
    for description in root.getElementsByTagNameNS(_RDF, "Description"):
        for node in [*description.childNodes]:
            if node.namespaceURI in _OUTDATED:
                description.removeChild(node)
        for attribute in [*(description.attributes or {}).values()]:
            if attribute.namespaceURI in _OUTDATED:
                description.removeAttributeNode(attribute)


def _text(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")
