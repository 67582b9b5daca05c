"""Counts parameters and operations of the models at 256 x 256, as a Markdown table.

Run     python benchmarks/model_cost.py
The operations come from XLA's cost analysis of the lowered program, which does not run.
They are halved, because XLA counts a multiplication and its addition as two operations,
and the papers as one. XLA leaves out products with the zero padding, and it counts
element-wise operations.
"""

import math
import os

import jax
import jax.numpy as jnp

from jaxhdr.kernels import library
from jaxhdr.models import create_model

SIDE = 256
COMPACT = {"backbone": "compact"}
CASES = [
    ("FHDR, T = 1", "fhdr", {"num_iterations": 1}),
    ("FHDR, T = 4", "fhdr", {"num_iterations": 4}),
    ("the same, response estimated", "fhdr", {"front": {"response": "estimated"}}),
    ("SParam-Net", "sparam", {}),
    ("SParam-Net, compact", "sparam", COMPACT),
    ("SParam-Net + ConvLSTM-Net", "sparam_lstm", {}),
    ("the same, compact", "sparam_lstm", {"sparam": COMPACT}),
    ("the same, N = 3", "sparam_lstm", {"sparam": COMPACT | {"num_regions": 3}}),
    ("the same, N = 7", "sparam_lstm", {"sparam": COMPACT | {"num_regions": 7}}),
]


def cost(name: str, fields: dict[str, object]) -> tuple[int, float]:
    """Returns the number of parameters, and the multiply-adds in 10^9."""
    model = create_model(name, **fields)
    image = jnp.zeros((1, SIDE, SIDE, 3))
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    analysis = jax.jit(model.apply).lower(variables, image).cost_analysis()
    sizes = [math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"])]
    return sum(sizes), analysis["flops"] / 2e9


def main() -> None:
    """Prints the table."""
    os.environ[library.VARIABLE] = "xla"  # XLA does not count oneDNN's operations
    print("| model | parameters | 10^9 multiply-adds |")
    print("|---|---:|---:|")
    for title, name, fields in CASES:
        parameters, operations = cost(name, fields)
        print(f"| {title} | {parameters:,} | {operations:.2f} |")


if __name__ == "__main__":
    main()
