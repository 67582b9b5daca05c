"""Reads what a camera said of a photograph in EXIF, and states it in other files.

Camera, lens, time and exposure are kept. The place (GPS), serial numbers, the name of
the owner, notes of the maker and thumbnails are not. Results are upright, so their
orientation is 1. Tag numbers are those of Exif 3.0, sections 4.6.5 and 4.6.6.
"""

import dataclasses
import fractions
import math
import os
import re
from typing import Any, Final

from PIL import Image, TiffImagePlugin

from jaxhdr.errors import UserError
from jaxhdr.image_io import formats
from jaxhdr.image_io.containers import boxes, png_chunks, tiff_pages

_MAKE, _MODEL, _ORIENTATION, _DATE_TIME = 0x010F, 0x0110, 0x0112, 0x0132
_EXIF_IFD: Final = 0x8769
_EXPOSURE_TIME, _F_NUMBER, _ISO, _FOCAL_LENGTH = 0x829A, 0x829D, 0x8827, 0x920A
_TIME_TAKEN, _LENS = 0x9003, 0xA434
_OTHER_ISO: Final = (0x8832, 0x8833)  # recommended exposure index, ISO speed
_ISO_IS_ELSEWHERE: Final = 65535  # the largest number of `_ISO`
_TIME: Final = re.compile(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d")
_MAX_TEXT: Final = 200
_MAX_NUMBER: Final = 1e7
_MAX_DENOMINATOR: Final = 100_000


@dataclasses.dataclass(frozen=True)
class CameraExif:
    """What a camera said of a photograph; "" and None are unknown.

    Attributes:
      make: maker of the camera.
      model: model of the camera.
      lens: model of the lens.
      time: local time of the photograph, as in "2024:05:31 18:30:00".
      exposure_time: exposure time in seconds.
      aperture: f-number.
      iso: ISO speed.
      focal_length: focal length in millimetres.
    """

    make: str = ""
    model: str = ""
    lens: str = ""
    time: str = ""
    exposure_time: float | None = None
    aperture: float | None = None
    iso: int | None = None
    focal_length: float | None = None

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
          UserError: a number is not above 0, or too large.
        """
        for name in ("exposure_time", "aperture", "iso", "focal_length"):
            number = getattr(self, name)
            if number is not None and not 0 < number < _MAX_NUMBER:
                raise UserError(
                    f"the {name} of a photograph is {number}; expected more than 0 and "
                    f"less than {_MAX_NUMBER:g}, or None if it is unknown"
                )


def read_exif(path: str | os.PathLike) -> CameraExif:
    """Returns what the camera said of a photograph; nothing if its EXIF is damaged.

    It reads the EXIF of JPEG, PNG, TIFF, WebP, HEIC and AVIF, and of camera raw that is
    made as a TIFF. The place (GPS) is not read.

    Raises:
      UserError: the file is unreadable.
    """
    kind = formats.detect_format(formats.read_head(path))
    try:
        exif = load(path, kind)
        taken = exif.get_ifd(_EXIF_IFD)
    except Exception:  # damaged EXIF raises many types and counts as none
        return CameraExif()
    iso = _number(taken, _ISO)
    if iso in (None, _ISO_IS_ELSEWHERE):
        others = (_number(taken, tag) for tag in _OTHER_ISO)
        iso = next((other for other in others if other), iso)
    time = text(taken, _TIME_TAKEN) or text(exif, _DATE_TIME)
    return CameraExif(
        make=text(exif, _MAKE),
        model=text(exif, _MODEL),
        lens=text(taken, _LENS),
        time=time if _TIME.fullmatch(time) else "",
        exposure_time=_number(taken, _EXPOSURE_TIME),
        aperture=_number(taken, _F_NUMBER),
        iso=int(iso) if iso is not None and iso >= 1 else None,
        focal_length=_number(taken, _FOCAL_LENGTH),
    )


def to_bytes(camera: CameraExif) -> bytes:
    """Returns EXIF that begins with its TIFF header; b"" if nothing is known."""
    if camera == CameraExif():
        return b""
    exif = Image.Exif()
    exif[_ORIENTATION] = 1
    _put_known(exif, {_MAKE: camera.make, _MODEL: camera.model})
    taken = exif.get_ifd(_EXIF_IFD)
    _put_known(taken, {_LENS: camera.lens, _TIME_TAKEN: camera.time})
    if camera.iso is not None:
        taken[_ISO] = min(camera.iso, _ISO_IS_ELSEWHERE)
    numbers = {
        _EXPOSURE_TIME: camera.exposure_time,
        _F_NUMBER: camera.aperture,
        _FOCAL_LENGTH: camera.focal_length,
    }
    for tag, number in numbers.items():
        if number is None:
            continue
        ratio = fractions.Fraction(number).limit_denominator(_MAX_DENOMINATOR)
        if ratio:
            taken[tag] = TiffImagePlugin.IFDRational(ratio.numerator, ratio.denominator)
    return exif.tobytes().removeprefix(b"Exif\0\0")


def of_exr(camera: CameraExif) -> dict[str, str | float]:
    """Returns OpenImageIO's names of standard attributes of OpenEXR 3.2."""
    attributes = {
        "cameraMake": camera.make,
        "cameraModel": camera.model,
        "lensModel": camera.lens,
        # OpenImageIO's names of capDate, expTime and aperture.
        "DateTime": camera.time,
        "ExposureTime": camera.exposure_time,
        "FNumber": camera.aperture,
        "isoSpeed": None if camera.iso is None else float(camera.iso),
        "nominalFocalLength": camera.focal_length,
    }
    return {name: value for name, value in attributes.items() if value}


def of_tiff(camera: CameraExif) -> dict[str, str | float]:
    """Returns OpenImageIO's names of EXIF tags for what is known."""
    attributes = {
        "Make": camera.make,
        "Model": camera.model,
        "Exif:LensModel": camera.lens,
        "Exif:DateTimeOriginal": camera.time,
        "ExposureTime": camera.exposure_time,
        "FNumber": camera.aperture,
        # OpenImageIO 3.2 writes no PhotographicSensitivity into a TIFF.
        "Exif:ISOSpeed": camera.iso,
        "Exif:FocalLength": camera.focal_length,
    }
    return {name: value for name, value in attributes.items() if value}


def _put_known(tags: Any, texts: dict[int, str]) -> None:
    for tag, text in texts.items():
        if text:
            tags[tag] = text


def load(path: str | os.PathLike, kind: str | None) -> Image.Exif:
    """Returns the EXIF of a file; without tags if it has none.

    Damaged EXIF raises many types of errors.

    Args:
      path: the file.
      kind: its format; see `formats.detect_format`.
    """
    exif = Image.Exif()
    if kind == "png":
        exif.load(png_chunks.read_chunks(path).get(b"eXIf", b""))
    elif kind == "tiff":
        return tiff_pages.read_exif(path)
    elif kind in ("avif", "heif"):
        exif.load(_of_items(path))
    elif kind in ("jpeg", "webp"):
        Image.init()
        # Image.open would apply Pillow's own limit on the size, which is lower.
        opener, _ = Image.OPEN[kind.upper()]
        with open(path, "rb") as file:
            return opener(file, "").getexif()
    return exif


def _of_items(path: str | os.PathLike) -> bytes:
    items = boxes.read_items(path)
    for item, kind in items.types.items():
        if kind == b"Exif":
            data = boxes.item_data(path, items, item)
            # The first number says how far behind it the TIFF header is.
            return data[4 + int.from_bytes(data[:4], "big") :]
    return b""


def text(tags: Any, tag: int) -> str:
    """Returns the text of a tag without what cannot be printed; "" if it has none."""
    stored = tags.get(tag, "")
    if isinstance(stored, bytes):
        stored = stored.decode("utf-8", errors="replace")
    if not isinstance(stored, str):
        return ""
    return formats.printable(stored.partition("\0")[0].strip()[:_MAX_TEXT])


def _number(tags: Any, tag: int) -> float | None:
    """Returns a number above 0, or None if it is missing or makes no sense."""
    stored = tags.get(tag)
    try:
        number = float(stored[0] if isinstance(stored, tuple) else stored)
    except (TypeError, ValueError, IndexError, ZeroDivisionError, OverflowError):
        return None
    return number if 0 < number < _MAX_NUMBER and math.isfinite(number) else None
