"""Reads the chunks of a PNG that describe its pixels (PNG, third edition).

Chunks are followed by their lengths; no bytes are searched for.
"""

import io
import os
import struct
import zlib
from typing import BinaryIO, Final

_SIGNATURE_SIZE: Final = 8
_KEPT: Final = frozenset(
    {b"IHDR", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf"}
)
_MAX_KEPT: Final = 64 * 2**20
_MAX_TEXT: Final = 2**12
_MOST_TEXTS: Final = 64
_MAX_PROFILE: Final = 64 * 2**20

# The keyword of XMP (ISO 16684-3), no compression, no language.
_XMP: Final = b"XML:com.adobe.xmp" + bytes(5)
_MAX_XMP: Final = 2**20

# Text and profiles, whose size decoders limit.
_UNNEEDED: Final = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf"})


def read_chunks(path: str | os.PathLike) -> dict[bytes, bytes]:
    """Returns the chunks before the pixels that describe them, the first of each name.

    Raises:
      ValueError: the file ends before its pixels begin.
    """
    found: dict[bytes, bytes] = {}
    with open(path, "rb") as file:
        file.seek(_SIGNATURE_SIZE)
        while True:
            length, name = _head(file)
            if name == b"IDAT":
                return found
            if name in _KEPT and name not in found and length <= _MAX_KEPT:
                found[name] = file.read(length)
                file.seek(4, os.SEEK_CUR)
            else:
                file.seek(length + 4, os.SEEK_CUR)


def read_texts(path: str | os.PathLike) -> dict[str, str]:
    """Returns the short texts of the chunks `tEXt` by their keywords.

    Texts may stand behind the pixels, too. Longer texts and the end of a truncated file
    are left out.
    """
    texts: dict[str, str] = {}
    with open(path, "rb") as file:
        file.seek(_SIGNATURE_SIZE)
        while len(texts) < _MOST_TEXTS:
            try:
                length, name = _head(file)
            except ValueError:
                break
            if name == b"IEND":
                break
            if name == b"tEXt" and length <= _MAX_TEXT:
                keyword, _, text = file.read(length).partition(b"\0")
                texts[keyword.decode("latin-1")] = text.decode("latin-1")
                file.seek(4, os.SEEK_CUR)
            else:
                file.seek(length + 4, os.SEEK_CUR)
    return texts


def xmp_chunk(packet: bytes) -> tuple[bytes, bytes]:
    """Returns the name and the content of the chunk that holds XMP."""
    return b"iTXt", _XMP + packet


def read_xmp(path: str | os.PathLike) -> bytes:
    """Returns the XMP that stands before the pixels, as `xmp_chunk` keeps it.

    Raises:
      ValueError: there is none, or the file ends before its pixels begin.
    """
    with open(path, "rb") as file:
        file.seek(_SIGNATURE_SIZE)
        while True:
            length, name = _head(file)
            if name == b"IDAT":
                raise ValueError("it has no XMP")
            if name == b"iTXt" and length <= _MAX_XMP:
                content = file.read(length)
                if content.startswith(_XMP):
                    return content.removeprefix(_XMP)
                length = 0
            file.seek(length + 4, os.SEEK_CUR)


def has_text_or_profile(path: str | os.PathLike) -> bool:
    """Returns whether a PNG has chunks whose size decoders limit."""
    with open(path, "rb") as file:
        file.seek(_SIGNATURE_SIZE)
        while True:
            try:
                length, name = _head(file)
            except ValueError:
                return False
            if name in _UNNEEDED:
                return True
            file.seek(length + 4, os.SEEK_CUR)


def without_text_or_profile(path: str | os.PathLike) -> io.BytesIO:
    """Returns the file without the chunks whose size decoders limit."""
    result = io.BytesIO()
    with open(path, "rb") as file:
        result.write(file.read(_SIGNATURE_SIZE))
        while True:
            head = file.read(8)
            if len(head) < 8:
                break
            length, name = struct.unpack(">I4s", head)
            if name in _UNNEEDED:
                file.seek(length + 4, os.SEEK_CUR)
            else:
                result.write(head + file.read(length + 4))
    result.seek(0)
    return result


def profile_of(chunks: dict[bytes, bytes]) -> bytes | None:
    """Returns the ICC profile, or None if there is none or it is damaged."""
    _, separator, compressed = chunks.get(b"iCCP", b"").partition(b"\0")
    if not separator or compressed[:1] != b"\0":
        return None
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(compressed[1:], _MAX_PROFILE)
    except zlib.error:
        return None
    return profile if inflater.eof else None


def _head(file: BinaryIO) -> tuple[int, bytes]:
    head = file.read(8)
    if len(head) < 8:
        raise ValueError("the file ends before its pixels begin")
    return struct.unpack(">I4s", head)
