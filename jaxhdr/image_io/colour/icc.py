"""Converts images with an ICC profile to sRGB, through Pillow's LittleCMS."""

import functools
import io
import logging
from collections.abc import Sequence
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


def grey_light(profile: bytes, codes: Sequence[int]) -> list[float] | None:
    """Returns the light of grey codes relative to white, or None without an answer.

    Args:
      profile: a profile of RGB or grey.
      codes: codes of 8 bits.
    """
    mode = "L" if profile[16:20] == b"GRAY" else "RGB"
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("LAB"),
            mode,
            "LAB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
        row = Image.fromarray(np.array([[*codes, 255]], np.uint8)).convert(mode)
        lab = ImageCms.applyTransform(row, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    lightness = np.asarray(lab)[0, :, 0] * (100 / 255)
    light = np.where(
        lightness > 8, ((lightness + 16) / 116) ** 3, lightness * 27 / 24389
    )  # CIE 15:2018, section 8.2.1
    return (light[:-1] / max(light[-1], 1e-6)).tolist()


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
