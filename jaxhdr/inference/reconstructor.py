"""The interface of reconstruction: one photograph in, its radiance out.

The input is an `encoded` image, an array or a file. The output is `hdr`, float32
(h, w, 3), in scale `ldr_white`. Estimates of a model of another scale are aligned to
it.

A network computes a small copy of a large photograph, or all of it in tiles
(`jaxhdr.inference.coarse_to_fine`, `jaxhdr.inference.estimators`).
"""

import functools
import os
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxhdr import image_io, kernels, models
from jaxhdr.errors import UserError, check_choice, check_count
from jaxhdr.imaging import expansion, scales
from jaxhdr.inference import coarse_to_fine
from jaxhdr.inference.coarse_to_fine import CoarseToFine
from jaxhdr.inference.estimators import TiledModel, WholeOperator
from jaxhdr.inference.measured import combine
from jaxhdr.models.camera_response import TRAINING_SHARE
from jaxhdr.options import PRECISIONS, PRIORS, RESPONSES
from jaxhdr.storage.pretrained import Pretrained, StrPath, load_pretrained

TILES: Final = {"float32": 768, "bfloat16": 1280}
"""Largest side of a tile in pixels, by precision; FHDR, T = 4, then takes 3 GiB."""

ImageLike = StrPath | image_io.PillowImage | np.ndarray | jax.Array

# Floats may leave [0, 1] by this much, because resizing and conversions round. Floats
# of 16 bits may leave it by the distance of two of them near 1.
_ROUNDING: Final = 1e-4


class Details(NamedTuple):
    """A reconstruction with what led to it."""

    encoded: Float[np.ndarray, "h w 3"]
    stages: Float[np.ndarray, "stages h w 3"]
    """All estimates of the model in scale `ldr_white`; the last is the answer."""
    context: Any
    """What the model knew of the whole image, in its own scale; None for most."""
    factors: Float[np.ndarray, " stages"]
    """What aligned each stage: 1 for a model whose own scale is `ldr_white`."""

    @property
    def probability_of_srgb(self) -> float | None:
        """The probability that the camera encoded as sRGB says, by prior and pixels.

        It is None if the model does not estimate it.
        """
        probability = models.front_context(self.context).srgb
        return None if probability is None else float(probability[0])


