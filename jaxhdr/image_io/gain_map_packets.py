"""Writes what a gain map says of itself: XMP of Ultra HDR v1, and ISO 21496-1.

The layouts are those of Google's "Ultra HDR Image Format v1.1" and of ISO 21496-1,
annex C.2.
"""

import struct
from typing import Final
from xml.dom import minidom

from jaxhdr.image_io import xmp
from jaxhdr.image_io.gain_map_metadata import HDRGM, LogGain

ISO_VERSION: Final = bytes(4)
"""Minimum version and version of the writer, which the base states, too."""

_CONTAINER: Final = "http://ns.google.com/photos/1.0/container/"
_CAMERA: Final = "http://ns.google.com/photos/1.0/camera/"
_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
# Of pictures and films behind a photograph, which are not there any more.
_OUTDATED: Final = (HDRGM, _CONTAINER)
_OUTDATED_OF_CAMERA: Final = ("MotionPhoto", "MicroVideo")

_DENOMINATOR: Final = 10**6
_MULTICHANNEL, _BASE_COLOURS = 0x80, 0x40

_PACKET: Final = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="' + _RDF + '">{}'
    "</rdf:RDF></x:xmpmeta>"
)
_GAIN: Final = f'<rdf:Description rdf:about="" xmlns:hdrgm="{HDRGM}" {{}}/>'
_ITEM: Final = (
    '<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="{}" '
    'Item:Mime="image/jpeg"{}/></rdf:li>'
)
_DIRECTORY: Final = (
    f'<rdf:Description rdf:about="" xmlns:rdf="{_RDF}" xmlns:hdrgm="{HDRGM}" '
    f'xmlns:Container="{_CONTAINER}" xmlns:Item="{_CONTAINER}item/" '
    'hdrgm:Version="1.0"><Container:Directory><rdf:Seq>{}</rdf:Seq>'
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


def base_xmp(packet: bytes | None, *, gain_length: int) -> bytes:
    """Returns the XMP of a photograph, which announces a gain map behind it.

    What an earlier packet says of a gain map, or of a film behind the photograph, is
    left out; all else is kept.

    Args:
      packet: XMP that the photograph has already.
      gain_length: number of bytes of the gain map.

    Raises:
      ValueError: the packet that the photograph has is damaged.
    """
    items = _ITEM.format("Primary", "")
    items += _ITEM.format("GainMap", f' Item:Length="{gain_length}"')
    announced = _DIRECTORY.format(items)
    if packet is None:
        return _PACKET.format(announced).encode()
    xmp.parse(packet)  # it refuses document types, which could exhaust memory
    document = minidom.parseString(packet.rstrip(b"\0"))
    roots = document.getElementsByTagNameNS(_RDF, "RDF")
    if not roots:
        raise xmp.DamagedPacket("its XMP has no rdf:RDF")
    root = roots[0]
    _remove_outdated(root)
    added = minidom.parseString(_PACKET.format(announced))
    (description,) = added.getElementsByTagNameNS(_RDF, "Description")
    for other in root.getElementsByTagNameNS(_RDF, "Description"):
        # All descriptions of a packet are about the same thing (ISO 16684-1, 7.4).
        description.setAttribute("rdf:about", other.getAttributeNS(_RDF, "about"))
        break
    root.appendChild(document.importNode(description, True))
    return "".join(node.toxml() for node in document.childNodes).encode()


def _remove_outdated(root: minidom.Element) -> None:
    for description in root.getElementsByTagNameNS(_RDF, "Description"):
        for node in [*description.childNodes]:
            if _is_outdated(node):
                description.removeChild(node)
        for attribute in [*(description.attributes or {}).values()]:
            if _is_outdated(attribute):
                description.removeAttributeNode(attribute)


def _is_outdated(node: minidom.Node) -> bool:
    name = node.localName or ""
    is_of_film = node.namespaceURI == _CAMERA and name.startswith(_OUTDATED_OF_CAMERA)
    return node.namespaceURI in _OUTDATED or is_of_film


def _text(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")
