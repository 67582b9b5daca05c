"""Reads camera raw files through LibRaw, which the extra `raw` brings as rawpy.

The image is linear BT.709, white-balanced as the camera was set, and 1.0 is where the
sensor clips. It is returned with the exact sRGB encoding, so the response of such a
photograph is known. Previews that the file holds are never read.
"""

import functools
import importlib
import os
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import numpy as np
from jaxtyping import Float

from jaxhdr.errors import UserError
from jaxhdr.image_io import formats
from jaxhdr.image_io.colour.transfer import srgb_encode

# Tags of TIFF 6.0, its supplement 1 (sub-directories) and DNG 1.4.
_PHOTOMETRIC, _SUB_DIRECTORIES, _SAMPLE_FORMAT = 262, 330, 339
_DNG_VERSION: Final = 50706
_PIXELS: Final = ((273, 279), (324, 325))  # begins and sizes of strips, and of tiles
_TAGS: Final = frozenset(
    {_PHOTOMETRIC, _SUB_DIRECTORIES, _SAMPLE_FORMAT, _DNG_VERSION, *sum(_PIXELS, ())}
)
_SENSOR_PHOTOMETRICS: Final = (32803, 34892)  # CFA and LinearRaw
_FLOATS: Final = 3  # of the sample format
_TYPES: Final = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # unsigned integers
_MOST_DIRECTORIES: Final = 32
_MOST_VALUES: Final = 2**17  # of one tag, the tiles of a large image

_Directory = dict[int, tuple[int, ...]]


def is_camera_raw(path: str | os.PathLike, kind: str | None) -> bool:
    """Returns whether a file of a kind of `formats.detect_format` is camera raw."""
    if kind != "tiff":
        return kind == "raw"
    with open(path, "rb") as file:
        if file.read(10)[8:] == b"CR":  # Canon CR2
            return True
        return any(
            _DNG_VERSION in tags
            or any(p in _SENSOR_PHOTOMETRICS for p in tags.get(_PHOTOMETRIC, ()))
            for tags in _directories(file)
        )


def read_raw(path: str | os.PathLike) -> Float[np.ndarray, "h w 3"]:
    """Returns a camera raw photograph, upright and with the exact sRGB encoding.

    Values that clip on the sensor are 1.0: highlights are not reconstructed.

    Raises:
      UserError: rawpy is not installed, or the file is damaged, too large, of a camera
        that LibRaw does not know, or already HDR.
    """
    rawpy = _import_rawpy(path)
    with open(path, "rb") as file:
        directories = list(_directories(file))
        if any(_FLOATS in tags.get(_SAMPLE_FORMAT, ()) for tags in directories):
            raise UserError(
                f"cannot use {path} as a photograph: it is a DNG of floating-point "
                "numbers, which is already HDR; export it as OpenEXR"
            )
        is_dng = bool(directories) and _DNG_VERSION in directories[0]
        if is_dng and _last_byte(directories) > os.path.getsize(path):
            raise formats.damaged(path, "camera raw: the file ends before its pixels")
        file.seek(0)
        try:
            codes = _develop(path, rawpy, file, is_dng=is_dng)
        except rawpy.LibRawFileUnsupportedError as error:
            raise UserError(
                f"cannot read {path}: LibRaw {_version(rawpy)} does not know this "
                "camera raw file; develop it to a 16-bit TIFF or a JPEG first"
            ) from error
        except rawpy.LibRawError as error:
            reason = error.args[0] if error.args else error
            text = reason.decode() if isinstance(reason, bytes) else reason
            raise formats.damaged(path, f"camera raw: {text}") from error
    return _encode(codes)


def _import_rawpy(path: str | os.PathLike) -> Any:
    try:
        return importlib.import_module("rawpy")
    except ImportError as error:
        raise UserError(
            f"cannot read {path}: it looks like camera raw, for which rawpy is not "
            "installed; run `pip install 'jaxhdr[raw]'`, or develop it to a 16-bit "
            "TIFF or a JPEG first"
        ) from error