class Reconstructor:
    """Reconstructs many images with one model.

    It compiles once per shape of a copy or of a tile. An image that is smaller is a
    shape of its own, because padding it would change its borders. The context of a
    model that has one is compiled for each of these shapes. Nothing is kept from one
    image to the next.

    Models and classical operators are called alike. An operator always takes the whole
    image at once, takes it for sRGB-encoded, and computes in float32. A model without
    a choice of precision computes in float32, too, and a model without an estimate of
    the camera's response takes every photograph for sRGB-encoded.

    Attributes:
      label: which weights these are, with a hash or a step.
      scale: unit of the results, always `ldr_white`.
      alignment: how results were brought to it; "" if the model's own scale is that.
      precision: what the model computes in, "float32" or "bfloat16".
      response: how photographs are taken to be encoded, "estimated" or "srgb". If it
        was chosen as `auto`, photographs of a known response are taken for that.
      size: the size at which the network computes, as it was chosen; None for a
        classical operator.
    """

    def __init__(
        self,
        model: StrPath | Pretrained = "fhdr",
        *,
        size: int | str = "auto",
        iterations: int | None = None,
        tile: int | str | None = "auto",
        precision: str = "auto",
        response: str = "auto",
        progress: bool = False,
    ):
        """Loads a model.

        Args:
          model: a shipped model's name, that of a classical operator, the workdir of a
            training run, a .safetensors file, or a model that is loaded already.
          size: the size at which the network computes, one of `options.SIZES` or the
            long side of a copy in pixels. `auto` is a copy of 640 pixels, whose gain is
            carried to the full size; a photograph that is not larger is computed as it
            is. `best` is the mean of that gain and the one of a copy twice as large.
            `full` computes every pixel, in tiles.
          iterations: number of iterations of FHDR, of which fewer are faster; None for
            that of the weights.
          tile: largest side of a tile in pixels; `auto` for that of `TILES`; None for
            the whole image at once.
          precision: what the model computes in, one of `PRECISIONS`. `auto` is bfloat16
            with oneDNN on a CPU that multiplies it (AVX512-BF16, AMX), else float32.
          response: `estimated` leaves it to the model how the camera encoded its
            radiance; `srgb` says that it is known to have been as sRGB. `auto` is
            `srgb` for camera raw, whose response is known, and for files that name a
            renderer, else `estimated`; see `response_of` and `prior_of`.
          progress: show a bar over tiles, on a terminal.

        Raises:
          UserError: there is no such model, size, precision or response, or the tile is
            too small.
        """
        check_choice("precision", precision, PRECISIONS)
        check_choice("response", response, RESPONSES)
        coarse_to_fine.check_size(size)
        _check_tile(tile)
        loaded = _loaded(model)
        self._build = functools.partial(
            _estimator,
            _with_iterations(loaded, iterations),
            size=size,
            tile=tile,
            precision=precision,
            progress=progress,
        )
        self._estimate = self._build(response=response)
        self._is_chosen = response != "auto"
        self._takes_prior = models.takes_prior(loaded.model)
        self.size = None if isinstance(self._estimate, WholeOperator) else size
        self._own_scale = loaded.scale
        self.label = loaded.label
        self.scale = scales.LDR_WHITE
        self.alignment = scales.alignment_note(loaded.scale)
        self.precision = self._estimate.precision
        self.response = self._estimate.response

    def __call__(
        self,
        image: ImageLike,
        *,
        may_overwrite: bool = False,
        origin: image_io.Origin | None = None,
    ) -> Float[np.ndarray, "h w 3"]:
        """Returns the HDR image of a photograph.

        If a file has a gain map, what the phone measured is kept, and the model counts
        only where the phone's HDR image is clipped, too.

        Args:
          image: a file; a Pillow image; or an array (h, w, 3) or (h, w), uint8,
            uint16, or float in [0, 1], display-encoded sRGB.
          may_overwrite: whether the result may take the memory of a float32 array.
          origin: what `image_io.origin_of` returned for the file of an array; it counts
            if the response was chosen as `auto`.

        Raises:
          UserError: the image cannot be used, or the memory does not suffice.
        """
        measured = None
        if isinstance(image, str | os.PathLike):
            photograph = image_io.read_photograph(image)
            image, measured = photograph.encoded, photograph.measured
            origin = photograph.origin
            may_overwrite = True  # nobody else has the pixels
        details = self.details(
            image, only_last=True, may_overwrite=may_overwrite, origin=origin
        )
        hdr = details.stages[0]
        return hdr if measured is None else combine(measured, hdr)

    def stages(self, image: ImageLike) -> Float[np.ndarray, "stages h w 3"]:
        """Returns all estimates of the model; the last is the answer.

        Without a scale of its own, each is aligned on its own. The gain map of a file
        is ignored.

        Raises:
          UserError: as for a call.
        """
        return self.details(image).stages

    def details(
        self,
        image: ImageLike,
        *,
        only_last: bool = False,
        may_overwrite: bool = False,
        origin: image_io.Origin | None = None,
    ) -> Details:
        """Returns all estimates, and what they were made with.

        The gain map of a file is ignored.

        Args:
          image: as for a call.
          only_last: return the last stage only, which takes less memory.
          may_overwrite: as for a call; only with `only_last`.
          origin: as for a call.

        Raises:
          UserError: as for a call.
        """
        encoded = to_encoded(image)
        if isinstance(image, str | os.PathLike):
            origin = image_io.origin_of(image)
        is_own = self.response_of(origin) == self.response
        estimate = self._estimate if is_own else self._estimate_of_srgb
        # An alignment needs the pixels afterwards.
        stages, context = estimate(
            encoded,
            prior=self.prior_of(origin),
            only_last=only_last,
            may_overwrite=may_overwrite and only_last and not self.alignment,
        )
        factors = scales.alignment_factors(stages, encoded, scale=self._own_scale)
        if self.alignment:
            stages *= factors[:, None, None, None]
        return Details(encoded, stages, context, factors)

    def response_of(self, origin: image_io.Origin | None) -> str:
        """Returns how a photograph is taken to be encoded, "estimated" or "srgb".

        Args:
          origin: what `image_io.origin_of` returned for its file.
        """
        if self._is_chosen:
            return self.response
        # A model with a prior weighs what a file says of a renderer; others cannot.
        is_known = origin == "raw" or (origin == "render" and not self._takes_prior)
        return "srgb" if is_known else self.response

    def prior_of(self, origin: image_io.Origin | None) -> float | None:
        """Returns the probability of an sRGB camera before the photograph is seen.

        It is None if the model takes no prior, or the response is not estimated.

        Args:
          origin: what `image_io.origin_of` returned for its file.
        """
        if not self._takes_prior or self.response_of(origin) != "estimated":
            return None
        if self._is_chosen or origin is None:
            return TRAINING_SHARE
        return PRIORS[origin]

    @functools.cached_property
    def _estimate_of_srgb(self) -> TiledModel | WholeOperator | CoarseToFine:
        return self._build(response="srgb")


