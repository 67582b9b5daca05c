"""Reads OpenEXR files whose colour is stored as luminance and chroma.

Y is luminance, RY is (R - Y) / Y and BY is (B - Y) / Y (OpenEXR, "Technical
Introduction"). Chroma is usually stored for every second pixel of every second row.
"""

import contextlib
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import OpenImageIO as oiio
from jaxtyping import Float

from jaxhdr.errors import UserError
from jaxhdr.image_io import formats
from jaxhdr.image_io.colour import primaries
from jaxhdr.image_io.containers.oiio import open_input
from jaxhdr.image_io.radiance.exr_layers import listed

_HEADER_BYTES: Final = 65536  # the list of channels is one of the first attributes
_LONGEST_NAME: Final = 255  # of OpenEXR
_CHANNEL_LIST: Final = b"channels\0chlist\0"
_READER: Final = "openexr:core"
"""OpenImageIO's switch between OpenEXR's C and C++ libraries; only C++ reads chroma."""
_LOCK: Final = threading.Lock()
_SIMILAR: Final = 1e-3  # of luminance, in squared stops


def has_subsampled_channels(path: str | os.PathLike) -> bool:
    """Returns whether a header lists channels that have fewer pixels than others."""
    return any(step != 1 for _, *steps in _listed_channels(path) for step in steps)


def _listed_channels(path: str | os.PathLike) -> Iterator[tuple[str, int, int]]:
    """Yields name and steps between samples in x and y of the channels of all parts."""
    head = formats.read_head(path, size=_HEADER_BYTES)
    for stored in head.split(_CHANNEL_LIST)[1:]:
        size = int.from_bytes(stored[:4], "little")
        position, end = 4, min(4 + size, len(stored))
        while (name_end := stored.find(b"\0", position, end)) > position:
            name = stored[position:name_end].decode("latin-1")
            if len(name) > _LONGEST_NAME or not name.isprintable():
                return  # the list is damaged, which OpenImageIO will say
            # Behind the name: the type, a flag with three bytes to spare, the steps.
            position = name_end + 17
            if position <= end:
                yield name, *struct.unpack("<2i", stored[position - 8 : position])


@contextlib.contextmanager
def open_subsampled(path: str | os.PathLike) -> Iterator[oiio.ImageInput]:
    """Yields an open file with Y and subsampled RY, BY; its pixels are R, G, B.

    Raises:
      UserError: other channels are subsampled, or the header is damaged.
    """
    names = {name for name, *_ in _listed_channels(path)}
    if not {"Y", "RY", "BY"} <= names <= {"Y", "RY", "BY", "A"}:
        raise UserError(
            f"cannot read {path}: some of its channels {listed(sorted(names))} are "
            "subsampled, expected that of Y, RY, BY only; save it as R, G, B"
        )
    with contextlib.ExitStack() as stack:
        with _LOCK:
            former = oiio.get_int_attribute(_READER, 1)
            oiio.attribute(_READER, 0)
            try:
                source = stack.enter_context(open_input(path, "openexr"))
            finally:
                oiio.attribute(_READER, former)
        if tuple(source.spec().channelnames[:3]) != ("R", "G", "B"):
            raise UserError(
                f"cannot read {path}: luminance-chroma channels (Y, RY, BY) of this "
                "sampling are not supported; save it as R, G, B"
            )
        yield source


def to_rgb(
    stored: Float[np.ndarray, "h w 3"], chromaticities: Sequence[float]
) -> Float[np.ndarray, "h w 3"]:
    """Returns R, G, B of the given primaries for Y, RY, BY of the same size.

    Raises:
      ValueError: the chromaticities describe no colour space.
    """
    luminance = stored[..., :1]
    red_and_blue = (1 + stored[..., 1:]) * luminance
    return _with_green(luminance, red_and_blue, chromaticities)


def sharpened(
    rgb: Float[np.ndarray, "h w 3"], chromaticities: Sequence[float]
) -> Float[np.ndarray, "h w 3"]:
    """Returns an image whose chroma stays on its side of an edge of luminance.

    OpenEXR interpolates chroma with 27 taps, which ring at the edge of a lamp. Every
    second pixel of every second row has the chroma that the file stores. The others get
    the mean of their stored neighbours, weighted by how near their luminance is.

    Raises:
      ValueError: the chromaticities describe no colour space.
    """
    weights = primaries.luminance_weights(chromaticities).astype(np.float32)
    luminance = np.maximum(rgb @ weights, 0)[..., None]
    is_dark = luminance <= 0
    stops = np.log2(np.where(is_dark, 1, luminance))
    ratio = rgb[..., ::2] / np.where(is_dark, 1, luminance)
    total, weighted = np.zeros_like(luminance), np.zeros_like(ratio)
    for rows in _stored_neighbours(rgb.shape[0]):
        for columns in _stored_neighbours(rgb.shape[1]):
            near = np.ix_(rows, columns)
            weight = ~is_dark[near] / (_SIMILAR + (stops[near] - stops) ** 2)
            total += weight
            weighted += weight * ratio[near]
    # Black pixels have lost their chroma, so a light among them keeps OpenEXR's.
    is_known = (total > 0) & ~is_dark
    red_and_blue = luminance * weighted / np.where(is_known, total, 1)
    sharp = _with_green(luminance, red_and_blue, chromaticities)
    return np.where(is_known, sharp, rgb)


def _stored_neighbours(count: int) -> list[np.ndarray]:
    """Returns the even positions before and behind each of `count` positions."""
    positions = np.arange(count)
    before = positions - positions % 2
    behind = positions + positions % 2
    return [before, np.where(behind < count, behind, before)]


def _with_green(
    luminance: Float[np.ndarray, "h w 1"],
    red_and_blue: Float[np.ndarray, "h w 2"],
    chromaticities: Sequence[float],
) -> Float[np.ndarray, "h w 3"]:
    weights = primaries.luminance_weights(chromaticities).astype(np.float32)
    if abs(weights[1]) < 1e-6:
        raise ValueError(f"chromaticities {tuple(chromaticities)} are not usable")
    rest = red_and_blue @ weights[::2, None]
    green = (luminance - rest) / weights[1]
    return np.concatenate(
        [red_and_blue[..., :1], green, red_and_blue[..., 1:]], axis=2
    ).astype(np.float32)
