"""What estimates radiance from a whole photograph: a network or a classical operator.

Both are called alike. They take `encoded`, float32 (h, w, 3), display-encoded in
[0, 1], and return `stages`, float32 (stages, h, w, 3), linear in a unit of their own,
and the context: what they knew of the whole image, or None.
"""

import contextlib
import functools
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from flax import linen as nn
from jaxtyping import Array, Float

from jaxhdr import models
from jaxhdr.errors import UserError
from jaxhdr.imaging import expansion
from jaxhdr.inference.tiling import Span, tile_layout


class Estimate(NamedTuple):
    """What an estimator returns for one image."""

    stages: Float[np.ndarray, "stages h w 3"]
    context: Any


class WholeOperator:
    """A classical operator. It takes the whole image at once.

    Attributes:
      model: the operator.
      precision: what it computes in, always "float32".
      response: how it takes photographs to be encoded, always "srgb".
    """

    precision = "float32"
    response = "srgb"

    def __init__(self, model: expansion.Operator):
        self.model = model

    def __call__(
        self,
        encoded: Float[np.ndarray, "h w 3"],
        *,
        prior: float | None = None,
        only_last: bool = False,
        may_overwrite: bool = False,
    ) -> Estimate:
        """Returns the one stage of an operator; it has no context."""
        return Estimate(expansion.expand(encoded, operator=self.model)[None], None)


class TiledModel:
    """A network under the contract of `jaxhdr.models`. It takes an image in tiles.

    It compiles once per shape of tile. The result is that of the whole image: the
    context is computed from all of it, and tiles overlap by the receptive radius.

    Attributes:
      model: the network.
      precision: what it computes in, "float32" or "bfloat16".
      response: how it takes photographs to be encoded, "estimated" or "srgb".
      tile: largest side of a tile in pixels; None for the whole image at once.
    """

    def __init__(
        self,
        model: nn.Module,
        params: Any,
        *,
        precision: str,
        tile: int | None,
        progress: bool,
    ):
        """Prepares the network.

        Args:
          model: the network.
          params: its parameters.
          precision: what it computes in.
          tile: largest side of a tile in pixels; None for the whole image at once.
          progress: show a bar over tiles, on a terminal.

        Raises:
          UserError: the tile is too small for this network.
        """
        self.model = model
        self.precision = precision
        self.response = "estimated" if models.estimates_response(model) else "srgb"
        self.tile = tile
        self._params = params
        self._progress = progress
        self._halo: int = model.receptive_radius  # pyright: ignore
        self._has_context = _has_context(params, model)
        if tile is not None:
            tile_layout(tile + 1, tile, self._halo)  # raises where it is too small

    def __call__(
        self,
        encoded: Float[np.ndarray, "h w 3"],
        *,
        prior: float | None = None,
        only_last: bool = False,
        may_overwrite: bool = False,
    ) -> Estimate:
        """Returns the stages of an image, or its last one, and the context.

        Args:
          encoded: the photograph.
          prior: the probability that its camera encodes as sRGB, by what its file says;
            None for a network that takes no prior, or if that is unknown.
          only_last: return the last stage only, which takes less memory.
          may_overwrite: whether the result may take the memory of `encoded`; a network
            that computes at full size does not need to.

        Raises:
          UserError: the memory does not suffice.
        """
        context = self.context(encoded, prior=prior)
        return Estimate(self.stages(encoded, context, only_last=only_last), context)

    def context(
        self, encoded: Float[np.ndarray, "h w 3"], *, prior: float | None = None
    ) -> Any:
        """Returns what the network knows of a whole image, or None.

        Args:
          encoded: the image.
          prior: as for a call.

        Raises:
          UserError: the memory does not suffice.
        """
        if not self._has_context:
            return None
        with _memory_errors(encoded, "pass a smaller image"):
            known = {} if prior is None else {"prior": jnp.float32(prior)}
            context = _whole_context(
                self._params, encoded[None], known, model=self.model
            )
            return jax.block_until_ready(context)

    def stages(
        self, encoded: Float[np.ndarray, "h w 3"], context: Any, *, only_last: bool
    ) -> Float[np.ndarray, "stages h w 3"]:
        """Returns the stages of an image, or its last one, for a context.

        Raises:
          UserError: the memory does not suffice.
        """
        rows, columns = (
            tile_layout(n, n if self.tile is None else self.tile, self._halo)
            for n in encoded.shape[:2]
        )
        tiles = list(itertools.product(rows, columns))
        disable = None if self._progress else True
        advice = f"pass a smaller tile, of more than {2 * self._halo}"
        apply = _last_stage if only_last else _all_stages
        result = None
        for row, column in tqdm.tqdm(tiles, unit="tile", leave=False, disable=disable):
            seen = encoded[row.start : row.stop, column.start : column.stop]
            with _memory_errors(seen, advice):
                output = np.asarray(
                    apply(self._params, seen[None], context, model=self.model)
                )
            if result is None:
                result = np.empty((len(output), *encoded.shape), np.float32)
            target = result[:, slice(*row[2:]), slice(*column[2:])]
            target[...] = output[:, _kept(row), _kept(column)]
        assert result is not None
        return result


def _kept(span: Span) -> slice:
    return slice(span.keep_start - span.start, span.keep_stop - span.start)


def _has_context(params: Any, model: nn.Module) -> bool:
    image = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
    function = functools.partial(_whole_context, known={}, model=model)
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
    params: Any,
    encoded: Float[Array, "1 h w 3"],
    known: dict[str, Any],
    *,
    model: nn.Module,
) -> Any:
    return model.apply({"params": params}, encoded, **known, method="context")


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
