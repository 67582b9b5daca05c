"""Finds how a photograph states its colours, in the order that the standards give.

A PNG counts cICP, then iCCP, sRGB, gAMA with cHRM, and EXIF (PNG, third edition,
section 4.3). A HEIF or AVIF counts an ICC profile before nclx, except where nclx says
PQ or HLG: then the profile is a stand-in for old readers. All others count an ICC
profile, then EXIF. What is not stated is sRGB.
"""

import contextlib
import struct
from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image

from jaxhdr.image_io.colour import icc, matrix_profile, primaries
from jaxhdr.image_io.colour.colour import (
    ADOBE_GAMMA,
    ADOBE_RGB,
    HLG,
    LINEAR,
    POWER,
    PQ,
    SRGB,
    Colour,
    of_numbers,
)
from jaxhdr.image_io.containers import png_chunks
from jaxhdr.image_io.containers.boxes import Items

_RGB_MATRIX: Final = 0  # matrix coefficients of H.273 for codes that are R, G, B
# The file's EXIF may have these (Exif 3.0, sections 4.6.5 and 4.6.6; DCF 2.0).
_EXIF_IFD, _INTEROPERABILITY_IFD, _COLOR_SPACE = 0x8769, 0xA005, 0xA001
_ADOBE_INTEROPERABILITY: Final = "R03"
_ADOBE_COLOR_SPACE: Final = 2  # not in the standard, but cameras write it


def of_png(chunks: dict[bytes, bytes], exif: Image.Exif | None) -> Colour:
    """Returns the colours that the chunks of a PNG state."""
    colour = of_cicp(chunks.get(b"cICP"))
    if colour is not None:
        return colour
    profile = png_chunks.profile_of(chunks)
    if profile is not None:
        return of_profile(profile)
    if b"sRGB" in chunks:
        return Colour()
    if b"gAMA" in chunks or b"cHRM" in chunks:
        return _of_gamma(chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b""))
    return of_exif(exif)


def of_cicp(numbers: Sequence[int] | None) -> Colour | None:
    """Returns the colours of four numbers of H.273; None if they are not of RGB.

    They are primaries, transfer, matrix and whether the range is full.
    """
    if numbers is None or len(numbers) != 4 or numbers[2] != _RGB_MATRIX:
        return None
    return of_numbers(numbers[0], numbers[1], is_full_range=numbers[3] != 0)


def of_items(items: Items) -> Colour:
    """Returns the colours that the photograph of a HEIF or AVIF file states."""
    stated = items.of_primary(b"colr")
    of_nclx = Colour()
    for content in stated:
        if content[:4] == b"nclx" and len(content) >= 8:
            of_nclx = of_numbers(*struct.unpack(">HH", content[4:8]))
            break
    if of_nclx.is_hdr:
        return of_nclx
    for content in stated:
        if content[:4] in (b"prof", b"rICC"):
            return of_profile(content[4:])
    return of_nclx


def of_file(profile: bytes | None, exif: Image.Exif | None) -> Colour:
    """Returns the colours that a file of another kind states."""
    return of_profile(profile) if profile else of_exif(exif)


def of_profile(profile: bytes) -> Colour:
    """Returns the colours of an ICC profile; of PQ and HLG, in numbers.

    A profile says PQ or HLG by its `cicp` tag (ICC.1:2022, section 9.2.17), by its
    curve, or by its name.
    """
    tags = matrix_profile.read_tags(profile)
    stated = tags.get(b"cicp", b"")
    if len(stated) >= 12:
        colour = of_numbers(stated[8], stated[9])
        if colour.is_hdr:
            return colour
    name = _hdr_transfer(profile, tags)
    if name is None:
        return Colour(profile=profile)
    return Colour(transfer=name, chromaticities=_chromaticities(profile))


def of_exif(exif: Image.Exif | None) -> Colour:
    """Returns Adobe RGB if EXIF states it, as cameras do without a profile."""
    with contextlib.suppress(Exception):  # damaged EXIF counts as none
        if exif is not None and _EXIF_IFD in exif:
            taken = exif.get_ifd(_EXIF_IFD)
            index = str(exif.get_ifd(_INTEROPERABILITY_IFD).get(1, ""))
            if (
                index.rstrip("\0 ") == _ADOBE_INTEROPERABILITY
                or taken.get(_COLOR_SPACE) == _ADOBE_COLOR_SPACE
            ):
                return Colour(POWER, ADOBE_GAMMA, ADOBE_RGB)
    return Colour()


def _of_gamma(gama: bytes, chrm: bytes) -> Colour:
    """Returns the colours of gAMA and cHRM, whose numbers are in units of 1e-5."""
    chromaticities = primaries.BT709
    if len(chrm) == 32:
        numbers = [number / 1e5 for number in struct.unpack(">8I", chrm)]
        chromaticities = (*numbers[2:], *numbers[:2])  # white comes first
    try:
        primaries.matrix_to_bt709(chromaticities)
    except ValueError:
        chromaticities = primaries.BT709
    exponent = 1e5 / struct.unpack(">I", gama)[0] if gama[:4].strip(b"\0") else 0.0
    has_srgb_primaries = np.allclose(chromaticities, primaries.BT709, atol=2e-3)
    if abs(exponent - 1) < 0.01:
        return Colour(LINEAR, 1.0, chromaticities)
    # The standard writes gAMA 1/2.2 beside the sRGB chunk, for old readers.
    if (has_srgb_primaries and abs(exponent - 2.2) < 0.03) or not 0.2 < exponent < 10:
        return Colour(SRGB, 1.0, chromaticities)
    return Colour(POWER, exponent, chromaticities)


def _hdr_transfer(profile: bytes, tags: dict[bytes, bytes]) -> str | None:
    """Returns `PQ` or `HLG` if a profile's curve or name says so."""
    light = icc.grey_light(profile, (128, 191))
    if light is not None:
        half, three_quarters = light
        # Half is 0.16 to 0.29 of white for the curves of displays. It is 0.009 for PQ,
        # or 0.09 if white is 1000 cd/m^2, and 0.05 to 0.085 for HLG, with its OOTF or
        # without.
        if half > 0.11:
            return None
        return PQ if half < 0.025 or three_quarters > 0.6 else HLG
    name = tags.get(b"desc", b"").replace(b"\0", b"").upper()
    if b"2100" in name or b"2084" in name:
        return HLG if b"HLG" in name else PQ
    return None


def _chromaticities(profile: bytes) -> tuple[float, ...]:
    """Returns the chromaticities of a profile's colorants; BT.2020's without any."""
    colorants = matrix_profile.parse(profile)
    if colorants is None or len(colorants.tone_curves) != 3:
        return of_numbers(9, 16).chromaticities
    return primaries.of_colorants(colorants.to_xyz)
