"""Carries the EXIF of a photograph over to a JPEG whose pixels are upright.

The bytes are changed in place, because writing EXIF anew breaks the notes of camera
makers, which refer to places in it.
"""

import contextlib
import os
import struct
from typing import Final

from PIL import Image

from jaxhdr.image_io.containers import png_chunks
from jaxhdr.image_io.containers.tiff_pages import read_exif
from jaxhdr.image_io.orientation import ORIENTATION

PREFIX: Final = b"Exif\0\0"

_SHORT: Final = 3  # a type of TIFF 6.0
# Tags that a TIFF's own pages share with EXIF: description, maker, model, software,
# time, artist and copyright. The others describe its pixels.
_OF_PHOTOGRAPH: Final = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
_IFDS: Final = (0x8769, 0x8825)  # of the exposure, and of the place
_NOTES: Final = (0x927C, 0xA005)  # they refer to places in the TIFF


def upright_exif(path: str | os.PathLike, kind: str) -> bytes:
    """Returns the EXIF of a photograph for upright pixels; b"" if it has none.

    If the photograph was turned, its thumbnail is left out, which was turned, too.
    Damaged EXIF counts as none.

    Args:
      path: the file.
      kind: its format; see `formats.detect_format`.
    """
    with contextlib.suppress(Exception):  # the readers of metadata raise many types
        return _turned_upright(_stored(path, kind))
    return b""


def _stored(path: str | os.PathLike, kind: str) -> bytes:
    if kind == "tiff":
        return _of_tiff(path)
    if kind == "png":
        return png_chunks.read_chunks(path).get(b"eXIf", b"")
    with open(path, "rb") as file:
        if kind == "heif":
            import pi_heif  # see `pillow_photos`

            return pi_heif.open_heif(file).info.get("exif") or b""
        Image.init()
        opener, _ = Image.OPEN[kind.upper()]
        return opener(file, "").info.get("exif", b"")


def _of_tiff(path: str | os.PathLike) -> bytes:
    of_file, exif = read_exif(path), Image.Exif()
    for tag in _OF_PHOTOGRAPH:
        if tag in of_file:
            exif[tag] = of_file[tag]
    for ifd in _IFDS:
        found = of_file.get_ifd(ifd)
        kept = {tag: found[tag] for tag in found if tag not in _NOTES}
        exif.get_ifd(ifd).update(kept)
    return exif.tobytes()


def _turned_upright(stored: bytes) -> bytes:
    """Returns EXIF whose orientation is 1.

    Raises:
      KeyError: it is no EXIF. A damaged one raises other errors, too.
    """
    if not stored:
        return b""
    data = bytearray(stored.removeprefix(PREFIX))
    order = {b"II*\0": "<", b"MM\0*": ">"}[bytes(data[:4])]
    (first,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, first)
    following = first + 2 + 12 * count
    for at in range(first + 2, following, 12):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", data, at)
        if tag == ORIENTATION and (kind, value) != (_SHORT, 1):
            struct.pack_into(f"{order}HHIHH", data, at, tag, _SHORT, 1, 1, 0)
            struct.pack_into(f"{order}I", data, following, 0)
    return PREFIX + bytes(data)
