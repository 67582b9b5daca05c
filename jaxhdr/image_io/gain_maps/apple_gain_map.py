"""Apple's gain map ("Applying Apple HDR effect to your photos").

It is a picture or an item of its own type, and its headroom stands in its XMP or in the
MakerNote of the photograph.
"""

import dataclasses
import struct
from typing import Final

import numpy as np
from jaxtyping import Float
from PIL import Image

from jaxhdr.image_io.metadata import xmp

APPLE_TYPE: Final = "urn:com:apple:photo:2020:aux:hdrgainmap"
"""Type of the auxiliary image that is Apple's gain map."""

MAX_STOPS: Final = 32.0
"""Plausible limit of gains and headrooms, so that float32 cannot overflow."""

_APPLE: Final = "http://ns.apple.com/HDRGainMap/1.0/"
_PIXEL_DATA: Final = "http://ns.apple.com/pixeldatainfo/1.0/"
_EXIF_IFD, _MAKER_NOTE = 0x8769, 0x927C


@dataclasses.dataclass(frozen=True)
class AppleGain:
    """Apple's gain map of one photograph.

    Attributes:
      headroom: gain of code 1, a factor.
    """

    headroom: float

    def __post_init__(self):
        """Checks the headroom.

        Raises:
          ValueError: it is less than 1, or not plausible.
        """
        if not 1 <= self.headroom <= 2**MAX_STOPS:
            raise ValueError(f"the headroom of its gain map is {self.headroom:g}")

    @property
    def is_base_hdr(self) -> bool:
        """Whether the base is the HDR image; Apple's never is."""
        return False

    def to_alternate(
        self,
        base: Float[np.ndarray, "h w"],
        codes: Float[np.ndarray, "h w"],
        *,
        channel: int,
    ) -> Float[np.ndarray, "h w"]:
        """Returns a channel of the HDR image; the arguments are those of `LogGain`."""
        # The codes have the transfer curve of ITU-R BT.709-6, section 1.
        power = ((np.maximum(codes, 0.081) + 0.099) / 1.099) ** (1 / 0.45)
        light = np.where(codes < 0.081, codes / 4.5, power).astype(np.float32)
        return base * (1 + np.float32(self.headroom - 1) * light)


def is_apple(packet: xmp.Packet) -> bool:
    """Returns whether XMP belongs to Apple's gain map."""
    kind = packet.properties.get(_PIXEL_DATA + "AuxiliaryImageType", [])
    return APPLE_TYPE in kind or _APPLE + "HDRGainMapVersion" in packet.properties


def read_gain(packet: xmp.Packet | None, note: bytes) -> AppleGain:
    """Returns the gain of Apple's gain map.

    Later versions of iOS state the headroom in the XMP of the gain map. Earlier ones
    have only the numbers in the photograph's MakerNote, from which Apple's formula
    computes it.

    Args:
      packet: XMP of the gain map, if it has some.
      note: MakerNote of the photograph; b"" if it has none.

    Raises:
      ValueError: neither states a headroom.
    """
    stated = "" if packet is None else packet.last(_APPLE + "HDRGainMapHeadroom")
    if stated:
        return AppleGain(xmp.number(stated))
    found = _rationals(note)
    if 33 not in found or 48 not in found:
        raise ValueError("nothing states the headroom of its gain map")
    tag33, tag48 = found[33], found[48]
    if tag33 < 1:
        stops = -20 * tag48 + 1.8 if tag48 <= 0.01 else -0.101 * tag48 + 1.601
    else:
        stops = -70 * tag48 + 3.0 if tag48 <= 0.01 else -0.303 * tag48 + 2.303
    return AppleGain(2.0 ** min(max(stops, 0.0), MAX_STOPS))


def _rationals(note: bytes) -> dict[int, float]:
    """Returns the rational numbers in Apple's MakerNote, by tag."""
    if not note.startswith(b"Apple iOS\0") or len(note) < 16:
        return {}
    order = "<" if note[12:14] == b"II" else ">"
    (count,) = struct.unpack_from(f"{order}H", note, 14)
    found = {}
    for at in range(16, min(16 + 12 * count, len(note) - 11), 12):
        tag, kind, _, offset = struct.unpack_from(f"{order}HHII", note, at)
        if kind in (5, 10) and offset + 8 <= len(note):
            letters = "II" if kind == 5 else "ii"
            numerator, denominator = struct.unpack_from(order + letters, note, offset)
            if denominator:
                found[tag] = numerator / denominator
    return found


def maker_note_of(exif: Image.Exif) -> bytes:
    """Returns the MakerNote in EXIF; b"" if there is none."""
    note = exif.get_ifd(_EXIF_IFD).get(_MAKER_NOTE, b"")
    return note if isinstance(note, bytes) else b""
