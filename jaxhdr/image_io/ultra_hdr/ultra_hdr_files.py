"""Writes Ultra HDR: a photograph as it is, with a gain map that makes it HDR.

The file is a JPEG for every program. Those that know gain maps show the HDR image. The
metadata are those of Ultra HDR v1 (XMP) and of ISO 21496-1, which agree.
"""

import io
import logging
import os
import pathlib
import xml.parsers.expat
from collections.abc import Mapping
from typing import Final

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from jaxhdr.atomic import atomic_path
from jaxhdr.errors import UserError
from jaxhdr.image_io.colour import primaries
from jaxhdr.image_io.gain_maps.gain_map_metadata import LogGain
from jaxhdr.image_io.jpeg import jpeg_segments
from jaxhdr.image_io.jpeg.jpeg_pictures import ISO_21496, XMP
from jaxhdr.image_io.jpeg.jpeg_segments import (
    APP1,
    APP2,
    Picture,
    Segment,
    make_segment,
)
from jaxhdr.image_io.metadata import notes
from jaxhdr.image_io.orientation import undo_orientation
from jaxhdr.image_io.photos.raster import Raster, to_light
from jaxhdr.image_io.radiance_files import checked_radiance
from jaxhdr.image_io.ultra_hdr import gain_map_packets as packets
from jaxhdr.image_io.ultra_hdr.gain_encoding import encode_gain
from jaxhdr.image_io.ultra_hdr.ultra_hdr_base import loss_of, read_base
from jaxhdr.options import (
    GAIN_MAP_CHANNELS,
    GAIN_MAP_DIVISORS,
    ULTRA_HDR_SUFFIXES,
)

FULL_SIZE_PIXELS: Final = 2**24
"""Number of pixels of a photograph up to which its gain map is as large. At 12
megapixels the file is 15 % larger than with half the sides, and the 95th percentile of
the error above white is 4.1 % in place of 6.6 % (`benchmarks/ultra_hdr.py`)."""

QUALITY: Final = 90
"""JPEG quality of a gain map, chosen by the same program."""

_LOGGER: Final = logging.getLogger(__name__)


