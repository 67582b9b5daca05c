"""Detects image formats by their first bytes, and turns decoding errors into ours.

The suffix chooses the format only for writing. For reading, the content decides: a
phone's `IMG_1.JPG` may hold HEIC, and a download named `sky.hdr` may hold a web page.
"""

import contextlib
import contextvars
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Final

from jaxhdr.errors import UserError, check_not_endless
from jaxhdr.options import HDR_SUFFIXES

PHOTO_SUFFIXES: Final = (
    ".jpg",
    ".jpeg",
    ".png",
    ".tif",
    ".tiff",
    ".webp",
    ".bmp",
    ".gif",
    ".heic",
    ".heif",
    ".hif",
    ".avif",
    ".jxl",
    ".pbm",
    ".pgm",
    ".ppm",
    ".pnm",
    ".jpe",
    ".jfif",
    # camera raw, with the extra `raw`
    ".dng",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".raf",
    ".orf",
    ".rw2",
)
"""Usual suffixes of photographs that `read_encoded` reads."""

MAX_PIXELS: Final = 2**29
"""Largest number of pixels read: a 32768 x 16384 panorama, 6.4 GB as float32 RGB."""

# None is `MAX_PIXELS`.
_most_pixels: contextvars.ContextVar[int | None] = contextvars.ContextVar(
    "_most_pixels", default=None
)

# Deflate, which most formats use, packs at most 1032 bytes into one (RFC 1951), of 8
# pixels each in a bilevel image. Only WebP and AVIF of one colour pack better.
_MAX_PIXELS_A_BYTE: Final = 8 * 1032
_HARMLESS_PIXELS: Final = 2**26

HDR_FORMATS: Final = frozenset({"exr", "hdr", "npy", "pfm"})
"""Formats that always hold linear radiance (a TIFF may hold either)."""

_MAX_REASON: Final = 200  # characters kept of a decoder's own message

# What decoders say of sound files that they cannot read.
_UNSUPPORTED: Final = re.compile(
    r"unsupported|not support|not configured|not implemented|cannot handle|no decoder"
    r"|unknown (?:pixel mode|compression|photometric)|decoder .* not available",
    re.IGNORECASE,
)

_SIGNATURES: Final = (
    (b"\x76\x2f\x31\x01", "exr"),
    (b"#?", "hdr"),
    (b"\x93NUMPY", "npy"),
    (b"PF\n", "pfm"),
    (b"Pf\n", "pfm"),
    (b"PF\r", "pfm"),
    (b"Pf\r", "pfm"),
    (b"PF ", "pfm"),
    (b"Pf ", "pfm"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    # Camera raw that is no TIFF: Fujifilm, Olympus, Panasonic, older Canon, Minolta.
    (b"FUJIFILMCCD-RAW", "raw"),
    (b"IIRO", "raw"),
    (b"IIRS", "raw"),
    (b"MMOR", "raw"),
    (b"IIU\0", "raw"),
    (b"II\x1a\0\0\0HEAPCCDR", "raw"),
    (b"\0MRM", "raw"),
    *((b"P%d" % kind, "pnm") for kind in range(1, 7)),
)
# Brands of ISO/IEC 23008-12 (HEIF) and of AVIF.
_HEIF_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
)
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})


def detect_format(head: bytes) -> str | None:
    """Returns the format's short name from a file's first 64 bytes, or None."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:12] == b"ftypcrx ":  # Canon CR3
        return "raw"
    if head[4:8] == b"ftyp":
        # Both HEIC and AVIF may have the brand mif1; the compatible brands decide.
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, 64, 4))}
        if brands & _AVIF_BRANDS:
            return "avif"
        if brands & _HEIF_BRANDS:
            return "heif"
    return None


def is_hdr_suffix(path: str | os.PathLike) -> bool:
    """Returns whether files of this suffix hold radiance itself."""
    return pathlib.Path(path).suffix.lower() in HDR_SUFFIXES


def read_head(path: str | os.PathLike, *, size: int = 64) -> bytes:
    """Returns the first `size` bytes of a file.

    Raises:
      UserError: the file is missing, empty, a folder, a pipe, a device or not readable.
    """
    check_not_endless(path)
    try:
        with open(path, "rb") as file:
            head = file.read(size)
    except FileNotFoundError as error:
        raise UserError(f"cannot read {path}: the file does not exist") from error
    except IsADirectoryError as error:
        raise UserError(
            f"cannot read {path}: it is a folder; expected a file"
        ) from error
    except PermissionError as error:
        raise UserError(f"cannot read {path}: permission denied") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read {path}: {reason}") from error
    if not head:
        raise UserError(f"cannot read {path}: the file is empty")
    return head


def check_size(path: str | os.PathLike, width: int, height: int) -> None:
    """Checks the size in a header, before memory of that size is allocated.

    Raises:
      UserError: the image has no pixels, more than `MAX_PIXELS`, or more than a file of
        its length can hold.
    """
    check_count(path, width, height)
    length = os.path.getsize(path)
    if width * height > max(_MAX_PIXELS_A_BYTE * length, _HARMLESS_PIXELS):
        raise UserError(
            f"cannot read {path}: its header states {width} x {height} pixels, but the "
            f"file has {length} bytes; it is damaged or was made to exhaust memory"
        )


def check_count(path: str | os.PathLike, width: int, height: int) -> None:
    """Checks the number of pixels of an image.

    Raises:
      UserError: it has none, or more than `MAX_PIXELS`, or than `pixel_limit` allows.
    """
    if width < 1 or height < 1:
        raise UserError(f"cannot read {path}: it has no pixels ({width} x {height})")
    most = _most_allowed()
    if width * height > most:
        raise UserError(
            f"cannot read {path}: its header states {width} x {height} pixels, "
            f"expected at most {most}; scale the image down"
        )


@contextlib.contextmanager
def pixel_limit(most: int) -> Iterator[None]:
    """Makes all readers refuse larger images while the block runs, in its thread.

    Args:
      most: largest number of pixels; above `MAX_PIXELS` it changes nothing.
    """
    token = _most_pixels.set(min(most, _most_allowed()))
    try:
        yield
    finally:
        _most_pixels.reset(token)


def _most_allowed() -> int:
    most = _most_pixels.get()
    return MAX_PIXELS if most is None else most


@contextlib.contextmanager
def decoding(path: str | os.PathLike) -> Iterator[None]:
    """Turns any exception of a decoder into a `UserError`."""
    try:
        yield
    except UserError:
        raise
    except MemoryError as error:
        raise UserError(f"cannot read {path}: not enough memory") from error
    except Exception as error:  # decoders raise many types
        raise damaged(path, error) from error


def printable(text: str) -> str:
    """Returns text of a file for a sentence, with ? for what terminals obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def damaged(path: str | os.PathLike, reason: object) -> UserError:
    """Returns the error for a file whose first bytes are right but which is not read.

    It is called damaged, except where the decoder says that it does not know its kind.
    """
    text = " ".join(str(reason).replace(os.fspath(path), "file").split()).rstrip(".")
    text = printable(text[:_MAX_REASON]) or type(reason).__name__
    if _UNSUPPORTED.search(text):
        return UserError(
            f"cannot read {path}: it is of a kind that is not supported ({text}); save "
            "it as a usual 8-bit or 16-bit image"
        )
    return UserError(f"cannot read {path}: it is damaged or truncated ({text})")
