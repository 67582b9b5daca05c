"""Reads the properties in an XMP packet (ISO 16684-1).

A packet may come from anywhere, so a document type, which could define entities that
grow without bound, is refused before it is read.
"""

import math
import xml.parsers.expat
from typing import Final, NamedTuple, NoReturn

MAX_BYTES: Final = 2**20
"""Largest size of a packet that is read; a JPEG segment has at most 65535 bytes."""

_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_MAX_DEPTH: Final = 64
_MAX_RESOURCES: Final = 10_000


class DamagedPacket(ValueError):
    """A packet cannot be read; the message says why."""


class Packet(NamedTuple):
    """What a packet states. Each name is that of its namespace and its own, joined.

    Attributes:
      properties: values of each property in their order, those of lists too.
      resources: attributes of each element that has some.
    """

    properties: dict[str, list[str]]
    resources: list[dict[str, str]]

    def last(self, name: str) -> str:
        """Returns the last value of a property; "" if it has none."""
        return self.properties.get(name, [""])[-1].strip()


def parse(packet: bytes) -> Packet:
    """Returns the properties of a packet.

    Raises:
      DamagedPacket: the packet is damaged or too large, or has a document type.
    """
    if len(packet) > MAX_BYTES:
        raise DamagedPacket(f"its XMP has {len(packet)} bytes")
    reader = _Reader()
    parser = xml.parsers.expat.ParserCreate(namespace_separator="")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_document_type
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(packet.rstrip(b"\0"), True)
    except xml.parsers.expat.ExpatError as error:
        raise DamagedPacket(f"its XMP is damaged ({error})") from error
    return reader.packet


def number(text: str) -> float:
    """Returns the number that a value states.

    Raises:
      ValueError: it is no number, or not finite.
    """
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"a number in its XMP is {text.strip()[:20]}")
    return value


def _refuse_document_type(*_: object) -> NoReturn:
    raise DamagedPacket("its XMP has a document type")


class _Reader:
    """Collects what the parser reports."""

    def __init__(self):
        self.packet = Packet({}, [])
        self._open: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._open.append(name)
        if len(self._open) > _MAX_DEPTH:
            raise DamagedPacket("its XMP is nested too deeply")
        if attributes:
            self.packet.resources.append(attributes)
        if len(self.packet.resources) > _MAX_RESOURCES:
            raise DamagedPacket("its XMP has too many elements")
        for key, value in attributes.items():
            self.packet.properties.setdefault(key, []).append(value)

    def end(self, name: str) -> None:
        self._open.pop()

    def text(self, data: str) -> None:
        if not data.strip():
            return
        # The items of a list belong to the property around it.
        owners = [name for name in self._open if not name.startswith(_RDF)]
        if owners:
            self.packet.properties.setdefault(owners[-1], []).append(data.strip())
