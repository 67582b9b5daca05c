"""One function with two bodies: calls of the library on a CPU, plain JAX elsewhere.

Which one is taken is known only when a program is lowered: to a CPU for running, the
calls; to any other platform, or for export, what every XLA can compile.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import mlir
from jaxtyping import Array, PyTree

from jaxhdr.kernels import library

Body = Callable[..., PyTree[Array]]


def call(
    handler: str,
    results: PyTree[jax.ShapeDtypeStruct],
    *arrays: Array,
    **attributes: Any,
) -> PyTree[Array]:
    """Returns what the library's handler makes of arrays."""
    return jax.ffi.ffi_call(library.target(handler), results)(*arrays, **attributes)


def choose(onednn: Body, xla: Body, *arguments: PyTree[Array]) -> PyTree[Array]:
    """Returns `onednn(*arguments)` or `xla(*arguments)`, which must be alike.

    Under `vmap` it runs for one element after the other.

    Args:
      onednn: uses `call`.
      xla: does not.
      arguments: of both.
    """
    leaves, structure = jax.tree.flatten(arguments)
    shapes, of_result = jax.tree.flatten(jax.eval_shape(xla, *arguments))
    if 0 in shapes[0].shape:
        return xla(*arguments)

    def flat(body: Body) -> Callable[..., list[Array]]:
        return lambda *leaves: jax.tree.leaves(
            body(*jax.tree.unflatten(structure, leaves))
        )

    @jax.custom_batching.sequential_vmap
    def bind(*leaves: Array) -> list[Array]:
        return _choice.bind(*leaves, onednn=flat(onednn), xla=flat(xla))

    return jax.tree.unflatten(of_result, bind(*leaves))


_choice = Primitive("jaxhdr_choice")
_choice.multiple_results = True


@_choice.def_impl
def _run(*leaves: Array, onednn: Body, xla: Body) -> list[Array]:
    # Outside jit: operation by operation, each of which JAX compiles once per shape.
    return (onednn if jax.default_backend() == "cpu" else xla)(*leaves)


@_choice.def_abstract_eval
def _shapes(*leaves: Any, onednn: Body, xla: Body) -> list[Any]:
    del onednn
    like = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]
    found = jax.eval_shape(xla, *like)
    return [ShapedArray(x.shape, x.dtype) for x in found]


def _lower_anywhere(context: Any, *leaves: Any, onednn: Body, xla: Body) -> Any:
    del onednn
    return mlir.lower_fun(xla, multiple_results=True)(context, *leaves)


def _lower_on_cpu(context: Any, *leaves: Any, onednn: Body, xla: Body) -> Any:
    is_export = context.module_context.lowering_parameters.for_export
    body = xla if is_export else onednn
    return mlir.lower_fun(body, multiple_results=True)(context, *leaves)


mlir.register_lowering(_choice, _lower_anywhere)
mlir.register_lowering(_choice, _lower_on_cpu, platform="cpu")
