"""Reads photographs together with the HDR image that their gain map gives.

Light is linear in BT.709 primaries, and 1.0 is SDR white, as in scale `ldr_white`.
"""

import os
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jaxhdr.errors import UserError, check_choice
from jaxhdr.image_io import formats
from jaxhdr.image_io.colour.transfer import srgb_encode
from jaxhdr.image_io.gain_maps import gain_maps
from jaxhdr.image_io.photos import photos
from jaxhdr.image_io.photos.hdr_photos import read_hdr_photo
from jaxhdr.image_io.photos.origin import Origin, origin_of
from jaxhdr.image_io.photos.raster import Raster, to_encoded, to_light
from jaxhdr.options import GAIN_MAPS


class Measured(NamedTuple):
    """The HDR image that a gain map gives.

    Attributes:
      hdr: its light.
      is_clipped: where it is clipped, too: there the photograph is clipped, and the
        gain map is at its largest code.
    """

    hdr: Float[np.ndarray, "h w 3"]
    is_clipped: Bool[np.ndarray, "h w 3"]


class Photograph(NamedTuple):
    """A photograph.

    Attributes:
      encoded: display-encoded sRGB in [0, 1].
      measured: what its gain map gives; None without one, and if it is ignored.
      gain_map: "used" or "ignored"; "" if the file has none.
      origin: where the pixels come from, as far as the file says it; see `origin_of`.
    """

    encoded: Float[np.ndarray, "h w 3"]
    measured: Measured | None = None
    gain_map: str = ""
    origin: Origin | None = None


def read_photograph(path: str | os.PathLike, *, gain_map: str = "use") -> Photograph:
    """Returns a photograph, and the HDR image that its gain map gives.

    A gain map that cannot be used is ignored, and a warning is logged.

    Args:
      path: the file, one that `read_encoded` reads.
      gain_map: "use" or "ignore".

    Raises:
      UserError: as for `read_encoded`.
    """
    check_choice("gain_map", gain_map, GAIN_MAPS)
    kind = formats.detect_format(formats.read_head(path)) or ""
    with formats.decoding(path):
        try:
            found = gain_maps.find(path, kind)
        except gain_maps.DamagedGainMap:
            # `read_encoded` logs why.
            return Photograph(photos.read_encoded(path), gain_map="ignored")
        if found is None:
            return Photograph(photos.read_encoded(path), origin=origin_of(path))
        if found.recipe.is_base_hdr:
            return _of_hdr_base(path, kind, found, gain_map=gain_map)
        raster = photos.decode(path, kind)
        encoded = to_encoded(raster, name=str(path))
        if gain_map == "ignore":
            return Photograph(encoded, gain_map="ignored", origin=origin_of(path))
        try:
            measured = _measured(path, kind, found, raster)
            measured.is_clipped[encoded < gain_maps.CLIPPED] = False
        except gain_maps.DamagedGainMap as error:
            gain_maps.warn(path, error)
            return Photograph(encoded, gain_map="ignored")
        return Photograph(encoded, measured, "used", origin_of(path))


def read_hdr_of_gain_map(
    path: str | os.PathLike, kind: str
) -> Float[np.ndarray, "h w 3"] | None:
    """Returns the HDR image that a gain map gives; None if the file has none.

    Args:
      path: the file.
      kind: its format; see `formats.detect_format`.

    Raises:
      UserError: the gain map or the photograph is damaged.
    """
    with formats.decoding(path):
        try:
            found = gain_maps.find(path, kind)
            if found is None:
                return None
            if found.recipe.is_base_hdr:
                return read_hdr_photo(path, kind)
            return _measured(path, kind, found, photos.decode(path, kind)).hdr
        except gain_maps.DamagedGainMap as error:
            raise UserError(
                f"cannot read {path} as HDR: its gain map is damaged ({error}); use it "
                "as a photograph"
            ) from error


def _measured(
    path: str | os.PathLike,
    kind: str,
    found: gain_maps.GainMap,
    raster: Raster,
) -> Measured:
    """Returns the HDR image of a base in its own primaries, brought to BT.709.

    Its pixels count as clipped wherever the gain map is at its largest code.
    """
    base, to_bt709 = to_light(raster, name=str(path))
    codes = gain_maps.load_codes(
        path, kind, found, num_pixels=base.shape[0] * base.shape[1]
    )
    light, has_full_gain = gain_maps.apply(found.recipe, codes, base)
    if not np.allclose(to_bt709, np.eye(3), atol=2e-3):
        light = np.maximum(light @ to_bt709.T.astype(np.float32), np.float32(0))
    return Measured(light, has_full_gain)


def _of_hdr_base(
    path: str | os.PathLike, kind: str, found: gain_maps.GainMap, *, gain_map: str
) -> Photograph:
    """Returns a file whose base is HDR; its gain map gives the SDR photograph."""
    hdr = read_hdr_photo(path, kind)
    try:
        codes = gain_maps.load_codes(
            path, kind, found, num_pixels=hdr.shape[0] * hdr.shape[1]
        )
    except gain_maps.DamagedGainMap as error:
        raise UserError(
            f"cannot use {path} as a photograph: it is HDR, and the gain map that "
            f"gives its SDR image is damaged ({error}); read it with read_hdr"
        ) from error
    light, has_full_gain = gain_maps.apply(found.recipe, codes, hdr)
    encoded = srgb_encode(np.minimum(light, np.float32(1)))
    if gain_map == "ignore":
        return Photograph(encoded, gain_map="ignored")
    has_full_gain &= encoded >= gain_maps.CLIPPED
    return Photograph(encoded, Measured(hdr, has_full_gain), "used")
