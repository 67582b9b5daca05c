"""What a gain map says of itself: how its codes brighten the photograph.

Gains are given in stops. Headrooms are, too: how much brighter than SDR white an image
is meant to be. The photograph in the file is the base, and the image that the gain map
makes of it is the alternate. Light is linear, and 1.0 is SDR white.
"""

import dataclasses
import math
import struct
from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Float

from jaxhdr.image_io import xmp

APPLE_TYPE: Final = "urn:com:apple:photo:2020:aux:hdrgainmap"
"""Type of the auxiliary image that is Apple's gain map."""

HDRGM: Final = "http://ns.adobe.com/hdr-gain-map/1.0/"
"""Namespace of Ultra HDR v1, from Adobe's "Gain Map 1.0"."""

_APPLE: Final = "http://ns.apple.com/HDRGainMap/1.0/"
_PIXEL_DATA: Final = "http://ns.apple.com/pixeldatainfo/1.0/"
_MAX_STOPS: Final = 32.0  # a plausible limit, so that float32 cannot overflow
_MAX_GAMMA: Final = 100.0


@dataclasses.dataclass(frozen=True)
class LogGain:
    """The gain map of ISO 21496-1 and of Ultra HDR: the codes are stops.

    A tuple has one number for all channels, or one for each.

    Attributes:
      minimum: stops of code 0.
      maximum: stops of code 1.
      gamma: exponent with which the codes were encoded.
      base_offset: light that is added to the base before the gain.
      alternate_offset: light that is subtracted after it.
      base_headroom: headroom of the base in stops.
      alternate_headroom: headroom of the alternate in stops.
    """

    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    gamma: tuple[float, ...] = (1.0,)
    base_offset: tuple[float, ...] = (1 / 64,)
    alternate_offset: tuple[float, ...] = (1 / 64,)
    base_headroom: float = 0.0
    alternate_headroom: float = 1.0

    def __post_init__(self):
        """Checks the numbers.

        Raises:
          ValueError: they describe no gain.
        """
        channels = [getattr(self, name) for name in _OF_CHANNELS]
        if any(len(numbers) not in (1, 3) for numbers in channels):
            raise ValueError("its gain map has neither one nor three channels")
        numbers = [*sum(channels, ()), self.base_headroom, self.alternate_headroom]
        if not all(abs(number) <= _MAX_STOPS for number in numbers):  # NaN too
            raise ValueError(f"a number of its gain map is beyond {_MAX_STOPS:g}")
        if not all(1 / _MAX_GAMMA <= number <= _MAX_GAMMA for number in self.gamma):
            raise ValueError(f"the gamma of its gain map is {self.gamma[0]:g}")
        if any(_of(self.minimum, i) > _of(self.maximum, i) for i in range(3)):
            raise ValueError("the smallest gain of its gain map exceeds the largest")
        if self.base_headroom == self.alternate_headroom:
            raise ValueError("its gain map has no headroom")

    @property
    def is_base_hdr(self) -> bool:
        """Whether the base is the HDR image, and the alternate the SDR photograph."""
        return self.base_headroom > self.alternate_headroom

    def to_alternate(
        self,
        base: Float[np.ndarray, "h w"],
        codes: Float[np.ndarray, "h w"],
        *,
        channel: int,
    ) -> Float[np.ndarray, "h w"]:
        """Returns a channel of the alternate (ISO 21496-1, section 6.2).

        Args:
          base: light of the base.
          codes: codes of the gain map in [0, 1], one for each pixel.
          channel: 0, 1 or 2 for red, green or blue.
        """
        low, high = _of(self.minimum, channel), _of(self.maximum, channel)
        gamma = _of(self.gamma, channel)
        share = codes if gamma == 1 else codes ** np.float32(1 / gamma)
        stops = np.float32(low) + np.float32(high - low) * share
        gain = np.exp2(-stops if self.is_base_hdr else stops)
        gain *= base + np.float32(_of(self.base_offset, channel))
        gain -= np.float32(_of(self.alternate_offset, channel))
        return np.maximum(gain, np.float32(0), out=gain)


@dataclasses.dataclass(frozen=True)
class AppleGain:
    """Apple's gain map ("Applying Apple HDR effect to your photos").

    Attributes:
      headroom: gain of code 1, a factor.
    """

    headroom: float

    def __post_init__(self):
        """Checks the headroom.

        Raises:
          ValueError: it is less than 1, or not plausible.
        """
        if not 1 <= self.headroom <= 2**_MAX_STOPS:
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
        """Returns a channel of the HDR image; see `LogGain.to_alternate`."""
        # The codes have the transfer curve of ITU-R BT.709-6, section 1.
        power = ((np.maximum(codes, 0.081) + 0.099) / 1.099) ** (1 / 0.45)
        light = np.where(codes < 0.081, codes / 4.5, power).astype(np.float32)
        return base * (1 + np.float32(self.headroom - 1) * light)