def write_ultra_hdr(
    path: str | os.PathLike,
    hdr: Float[np.ndarray, "h w 3"],
    photograph: str | os.PathLike,
    *,
    channels: int = 1,
    divisor: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes a photograph with the gain map that turns it into an HDR image.

    A usual JPEG (8 bits, grey or YCbCr, baseline or progressive) keeps its coded
    pixels, EXIF, profile and all other segments, and the pictures and bytes behind it.
    Only an earlier gain map is replaced, with a warning. Any other photograph is
    encoded anew. Light above 10,000 / 203, the peak of PQ, is clipped.

    Args:
      path: a file name that ends in .jpg or .jpeg. It may be the photograph itself if
        that keeps all of its bytes; see `check_in_place`.
      hdr: linear BT.709 radiance in scale `ldr_white`, upright: 1.0 is the white of the
        photograph.
      photograph: the file that `hdr` was made from.
      channels: channels of the gain map: 1 keeps the colours of the photograph, 3 has
        those of `hdr`.
      divisor: by what the sides of the photograph are divided for those of the gain
        map: 1, 2 or 4. None is 1 up to `FULL_SIZE_PIXELS`, else 2.
      metadata: strings by name, for the XMP.

    Raises:
      UserError: the photograph cannot be read or has another size, `hdr` is no
        radiance, an option is wrong, something of the photograph would be lost in
        place, or the file cannot be written.
    """
    _check(path, channels=channels, divisor=divisor)
    notes.check_names(metadata or {})
    check_in_place(path, photograph)
    hdr = checked_radiance(path, hdr)
    if divisor is None:
        divisor = 1 if hdr.shape[0] * hdr.shape[1] <= FULL_SIZE_PIXELS else 2
    base = read_base(photograph)
    gain, codes = _gain_of(
        hdr, base.raster, name=str(photograph), channels=channels, divisor=divisor
    )
    second = _gain_picture(gain, codes)
    try:
        announced = _announced(
            base.picture, str(photograph), len(second), metadata or {}
        )
        content = jpeg_segments.with_second(announced, second, base.entries)
    except ValueError as error:
        raise UserError(f"cannot write {path}: {error}; use .exr") from error
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def check_in_place(path: str | os.PathLike, photograph: str | os.PathLike) -> None:
    """Checks that nothing is lost if a photograph is replaced by itself.

    `write_ultra_hdr` may replace a photograph only by a file that has all of its bytes.

    Args:
      path: the file to write. All is well if it is another file than the photograph.
      photograph: the photograph.

    Raises:
      UserError: they are one file, of which something would be lost; or the photograph
        cannot be read.
    """
    if not _is_one_file(path, photograph):
        return
    loss = loss_of(photograph)
    if loss:
        raise UserError(
            f"cannot write {path} over itself: {loss}; choose another name for the "
            "output"
        )


def _is_one_file(path: str | os.PathLike, photograph: str | os.PathLike) -> bool:
    try:
        return os.path.samefile(path, photograph)
    except (OSError, ValueError):  # one of them does not exist
        return False


def _check(path: str | os.PathLike, *, channels: int, divisor: int | None) -> None:
    suffix = pathlib.Path(path).suffix
    if suffix.lower() not in ULTRA_HDR_SUFFIXES:
        raise UserError(
            f"cannot write {path} as Ultra HDR: its suffix is {suffix!r}; expected one "
            f"of {', '.join(ULTRA_HDR_SUFFIXES)}"
        )
    for name, value, choices in (
        ("channels", channels, GAIN_MAP_CHANNELS),
        ("divisor", 1 if divisor is None else divisor, GAIN_MAP_DIVISORS),
    ):
        if type(value) is not int or value not in choices:
            raise UserError(f"{name} is {value!r}; expected one of {choices}")


def _gain_of(
    hdr: Float[np.ndarray, "h w 3"],
    raster: Raster,
    *,
    name: str,
    channels: int,
    divisor: int,
) -> tuple[LogGain, UInt8[np.ndarray, "h2 w2 c"]]:
    """Returns the gain, and its codes turned as the base is stored."""
    base, to_bt709 = to_light(raster, name=name)
    if base.shape != hdr.shape:
        raise UserError(
            f"the radiance has {hdr.shape[1]} x {hdr.shape[0]} pixels, but {name} has "
            f"{base.shape[1]} x {base.shape[0]}; give the photograph that it was made "
            "from"
        )
    if not np.allclose(to_bt709, np.eye(3), atol=2e-3):  # as readers do
        hdr = hdr @ np.linalg.inv(to_bt709).T.astype(np.float32)
    else:
        to_bt709 = np.eye(3)
    gain, codes = encode_gain(
        hdr,
        base,
        weights=primaries.luminance_weights(primaries.BT709) @ to_bt709,
        channels=channels,
        divisor=divisor,
    )
    return gain, undo_orientation(codes, raster.orientation)


def _gain_picture(gain: LogGain, codes: UInt8[np.ndarray, "h w c"]) -> bytes:
    """Returns the JPEG of a gain map, with its metadata."""
    stream = io.BytesIO()
    pixels = codes[..., 0] if codes.shape[2] == 1 else codes
    Image.fromarray(pixels).save(stream, "JPEG", quality=QUALITY, subsampling="4:4:4")
    added = [
        make_segment(APP1, XMP + packets.gain_xmp(gain)),
        make_segment(APP2, ISO_21496 + packets.iso_metadata(gain)),
    ]
    picture = jpeg_segments.split(stream.getvalue())
    return jpeg_segments.to_bytes(jpeg_segments.with_segments(picture, added))


def _announced(
    picture: Picture, name: str, gain_length: int, stated: Mapping[str, str]
) -> Picture:
    """Returns a base whose metadata announce the gain map behind it."""
    iso = make_segment(APP2, ISO_21496 + packets.ISO_VERSION)
    stored = picture.content_of(APP1, XMP)
    try:
        packet = packets.base_xmp(stored, gain_length=gain_length, stated=stated)
        announced = make_segment(APP1, XMP + packet)
    except (ValueError, xml.parsers.expat.ExpatError) as error:
        _LOGGER.warning(
            "%s: its XMP is kept as it is, so only the metadata of ISO 21496-1 "
            "announce the gain map (%s)",
            name,
            error,
        )
        return jpeg_segments.with_segments(picture, [iso])
    if stored is None:
        return jpeg_segments.with_segments(picture, [announced, iso])
    replaced = _with_packet(picture.segments, announced)
    return jpeg_segments.with_segments(picture._replace(segments=replaced), [iso])


def _with_packet(segments: list[Segment], packet: Segment) -> list[Segment]:
    """Returns segments in which a packet takes the place of the first one."""
    for number, segment in enumerate(segments):
        if segment.marker == APP1 and segment.content.startswith(XMP):
            return [*segments[:number], packet, *segments[number + 1 :]]
    return segments
