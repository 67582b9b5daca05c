import functools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxhdr.models.convolution import Convolution, convolve

# Input and output channels: wide, narrow, and those in between on both sides.
CHANNELS = [(3, 128), (2, 131), (5, 3), (6, 4), (1, 1), (4, 5), (3, 127)]
# Odd and even, and smaller than the larger kernels.
SHAPES = [(2, 5, 6), (1, 1, 1), (1, 2, 5)]


def plain(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def value_and_gradients(function, x, kernel, probe):
    value, pull = jax.vjp(function, x, kernel)
    return value, *pull(probe)


def arrays_of(shape, size, channels):
    random = np.random.default_rng(size)
    into, out = channels
    sizes = ((*shape, into), (size, size, into, out), (*shape, out))
    return [jnp.asarray(random.uniform(-1, 1, s), jnp.float32) for s in sizes]


@functools.cache
def both(size):
    """All cases of one kernel size, compiled as one."""
    cases = [(shape, channels) for shape in SHAPES for channels in CHANNELS]

    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def run(arrays):
        return [[value_and_gradients(f, *a) for f in (convolve, plain)] for a in arrays]

    results = run([arrays_of(shape, size, channels) for shape, channels in cases])
    return dict(zip(cases, results, strict=True))


@pytest.mark.parametrize("size", [1, 3, 5, 9])
@pytest.mark.parametrize("channels", CHANNELS, ids=str)
def test_values_and_gradients_are_those_of_the_plain_convolution(size, channels):
    for shape in SHAPES:
        ours, expected = both(size)[shape, channels]
        for mine, theirs in zip(ours, expected, strict=True):
            scale = float(jnp.abs(theirs).max())
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=2e-6 * scale)


@pytest.mark.parametrize("channels", [(2, 128), (2, 4), (2, 8)], ids=str)
def test_a_vmapped_gradient_is_that_of_each(channels):
    stacked = [
        jnp.stack([a, 2 * a, a - 0.5]) for a in arrays_of((1, 3, 4), 3, channels)
    ]

    @jax.jit
    def run(arrays):
        ours = jax.vmap(functools.partial(value_and_gradients, convolve))(*arrays)
        each = [value_and_gradients(plain, *(a[i] for a in arrays)) for i in range(3)]
        return ours, [jnp.stack(leaves) for leaves in zip(*each, strict=True)]

    for mine, theirs in zip(*run(stacked), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [(2, 128), (2, 4)], ids=str)
def test_only_a_cpu_gets_matrix_products(channels):
    function = jax.jit(functools.partial(value_and_gradients, convolve))
    arrays = arrays_of((1, 6, 7), 3, channels)
    for platform, products, convolutions in [("cpu", 1, 2), ("cuda", 0, 3)]:
        # Lowered, not compiled: no such device is needed.
        text = jax.export.export(function, platforms=[platform])(*arrays).mlir_module()
        assert text.count("stablehlo.dot_general") == products
        assert text.count("stablehlo.convolution") == convolutions


def test_the_layer_is_linens_with_the_same_parameters():
    x = jnp.asarray(np.random.default_rng(0).random((2, 5, 4, 3), np.float32))
    fields = {
        "kernel_init": nn.initializers.he_normal(),
        "bias_init": nn.initializers.ones,
    }
    layer = Convolution(6, 5, **fields)
    result, variables = layer.init_with_output(jax.random.key(0), x)
    linen = nn.Conv(6, (5, 5), **fields)
    expected, same = linen.init_with_output(jax.random.key(0), x)
    jax.tree.map(np.testing.assert_array_equal, variables, same)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