Recipe = LogGain | AppleGain

_OF_CHANNELS: Final = (
    "minimum",
    "maximum",
    "gamma",
    "base_offset",
    "alternate_offset",
)


def from_iso(data: bytes) -> LogGain:
    """Returns the gain of the binary metadata of ISO 21496-1 (annex C.2).

    Args:
      data: the metadata, beginning with the minimum version.

    Raises:
      ValueError: the metadata are damaged or of a later version.
    """
    try:
        version, _, flags = struct.unpack_from(">HHB", data)
        if version > 0:
            raise ValueError(f"its gain map needs version {version} of ISO 21496-1")
        return _from_fractions(data, num_channels=3 if flags & 0x80 else 1, flags=flags)
    except struct.error as error:
        raise ValueError("the metadata of its gain map are cut off") from error


def _from_fractions(data: bytes, *, num_channels: int, flags: int) -> LogGain:
    at = 5
    common = None
    if flags & 8:  # libultrahdr writes one denominator for all numbers
        (common,) = struct.unpack_from(">I", data, at)
        at += 4

    def take(letter: str) -> float:
        nonlocal at
        numerator, denominator = struct.unpack_from(f">{letter}I", data + b"\0" * 4, at)
        at += 4
        if common is not None:
            denominator = common
        else:
            at += 4
        if at > len(data):
            raise ValueError("the metadata of its gain map are cut off")
        if denominator == 0:
            raise ValueError("the metadata of its gain map have a denominator of 0")
        return numerator / denominator

    base_headroom, alternate_headroom = take("I"), take("I")
    rows = [tuple(map(take, "iiIii")) for _ in range(num_channels)]
    minimum, maximum, gamma, base_offset, alternate_offset = zip(*rows, strict=True)
    return LogGain(
        minimum,
        maximum,
        gamma,
        base_offset,
        alternate_offset,
        base_headroom,
        alternate_headroom,
    )


def from_xmp(packet: xmp.Packet) -> LogGain | None:
    """Returns the gain of the XMP of an Ultra HDR gain map; None if it has none.

    Raises:
      ValueError: a number is missing or wrong.
    """
    if HDRGM + "GainMapMax" not in packet.properties:
        return None

    def numbers(name: str, default: float) -> tuple[float, ...]:
        texts = packet.properties.get(HDRGM + name, [str(default)])
        return tuple(_number(text) for text in texts)

    offsets = [numbers("OffsetSDR", 1 / 64), numbers("OffsetHDR", 1 / 64)]
    if HDRGM + "HDRCapacityMax" not in packet.properties:
        raise ValueError("its gain map does not state its capacity")
    headrooms = [numbers("HDRCapacityMin", 0.0)[0], numbers("HDRCapacityMax", 0.0)[0]]
    if headrooms[0] > headrooms[1]:
        raise ValueError("the smallest capacity of its gain map exceeds the largest")
    if _last(packet, HDRGM + "BaseRenditionIsHDR").lower() == "true":
        offsets.reverse()
        headrooms.reverse()
    return LogGain(
        numbers("GainMapMin", 0.0),
        numbers("GainMapMax", 0.0),
        numbers("Gamma", 1.0),
        offsets[0],
        offsets[1],
        headrooms[0],
        headrooms[1],
    )


def is_apple(packet: xmp.Packet) -> bool:
    """Returns whether XMP belongs to Apple's gain map."""
    kind = packet.properties.get(_PIXEL_DATA + "AuxiliaryImageType", [])
    return APPLE_TYPE in kind or _APPLE + "HDRGainMapVersion" in packet.properties


def apple_headroom(packet: xmp.Packet | None, note: bytes) -> AppleGain:
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
    stated = "" if packet is None else _last(packet, _APPLE + "HDRGainMapHeadroom")
    if stated:
        return AppleGain(_number(stated))
    found = _rationals(note)
    if 33 not in found or 48 not in found:
        raise ValueError("nothing states the headroom of its gain map")
    tag33, tag48 = found[33], found[48]
    if tag33 < 1:
        stops = -20 * tag48 + 1.8 if tag48 <= 0.01 else -0.101 * tag48 + 1.601
    else:
        stops = -70 * tag48 + 3.0 if tag48 <= 0.01 else -0.303 * tag48 + 2.303
    return AppleGain(2.0 ** min(max(stops, 0.0), _MAX_STOPS))


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


def _last(packet: xmp.Packet, name: str) -> str:
    return packet.properties.get(name, [""])[-1].strip()


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"a number of its gain map is {text.strip()[:20]}")
    return number


def _of(numbers: Sequence[float], channel: int) -> float:
    return numbers[channel if len(numbers) == 3 else 0]
