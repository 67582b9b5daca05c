"""Reconstruction of whole photographs of any size, in bounded memory.

Input: `encoded` images, as arrays or as files. Output: `hdr`, float32 (h, w, 3), in
the scale of the model: `ldr_white` for shipped and trained ones.

An image larger than a tile is cut into tiles of one shape. Each overlaps its
neighbours by the model's receptive radius, so the result is that of the whole image;
at the border of the image a tile ends exactly there, because the network pads.
"""

import functools
import itertools
import math
import os
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from flax import linen as nn
from jaxtyping import Array, Float

from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.pretrained import Pretrained, StrPath, load_pretrained

DEFAULT_TILE: Final = 768
"""Side of a tile in pixels."""

# Tile sides are multiples of it, so that images of many sizes share compiled shapes.
_ROUNDING: Final = 64

ImageLike = StrPath | np.ndarray | jax.Array


class Span(NamedTuple):
    """One tile along one axis: what the network sees, and what is kept of it."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


def tile_layout(length: int, tile: int, halo: int) -> list[Span]:
    """Returns tiles of equal size, at most `tile`, whose kept parts cover `length`.

    Kept pixels are at least `halo` away from a tile's side, unless that side is the
    image's own.

    Raises:
      UserError: nothing of a tile would be kept.
    """
    if length <= tile:
        return [Span(0, length, 0, length)]
    if tile <= 2 * halo:
        raise UserError(
            f"tile is {tile}; expected more than {2 * halo} pixels, twice what this "
            "model sees to each side"
        )
    count = math.ceil((length - 2 * halo) / (tile - 2 * halo))
    smallest = math.ceil((length - 2 * halo) / count) + 2 * halo
    size = min(tile, math.ceil(smallest / _ROUNDING) * _ROUNDING)
    step = size - 2 * halo
    count = math.ceil((length - 2 * halo) / step)
    starts = [min(i * step, length - size) for i in range(count)]
    cuts = [0, *(start + size - halo for start in starts[:-1]), length]
    return [
        Span(start, start + size, keep_start, keep_stop)
        for start, (keep_start, keep_stop) in zip(
            starts, itertools.pairwise(cuts), strict=True
        )
    ]


class Reconstructor:
    """Reconstructs many images with one model.

    It compiles once per shape of tile; an image smaller than a tile is a shape of its
    own, as padding it would change its borders. Nothing is kept from one image to the
    next.

    Attributes:
      label: which weights these are, with a hash or a step.
      scale: unit of the results.
    """

    def __init__(
        self,
        model: StrPath | Pretrained = "fhdr",
        *,
        tile: int | None = DEFAULT_TILE,
        progress: bool = False,
    ):
        """Loads a model.

        Args:
          model: a shipped model's name, the workdir of a training run, or a
            .safetensors file.
          tile: largest side of a tile in pixels; None for the whole image at once.
          progress: show a bar over tiles, on a terminal.

        Raises:
          UserError: there is no such model, or the tile is too small for it.
        """
        if not isinstance(model, Pretrained):
            model = load_pretrained(model)
        self.label = model.label
        self.scale = model.scale
        self._model = model.model
        self._params = model.params
        self._progress = progress
        self._tile = tile
        self._halo: int = model.model.receptive_radius  # pyright: ignore
        if tile is not None:
            tile_layout(tile + 1, tile, self._halo)

    def __call__(self, image: ImageLike) -> Float[np.ndarray, "h w 3"]:
        """Returns the HDR image of a photograph.

        Args:
          image: a file; or an array (h, w, 3) or (h, w), uint8, uint16, or float in
            [0, 1], display-encoded sRGB.

        Raises:
          UserError: the image cannot be used, or the memory does not suffice.
        """
        return self._run(_last_stage, to_encoded(image))

    def stages(self, image: ImageLike) -> Float[np.ndarray, "stages h w 3"]:
        """Returns all estimates of the model; the last is the answer.

        Raises:
          UserError: as for a call.
        """
        return self._run(_all_stages, to_encoded(image))

    def _run(
        self, function: Any, encoded: Float[np.ndarray, "h w 3"]
    ) -> Float[np.ndarray, "*stages h w 3"]:
        rows, columns = (
            tile_layout(n, n if self._tile is None else self._tile, self._halo)
            for n in encoded.shape[:2]
        )
        tiles = list(itertools.product(rows, columns))
        disable = None if self._progress else True
        result = None
        for row, column in tqdm.tqdm(tiles, unit="tile", leave=False, disable=disable):
            seen = encoded[row.start : row.stop, column.start : column.stop]
            output = self._apply(function, seen)
            if result is None:
                result = np.empty((*output.shape[:-3], *encoded.shape), np.float32)
            target = result[..., slice(*row[2:]), slice(*column[2:]), :]
            target[...] = output[..., _kept(row), _kept(column), :]
        assert result is not None
        return result

    def _apply(
        self, function: Any, encoded: Float[np.ndarray, "h w 3"]
    ) -> Float[np.ndarray, "*stages h w 3"]:
        try:
            return np.asarray(function(self._params, encoded[None], model=self._model))
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            height, width, _ = encoded.shape
            raise UserError(
                f"not enough memory for a tile of {width} x {height} pixels; pass a "
                f"smaller tile, of more than {2 * self._halo}"
            ) from error


def reconstruct(
    image: ImageLike,
    *,
    model: StrPath | Pretrained = "fhdr",
    tile: int | None = DEFAULT_TILE,
    progress: bool = False,
) -> Float[np.ndarray, "h w 3"]:
    """Returns the HDR image of one photograph; for many, use `Reconstructor`.

    Args:
      image: a file; or an array (h, w, 3) or (h, w), uint8, uint16, or float in
        [0, 1], display-encoded sRGB.
      model: a shipped model's name, the workdir of a training run, or a .safetensors
        file.
      tile: largest side of a tile in pixels; None for the whole image at once.
      progress: show a bar over tiles, on a terminal.

    Raises:
      UserError: the model or the image cannot be used, or the memory does not suffice.
    """
    return Reconstructor(model, tile=tile, progress=progress)(image)


def to_encoded(image: ImageLike) -> Float[np.ndarray, "h w 3"]:
    """Returns a photograph, a file or an array, as float32 in [0, 1].

    Raises:
      UserError: the file is unreadable, or the array is no such photograph.
    """
    if isinstance(image, str | os.PathLike):
        return image_io.read_encoded(image)
    array = np.asarray(image)
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise UserError(
            f"the image has the shape {np.shape(image)}; expected (height, width, 3) "
            "or (height, width), without alpha"
        )
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        return array.astype(np.float32) / np.iinfo(array.dtype).max
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise UserError(
            f"the image holds {array.dtype}; expected uint8, uint16 or float in [0, 1]"
        )
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):  # NaN too
        raise UserError(
            f"the image holds values from {low:g} to {high:g}; expected display-"
            "encoded floats in [0, 1], without NaN"
        )
    return array.astype(np.float32)


def _kept(span: Span) -> slice:
    return slice(span.keep_start - span.start, span.keep_stop - span.start)


@functools.partial(jax.jit, static_argnames="model")
def _all_stages(
    params: Any, encoded: Float[Array, "1 h w 3"], *, model: nn.Module
) -> Float[Array, "stages h w 3"]:
    stages: Any = model.apply({"params": params}, encoded)
    return stages[:, 0].astype(jnp.float32)


@functools.partial(jax.jit, static_argnames="model")
def _last_stage(
    params: Any, encoded: Float[Array, "1 h w 3"], *, model: nn.Module
) -> Float[Array, "h w 3"]:
    stages: Any = model.apply({"params": params}, encoded)
    return stages[-1, 0].astype(jnp.float32)
