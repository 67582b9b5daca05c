"""Reads and writes OpenEXR: RGB channels by name, and strings in the header."""

import os
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import OpenImageIO as oiio
from jaxtyping import Float

from jaxhdr.errors import UserError
from jaxhdr.image_io import formats, primaries
from jaxhdr.image_io.oiio import open_input, read_pixels, write_pixels

HALF_MAX: Final = 65504.0
"""Largest finite half-precision float (IEEE 754 binary16)."""

_METADATA_PREFIX: Final = "jaxhdr:"


def read_exr(path: str | os.PathLike) -> Float[np.ndarray, "h w 3"]:
    """Returns the first part that holds a colour image, in BT.709 primaries.

    Raises:
      UserError: no part holds R, G, B or Y, several layers do, or the colour is stored
        as luminance and chroma.
    """
    with open_input(path, "openexr") as source:
        part, names = 0, []
        while source.seek_subimage(part, 0):
            channels = tuple(source.spec().channelnames)
            chosen = _choose_channels(path, channels)
            if chosen:
                return _read_part(path, source, chosen)
            names += channels
            part += 1
    raise UserError(
        f"cannot read {path}: its channels are {', '.join(names)}; expected R, G, B "
        "or Y"
    )


def _choose_channels(
    path: str | os.PathLike, names: Sequence[str]
) -> tuple[int, int, int] | None:
    """Returns the positions of R, G and B, or None if the part holds no colour.

    Channels are found by name, because OpenEXR sorts them by name. The name of a layer
    stands before a dot (`diffuse.R`).
    """
    positions = {name.upper(): index for index, name in enumerate(names)}
    prefixes = ["", *sorted({key.rpartition(".")[0] + "." for key in positions})]
    colour = [p for p in prefixes if all(p + c in positions for c in "RGB")]
    if "" in colour or len(colour) == 1:
        layer = "" if "" in colour else colour[0]
        return positions[layer + "R"], positions[layer + "G"], positions[layer + "B"]
    if colour:
        raise UserError(
            f"cannot read {path}: it holds several layers "
            f"({', '.join(p[:-1] for p in colour)}), expected one; save the one you "
            "want alone"
        )
    if {"RY", "BY"} & positions.keys():
        raise UserError(
            f"cannot read {path}: luminance-chroma channels (Y, RY, BY) are not "
            "supported; save it as R, G, B"
        )
    grey = positions.get("Y")
    return None if grey is None else (grey, grey, grey)


def _read_part(
    path: str | os.PathLike, source: oiio.ImageInput, chosen: tuple[int, int, int]
) -> Float[np.ndarray, "h w 3"]:
    spec = source.spec()
    formats.check_size(path, spec.full_width, spec.full_height)
    pixels = read_pixels(path, source, dtype="float")[..., list(chosen)]
    linear = _to_display_window(pixels, spec)
    stored = spec.getattribute("chromaticities")
    if stored is None:
        return linear
    try:
        return primaries.to_bt709(linear, stored)
    except ValueError as error:
        raise formats.damaged(path, error) from error


def _to_display_window(
    pixels: Float[np.ndarray, "h w 3"], spec: oiio.ImageSpec
) -> Float[np.ndarray, "h2 w2 3"]:
    """Returns the display window; stored pixels outside it are dropped.

    Pixels that are not stored are 0.
    """
    left, top = spec.x - spec.full_x, spec.y - spec.full_y
    shape = (spec.full_height, spec.full_width, 3)
    if (top, left) == (0, 0) and pixels.shape == shape:
        return pixels
    picture = np.zeros(shape, pixels.dtype)
    inside = picture[max(top, 0) :, max(left, 0) :]
    part = pixels[max(-top, 0) :, max(-left, 0) :]
    height, width = np.minimum(inside.shape[:2], part.shape[:2])
    inside[:height, :width] = part[:height, :width]
    return picture


def write_exr(
    path: str | os.PathLike,
    hdr: Float[np.ndarray, "h w 3"],
    *,
    half: bool,
    metadata: Mapping[str, str],
) -> None:
    """Writes R, G, B with ZIP compression; as float if a value exceeds `HALF_MAX`."""
    is_half = half and hdr.max() <= HALF_MAX
    height, width, channels = hdr.shape
    spec = oiio.ImageSpec(width, height, channels, "half" if is_half else "float")
    spec.channelnames = ("R", "G", "B")
    spec.attribute("compression", "zip")
    xy = oiio.TypeDesc("float[8]")
    spec.attribute("chromaticities", xy, primaries.BT709)
    for key, value in metadata.items():
        spec.attribute(_METADATA_PREFIX + key, value)
    write_pixels(path, hdr, spec)


def read_exr_metadata(path: str | os.PathLike) -> dict[str, str]:
    """Returns the strings that `write_exr` stored in the header."""
    with open_input(path, "openexr") as source:
        return {
            entry.name.removeprefix(_METADATA_PREFIX): str(entry.value)
            for entry in source.spec().extra_attribs
            if entry.name.startswith(_METADATA_PREFIX)
        }
