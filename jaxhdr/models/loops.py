"""Repeating one layer, with the same parameters in each step.

`LOOPS` are the ways to run the steps; parameters and results are the same.
`unrolled`: `nn.scan`, all steps compiled in line. XLA's CPU backend computes the
gradients of convolutions inside a loop many times slower (15 times for FHDR).
`rolled`: `nn.scan`, one step compiled once; it compiles faster.
`python`: no scan, for exporters that cannot convert one.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, PyTree, Shaped

LOOPS = ("unrolled", "rolled", "python")


def repeat(
    body: type[nn.Module],
    fields: Mapping[str, Any],
    carry: PyTree,
    inputs: Shaped[Array, "steps ..."],
    *constants: PyTree,
    loop: str,
    remat: bool,
) -> tuple[PyTree, PyTree]:
    """Returns the last state of a recurrence, and the outputs of its steps, stacked.

    Args:
      body: module of one step; it maps (state, input, *constants) to (state, output).
      fields: the fields of that module.
      carry: the state before the first step.
      inputs: one for each step.
      constants: what is the same in each step.
      loop: one of `LOOPS`.
      remat: whether the backward pass computes each step again instead of storing it.
    """
    if remat:
        body = nn.remat(body, prevent_cse=False)
    if loop == "python":
        step, outputs = body(**fields), []
        for x in inputs:
            carry, output = step(carry, x, *constants)
            outputs.append(output)
        return carry, jax.tree.map(lambda *steps: jnp.stack(steps), *outputs)
    scan = nn.scan(
        body,
        variable_broadcast="params",
        variable_axes={"intermediates": 0},
        split_rngs={"params": False},
        in_axes=(0, *[nn.broadcast] * len(constants)),  # pyright: ignore[reportArgumentType]
        unroll=len(inputs) if loop == "unrolled" else 1,
    )
    return scan(**fields)(carry, inputs, *constants)
