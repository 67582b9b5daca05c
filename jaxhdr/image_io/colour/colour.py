"""What the codes of a photograph mean: transfer function, primaries, or ICC profile.

A file states its colours in one of several ways; `stated_colour` finds which. Numbers
of primaries and transfer functions are those of ITU-T H.273 (2021), tables 2 and 3,
which cICP, nclx and the `cicp` tag of ICC profiles share.
"""

import dataclasses
from collections.abc import Callable
from typing import Final

import numpy as np
from jaxtyping import Float

from jaxhdr.image_io.colour import primaries, transfer

D65: Final = (0.3127, 0.3290)
_C_WHITE: Final = (0.310, 0.316)
_ROWS_AT_ONCE: Final = 256  # bounds the temporaries of a large photograph

Chromaticities = tuple[float, ...]

_PRIMARIES: Final[dict[int, Chromaticities]] = {
    1: primaries.BT709,
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, *_C_WHITE),
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *D65),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *D65),
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *D65),
    8: (0.681, 0.319, 0.243, 0.692, 0.145, 0.049, *_C_WHITE),
    9: primaries.BT2020,
    10: (1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1 / 3, 1 / 3),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),
    12: primaries.P3,
    22: (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, *D65),
}
ADOBE_RGB: Final = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *D65)
"""Chromaticities of Adobe RGB (1998), section 4.3.1.1."""
ADOBE_GAMMA: Final = 563 / 256
"""Exponent of Adobe RGB (1998), section 4.3.1.2."""

SRGB, LINEAR, PQ, HLG, POWER = "sRGB", "linear", "PQ", "HLG", "power"
HDR_TRANSFERS: Final = (PQ, HLG)

# Photographs that state the curve of BT.709 are shown with that of sRGB by browsers
# and by most displays, so that numbers 1, 6, 14 and 15 are not converted. That holds
# for what is unspecified, too.
_TRANSFERS: Final[dict[int, tuple[str, float]]] = {
    4: (POWER, 2.2),
    5: (POWER, 2.8),
    8: (LINEAR, 1.0),
    16: (PQ, 1.0),
    17: (POWER, 2.6),
    18: (HLG, 1.0),
}


@dataclasses.dataclass(frozen=True)
class Colour:
    """How a file states its colours.

    Attributes:
      transfer: `SRGB`, `LINEAR`, `PQ`, `HLG` or `POWER`.
      exponent: light is code to this power, if `transfer` is `POWER`.
      chromaticities: CIE xy of red, green, blue and white.
      is_full_range: whether black is code 0 and white the largest code; otherwise they
        are at 16/255 and 235/255.
      profile: ICC profile, which then says everything else.
    """

    transfer: str = SRGB
    exponent: float = 1.0
    chromaticities: Chromaticities = primaries.BT709
    is_full_range: bool = True
    profile: bytes | None = None

    @property
    def is_srgb(self) -> bool:
        """Whether codes are sRGB as they are."""
        return (
            self.profile is None
            and self.transfer == SRGB
            and self.is_full_range
            and np.allclose(self.chromaticities, primaries.BT709, atol=2e-3)
        )

    @property
    def is_hdr(self) -> bool:
        """Whether codes are PQ or HLG."""
        return self.transfer in HDR_TRANSFERS

    def to_srgb(self, values: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w c"]:
        """Returns display-encoded sRGB of codes in [0, 1], clipped to [0, 1].

        The image has one or three channels; a profile is not looked at.

        Raises:
          ValueError: the chromaticities are not usable.
        """
        return self._in_rows(
            values, lambda x: transfer.srgb_encode(np.clip(self._decoded(x), 0, 1))
        )

    def to_radiance(
        self, values: Float[np.ndarray, "h w c"]
    ) -> Float[np.ndarray, "h w c"]:
        """Returns linear BT.709 light of PQ or HLG codes, in units of diffuse white.

        Diffuse white is 203 cd/m^2 (ITU-R BT.2408-7, section 2.1). Colours outside
        BT.709 have negative values.

        Raises:
          ValueError: the chromaticities are not usable.
        """
        return self._in_rows(values, self._decoded)

    def to_light(
        self, values: Float[np.ndarray, "h w c"]
    ) -> Float[np.ndarray, "h w c"]:
        """Returns linear light in the primaries of the file, of codes in [0, 1]."""
        return self._in_rows(values, self._light)

    def _decoded(self, values: Float[np.ndarray, "h w c"]) -> np.ndarray:
        linear = self._light(values)
        if linear.shape[-1] == 3:
            linear = primaries.to_bt709(linear, self.chromaticities)
        return linear.astype(np.float32)

    def _light(self, values: Float[np.ndarray, "h w c"]) -> np.ndarray:
        if not self.is_full_range:
            values = np.clip((values - 16 / 255) * (255 / 219), 0, 1)
        return _CURVES[self.transfer](values, self.exponent).astype(np.float32)

    def _in_rows(
        self, image: np.ndarray, function: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        result = np.empty(image.shape, np.float32)
        for start in range(0, len(image), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            result[rows] = function(image[rows])
        return result


def of_numbers(
    number_of_primaries: int, number_of_transfer: int, *, is_full_range: bool = True
) -> Colour:
    """Returns the colours of H.273 numbers; unknown numbers count as sRGB's."""
    name, exponent = _TRANSFERS.get(number_of_transfer, (SRGB, 1.0))
    return Colour(
        transfer=name,
        exponent=exponent,
        chromaticities=_PRIMARIES.get(number_of_primaries, primaries.BT709),
        is_full_range=is_full_range,
    )


def _grey_or(decode: Callable[[np.ndarray], np.ndarray]):
    """Returns a curve of three channels that takes one channel, too."""

    def decoded(values: np.ndarray) -> np.ndarray:
        wide = np.broadcast_to(values, (*values.shape[:-1], 3))
        return decode(wide)[..., : values.shape[-1]]

    return decoded


_hlg = _grey_or(transfer.hlg_decode)
_CURVES: Final[dict[str, Callable[[np.ndarray, float], np.ndarray]]] = {
    SRGB: lambda values, _: transfer.srgb_decode(values),
    LINEAR: lambda values, _: np.asarray(values),
    POWER: lambda values, exponent: values**exponent,
    PQ: lambda values, _: transfer.pq_decode(values) / transfer.DIFFUSE_WHITE,
    HLG: lambda values, _: _hlg(values) / transfer.DIFFUSE_WHITE,
}
