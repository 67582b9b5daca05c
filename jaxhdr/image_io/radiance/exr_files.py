"""Reads and writes OpenEXR: one layer of colour, and strings in the header."""

import os
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import OpenImageIO as oiio
from jaxtyping import Float

from jaxhdr.errors import UserError
from jaxhdr.image_io import formats
from jaxhdr.image_io.colour import primaries
from jaxhdr.image_io.containers.oiio import (
    open_input,
    read_pixels,
    write_levels,
    write_pixels,
)
from jaxhdr.image_io.metadata import camera_exif
from jaxhdr.image_io.metadata.camera_exif import CameraExif
from jaxhdr.image_io.radiance import luminance_chroma
from jaxhdr.image_io.radiance.exr_layers import Layer, Part, choose_layer, find_layers
from jaxhdr.image_io.radiance.mip_levels import mip_levels

HALF_MAX: Final = 65504.0
"""Largest finite half-precision float (IEEE 754 binary16)."""

_METADATA_PREFIX: Final = "jaxhdr:"
# A smaller image may be empty but for one pixel.
_MANY_PIXELS: Final = 2**26
_TILE: Final = 64  # pixels on a side, as renderers write textures
_MOST_EMPTY: Final = 64  # times the stored pixels


class Header(NamedTuple):
    """What `write_exr` states besides the pixels.

    Attributes:
      metadata: strings.
      primaries_name: a name of `primaries.NAMED`, to which the pixels are converted.
      exif: what is known of the photograph.
      layout: "scanlines", "tiled", or "mipmap" for tiles with smaller copies.
    """

    metadata: Mapping[str, str]
    primaries_name: str
    exif: CameraExif
    layout: str = "scanlines"


def read_exr(
    path: str | os.PathLike, *, layer: str | None = None
) -> Float[np.ndarray, "h w 3"]:
    """Returns one layer in BT.709 primaries; see `exr_layers.choose_layer`.

    Args:
      path: the file.
      layer: name of a layer or of a part; None for the picture.

    Raises:
      UserError: the file is damaged, or no layer or several are its picture.
    """
    if luminance_chroma.has_subsampled_channels(path):
        if layer is not None:
            raise UserError(
                f"cannot read layer {layer!r} of {path}: it holds one picture, as "
                "luminance and chroma; leave the layer out"
            )
        with luminance_chroma.open_subsampled(path) as source:
            plain = Layer(0, "", True, "", "subsampled", (0, 1, 2))
            return _read_layer(path, source, plain)
    with open_input(path, "openexr") as source:
        chosen = choose_layer(path, _parts(source), layer)
        source.seek_subimage(chosen.part, 0)
        return _read_layer(path, source, chosen)


def exr_layer_names(path: str | os.PathLike) -> list[str]:
    """Returns the names of the layers that may be pictures; "" has no name."""
    if luminance_chroma.has_subsampled_channels(path):
        return [""]
    with open_input(path, "openexr") as source:
        return [layer.name for layer in find_layers(_parts(source))]


def _parts(source: oiio.ImageInput) -> list[Part]:
    parts = []
    while source.seek_subimage(len(parts), 0):
        spec = source.spec()
        names = tuple(spec.channelnames)
        types = spec.channelformats or (spec.format,) * len(names)
        text = {a.name: a.value for a in spec.extra_attribs if _is_of_layers(a.name)}
        parts.append(
            Part(
                name=str(text.pop("oiio:subimagename", "")),
                view=str(text.pop("view", "")),
                views=_words_of(text.pop("multiView", ())),
                channels=names,
                types=tuple(map(str, types)),
                is_deep=spec.deep,
                id_names=tuple(map(str, text.values())),
            )
        )
    return parts


def _is_of_layers(attribute: str) -> bool:
    is_id_name = attribute.startswith("cryptomatte/") and attribute.endswith("/name")
    return is_id_name or attribute in ("oiio:subimagename", "view", "multiView")


def _words_of(value: object) -> tuple[str, ...]:
    words = value if isinstance(value, tuple) else (value,)
    return tuple(map(str, words))


def _read_layer(
    path: str | os.PathLike, source: oiio.ImageInput, layer: Layer
) -> Float[np.ndarray, "h w 3"]:
    spec = source.spec()
    _check_window(path, spec)
    stored = spec.getattribute("chromaticities") or primaries.BT709
    # The channels of a layer stand together; a file of many layers is not read whole.
    first, last = min(layer.channels), max(layer.channels)
    pixels = read_pixels(path, source, dtype="float", channels=(first, last + 1))
    picture = pixels[..., [channel - first for channel in layer.channels]]
    try:
        if layer.kind == "subsampled":
            picture = luminance_chroma.sharpened(picture, stored)
        elif layer.kind == "luminance_chroma":
            picture = luminance_chroma.to_rgb(picture, stored)
        return primaries.to_bt709(_to_display_window(picture, spec), stored)
    except ValueError as error:
        raise formats.damaged(path, error) from error


def _check_window(path: str | os.PathLike, spec: oiio.ImageSpec) -> None:
    """Checks that the display window is not out of proportion to what is stored.

    Pixels that are not stored take no room in the file, but in memory.
    """
    formats.check_size(path, spec.full_width, spec.full_height)
    shown, stored = spec.full_width * spec.full_height, spec.width * spec.height
    if shown > _MANY_PIXELS and shown > _MOST_EMPTY * stored:
        raise UserError(
            f"cannot read {path}: its display window has {spec.full_width} x "
            f"{spec.full_height} pixels, but only {spec.width} x {spec.height} are "
            "stored; crop it to what is stored"
        )


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
    header: Header,
) -> None:
    """Writes R, G, B with ZIP compression; as float if a value exceeds `HALF_MAX`.

    A file in ACES2065-1 (`ap0`) is no ACES container, which is not compressed (SMPTE ST
    2065-4), so that `acesImageContainerFlag` is not set.
    """
    hdr = primaries.from_bt709(hdr, primaries.NAMED[header.primaries_name])
    is_half = half and hdr.max() <= HALF_MAX
    height, width, channels = hdr.shape
    spec = oiio.ImageSpec(width, height, channels, "half" if is_half else "float")
    spec.channelnames = ("R", "G", "B")
    spec.attribute("compression", "zip")
    xy = oiio.TypeDesc("float[8]")
    spec.attribute("chromaticities", xy, primaries.NAMED[header.primaries_name])
    for key, value in header.metadata.items():
        spec.attribute(_METADATA_PREFIX + key, value)
    for key, value in camera_exif.of_exr(header.exif).items():
        spec.attribute(key, value)
    if header.layout != "scanlines":
        spec.tile_width = spec.tile_height = _TILE
    if header.layout == "mipmap":
        spec.attribute("textureformat", "Plain Texture")  # else there is one level
        write_levels(path, mip_levels(hdr), spec)
    else:
        write_pixels(path, hdr, spec)


def read_exr_metadata(path: str | os.PathLike) -> dict[str, str]:
    """Returns the strings that `write_exr` stored in the header."""
    if luminance_chroma.has_subsampled_channels(path):
        return {}
    with open_input(path, "openexr") as source:
        return {
            entry.name.removeprefix(_METADATA_PREFIX): str(entry.value)
            for entry in source.spec().extra_attribs
            if entry.name.startswith(_METADATA_PREFIX)
        }
