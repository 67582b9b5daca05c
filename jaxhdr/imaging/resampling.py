"""Changes the size of images in memory, by Pillow's filters, in float32.

Images are NumPy arrays `(h, w, c)` of any finite values. Pillow reads neighbours beyond
the part of an image that it is asked for, so parts that are enlarged one by one fit
together without a seam.
"""

import numpy as np
from jaxtyping import Float
from PIL import Image

AnyImage = Float[np.ndarray, "_ _ _"]
Number = float | int
Box = tuple[Number, Number, Number, Number]  # left, top, right, bottom


def resized(image: AnyImage, size: tuple[int, int]) -> AnyImage:
    """Returns an image of another size.

    Along an axis that gets shorter, each result is the mean over its area. Along an
    axis that gets longer, it is a cubic interpolation, which may overshoot.

    Args:
      image: the image.
      size: height and width of the result, at least 1.
    """
    height, width = image.shape[:2]
    if size == (height, width):
        return image
    wide = _resampled(image, (height, size[1]), (0, 0, width, height))
    return _resampled(wide, size, (0, 0, size[1], height))


def enlarged_part(
    image: AnyImage, size: tuple[int, int], rows: slice, columns: slice
) -> AnyImage:
    """Returns a part of an image that is interpolated cubically to another size.

    If that size is larger, the part is that of what `resized` returns.

    Args:
      image: the image.
      size: height and width of the whole result.
      rows: rows of the part in the whole result.
      columns: columns of the part in the whole result.
    """
    (height, width), (tall, wide) = image.shape[:2], size
    down, across = height / tall, width / wide
    box = (
        columns.start * across,
        rows.start * down,
        columns.stop * across,
        rows.stop * down,
    )
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    return _filtered(image, shape, box, Image.Resampling.BICUBIC)


def _resampled(image: AnyImage, size: tuple[int, int], box: Box) -> AnyImage:
    """Returns an image resized along the one axis whose length changes."""
    shrinks = size[0] < image.shape[0] or size[1] < image.shape[1]
    mode = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
    return _filtered(image, size, box, mode)


def _filtered(
    image: AnyImage, size: tuple[int, int], box: Box, mode: Image.Resampling
) -> AnyImage:
    result = np.empty((*size, image.shape[2]), np.float32)
    for channel in range(image.shape[2]):
        plane = np.ascontiguousarray(image[..., channel], np.float32)
        resized_plane = Image.fromarray(plane).resize((size[1], size[0]), mode, box)
        result[..., channel] = np.asarray(resized_plane)
    return result
