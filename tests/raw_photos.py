"""Writes camera raw files: DNG of a Bayer sensor, by hand (DNG 1.4, TIFF 6.0)."""

import struct

import numpy as np

# XYZ to camera, of a made-up sensor whose channels overlap as those of real ones do.
CAMERA = np.array([[0.9, -0.3, -0.1], [-0.4, 1.3, 0.1], [-0.1, 0.3, 0.6]])
WHITE_LEVEL, BLACK_LEVEL = 15000, 600
# IEC 61966-2-1: linear sRGB to XYZ, D65.
_TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 10: 8, 13: 4}
_CODES = {1: "B", 3: "H", 4: "I", 13: "I"}


def sensor_codes(linear: np.ndarray) -> np.ndarray:
    """Returns a Bayer mosaic (RG GB) of linear BT.709; white 1 just clips green."""
    camera = linear @ (CAMERA @ _TO_XYZ).T
    mosaic = np.empty(linear.shape[:2])
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[row::2, column::2] = camera[row::2, column::2, channel]
    scale = (WHITE_LEVEL - BLACK_LEVEL) / neutral().max()
    return np.clip(np.rint(mosaic * scale) + BLACK_LEVEL, 0, WHITE_LEVEL).astype("<u2")


def neutral() -> np.ndarray:
    """Returns what the sensor records of white."""
    return CAMERA @ _TO_XYZ.sum(axis=1)


def write_dng(path, linear: np.ndarray, *, orientation: int = 1, with_preview=True):
    """Writes a DNG whose first directory is a white preview and whose second is raw."""
    codes = sensor_codes(linear)
    height, width = codes.shape
    camera = _camera_tags(orientation)
    sensor = [
        *_image_tags(width, height, 1, photometric=32803),
        (33421, 3, [2, 2]), (33422, 1, [0, 1, 1, 2]),
        (50714, 4, [BLACK_LEVEL]), (50717, 4, [WHITE_LEVEL]),
    ]  # fmt: skip
    preview = [
        (254, 4, [1]), (256, 4, [8]), (257, 4, [8]), (258, 3, [8, 8, 8]), (259, 3, [1]),
        (262, 3, [2]), (277, 3, [3]), (278, 4, [8]), (284, 3, [1]),
    ]  # fmt: skip
    data = bytearray(b"II*\0\0\0\0\0")
    if with_preview:
        at = _append(data, sensor, codes.tobytes())
        first = _append(data, [*preview, *camera, (330, 13, [at])], b"\xff" * 192)
    else:
        first = _append(data, [*sensor, *camera], codes.tobytes())
    data[4:8] = struct.pack("<I", first)
    path.write_bytes(data)


def write_linear_dng(path, linear: np.ndarray) -> None:
    """Writes a DNG whose pixels have three colours already (LinearRaw)."""
    height, width, channels = linear.shape
    camera = linear @ (CAMERA @ _TO_XYZ).T / neutral().max()
    codes = np.rint(camera * (WHITE_LEVEL - BLACK_LEVEL)) + BLACK_LEVEL
    codes = np.clip(codes, 0, WHITE_LEVEL).astype("<u2")
    tags = [
        *_image_tags(width, height, channels, photometric=34892),
        (50714, 4, [BLACK_LEVEL] * 3), (50717, 4, [WHITE_LEVEL] * 3),
        *_camera_tags(1),
    ]  # fmt: skip
    data = bytearray(b"II*\0\0\0\0\0")
    data[4:8] = struct.pack("<I", _append(data, tags, codes.tobytes()))
    path.write_bytes(data)


def _camera_tags(orientation: int):
    return [
        (271, 2, b"Made up\0"), (272, 2, b"Sensor\0"), (274, 3, [orientation]),
        (50706, 1, [1, 4, 0, 0]), (50707, 1, [1, 1, 0, 0]),
        (50708, 2, b"Made up Sensor\0"),
        (50721, 10, _ratios("i", CAMERA.ravel())),
        (50728, 5, _ratios("I", neutral() / neutral().max())),
        (50778, 3, [21]),  # D65
    ]  # fmt: skip


def _image_tags(width: int, height: int, channels: int, *, photometric: int):
    return [
        (254, 4, [0]), (256, 4, [width]), (257, 4, [height]), (258, 3, [16] * channels),
        (259, 3, [1]), (262, 3, [photometric]), (277, 3, [channels]),
        (278, 4, [height]), (284, 3, [1]),
    ]  # fmt: skip


def _ratios(code: str, values) -> bytes:
    return b"".join(struct.pack(f"<2{code}", round(v * 10000), 10000) for v in values)


def _append(data: bytearray, tags, strip: bytes) -> int:
    """Appends a strip and the directory of its tags; returns where that begins."""
    start = len(data)
    data += strip
    entries = b""
    for tag, kind, values in sorted([*tags, (273, 4, [start]), (279, 4, [len(strip)])]):
        if isinstance(values, list):
            values = struct.pack(f"<{len(values)}{_CODES[kind]}", *values)
        count = len(values) // _SIZES[kind]
        if len(values) > 4:
            data += bytes(len(data) % 2)
            values, offset = struct.pack("<I", len(data)), values
            data += offset
        entries += struct.pack("<HHI", tag, kind, count) + values.ljust(4, b"\0")
    data += bytes(len(data) % 2)
    at = len(data)
    data += struct.pack("<H", len(entries) // 12) + entries + bytes(4)
    return at