def reconstruct(
    image: ImageLike,
    *,
    model: StrPath | Pretrained = "fhdr",
    size: int | str = "auto",
    iterations: int | None = None,
    tile: int | str | None = "auto",
    precision: str = "auto",
    response: str = "auto",
    progress: bool = False,
) -> Float[np.ndarray, "h w 3"]:
    """Returns the HDR image of one photograph; for many, use `Reconstructor`.

    The gain map of a file is used as by `Reconstructor`.

    Args:
      image: a file; a Pillow image; or an array (h, w, 3) or (h, w), uint8, uint16, or
        float in [0, 1], display-encoded sRGB.
      model: a shipped model's name, that of a classical operator (`expansion`), the
        workdir of a training run, or a .safetensors file.
      size: as for `Reconstructor`.
      iterations: as for `Reconstructor`.
      tile: as for `Reconstructor`.
      precision: as for `Reconstructor`.
      response: as for `Reconstructor`.
      progress: show a bar over tiles, on a terminal.

    Raises:
      UserError: the model or the image cannot be used, or the memory does not suffice.
    """
    reconstructor = Reconstructor(
        model,
        size=size,
        iterations=iterations,
        tile=tile,
        precision=precision,
        response=response,
        progress=progress,
    )
    return reconstructor(image)


def to_encoded(image: ImageLike) -> Float[np.ndarray, "h w 3"]:
    """Returns a photograph as float32 in [0, 1].

    A Pillow image is converted as its file would be. Floats that leave [0, 1] by no
    more than rounding are clipped.

    Raises:
      UserError: the file is unreadable, or the image is no such photograph.
    """
    if isinstance(image, str | os.PathLike):
        return image_io.read_encoded(image)
    if isinstance(image, image_io.PillowImage):
        return image_io.encoded_of_pil(image)
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
    slack = max(_ROUNDING, float(jnp.finfo(array.dtype).eps))
    if not (low >= -slack and high <= 1 + slack):  # NaN too
        raise UserError(
            f"the image holds values from {low:.8g} to {high:.8g}; expected display-"
            "encoded floats in [0, 1], without NaN; clip them, or divide 8-bit codes "
            "by 255"
        )
    if low < 0 or high > 1:
        array = np.clip(array, 0, 1)
    return np.asarray(array, np.float32)


def _loaded(model: StrPath | Pretrained) -> Pretrained:
    return model if isinstance(model, Pretrained) else load_pretrained(model)


def _with_iterations(loaded: Pretrained, iterations: int | None) -> Pretrained:
    if iterations is None:
        return loaded
    check_count("iterations", iterations)
    model: Any = loaded.model
    if not hasattr(model, "num_iterations"):
        raise UserError(
            f"iterations is {iterations}, but {loaded.label} has none; leave it out"
        )
    return loaded._replace(model=model.clone(num_iterations=iterations))


def _estimator(
    loaded: Pretrained,
    *,
    size: int | str,
    tile: int | str | None,
    precision: str,
    response: str,
    progress: bool,
) -> TiledModel | WholeOperator | CoarseToFine:
    """Returns a loaded model with the choices that a user has made for it."""
    if isinstance(loaded.model, expansion.Operator):
        return WholeOperator(loaded.model)
    model, chosen = loaded.model, "float32"
    if models.has_dtype(model):
        chosen = _faster() if precision == "auto" else precision
        model = models.with_dtype(model, chosen)
    if response == "srgb":
        model = models.taking_srgb(model)
    tiled = TiledModel(
        model,
        loaded.params,
        precision=chosen,
        tile=_side(tile, chosen),
        progress=progress,
    )
    return coarse_to_fine.chosen(size, tiled, scale=loaded.scale)


def _check_tile(tile: Any) -> None:
    if tile not in (None, "auto") and type(tile) is not int:
        raise UserError(
            f"tile is {tile!r}; expected a number of pixels, None or 'auto'"
        )


def _side(tile: int | str | None, precision: str) -> int | None:
    if not isinstance(tile, str):
        return tile
    # Without oneDNN bfloat16 saves no memory.
    return TILES[precision if precision == _faster() else "float32"]


def _faster() -> str:
    return "bfloat16" if kernels.supports(jnp.dtype("bfloat16")) else "float32"
