"""FHDR's parameters from and to the state dict of its official PyTorch code.

Names there are `feb1.weight`, `feedback_block.DRDB1.compress.bias`, ...; kernels are
OIHW, where ours are HWIO.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxhdr import kernels
from jaxhdr.errors import UserError
from jaxhdr.models.fhdr import DENSE_BLOCKS, FHDR


def _layers() -> dict[str, tuple[str, ...]]:
    """Returns the path in our parameters of each layer, by its official name."""
    layers: dict[str, tuple[str, ...]] = {n: (n,) for n in ("feb1", "feb2")}
    layers |= {name: ("iteration", name) for name in ("hrb1", "hrb2")}
    block = ("iteration", "feedback_block")
    layers["feedback_block.compress_in"] = (*block, "compress_in")
    layers["feedback_block.GFF_3x3"] = (*block, "gff")
    for n in range(1, DENSE_BLOCKS + 1):
        official, ours = f"feedback_block.DRDB{n}", (*block, f"block_{n}")
        layers[f"{official}.compress"] = (*ours, "compress")
        layers[f"{official}.conv_1x1"] = (*ours, "fuse")
        for i in range(kernels.NUM_LAYERS):
            layers[f"{official}.dense_layers.{i}.conv"] = (*ours, f"dense_{i}")
    return layers


_TORCH_NAMES = {"kernel": "weight", "bias": "bias"}


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    """Returns the arrays of the layer at `path`, an empty dictionary if it has none."""
    for part in path:
        tree = tree.setdefault(part, {})
    return tree


@functools.cache
def _expected_shapes() -> Mapping[str, Any]:
    model = FHDR(num_iterations=1)
    image = jnp.zeros((1, 4, 4, 3))
    return jax.eval_shape(model.init, jax.random.key(0), image)["params"]


def from_torch(state: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns parameters from the official PyTorch state dict.

    Args:
      state: arrays by their official names (`feb1.weight`, ...); kernels are OIHW.

    Raises:
      UserError: a name is missing or unexpected, or an array has the wrong shape.
    """
    expected = _expected_shapes()
    rest, params = dict(state), {}
    for official, path in _layers().items():
        for ours, wanted in _at(expected, path).items():
            name = f"{official}.{_TORCH_NAMES[ours]}"
            if name not in rest:
                raise UserError(
                    f"the state dict has no {name}; expected one of the official "
                    "FHDR network"
                )
            value = np.asarray(rest.pop(name))
            if (
                not np.issubdtype(value.dtype, np.number)
                or not np.isfinite(value).all()
            ):
                raise UserError(f"{name} holds values that are not finite numbers")
            if ours == "kernel" and value.ndim == 4:
                value = value.transpose(2, 3, 1, 0)
            if value.shape != wanted.shape:
                raise UserError(
                    f"{name} has shape {value.shape} as HWIO; expected {wanted.shape}"
                )
            _at(params, path)[ours] = np.ascontiguousarray(value, np.float32)
    if rest:
        raise UserError(f"the state dict has unexpected entries: {sorted(rest)[:5]}")
    return params


def to_torch(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns the official state dict of our parameters, as `from_torch` takes it.

    Raises:
      UserError: the parameters are not those of this network.
    """
    if jax.tree.map(np.shape, dict(params)) != jax.tree.map(
        np.shape, dict(_expected_shapes())
    ):
        raise UserError("the parameters are not those of the FHDR network")
    state = {}
    for official, path in _layers().items():
        for ours, value in _at(params, path).items():
            value = np.asarray(value)
            if ours == "kernel":
                value = value.transpose(3, 2, 0, 1)
            state[f"{official}.{_TORCH_NAMES[ours]}"] = np.ascontiguousarray(value)
    return state
