"""Measures the weight gradients of ConvLSTM-Net's convolutions, as JSON lines.

Run     python benchmarks/weight_gradient.py
XLA's gradient and the gradient of `kernels.convolve` take turns at every shape, so that
other load on the machine affects both alike. The result is the ratio of their shortest
times.
"""

import json
import time

import jax
import jax.numpy as jnp
import numpy as np

from jaxhdr.kernels import convolve

BATCH, SIDE, ROUNDS = 4, 64, 12
SHAPES = [  # kernel size, inputs, outputs
    (3, 70, 256),
    (3, 70, 24),
    (5, 6, 64),
    (3, 12, 12),
    (9, 64, 3),
]


def plain(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns the same convolution with XLA's own gradients."""
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def compiled_gradient(function, x: jax.Array, kernel: jax.Array):
    """Returns a function from the output's gradient to the kernel's gradient."""
    return jax.jit(lambda g: jax.vjp(lambda k: function(x, k), kernel)[1](g)[0])


def main() -> None:
    """Measures every shape."""
    rng = np.random.default_rng(0)
    for size, inputs, outputs in SHAPES:
        x, gradient = (
            jnp.asarray(rng.random((BATCH, SIDE, SIDE, n), np.float32))
            for n in (inputs, outputs)
        )
        kernel = jnp.asarray(rng.random((size, size, inputs, outputs), np.float32))
        compiled = {
            name: compiled_gradient(function, x, kernel)
            for name, function in (("xla", plain), ("ours", convolve))
        }
        seconds = {name: [] for name in compiled}
        for _ in range(ROUNDS):
            for name, function in compiled.items():
                start = time.perf_counter()
                jax.block_until_ready(function(gradient))
                seconds[name].append(time.perf_counter() - start)
        shortest = {name: min(values[1:]) for name, values in seconds.items()}
        row = {"kernel": size, "inputs": inputs, "outputs": outputs}
        row |= {f"{name}_ms": round(1e3 * t, 1) for name, t in shortest.items()}
        print(json.dumps(row | {"ratio": round(shortest["xla"] / shortest["ours"], 2)}))


if __name__ == "__main__":
    main()
