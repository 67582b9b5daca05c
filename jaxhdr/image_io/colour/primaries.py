"""Converts linear RGB of other primaries to linear BT.709 and back.

Chromaticities are CIE 1931 xy of red, green, blue and white, in the order of OpenEXR's
`chromaticities` attribute.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from jaxtyping import Float

BT709: Final = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
"""ITU-R BT.709-6, section 1, with the D65 white of the same table."""

P3: Final = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290)
"""Display P3: the primaries of SMPTE RP 431-2 with the white D65 (SMPTE EG 432-1)."""

BT2020: Final = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)
"""ITU-R BT.2020-2, table 3."""

_ACES_WHITE: Final = (0.32168, 0.33767)  # SMPTE ST 2065-1:2021, section 4.3

ACESCG: Final = (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, *_ACES_WHITE)
"""ACEScg, the primaries AP1 of S-2014-004, section 4.1."""

AP0: Final = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.0770, *_ACES_WHITE)
"""ACES2065-1, SMPTE ST 2065-1:2021, section 4.3."""

NAMED: Final[Mapping[str, tuple[float, ...]]] = {
    "bt709": BT709,
    "p3": P3,
    "rec2020": BT2020,
    "acescg": ACESCG,
    "ap0": AP0,
}
"""Chromaticities of the names in `jaxhdr.options.PRIMARIES`."""

_BRADFORD: Final = np.array(
    # Lam (1985), as given in ICC.1:2022, Annex E.
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)

_ICC_WHITE: Final = np.array([0.9642, 1.0, 0.8249])  # ICC.1:2022, section 7.2.16


def to_bt709(
    linear: Float[np.ndarray, "h w 3"], chromaticities: Sequence[float]
) -> Float[np.ndarray, "h w 3"]:
    """Returns `linear` in BT.709 primaries, its white adapted to D65 (Bradford).

    Colours outside BT.709 have negative values; the caller decides what to do with
    them.

    Raises:
      ValueError: the chromaticities describe no colour space.
    """
    if np.allclose(chromaticities, BT709, atol=1e-3):
        return linear
    return linear @ matrix_to_bt709(chromaticities).T.astype(linear.dtype)


def from_bt709(
    linear: Float[np.ndarray, "h w 3"], chromaticities: Sequence[float]
) -> Float[np.ndarray, "h w 3"]:
    """Returns linear BT.709 in other primaries, adapted to their white (Bradford).

    Raises:
      ValueError: the chromaticities describe no colour space.
    """
    if np.allclose(chromaticities, BT709, atol=1e-3):
        return linear
    return linear @ matrix_from_bt709(chromaticities).T.astype(linear.dtype)


def matrix_to_bt709(chromaticities: Sequence[float]) -> Float[np.ndarray, "3 3"]:
    """Returns the matrix from linear RGB of other primaries to BT.709 (Bradford).

    Raises:
      ValueError: the chromaticities describe no colour space.
    """
    matrix = (
        np.linalg.inv(_to_xyz(BT709))
        @ _adaptation(_white(chromaticities), _white(BT709))
        @ _to_xyz(chromaticities)
    )
    if not np.isfinite(matrix).all():
        raise ValueError(f"chromaticities {tuple(chromaticities)} are not usable")
    return matrix


def matrix_from_bt709(chromaticities: Sequence[float]) -> Float[np.ndarray, "3 3"]:
    """Returns the matrix from linear BT.709 to other primaries (Bradford).

    Raises:
      ValueError: the chromaticities describe no colour space.
    """
    return np.linalg.inv(matrix_to_bt709(chromaticities))


def to_colorants(chromaticities: Sequence[float]) -> Float[np.ndarray, "3 3"]:
    """Returns the XYZ relative to D50 of red, green and blue, as columns (Bradford).

    Raises:
      ValueError: the chromaticities describe no colour space.
    """
    return adaptation_to_d50(chromaticities) @ _to_xyz(chromaticities)


def adaptation_to_d50(chromaticities: Sequence[float]) -> Float[np.ndarray, "3 3"]:
    """Returns the Bradford matrix from the white of `chromaticities` to that of ICC.

    Raises:
      ValueError: the chromaticities describe no colour space.
    """
    return _adaptation(_white(chromaticities), _ICC_WHITE)


def luminance_weights(chromaticities: Sequence[float]) -> Float[np.ndarray, "3"]:
    """Returns the weights of R, G and B in luminance; their sum is 1.

    Raises:
      ValueError: the chromaticities describe no colour space.
    """
    return _to_xyz(chromaticities)[1]


def xyz_d50_to_bt709() -> Float[np.ndarray, "3 3"]:
    """Returns the matrix from the XYZ of ICC profiles (white D50) to linear BT.709."""
    return np.linalg.inv(_to_xyz(BT709)) @ _adaptation(_ICC_WHITE, _white(BT709))


def of_colorants(to_xyz: Float[np.ndarray, "3 3"]) -> tuple[float, ...]:
    """Returns the chromaticities of an ICC profile's colorants, with white D65.

    Args:
      to_xyz: columns are the XYZ of red, green and blue relative to D50.
    """
    white = _white(BT709)
    xyz = np.column_stack([_adaptation(_ICC_WHITE, white) @ to_xyz, white])
    return tuple((xyz[:2] / xyz.sum(axis=0)).T.ravel().tolist())


def _adaptation(
    source_white: Float[np.ndarray, "3"], target_white: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "3 3"]:
    cone_ratio = (_BRADFORD @ target_white) / (_BRADFORD @ source_white)
    return np.linalg.inv(_BRADFORD) @ np.diag(cone_ratio) @ _BRADFORD


def _white(chromaticities: Sequence[float]) -> Float[np.ndarray, "3"]:
    return _to_xyz(chromaticities).sum(axis=1)


def _to_xyz(chromaticities: Sequence[float]) -> Float[np.ndarray, "3 3"]:
    """Returns the matrix from RGB to XYZ in which white has Y = 1 (SMPTE RP 177)."""
    xy = np.asarray(chromaticities, np.float64).reshape(4, 2)
    # Only the white needs a luminance: two primaries of CIE XYZ itself have none.
    if not (np.isfinite(xy).all() and abs(xy[3, 1]) > 1e-6):
        raise ValueError(f"chromaticities {tuple(chromaticities)} are not usable")
    xyz = np.stack([xy[:, 0], xy[:, 1], 1 - xy.sum(1)])
    try:
        return xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3] / xy[3, 1])
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"chromaticities {tuple(chromaticities)} are not usable"
        ) from error
