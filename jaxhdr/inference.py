"""Reconstruction of whole photographs of any size, in bounded memory.

Input: `encoded` images, as arrays or as files. Output: `hdr`, float32 (h, w, 3), in
scale `ldr_white`; estimates of a model without that scale are aligned to it.

What a model needs to know of the whole image, its context, is computed first. An image
larger than a tile is then cut into tiles that overlap by the model's receptive radius,
so the result is that of the whole image.
"""

import contextlib
import functools
import itertools
import os
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from flax import linen as nn
from jaxtyping import Array, Float

from jaxhdr import image_io, kernels, models
from jaxhdr.errors import UserError
from jaxhdr.imaging import expansion, scales
from jaxhdr.options import PRECISIONS, RESPONSES
from jaxhdr.storage.pretrained import Pretrained, StrPath, load_pretrained
from jaxhdr.tiling import Span, tile_layout

TILES: Final = {"float32": 768, "bfloat16": 1280}
"""Largest sides of a tile in pixels, by precision: FHDR, T = 4, then takes 3 GiB."""

ImageLike = StrPath | np.ndarray | jax.Array


class Details(NamedTuple):
    """A reconstruction with what led to it."""

    encoded: Float[np.ndarray, "h w 3"]
    stages: Float[np.ndarray, "stages h w 3"]
    """All estimates of the model in scale `ldr_white`; the last is the answer."""
    context: Any
    """What the model knew of the whole image, in its own scale; None for most."""
    factors: Float[np.ndarray, " stages"]
    """What aligned each stage: 1 for a model whose own scale is `ldr_white`."""
    curve_input: str = "encoded"
    """What an S-curve in the context takes, see `models.sparam`."""


class Reconstructor:
    """Reconstructs many images with one model.

    It compiles once per shape of tile; an image smaller than a tile is a shape of its
    own, as padding it would change its borders, and so is every image for a model with
    a context. Nothing is kept from one image to the next.

    Attributes:
      label: which weights these are, with a hash or a step.
      scale: unit of the results, always `ldr_white`.
      alignment: how results were brought to it; "" if the model's own scale is that.
      precision: what the model computes in, "float32" or "bfloat16".
      response: how photographs are taken to be encoded, one of `RESPONSES`.
    """

    def __init__(
        self,
        model: StrPath | Pretrained = "fhdr",
        *,
        tile: int | str | None = "auto",
        precision: str = "auto",
        response: str = "estimated",
        progress: bool = False,
    ):
        """Loads a model.

        Args:
          model: a shipped model's name, that of a classical operator, the workdir of a
            training run, or a .safetensors file.
          tile: largest side of a tile in pixels; `auto` for that of `TILES`; None for
            the whole image at once, as classical operators always take it.
          precision: what the model computes in, one of `PRECISIONS`; its last layers
            always in float32. `auto` is bfloat16 on a CPU that multiplies it (AVX512-
            BF16, AMX) where oneDNN is used, else float32. Models without a choice
            compute in float32.
          response: `estimated` leaves it to the model how the camera encoded its
            radiance; `srgb` says that it is known to have been as sRGB. A model without
            an estimate takes every photograph for sRGB.
          progress: show a bar over tiles, on a terminal.

        Raises:
          UserError: there is no such model, precision or response, or the tile is too
            small.
        """
        if precision not in PRECISIONS:
            raise UserError(
                f"precision is {precision!r}; expected one of {list(PRECISIONS)}"
            )
        if response not in RESPONSES:
            raise UserError(
                f"response is {response!r}; expected one of {list(RESPONSES)}"
            )
        if not isinstance(model, Pretrained):
            model = load_pretrained(model)
        self.label = model.label
        self.scale = scales.LDR_WHITE
        self.alignment = scales.alignment_note(model.scale)
        self._own_scale = model.scale
        self._model: Any = model.model
        self._params = model.params
        self._progress = progress
        self.precision, self.response = "float32", "srgb"
        if isinstance(model.model, expansion.Operator):
            return
        if hasattr(model.model, "dtype"):
            self.precision = _faster() if precision == "auto" else precision
            self._model = model.model.clone(dtype=self.precision)
        if response == "srgb":
            self._model = models.taking_srgb(self._model)
        if models.estimates_response(self._model):
            self.response = "estimated"
        self._has_context = _has_context(self._params, self._model)
        self._halo: int = model.model.receptive_radius  # pyright: ignore
        self._tile = _side(tile, self.precision)
        if self._tile is not None:
            tile_layout(self._tile + 1, self._tile, self._halo)

    def __call__(self, image: ImageLike) -> Float[np.ndarray, "h w 3"]:
        """Returns the HDR image of a photograph.

        Args:
          image: a file; or an array (h, w, 3) or (h, w), uint8, uint16, or float in
            [0, 1], display-encoded sRGB.

        Raises:
          UserError: the image cannot be used, or the memory does not suffice.
        """
        return self._run(_last_stage, to_encoded(image)).stages[0]

    def stages(self, image: ImageLike) -> Float[np.ndarray, "stages h w 3"]:
        """Returns all estimates of the model; the last is the answer.

        Without a scale of its own, each is aligned on its own.

        Raises:
          UserError: as for a call.
        """
        return self.details(image).stages

    def details(self, image: ImageLike) -> Details:
        """Returns all estimates, and what they were made with.

        Raises:
          UserError: as for a call.
        """
        return self._run(_all_stages, to_encoded(image))

    def _run(self, function: Any, encoded: Float[np.ndarray, "h w 3"]) -> Details:
        if isinstance(self._model, expansion.Operator):
            context = None
            stages = expansion.expand(encoded, operator=self._model)[None]
        else:
            context = self._context(encoded)
            stages = self._tiles(function, encoded, context)
        factors = scales.alignment_factors(stages, encoded, scale=self._own_scale)
        if self.alignment:
            stages *= factors[:, None, None, None]
        curve_input = getattr(self._model, "curve_input", "encoded")
        return Details(encoded, stages, context, factors, curve_input)

    def _context(self, encoded: Float[np.ndarray, "h w 3"]) -> Any:
        if not self._has_context:
            return None
        with _memory_errors(encoded, "pass a smaller image"):
            context = _whole_context(self._params, encoded[None], model=self._model)
            return jax.block_until_ready(context)

    def _tiles(
        self, function: Any, encoded: Float[np.ndarray, "h w 3"], context: Any
    ) -> Float[np.ndarray, "stages h w 3"]:
        rows, columns = (
            tile_layout(n, n if self._tile is None else self._tile, self._halo)
            for n in encoded.shape[:2]
        )
        tiles = list(itertools.product(rows, columns))
        disable = None if self._progress else True
        advice = f"pass a smaller tile, of more than {2 * self._halo}"
        result = None
        for row, column in tqdm.tqdm(tiles, unit="tile", leave=False, disable=disable):
            seen = encoded[row.start : row.stop, column.start : column.stop]
            with _memory_errors(seen, advice):
                output = np.asarray(
                    function(self._params, seen[None], context, model=self._model)
                )
            if result is None:
                result = np.empty((len(output), *encoded.shape), np.float32)
            target = result[:, slice(*row[2:]), slice(*column[2:])]
            target[...] = output[:, _kept(row), _kept(column)]
        assert result is not None
        return result


