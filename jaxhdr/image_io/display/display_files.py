"""Writes images for HDR displays: AVIF of 10 bits, PNG of 16 bits, and JPEG XL.

All state their colours by numbers of ITU-T H.273: BT.2020 with PQ or HLG, or for JPEG
XL linear light in BT.709. Images in PQ also say how bright they are. HLG does not: its
light depends on the display.
"""

import importlib
import os
import pathlib
import struct
from typing import Any, Final

import numpy as np
import OpenImageIO as oiio
from jaxtyping import Float

from jaxhdr.errors import UserError
from jaxhdr.image_io.colour import primaries
from jaxhdr.image_io.containers import png_chunks
from jaxhdr.image_io.containers.box_writer import add_items, exif_item, xmp_item
from jaxhdr.image_io.containers.oiio import write_pixels
from jaxhdr.image_io.containers.png_writer import write_png16
from jaxhdr.image_io.display import display_light
from jaxhdr.image_io.display.display_light import Encoded
from jaxhdr.image_io.metadata import camera_exif
from jaxhdr.image_io.metadata.camera_exif import CameraExif
from jaxhdr.image_io.radiance import exr_files

_BITS: Final = {".avif": 10, ".png": 16, ".jxl": 16}
_BT2020, _BT2020_MATRIX, _BT709, _LINEAR = 9, 9, 1, 8  # of ITU-T H.273
_RGB_MATRIX, _FULL_RANGE = 0, 1

# Codes are then read back within one; files of quality 90 are several times smaller,
# but lose the noise of a photograph.
_AVIF_QUALITY: Final = 100
_AVIF_SPEED: Final = 8  # 6 takes three times as long and saves a few per cent
# Larger files are refused by libavif, and so by browsers.
_AVIF_MAX_SIDE: Final = 32768
_AVIF_MAX_PIXELS: Final = 2**28
_JXL_EFFORT: Final = 1  # 7, the default, takes 10 to 100 times as long, saves 5 %

_DARKEST: Final = 0.005  # cd/m^2 of a mastering display (ITU-R BT.2100-2, table 3)
_LEAST_PEAK: Final = 5.0  # cd/m^2 (ITU-T H.265, D.3.28)


def check_encoder(path: str | os.PathLike) -> None:
    """Checks that the library is installed that writes the format of a suffix.

    Raises:
      UserError: it is not.
    """
    if pathlib.Path(path).suffix.lower() == ".avif":
        _import_imagecodecs(path)


def write_display_file(
    path: str | os.PathLike,
    hdr: Float[np.ndarray, "h w 3"],
    *,
    name: str | os.PathLike,
    transfer_name: str,
    white_nits: float,
    half: bool,
    exif: CameraExif,
    packet: bytes,
) -> None:
    """Writes radiance in the format of the suffix of `path`.

    Args:
      path: the file to write.
      hdr: radiance in BT.709 primaries, at least 0.
      name: the file for warnings.
      transfer_name: "pq", "hlg", or for JPEG XL "linear".
      white_nits: light of radiance 1.0 in cd/m^2, for PQ and HLG.
      half: store linear light in 16-bit floats, unless a value is too large for them.
      exif: what is known of the photograph.
      packet: XMP to store; b"" for none.

    Raises:
      OSError: the file cannot be written completely.
      UserError: the image is too large for AVIF.
    """
    suffix = pathlib.Path(path).suffix.lower()
    if transfer_name == "linear":
        is_half = half and hdr.max() <= exr_files.HALF_MAX
        numbers = (_BT709, _LINEAR, _RGB_MATRIX, _FULL_RANGE)
        _write_jxl(path, hdr, "half" if is_half else "float", numbers, exif)
        _append_xmp(path, packet)
        return
    if suffix == ".avif":
        _check_avif_size(name, *hdr.shape[:2])
    encoded = display_light.encode(
        name,
        hdr,
        transfer_name=transfer_name,
        white_nits=white_nits,
        bits=_BITS[suffix],
    )
    numbers = (_BT2020, encoded.transfer_number, _RGB_MATRIX, _FULL_RANGE)
    if suffix == ".jxl":
        _write_jxl(path, encoded.codes, "uint16", numbers, exif)
        _append_xmp(path, packet)
    elif suffix == ".png":
        write_png16(path, encoded.codes, _png_chunks(encoded, numbers, exif, packet))
    else:
        _write_avif(path, encoded, exif, packet)