def _develop(
    path: str | os.PathLike, rawpy: Any, file: BinaryIO, *, is_dng: bool
) -> np.ndarray:
    """Returns linear BT.709 as 16-bit codes, upright."""
    with rawpy.RawPy() as raw:
        raw.open_buffer(file)
        sizes = raw.sizes
        formats.check_size(path, sizes.raw_width, sizes.raw_height)
        formats.check_size(path, sizes.iwidth, sizes.iheight)
        raw.unpack()
        # A DNG states where the sensor clips. For other files LibRaw has tables, and
        # lowers their value if the brightest pixel is not far below it.
        options = {"adjust_maximum_thr": 0.0} if is_dng else {}
        return raw.postprocess(
            **options,
            user_sat=_saturation(rawpy, raw),
            use_camera_wb=True,
            no_auto_bright=True,
            output_bps=16,
            gamma=(1, 1),
            output_color=rawpy.ColorSpace.sRGB,
            highlight_mode=rawpy.HighlightMode.Clip,
        )


def _saturation(rawpy: Any, raw: Any) -> int | None:
    """Returns the code at which pixels of three colours clip; None for LibRaw's.

    LibRaw subtracts from it the least of four black levels. Pixels of three colours
    have no fourth, which counts as 0.
    """
    if raw.raw_type != rawpy.RawType.Stack:
        return None
    levels = raw.black_level_per_channel
    return raw.white_level - (min(levels[: raw.num_colors]) - min(levels))


def _encode(codes: np.ndarray) -> Float[np.ndarray, "h w 3"]:
    """Returns 16-bit linear codes with the encoding of IEC 61966-2-1."""
    encoded = _encoding()[codes]
    if encoded.ndim == 2:
        encoded = encoded[..., None]
    return np.ascontiguousarray(np.broadcast_to(encoded, (*encoded.shape[:2], 3)))


@functools.cache
def _encoding() -> np.ndarray:
    return srgb_encode(np.arange(65536) / 65535).astype(np.float32)


def _version(rawpy: Any) -> str:
    return ".".join(map(str, rawpy.libraw_version))


def _last_byte(directories: list[_Directory]) -> int:
    """Returns where the last strip or tile ends, as the directories say."""
    ends = [
        start + size
        for tags in directories
        for starts, sizes in _PIXELS
        for start, size in zip(tags.get(starts, ()), tags.get(sizes, ()), strict=False)
    ]
    return max(ends, default=0)


def _directories(file: BinaryIO) -> Iterator[_Directory]:
    """Yields integer tags of a TIFF's directories and sub-directories; no file fails.

    Only the tags in `_TAGS` are in the result.
    """
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 16:
        return
    is_big = 43 in head[2:4]
    pending = [
        struct.unpack(
            order + ("Q" if is_big else "I"), head[8:16] if is_big else head[4:8]
        )[0]
    ]
    seen: set[int] = set()
    while pending and len(seen) < _MOST_DIRECTORIES:
        start = pending.pop(0)
        if start in seen or not start:
            continue
        seen.add(start)
        try:
            tags, following = _directory(file, start, order, is_big)
        except (struct.error, OSError, OverflowError, ValueError):
            continue
        yield tags
        pending += [*tags.get(_SUB_DIRECTORIES, ()), following]


def _directory(
    file: BinaryIO, start: int, order: str, is_big: bool
) -> tuple[_Directory, int]:
    """Returns the tags of one directory, and where the next one begins."""
    count_code, entry_code, word = ("Q", "HHQ", "Q") if is_big else ("H", "HHI", "I")
    file.seek(start)
    (count,) = _unpack(file, order + count_code)
    tags: _Directory = {}
    size = struct.calcsize(order + entry_code + word)
    table = file.read(min(count, 65535) * size)
    (following,) = _unpack(file, order + word)
    for at in range(0, len(table) - size + 1, size):
        tag, kind, number = struct.unpack_from(order + entry_code, table, at)
        if tag not in _TAGS or kind not in _TYPES or number > _MOST_VALUES:
            continue
        code = f"{order}{number}{_TYPES[kind]}"
        field = table[at + size - struct.calcsize(order + word) : at + size]
        if struct.calcsize(code) > len(field):
            file.seek(struct.unpack(order + word, field)[0])
            tags[tag] = _unpack(file, code)
        else:
            tags[tag] = struct.unpack_from(code, field)
    return tags, following


def _unpack(file: BinaryIO, code: str) -> tuple[int, ...]:
    return struct.unpack(code, file.read(struct.calcsize(code)))
