"""Measures speed and memory of the networks, as JSON lines and a Markdown table.

Run     python benchmarks/throughput.py [--rounds 5] [--cases NAME ...]
All variants of a case are compiled first and then take turns in one process, so that
other load on the machine affects them all alike. The results are the ratios of their
shortest times. The ceiling is oneDNN's speed for a large matrix product in the same
precision, as a 1 x 1 convolution of 2048 channels. The peak memory is the high-water
mark (VmHWM, so only on Linux) of a process that runs nothing but the variant. Images in
tiles are timed in such processes, too, which take turns: a single process would compile
a model only once, for the first variant.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxhdr import Reconstructor, kernels
from jaxhdr.kernels import library
from jaxhdr.models import create_model, with_dtype

FHDR = {"name": "fhdr", "head": "residual"}
SPARAM_LSTM = {"name": "sparam_lstm", "sparam": {"backbone": "compact"}}
# Fields of the model, number of images, their side, whether gradients are computed.
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
# Shipped model, height and width of the image; tiles have the default size.
TILED = {
    "shipped FHDR, 1920 x 1080 in tiles": ("fhdr", 1080, 1920),
    "shipped SParam-LSTM, 1920 x 1080 in tiles": ("sparam_lstm", 1080, 1920),
}
VARIANTS = (("xla", "float32"), ("onednn", "float32"), ("onednn", "bfloat16"))


class Variant(NamedTuple):
    """One way to compute a case."""

    case: str
    backend: str
    dtype: str

    @property
    def name(self) -> str:
        """Returns the variant's name in the table."""
        return f"{self.backend} {self.dtype}"


def ready(variant: Variant) -> Callable[[], object]:
    """Returns a compiled function without arguments."""
    os.environ[library.VARIABLE] = variant.backend
    if variant.case in TILED:
        name, height, width = TILED[variant.case]
        image = np.random.default_rng(0).random((height, width, 3), np.float32)
        reconstructor = Reconstructor(name, size="full", precision=variant.dtype)
        reconstructor(image)  # compiles the model
        return lambda: reconstructor(image)
    fields, images, gradients = arguments(variant.case)
    model = with_dtype(create_model(**fields), variant.dtype)
    params = model.init(jax.random.key(0), images[:1])

    def loss(params):
        return jnp.abs(model.apply(params, images) - 0.3).mean()

    function = jax.value_and_grad(loss) if gradients else None
    function = function or (lambda params: model.apply(params, images))
    compiled = jax.jit(function).lower(params).compile()
    return lambda: jax.block_until_ready(compiled(params))


def arguments(case: str) -> tuple[dict[str, Any], jax.Array, bool]:
    """Returns the fields of the model, the images, and whether to differentiate."""
    fields, batch, side, gradients = CASES[case]
    images = np.random.default_rng(0).random((batch, side, side, 3), np.float32)
    return fields, jnp.asarray(images), gradients


def take_turns(functions: dict[str, Callable], rounds: int) -> dict[str, float]:
    """Returns the shortest time of each function, in seconds."""
    seconds = {name: [] for name in functions}
    for _ in range(rounds + 1):  # the first round warms up
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


def operations(case: str) -> float | None:
    """Returns XLA's count of operations for the plain program; None for tiles."""
    if case in TILED:
        return None
    fields, images, gradients = arguments(case)
    os.environ[library.VARIABLE] = "xla"
    model = create_model(**fields)
    params = jax.eval_shape(model.init, jax.random.key(0), images[:1])
    analysis = jax.jit(model.apply).lower(params, images).cost_analysis()
    return analysis["flops"] * (3 if gradients else 1)


def alone(variant: Variant) -> dict[str, float]:
    """Returns the time and the peak memory in GiB of a variant, in its own process."""
    command = [sys.executable, __file__, "--alone", *variant]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def own_peak_gib() -> float:
    """Returns the peak memory of this process in GiB."""
    status = pathlib.Path("/proc/self/status").read_text()
    match = re.search(r"VmHWM:\s*(\d+) kB", status)
    assert match is not None
    return int(match[1]) / 2**20


def main() -> None:
    """Measures every case, or a single variant in this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    known = [*CASES, *TILED]
    parser.add_argument("--cases", nargs="+", default=known, choices=known)
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        function = ready(Variant(*options.alone))
        seconds = take_turns({"": function}, rounds=1)[""]
        print(json.dumps({"seconds": seconds, "peak_gib": own_peak_gib()}))
        return
    os.environ[library.VARIABLE] = "onednn"
    ceilings = {dtype: ceiling(dtype) for dtype in ("float32", "bfloat16")}
    print(
        json.dumps(
            {f"{k} ceiling GFLOP/s": round(v / 1e9) for k, v in ceilings.items()}
        )
    )
    table = [
        "| | backend | ms | GFLOP/s | of ceiling | ratio | peak GiB |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for case in options.cases:
        variants = [Variant(case, *variant) for variant in VARIANTS]
        rounds = options.rounds if case in TILED else 1
        turns = [{v.name: alone(v) for v in variants} for _ in range(rounds)]
        if case in TILED:
            shortest = {
                v.name: min(turn[v.name]["seconds"] for turn in turns) for v in variants
            }
        else:
            shortest = take_turns({v.name: ready(v) for v in variants}, options.rounds)
        count = operations(case)
        for name, seconds in shortest.items():
            rate = None if count is None else count / seconds
            row = {
                "case": case,
                "backend": name,
                "ms": round(1e3 * seconds, 1),
                "GFLOP/s": rate and round(rate / 1e9),
                "of ceiling": rate and round(rate / ceilings[name.split()[1]], 2),
                "ratio": round(shortest["xla float32"] / seconds, 2),
                "peak GiB": round(turns[0][name]["peak_gib"], 2),
            }
            print(json.dumps(row), flush=True)
            cells = ("" if value is None else str(value) for value in row.values())
            table.append(f"| {' | '.join(cells)} |")
    print("\n".join(["", *table]))


if __name__ == "__main__":
    main()
