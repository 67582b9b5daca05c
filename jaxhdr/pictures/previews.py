"""Pictures of HDR images for ordinary displays: exposures, tone mapping, sheets.

`hdr` is linear BT.709 radiance >= 0 in any unit. The results are `encoded` sRGB in
[0, 1], ready for `image_io.write_png`. Inputs and outputs are NumPy arrays. NaN is
shown black.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from jaxhdr.errors import UserError, check_count, check_number
from jaxhdr.image_io.colour.transfer import BT709_LUMINANCE, srgb_encode
from jaxhdr.options import MOST_STOPS

SHEET_STOPS: Final = (0, -2, -4)
"""Exposures on a sample sheet: as photographed, and darker to show highlights."""

# Reinhard (2003), "Parameter Estimation for Photographic Tone Reproduction", equation
# 4: the key is 0.18 if the log-average lies half-way between the extremes, and at most
# 4 times more or less; section 2 leaves out the outer 1 % of the extremes.
_MIDDLE_KEY: Final = 0.18
_KEY_RANGE: Final = 4.0
_OUTER_PERCENT: Final = 1.0
# Pixels darker than this share of white are black on an 8-bit display. They would
# dominate the mean of the logarithms.
_BLACK_SHARE: Final = 2.0**-16

_LARGEST_SIDE: Final = 256
_CONTACT_SIDE: Final = 128
_SMALLEST_COLUMN: Final = 64
_SEPARATOR: Final = 2
_LABEL_HEIGHT: Final = 30
_FONT_SIZE: Final = 11
_BACKGROUND: Final = 0.12

Picture = Float[np.ndarray, "h w 3"]
AnySize = Float[np.ndarray, "_ _ 3"]


def expose(hdr: Picture, stops: float | int) -> Picture:
    """Returns `hdr` made brighter by `stops` for a display, clipped at 1.0.

    Raises:
      UserError: the exposure is not a number from -64 to 64.
    """
    check_number("stops", stops, least=-MOST_STOPS, most=MOST_STOPS)
    with np.errstate(over="ignore", invalid="ignore"):
        linear = np.asarray(hdr, np.float32) * np.float32(2.0**stops)
    return _encode(linear)


def tone_map(hdr: Picture) -> Picture:
    """Returns `hdr` tone-mapped to one picture, which does not depend on its unit.

    The operator is the global one of Reinhard et al. (2002), "Photographic Tone
    Reproduction for Digital Images", equation 4, on luminance, with the key of Reinhard
    (2003). White is the 99th percentile of luminance, but at least 1.0 after scaling by
    the key, so that no picture is brightened beyond its key. Infinity is shown black
    too.
    """
    hdr = np.nan_to_num(hdr, nan=0.0, posinf=0.0, neginf=0.0)
    largest = hdr.max(initial=0.0)
    if largest <= 0:
        return np.zeros_like(hdr)
    # Sums of very large values would overflow float32.
    hdr = hdr / largest
    luminance = (hdr @ BT709_LUMINANCE)[..., None]
    key, average, white = _parameters(luminance)
    scale = np.float32(key / average)
    scaled = luminance * scale
    white = np.float32(max(white * scale, 1.0))
    # This is equation 4 divided by the luminance, and finite where the luminance is 0.
    return _encode(hdr * (scale * (1 + scaled / white**2) / (1 + scaled)))


def exposure_strip(hdr: Picture, stops: Sequence[float | int]) -> AnySize:
    """Returns `hdr` at several exposures side by side.

    Raises:
      UserError: there is no exposure, or one is not a number from -64 to 64.
    """
    if not stops:
        raise UserError("a strip has no exposures; expected at least one")
    return _join([expose(hdr, value) for value in stops], axis=1)


def shrink(image: AnySize, longest_side: int) -> AnySize:
    """Returns the image averaged down so that its longest side is `longest_side`.

    A smaller image is returned unchanged.

    Raises:
      UserError: the longest side is below 1.
    """
    check_count("longest_side", longest_side)
    height, width = image.shape[:2]
    longest = max(height, width)
    image = np.asarray(image, np.float32)
    if longest <= longest_side:
        return image
    height, width = (max(1, round(n * longest_side / longest)) for n in (height, width))
    channels = [
        Image.fromarray(np.ascontiguousarray(image[..., c])).resize(
            (width, height), Image.Resampling.BOX
        )
        for c in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


def sample_sheet(examples: Sequence[tuple[AnySize, AnySize, AnySize]]) -> AnySize:
    """Returns one picture with a row per example, for a training log.

    A row shows the photograph, then the prediction and the truth at `SHEET_STOPS`.
    Images with a side above 256 pixels are averaged down.

    Args:
      examples: tuples `(encoded, prediction, hdr)`; the last two in scale `ldr_white`.

    Raises:
      UserError: there is no example.
    """
    if not examples:
        raise UserError("a sample sheet has no examples; expected at least one")
    rows = [
        _row(*(shrink(image, _LARGEST_SIDE) for image in example))
        for example in examples
    ]
    width = max(_SMALLEST_COLUMN, *(cell.shape[1] for row in rows for cell in row))
    stacked = [_join([_pad(cell, width) for cell in row], axis=1) for row in rows]
    labels = [
        "LDR",
        *(f"prediction\n{stops} EV" for stops in SHEET_STOPS),
        *(f"truth\n{stops} EV" for stops in SHEET_STOPS),
    ]
    return _join([_label_bar(labels, width), *stacked], axis=0)


def contact_sheet(
    entries: Sequence[tuple[str, Sequence[AnySize]]], *, columns: int = 4
) -> AnySize:
    """Returns one picture of many images with their names.

    Args:
      entries: pairs of a name and pictures in [0, 1], which are shown side by side.
      columns: number of entries in a row.

    Raises:
      UserError: there is no entry, or `columns` is below 1.
    """
    check_count("columns", columns)
    if not entries:
        raise UserError("a contact sheet has no images; expected at least one")
    cells = []
    for name, pictures in entries:
        row = _join([_square(picture) for picture in pictures], axis=1)
        cells.append(_join([_label_bar([name], row.shape[1]), row], axis=0))
    return _grid(cells, columns)


def _square(picture: AnySize) -> AnySize:
    small = shrink(picture, _CONTACT_SIDE)
    missing = [(0, _CONTACT_SIDE - length) for length in small.shape[:2]]
    return np.pad(small, (*missing, (0, 0)), constant_values=_BACKGROUND)


def _grid(cells: list[AnySize], columns: int) -> AnySize:
    width = max(cell.shape[1] for cell in cells)
    padded = [_pad(cell, width) for cell in cells]
    columns = min(columns, len(padded))
    blank = np.full_like(padded[0], _BACKGROUND)
    padded += [blank] * (-len(padded) % columns)
    rows = [padded[i : i + columns] for i in range(0, len(padded), columns)]
    return _join([_join(row, axis=1) for row in rows], axis=0)


def _parameters(luminance: Float[np.ndarray, "h w 1"]) -> tuple[float, float, float]:
    """Returns key, log-average and white of luminance in [0, 1]."""
    positive = luminance[luminance > 0]
    if not positive.size:
        return _MIDDLE_KEY, 1.0, 1.0
    # Relative to the percentile, not the maximum: otherwise a single sun pixel would
    # turn the rest black.
    high = float(np.percentile(positive, 100 - _OUTER_PERCENT))
    visible = positive[positive >= _BLACK_SHARE * high]
    low = float(np.percentile(visible, _OUTER_PERCENT))
    mean = float(np.log2(visible).mean(dtype=np.float64))
    low, high = np.log2(low), np.log2(high)
    position = (2 * mean - low - high) / max(high - low, 1e-6)
    key = _MIDDLE_KEY * _KEY_RANGE ** float(np.clip(position, -1, 1))
    return key, 2.0**mean, 2.0**high


def _encode(linear: Picture) -> Picture:
    displayed = np.clip(np.nan_to_num(linear, nan=0.0), 0, 1)
    return np.clip(srgb_encode(displayed), 0, 1)


def _row(encoded: Picture, prediction: Picture, hdr: Picture) -> list[AnySize]:
    exposures = [expose(image, s) for image in (prediction, hdr) for s in SHEET_STOPS]
    return [np.clip(np.nan_to_num(encoded, nan=0.0), 0, 1), *exposures]


def _pad(image: AnySize, width: int) -> AnySize:
    missing = ((0, 0), (0, width - image.shape[1]), (0, 0))
    return np.pad(image, missing, constant_values=_BACKGROUND)


def _join(images: list[AnySize], *, axis: int) -> AnySize:
    """Returns the images side by side (axis 1) or stacked (axis 0), with separators."""
    shape = list(images[0].shape)
    shape[axis] = _SEPARATOR
    separator = np.full(shape, _BACKGROUND, np.float32)
    parts = [part for image in images for part in (image, separator)]
    return np.concatenate(parts[:-1], axis=axis)


def _label_bar(labels: list[str], width: int) -> AnySize:
    step = width + _SEPARATOR
    total = step * len(labels) - _SEPARATOR
    bar = Image.new("L", (total, _LABEL_HEIGHT), round(_BACKGROUND * 255))
    draw = ImageDraw.Draw(bar)
    font = ImageFont.load_default(_FONT_SIZE)
    for i, label in enumerate(labels):
        draw.text((i * step + 3, 1), label, fill=235, font=font)
    grey = np.asarray(bar, np.float32) / 255
    return np.repeat(grey[..., None], 3, axis=2)
