"""Converts images with an ICC profile to sRGB, through Pillow's LittleCMS."""

import functools
import io
import logging
from typing import Final

import numpy as np
from PIL import Image, ImageCms

_LOGGER = logging.getLogger(__name__)
_SRGB_TOLERANCE: Final = 1  # 8-bit codes, the rounding error of a transform


def to_srgb(image: Image.Image, profile: bytes | None, *, name: str) -> Image.Image:
    """Returns an L, RGB or CMYK image in sRGB (mode RGB).

    Pixels count as sRGB if there is no profile, or if it is damaged or does not fit the
    colour mode; in the latter cases a warning is logged that has `name`.
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
    """Returns whether an RGB profile converts as sRGB does; its name does not count."""
    try:
        return _is_identity(_build_transform(profile, "RGB"))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return False


def _build_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    # Relative colorimetric with black point compensation keeps white white and black
    # black, so that clipped pixels stay clipped.
    return ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Returns whether a transform changes no code by more than the rounding error.

    Most photographs have an sRGB profile; their pixels stay exact.
    """
    before = _probe()
    after = ImageCms.applyTransform(Image.fromarray(before), transform)
    difference = np.asarray(after, np.int16) - before
    return bool(np.abs(difference).max() <= _SRGB_TOLERANCE)


@functools.cache
def _probe() -> np.ndarray:
    levels = np.arange(0, 256, 17, dtype=np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels), -1).reshape(64, 64, 3)
