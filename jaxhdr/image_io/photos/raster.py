"""Decoded pixels of a photograph, and their way to display-encoded sRGB.

Photographs of 8 and of 16 bits take the same way, so that they obey the same rules.
"""

import logging
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped
from PIL import Image

from jaxhdr.image_io.colour import icc, matrix_profile, primaries
from jaxhdr.image_io.colour.colour import Colour
from jaxhdr.image_io.colour.transfer import srgb_decode
from jaxhdr.image_io.orientation import apply_orientation

_LOGGER: Final = logging.getLogger(__name__)


class Raster(NamedTuple):
    """Decoded pixels, and what the file says of them.

    Attributes:
      codes: unsigned integers or floats, of one or three channels.
      alpha: opacity, of the same type, or None.
      has_associated_alpha: whether `codes` were multiplied by the opacity.
      orientation: EXIF orientation, 1 to 8.
      colour: what the codes mean.
    """

    codes: Shaped[np.ndarray, "h w c"]
    alpha: Shaped[np.ndarray, "h w"] | None = None
    has_associated_alpha: bool = False
    orientation: int = 1
    colour: Colour = Colour()

    @property
    def is_float(self) -> bool:
        """Whether the file holds floats, which may exceed 1."""
        return np.issubdtype(self.codes.dtype, np.floating)


def to_encoded(raster: Raster, *, name: str) -> Float[np.ndarray, "h w 3"]:
    """Returns an upright photograph as display-encoded sRGB, over black.

    Args:
      raster: the pixels, integers.
      name: name of the file for warnings.
    """
    alpha = None if raster.alpha is None else _values(raster.alpha)[..., None]
    if raster.colour.is_srgb:
        encoded = _values(raster.codes)
    elif raster.has_associated_alpha and alpha is not None:
        # A curve is meant for colours that are not multiplied by the opacity.
        colour = np.clip(_values(raster.codes) / np.maximum(alpha, 1e-6), 0, 1)
        encoded = _converted(colour, raster.colour, name) * alpha
    elif raster.colour.profile is None:
        encoded = raster.colour.to_srgb(_values(raster.codes))
    elif raster.codes.dtype == np.uint8:
        encoded = _by_littlecms(raster.codes, raster.colour.profile, name)
    else:
        encoded = _converted(_values(raster.codes), raster.colour, name)
    if alpha is not None and not raster.has_associated_alpha:
        encoded = encoded * alpha
    if encoded.shape[2] == 1:
        encoded = np.repeat(encoded, 3, axis=2)
    return apply_orientation(encoded, raster.orientation)


def to_light(
    raster: Raster, *, name: str
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "3 3"]]:
    """Returns upright linear light in the file's primaries, and the way to BT.709.

    Transparency is dropped.

    Args:
      raster: the pixels of an SDR photograph.
      name: name of the file for warnings.
    """
    values, colour = _values(raster.codes), raster.colour
    if colour.profile is None:
        light = colour.to_light(values)
        to_bt709 = primaries.matrix_to_bt709(colour.chromaticities)
    else:
        curves = matrix_profile.parse(colour.profile)
        if curves is not None and len(curves.tone_curves) == values.shape[2] == 3:
            light, to_bt709 = curves.to_light(values), curves.to_bt709
        else:
            light = srgb_decode(_converted(values, colour, name))
            to_bt709 = np.eye(3)
    if light.shape[2] == 1:
        light = np.repeat(light, 3, axis=2)
    return apply_orientation(light, raster.orientation), to_bt709


def to_values(raster: Raster) -> Float[np.ndarray, "h w c"]:
    """Returns the upright codes over their largest value, whatever they mean."""
    return apply_orientation(_values(raster.codes), raster.orientation)


def _values(codes: np.ndarray) -> np.ndarray:
    if np.issubdtype(codes.dtype, np.floating):
        return codes.astype(np.float32)
    largest = np.float32(np.iinfo(codes.dtype).max)
    return np.divide(codes, largest, dtype=np.float32)


def _converted(values: np.ndarray, colour: Colour, name: str) -> np.ndarray:
    if colour.profile is None:
        return colour.to_srgb(values)
    if values.shape[2] == 3 and icc.is_srgb(colour.profile):
        return values
    curves = matrix_profile.parse(colour.profile)
    if curves is not None and len(curves.tone_curves) == values.shape[2]:
        return curves.to_srgb(values)
    _LOGGER.warning("%s: its colour profile is applied in 8 bits", name)
    codes = np.rint(values * 255).astype(np.uint8)
    return _by_littlecms(codes, colour.profile, name)


def _by_littlecms(codes: np.ndarray, profile: bytes, name: str) -> np.ndarray:
    image = Image.fromarray(codes[..., 0] if codes.shape[2] == 1 else codes)
    return _values(np.asarray(icc.to_srgb(image, profile, name=name)))
