"""Finds the photograph among the pages of a TIFF, and what its tags say.

Tag numbers are those of TIFF 6.0 and its supplement 1.
"""

import os
from typing import Any, Final, NamedTuple

from PIL import Image, TiffImagePlugin

from jaxhdr.errors import UserError

_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _BITS = 254, 255, 258
_COMPRESSION, _PHOTOMETRIC = 259, 262
_ORIENTATION, _SUB_IFDS, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 274, 330, 338, 339
_EXIF_IFD, _INTEROPERABILITY_IFD = 34665, 40965
_WHITE_IS_ZERO, _CMYK, _CIE_LABS = 0, 5, (8, 9, 10)
_REDUCED, _MASK = 1, 4  # bits of the sub-file type
_SIGNED, _FLOAT = 2, (3, 6)
_MAX_PAGES: Final = 1000


class Page(NamedTuple):
    """The page that holds the photograph.

    Attributes:
      number: its number, from 0.
      bits: bits of a channel.
      compression: number of the compression scheme.
      is_float: whether the pixels are floats.
      is_signed: whether they are signed integers.
      is_thumbnail: whether no page holds the photograph itself, as in camera raw.
      has_white_zero: whether white is code 0.
      is_cmyk: whether the channels are inks.
      is_lab: whether they are CIELAB.
      extra_samples: meaning of the channels after the colours: 0 unspecified, 1
        associated alpha, 2 unassociated alpha.
      orientation: EXIF orientation.
    """

    number: int
    bits: int
    compression: int
    is_float: bool
    is_signed: bool
    is_thumbnail: bool
    has_white_zero: bool
    is_cmyk: bool
    is_lab: bool
    extra_samples: tuple[int, ...]
    orientation: int


def find_page(path: str | os.PathLike) -> Page:
    """Returns the first page that is neither a thumbnail nor a mask.

    Raises:
      UserError: the file has no page.
    """
    pages = _read_tags(path)
    if not pages:
        raise UserError(f"cannot read {path}: it is a TIFF without an image")
    index = next(
        (i for i, tags in enumerate(pages) if not _kind(tags) & (_REDUCED | _MASK)), 0
    )
    tags = pages[index]
    photometric = _numbers(tags, _PHOTOMETRIC, 1)[0]
    sample_format = _numbers(tags, _SAMPLE_FORMAT, 1)[0]
    return Page(
        number=index,
        bits=max(_numbers(tags, _BITS, 1)),
        compression=_numbers(tags, _COMPRESSION, 1)[0],
        is_float=sample_format in _FLOAT,
        is_signed=sample_format == _SIGNED,
        is_thumbnail=bool(_kind(tags) & _REDUCED)
        or bool(_kind(pages[0]) & _REDUCED and _SUB_IFDS in pages[0]),
        has_white_zero=photometric == _WHITE_IS_ZERO,
        is_cmyk=photometric == _CMYK,
        is_lab=photometric in _CIE_LABS,
        extra_samples=_numbers(tags, _EXTRA_SAMPLES),
        orientation=_numbers(tags, _ORIENTATION, 1)[0],
    )


def read_exif(path: str | os.PathLike) -> Image.Exif:
    """Returns the EXIF of the first page; empty if it is damaged."""
    exif = Image.Exif()
    try:
        with open(path, "rb") as file:
            exif.load_from_fp(file)
            for directory in (_EXIF_IFD, _INTEROPERABILITY_IFD):
                exif.get_ifd(directory)  # read while the file is open
    except Exception:  # damaged EXIF counts as none
        return Image.Exif()
    return exif


def _read_tags(path: str | os.PathLike) -> list[Any]:
    pages, seen = [], set()
    with open(path, "rb") as file:
        head = file.read(16)
        head = head[: 16 if 43 in head[2:4] else 8]  # 43: BigTIFF
        at = TiffImagePlugin.ImageFileDirectory_v2(head).next
        while at and at not in seen and len(pages) < _MAX_PAGES:
            seen.add(at)
            file.seek(at)
            page = TiffImagePlugin.ImageFileDirectory_v2(head)
            page.load(file)
            pages.append(page)
            at = page.next
    return pages


def _kind(tags: Any) -> int:
    """Returns the bits of the sub-file type; the older tag counts without the newer."""
    is_reduced = _numbers(tags, _OLD_SUBFILE_TYPE, 1)[0] == 2
    return _numbers(tags, _SUBFILE_TYPE, _REDUCED if is_reduced else 0)[0]


def _numbers(tags: Any, tag: int, *default: int) -> tuple[int, ...]:
    """Returns the integers of a tag; `default` if it is missing or damaged."""
    try:
        stored = tags.get(tag, default)
        numbers = stored if isinstance(stored, tuple) else (stored,)
        return tuple(int(number) for number in numbers) or default
    except (TypeError, ValueError):
        return default