def _check_avif_size(path: str | os.PathLike, height: int, width: int) -> None:
    if max(height, width) > _AVIF_MAX_SIDE or height * width > _AVIF_MAX_PIXELS:
        raise UserError(
            f"cannot write {path}: it has {width} x {height} pixels, and AVIF is read "
            f"up to {_AVIF_MAX_SIDE} on a side and {_AVIF_MAX_PIXELS} in all; choose "
            ".png or .jxl"
        )


def _write_jxl(
    path: str | os.PathLike,
    pixels: np.ndarray,
    dtype: str,
    numbers: tuple[int, ...],
    exif: CameraExif,
) -> None:
    height, width, channels = pixels.shape
    spec = oiio.ImageSpec(width, height, channels, dtype)
    spec.attribute("CICP", oiio.TypeDesc("int[4]"), numbers)
    spec.attribute("jpegxl:distance", 0.0)
    spec.attribute("jpegxl:effort", _JXL_EFFORT)
    for key, value in camera_exif.of_tiff(exif).items():
        spec.attribute(key, value)
    write_pixels(path, pixels, spec)


def _append_xmp(path: str | os.PathLike, packet: bytes) -> None:
    """Appends a box with XMP to a JPEG XL, which OpenImageIO writes in boxes."""
    if packet:
        with open(path, "ab") as file:
            file.write(struct.pack(">I4s", 8 + len(packet), b"xml ") + packet)


def _png_chunks(
    encoded: Encoded, numbers: tuple[int, ...], exif: CameraExif, packet: bytes
) -> list[tuple[bytes, bytes]]:
    """Returns the chunks of PNG, third edition, sections 11.3.2.6 to 11.3.2.8."""
    chunks = [(b"cICP", bytes(numbers))]
    if encoded.transfer_name == "pq":
        light = (round(1e4 * number) for number in encoded.content)
        chunks += [
            (b"mDCV", _mastering_display(encoded, order=(0, 1, 2))),
            (b"cLLI", struct.pack(">2I", *light)),
        ]
    stored = camera_exif.to_bytes(exif)
    if stored:
        chunks.append((b"eXIf", stored))
    if packet:
        chunks.append(png_chunks.xmp_chunk(packet))
    return chunks


def _write_avif(
    path: str | os.PathLike, encoded: Encoded, exif: CameraExif, packet: bytes
) -> None:
    imagecodecs = _import_imagecodecs(path)
    try:
        avif = imagecodecs.avif_encode(
            encoded.codes,
            level=_AVIF_QUALITY,
            speed=_AVIF_SPEED,
            bitspersample=encoded.bits,
            primaries=_BT2020,
            transfer=encoded.transfer_number,
            matrix=_BT2020_MATRIX,
            numthreads=os.cpu_count(),
        )
    except imagecodecs.AvifError as error:
        raise OSError(str(error)) from error
    properties = []
    if encoded.transfer_name == "pq":
        light = (min(round(number), 65535) for number in encoded.content)
        properties = [
            (b"mdcv", _mastering_display(encoded, order=(1, 2, 0))),
            (b"clli", struct.pack(">2H", *light)),
        ]
    stored = camera_exif.to_bytes(exif)
    items = [exif_item(stored)] if stored else []
    if packet:
        items.append(xmp_item(packet))
    if properties or items:
        avif = add_items(avif, properties=properties, items=items)
    pathlib.Path(path).write_bytes(avif)


def _mastering_display(encoded: Encoded, *, order: tuple[int, ...]) -> bytes:
    """Returns a display that just shows the image, in the units of SMPTE ST 2086.

    No display was used, so its primaries are those of the codes, and its peak is the
    brightest pixel.

    Args:
      encoded: the image.
      order: where red, green and blue of the chromaticities go: AVIF wants green first.
    """
    xy = [round(50_000 * number) for number in primaries.BT2020]
    peak = max(encoded.content.max_cll, _LEAST_PEAK)
    colours = [number for index in order for number in xy[2 * index : 2 * index + 2]]
    light = (round(1e4 * peak), round(1e4 * _DARKEST))
    return struct.pack(">8H2I", *colours, *xy[6:], *light)


def _import_imagecodecs(path: str | os.PathLike) -> Any:
    # The import takes 10 to 50 ms, and few results are AVIF.
    try:
        imagecodecs = importlib.import_module("imagecodecs")
        if not imagecodecs.AVIF.available:
            raise ImportError("imagecodecs was built without AVIF")
        return imagecodecs
    except ImportError as error:
        raise UserError(
            f"cannot write {path}: AVIF needs imagecodecs with libavif, which is not "
            "installed; run `pip install 'jaxhdr[avif]'`, or choose .png or .jxl"
        ) from error