def reconstruct(
    image: ImageLike,
    *,
    model: StrPath | Pretrained = "fhdr",
    tile: int | str | None = "auto",
    precision: str = "auto",
    response: str = "estimated",
    progress: bool = False,
) -> Float[np.ndarray, "h w 3"]:
    """Returns the HDR image of one photograph; for many, use `Reconstructor`.

    Args:
      image: a file; or an array (h, w, 3) or (h, w), uint8, uint16, or float in
        [0, 1], display-encoded sRGB.
      model: a shipped model's name, that of a classical operator (`expansion`), the
        workdir of a training run, or a .safetensors file.
      tile: as for `Reconstructor`.
      precision: as for `Reconstructor`.
      response: as for `Reconstructor`.
      progress: show a bar over tiles, on a terminal.

    Raises:
      UserError: the model or the image cannot be used, or the memory does not suffice.
    """
    reconstructor = Reconstructor(
        model, tile=tile, precision=precision, response=response, progress=progress
    )
    return reconstructor(image)


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


def _side(tile: int | str | None, precision: str) -> int | None:
    if not isinstance(tile, str):
        return tile
    if tile != "auto":
        raise UserError(
            f"tile is {tile!r}; expected a number of pixels, None or 'auto'"
        )
    # Without oneDNN bfloat16 saves no memory.
    return TILES[precision if precision == _faster() else "float32"]


def _faster() -> str:
    return "bfloat16" if kernels.supports(jnp.dtype("bfloat16")) else "float32"


def _kept(span: Span) -> slice:
    return slice(span.keep_start - span.start, span.keep_stop - span.start)


def _has_context(params: Any, model: nn.Module) -> bool:
    image = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
    function = functools.partial(_whole_context, model=model)
    return bool(jax.tree.leaves(jax.eval_shape(function, params, image)))


@contextlib.contextmanager
def _memory_errors(encoded: Float[np.ndarray, "h w 3"], advice: str) -> Iterator[None]:
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        height, width, _ = encoded.shape
        raise UserError(
            f"not enough memory for {width} x {height} pixels at once; {advice}"
        ) from error


@functools.partial(jax.jit, static_argnames="model")
def _whole_context(
    params: Any, encoded: Float[Array, "1 h w 3"], *, model: nn.Module
) -> Any:
    return model.apply({"params": params}, encoded, method="context")


@functools.partial(jax.jit, static_argnames="model")
def _all_stages(
    params: Any, encoded: Float[Array, "1 h w 3"], context: Any, *, model: nn.Module
) -> Float[Array, "stages h w 3"]:
    stages: Any = model.apply({"params": params}, encoded, context)
    return stages[:, 0].astype(jnp.float32)


@functools.partial(jax.jit, static_argnames="model")
def _last_stage(
    params: Any, encoded: Float[Array, "1 h w 3"], context: Any, *, model: nn.Module
) -> Float[Array, "1 h w 3"]:
    stages: Any = model.apply({"params": params}, encoded, context)
    return stages[-1].astype(jnp.float32)
