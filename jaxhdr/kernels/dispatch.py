"""Functions with two implementations: the compiled library on a CPU, else plain JAX.

JAX chooses between them when it lowers a program. A program that will run on a CPU gets
the calls of the library. A program for another platform, or for export, gets the plain
JAX, which every XLA can compile.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import mlir
from jaxtyping import Array, PyTree

from jaxhdr.kernels import library

Implementation = Callable[..., PyTree[Array]]


def call(
    handler: str,
    results: PyTree[jax.ShapeDtypeStruct],
    *arrays: Array,
    **attributes: Any,
) -> PyTree[Array]:
    """Returns the results of one handler of the compiled library.

    Args:
      handler: name of the handler without its prefix, such as `forward`.
      results: shapes and types of the results.
      arrays: the handler's array arguments.
      attributes: the handler's other arguments, each an `np.int64`.
    """
    return jax.ffi.ffi_call(library.target(handler), results)(*arrays, **attributes)


def choose(
    onednn: Implementation, xla: Implementation, *arguments: PyTree[Array]
) -> PyTree[Array]:
    """Returns `onednn(*arguments)` or `xla(*arguments)`.

    Both must return the same shapes and types. Under `vmap` it runs for one element
    after the other.

    Args:
      onednn: implementation that calls the compiled library.
      xla: the same in plain JAX.
      arguments: arrays, or trees of arrays, passed to either.
    """
    leaves, structure = jax.tree.flatten(arguments)
    shapes, of_result = jax.tree.flatten(jax.eval_shape(xla, *arguments))
    if 0 in shapes[0].shape:
        return xla(*arguments)

    def flat(implementation: Implementation) -> Callable[..., list[Array]]:
        return lambda *leaves: jax.tree.leaves(
            implementation(*jax.tree.unflatten(structure, leaves))
        )

    @jax.custom_batching.sequential_vmap
    def bind(*leaves: Array) -> list[Array]:
        return _choice.bind(*leaves, onednn=flat(onednn), xla=flat(xla))

    return jax.tree.unflatten(of_result, bind(*leaves))


_choice = Primitive("jaxhdr_choice")
_choice.multiple_results = True


@_choice.def_impl
def _run(*leaves: Array, onednn: Implementation, xla: Implementation) -> list[Array]:
    # This runs outside jit, where JAX compiles each operation once per shape.
    return (onednn if jax.default_backend() == "cpu" else xla)(*leaves)


@_choice.def_abstract_eval
def _shapes(*leaves: Any, onednn: Implementation, xla: Implementation) -> list[Any]:
    del onednn
    like = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]
    found = jax.eval_shape(xla, *like)
    return [ShapedArray(x.shape, x.dtype) for x in found]


def _lower_anywhere(
    context: Any, *leaves: Any, onednn: Implementation, xla: Implementation
) -> Any:
    del onednn
    return mlir.lower_fun(xla, multiple_results=True)(context, *leaves)


def _lower_on_cpu(
    context: Any, *leaves: Any, onednn: Implementation, xla: Implementation
) -> Any:
    is_export = context.module_context.lowering_parameters.for_export
    chosen = xla if is_export else onednn
    return mlir.lower_fun(chosen, multiple_results=True)(context, *leaves)


mlir.register_lowering(_choice, _lower_anywhere)
mlir.register_lowering(_choice, _lower_on_cpu, platform="cpu")
