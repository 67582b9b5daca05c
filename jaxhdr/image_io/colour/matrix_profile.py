"""Evaluates ICC profiles made of tone curves and a matrix, in float.

16-bit photographs need it, because Pillow's LittleCMS converts only 8-bit RGB. Tags and
encodings are those of ICC.1:2022 (sections 7 to 10).
"""

import dataclasses
import struct
from collections.abc import Callable
from typing import Final

import numpy as np
from jaxtyping import Float

from jaxhdr.image_io.colour import primaries, transfer

_ROWS_AT_ONCE: Final = 256  # bounds the float64 temporaries of a large photograph
_PARAMETER_COUNTS: Final = (1, 3, 4, 5, 7)  # parametricCurveType, by function type

ToneCurve = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class MatrixProfile:
    """Tone curves (three, or one for grey) and colorants in XYZ relative to D50."""

    tone_curves: tuple[ToneCurve, ...]
    to_xyz: Float[np.ndarray, "3 3"]

    @property
    def to_bt709(self) -> Float[np.ndarray, "3 3"]:
        """The matrix from the profile's linear RGB to BT.709."""
        return primaries.xyz_d50_to_bt709() @ self.to_xyz

    def to_light(self, encoded: Float[np.ndarray, "h w c"]) -> np.ndarray:
        """Returns linear light in the primaries of the profile, of codes in [0, 1]."""
        result = np.empty(encoded.shape, np.float32)
        for start in range(0, len(encoded), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            result[rows] = self._light(encoded[rows])
        return result

    def _light(self, rows: np.ndarray) -> np.ndarray:
        rows = rows.astype(np.float64)
        curves = enumerate(self.tone_curves)
        return np.stack([curve(rows[..., i]) for i, curve in curves], axis=-1)

    def to_srgb(self, encoded: Float[np.ndarray, "h w c"]) -> np.ndarray:
        """Returns display-encoded sRGB in [0, 1] of codes in [0, 1]."""
        result = np.empty(encoded.shape, np.float32)
        for start in range(0, len(encoded), _ROWS_AT_ONCE):
            linear = self._light(encoded[start : start + _ROWS_AT_ONCE])
            if linear.shape[-1] == 3:
                linear = linear @ self.to_bt709.T
            result[start : start + _ROWS_AT_ONCE] = transfer.srgb_encode(
                np.clip(linear, 0, 1)
            )
        return result


def parse(profile: bytes) -> MatrixProfile | None:
    """Returns a profile's curves and matrix; None if it is damaged or has tables."""
    try:
        return _parse(profile)
    except (struct.error, IndexError, ValueError, KeyError):
        return None


def read_tags(profile: bytes) -> dict[bytes, bytes]:
    """Returns the tags of a profile; those that it cuts off are short or missing."""
    tags = {}
    if len(profile) >= 132:
        (count,) = struct.unpack_from(">I", profile, 128)
        for at in range(132, min(132 + 12 * min(count, 100), len(profile) - 11), 12):
            name, offset, size = struct.unpack_from(">4sII", profile, at)
            tags[name] = profile[offset : offset + size]
    return tags


def _parse(profile: bytes) -> MatrixProfile | None:
    tags = read_tags(profile)
    # A2B tables take precedence over the matrix.
    if b"A2B0" in tags or b"A2B1" in tags or profile[20:24] != b"XYZ ":
        return None
    if profile[16:20] == b"GRAY":
        return MatrixProfile((_parse_curve(tags[b"kTRC"]),), np.eye(3))
    if profile[16:20] != b"RGB ":
        return None
    colorants = [_fixed(tags[name][8:20]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    curves = tuple(_parse_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
    return MatrixProfile(curves, np.stack(colorants, axis=1))


def _fixed(data: bytes) -> Float[np.ndarray, " n"]:
    return np.frombuffer(data, ">i4") / 65536.0


def _parse_curve(tag: bytes) -> ToneCurve:
    if tag[:4] == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        numbers = _fixed(tag[12 : 12 + 4 * _PARAMETER_COUNTS[kind]])
        return _parametric_curve(kind, [float(number) for number in numbers])
    if tag[:4] != b"curv":
        raise ValueError("unknown tone curve type")
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return lambda x: x
    table = np.frombuffer(tag, ">u2", count, 12).astype(np.float64)
    if count == 1:
        return lambda x: x ** (table[0] / 256)
    positions = np.linspace(0, 1, count)
    return lambda x: np.interp(x, positions, table / 65535)


def _parametric_curve(kind: int, numbers: list[float]) -> ToneCurve:
    """Returns Y = (aX + b)^g + e for X >= d, else cX + f; missing terms are 0."""
    g, a, b, c, d, e, f = numbers + [0.0] * (7 - len(numbers))
    if kind == 0:
        a, d = 1.0, 0.0
    elif kind in (1, 2):
        # The pieces of types 1 and 2 meet where aX + b = 0. Type 2 adds its fourth
        # number, c, to both pieces.
        c, d, e, f = 0.0, -b / a, c, c
    return lambda x: np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f)
