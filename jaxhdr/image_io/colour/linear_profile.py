"""Writes ICC profiles of linear light (ICC.1:2022, sections 7 to 10)."""

import struct
from typing import Final

import numpy as np

from jaxhdr.image_io.colour import primaries

_VERSION: Final = 0x04400000  # 4.4
_D50: Final = (0.9642, 1.0, 0.8249)  # section 7.2.16
_IDENTITY_CURVE: Final = b"curv" + bytes(8)  # no entries: the code is the light
_COLORANTS: Final = (b"rXYZ", b"gXYZ", b"bXYZ")
_CURVES: Final = (b"rTRC", b"gTRC", b"bTRC")


def linear_profile(name: str) -> bytes:
    """Returns a profile of linear light; white has code 1.0.

    Args:
      name: a name of `jaxhdr.image_io.colour.primaries.NAMED`.
    """
    chromaticities = primaries.NAMED[name]
    colorants = primaries.to_colorants(chromaticities)
    adaptation = primaries.adaptation_to_d50(chromaticities)
    tags = {
        b"desc": _text(f"jaxhdr linear {name}"),
        b"cprt": _text("No copyright, use freely"),
        b"wtpt": _xyz(*_D50),
        b"chad": b"sf32" + bytes(4) + _fixed(*adaptation.ravel()),
        **{
            tag: _xyz(*column)
            for tag, column in zip(_COLORANTS, colorants.T, strict=True)
        },
        **dict.fromkeys(_CURVES, _IDENTITY_CURVE),
    }
    return _with_header(tags)


def _with_header(tags: dict[bytes, bytes]) -> bytes:
    start = 128 + 4 + 12 * len(tags)
    table, body, places = b"", b"", {}
    for tag, content in tags.items():
        if content not in places:  # tags may share their content
            places[content] = start + len(body)
            body += content + bytes(-len(content) % 4)
        table += struct.pack(">4sII", tag, places[content], len(content))
    date = (2024, 1, 1, 0, 0, 0)  # fixed, so that equal images make equal files
    head = struct.pack(">I4xI", start + len(body), _VERSION)
    head += b"mntrRGB XYZ " + struct.pack(">6H", *date) + b"acsp" + bytes(28)
    head = (head + _fixed(*_D50)).ljust(128, b"\0")
    return head + struct.pack(">I", len(tags)) + table + body


def _fixed(*numbers: float) -> bytes:
    """Returns s15Fixed16 numbers."""
    return np.rint(np.asarray(numbers) * 65536).astype(">i4").tobytes()


def _xyz(*numbers: float) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*numbers)


def _text(text: str) -> bytes:
    stored = text.encode("utf-16-be")
    head = struct.pack(">4s4xII2s2sII", b"mluc", 1, 12, b"en", b"US", len(stored), 28)
    return head + stored
