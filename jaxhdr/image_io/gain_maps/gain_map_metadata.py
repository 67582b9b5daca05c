"""What a gain map says of itself: how its codes brighten the photograph.

Gains are given in stops. Headrooms are, too: how much brighter than SDR white an image
is meant to be. The photograph in the file is the base, and the image that the gain map
makes of it is the alternate. Light is linear, and 1.0 is SDR white.
"""

import dataclasses
import struct
from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Float

from jaxhdr.image_io.gain_maps.apple_gain_map import MAX_STOPS, AppleGain
from jaxhdr.image_io.metadata import xmp

HDRGM: Final = "http://ns.adobe.com/hdr-gain-map/1.0/"
"""Namespace of Ultra HDR v1, from Adobe's "Gain Map 1.0"."""

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
        if not all(abs(number) <= MAX_STOPS for number in numbers):  # NaN too
            raise ValueError(f"a number of its gain map is beyond {MAX_STOPS:g}")
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
        return tuple(xmp.number(text) for text in texts)

    offsets = [numbers("OffsetSDR", 1 / 64), numbers("OffsetHDR", 1 / 64)]
    if HDRGM + "HDRCapacityMax" not in packet.properties:
        raise ValueError("its gain map does not state its capacity")
    headrooms = [numbers("HDRCapacityMin", 0.0)[0], numbers("HDRCapacityMax", 0.0)[0]]
    if headrooms[0] > headrooms[1]:
        raise ValueError("the smallest capacity of its gain map exceeds the largest")
    if packet.last(HDRGM + "BaseRenditionIsHDR").lower() == "true":
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


def _of(numbers: Sequence[float], channel: int) -> float:
    return numbers[channel if len(numbers) == 3 else 0]
