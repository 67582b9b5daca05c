"""Speed of the networks by backend and precision, as JSON lines and a Markdown table.

Run     python benchmarks/throughput.py [--rounds 5] [--cases NAME ...]
All variants of a case are compiled first and then take turns in one process, so that a
machine that others use too treats them alike: the ratios of their shortest times are
the result. The ceiling is the fastest matrix product that oneDNN makes of the same
precision, as a 1 x 1 convolution of 2048 channels.
"""

import argparse
import json
import os
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxhdr import kernels
from jaxhdr.kernels import library
from jaxhdr.models import create_model

FHDR = {"name": "fhdr", "head": "residual"}
SPARAM_LSTM = {"name": "sparam_lstm", "backbone": "compact"}
# Model, images, their side, whether gradients are computed too.
CASES = {
    "FHDR, T = 1, 256 x 256": (FHDR | {"num_iterations": 1}, 1, 256, False),
    "FHDR, T = 4, 256 x 256": (FHDR | {"num_iterations": 4}, 1, 256, False),
    "FHDR, T = 4, 512 x 512": (FHDR | {"num_iterations": 4}, 1, 512, False),
    "FHDR, T = 1, gradients of 8 x 64 x 64": (
        FHDR | {"num_iterations": 1},
        8,
        64,
        True,
    ),
    "FHDR, T = 4, gradients of 8 x 64 x 64": (
        FHDR | {"num_iterations": 4},
        8,
        64,
        True,
    ),
    "SParam-LSTM, 256 x 256": (SPARAM_LSTM, 1, 256, False),
    "SParam-LSTM, gradients of 4 x 64 x 64": (SPARAM_LSTM, 4, 64, True),
}
VARIANTS = (("xla", "float32"), ("onednn", "float32"), ("onednn", "bfloat16"))


def ready(fields: dict, images: jax.Array, *, gradients: bool) -> Callable[[], object]:
    """Returns a compiled function of nothing."""
    model = create_model(**fields)
    params = model.init(jax.random.key(0), images[:1])

    def loss(params):
        return jnp.abs(model.apply(params, images) - 0.3).mean()

    function = jax.value_and_grad(loss) if gradients else None
    function = function or (lambda params: model.apply(params, images))
    compiled = jax.jit(function).lower(params).compile()
    return lambda: jax.block_until_ready(compiled(params))


def take_turns(functions: dict[str, Callable], rounds: int) -> dict[str, float]:
    """Returns the shortest time of each, in seconds."""
    seconds = {name: [] for name in functions}
    for _ in range(rounds + 1):  # the first warms up
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: min(values[1:]) for name, values in seconds.items()}


def ceiling(dtype: str) -> float:
    """Returns operations per second of a large matrix product."""
    side = 2048
    x = jnp.ones((1, side, 1, side), dtype)
    kernel = jnp.ones((1, 1, side, side))
    function = jax.jit(kernels.convolve)
    shortest = take_turns(
        {"": lambda: jax.block_until_ready(function(x, kernel))}, rounds=5
    )
    return 2 * side**3 / shortest[""]


def operations(fields: dict, images: jax.Array, *, gradients: bool) -> float:
    """Returns those of the convolutions: XLA's count of the standard program."""
    os.environ[library.VARIABLE] = "xla"
    model = create_model(**fields)
    params = jax.eval_shape(model.init, jax.random.key(0), images[:1])
    analysis = jax.jit(model.apply).lower(params, images).cost_analysis()
    return analysis["flops"] * (3 if gradients else 1)


def main() -> None:
    """Measures every case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    options = parser.parse_args()
    os.environ[library.VARIABLE] = "onednn"
    ceilings = {dtype: ceiling(dtype) for dtype in ("float32", "bfloat16")}
    print(
        json.dumps(
            {f"{k} ceiling GFLOP/s": round(v / 1e9) for k, v in ceilings.items()}
        )
    )
    table = [
        "| | backend | ms | GFLOP/s | of ceiling | ratio |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for case in options.cases:
        fields, batch, side, gradients = CASES[case]
        images = jnp.asarray(
            np.random.default_rng(0).random((batch, side, side, 3)), jnp.float32
        )
        functions = {}
        for backend, dtype in VARIANTS:
            if dtype != "float32" and fields["name"] != "fhdr":
                continue  # computes in float32 only
            os.environ[library.VARIABLE] = backend
            variant = fields | ({} if dtype == "float32" else {"dtype": dtype})
            functions[f"{backend} {dtype}"] = ready(
                variant, images, gradients=gradients
            )
        shortest = take_turns(functions, options.rounds)
        count = operations(fields, images, gradients=gradients)
        for name, seconds in shortest.items():
            row = {
                "case": case,
                "backend": name,
                "ms": round(1e3 * seconds, 1),
                "GFLOP/s": round(count / seconds / 1e9),
                "of ceiling": round(count / seconds / ceilings[name.split()[1]], 2),
                "ratio": round(shortest["xla float32"] / seconds, 2),
            }
            print(json.dumps(row), flush=True)
            table.append(f"| {' | '.join(str(value) for value in row.values())} |")
    print("\n".join(["", *table]))


if __name__ == "__main__":
    main()
