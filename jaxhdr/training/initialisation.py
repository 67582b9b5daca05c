"""The first parameters of a run: random, or from a file or another run.

The parameters of a model that contains other models have one subtree for each, under
its name: those of `sparam` are the part "sparam" of those of `sparam_lstm`.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Key, PyTree

from jaxhdr.errors import UserError
from jaxhdr.models import MODELS, vgg
from jaxhdr.storage import pretrained, weight_files

_VGG16_OWNER = "sparam"
_VGG16_NODE = "features"


def initial_params(
    key: Key[Array, ""], model: nn.Module, *, init_from: str = "", vgg16: str = ""
) -> PyTree:
    """Returns the parameters that a run starts with.

    Args:
      key: random key of the parameters that no source gives.
      model: the network, under the contract of `jaxhdr.models`.
      init_from: source of the parameters of the same model or of a part of it: the
        workdir of a run, a weight file or the name of a shipped model. Several sources
        have + between them; a later one replaces what an earlier one gave.
      vgg16: file of torchvision's vgg16, for all convolutions of SParam-Net but the
        first. `init_from` may replace them.

    Raises:
      UserError: a file or a run cannot be read, or is of another model.
    """
    params = random_params(key, model=model)
    if vgg16:
        convolutions = vgg.vgg16_params(weight_files.read(vgg16))
        path = (*_path_of(params, _VGG16_OWNER), _VGG16_NODE)
        present = _at(params, path, source=vgg16)
        wanted = {name: present.get(name) for name in convolutions}
        _check_same_shapes(wanted, convolutions, source=vgg16)
        params = _replaced(params, path, {**present, **convolutions})
    for source in filter(None, init_from.split("+")):
        trained = pretrained.load_params(source)
        path = _path_of(params, trained.fields["name"])
        present = _at(params, path, source=source)
        given = _own_models(present) | dict(trained.params)
        _check_same_shapes(present, given, source=source)
        params = _replaced(params, path, given)
    return jax.tree.map(jnp.asarray, params)


# Jitted, because eager initialisation takes minutes on a busy machine; compiled without
# optimisation, because it runs once.
@functools.partial(
    jax.jit,
    static_argnames="model",
    compiler_options={"xla_backend_optimization_level": 0},
)
def random_params(key: Key[Array, ""], *, model: nn.Module) -> PyTree:
    """Returns random parameters of `model`."""
    return model.init(key, jnp.zeros((1, 8, 8, 3)))["params"]


def _path_of(params: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Returns the path to the parameters of the model `name`; () is the whole tree."""
    if name in params:
        return (name,)
    for own in sorted(_own_models(params)):
        if inner := _path_of(params[own], name):
            return (own, *inner)
    return ()


def _own_models(params: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parts that are models themselves, which may have their own source."""
    return {name: part for name, part in params.items() if name in MODELS}


def _at(params: Mapping[str, Any], path: tuple[str, ...], *, source: str) -> Any:
    for name in path:
        if name not in params:
            raise UserError(f"cannot start from {source}: this model has no {name!r}")
        params = params[name]
    return params


def _replaced(params: Mapping[str, Any], path: tuple[str, ...], new: Any) -> Any:
    if not path:
        return new
    return {**params, path[0]: _replaced(params[path[0]], path[1:], new)}


def _check_same_shapes(expected: Any, given: Any, *, source: str) -> None:
    if jax.tree.map(jnp.shape, given) != jax.tree.map(jnp.shape, expected):
        raise UserError(
            f"cannot start from {source}: it holds parameters of another model, or "
            "of one with other options"
        )
