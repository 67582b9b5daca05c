"""Embedded ICC profiles to sRGB, through LittleCMS as Pillow ships it."""

import functools
import io
import logging
from typing import Final

import numpy as np
from PIL import Image, ImageCms

_LOGGER = logging.getLogger(__name__)
_SRGB_TOLERANCE: Final = 1  # 8-bit codes: the rounding noise of a transform


def to_srgb(image: Image.Image, profile: bytes | None, *, name: str) -> Image.Image:
    """Returns an L, RGB or CMYK image in sRGB (mode RGB).

    Without a profile, or with one that is damaged or of another colour space than the
    pixels (logged with `name`), pixels are taken as sRGB.
    """
    if not profile:
        return image.convert("RGB")
    try:
        transform = _build_transform(profile, image.mode)
        if image.mode == "RGB" and _is_identity(transform):
            return image
        converted = ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        _LOGGER.warning("%s: colour profile ignored (%s)", name, error)
        return image.convert("RGB")
    return converted if converted is not None else image


def is_srgb(profile: bytes) -> bool:
    """Returns whether an RGB profile is sRGB, whatever its name."""
    try:
        return _is_identity(_build_transform(profile, "RGB"))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return False


def _build_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    # Relative colorimetric with black point compensation: white stays white and
    # black black, which decides what counts as clipped.
    return ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Tells an sRGB profile (most photographs have one), whose pixels stay exact."""
    before = _probe()
    after = ImageCms.applyTransform(Image.fromarray(before), transform)
    difference = np.asarray(after, np.int16) - before
    return bool(np.abs(difference).max() <= _SRGB_TOLERANCE)


@functools.cache
def _probe() -> np.ndarray:
    levels = np.arange(0, 256, 17, dtype=np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels), -1).reshape(64, 64, 3)
