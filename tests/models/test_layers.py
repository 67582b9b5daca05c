import functools
import itertools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxhdr.kernels import convolve
from jaxhdr.models.layers import Convolution, max_pool

SIZES = [1, 3, 5, 9]
CHANNELS = [(3, 128), (5, 3), (6, 7)]  # in and out: wide, narrow, and in between
SHAPES = [(2, 5, 6), (1, 1, 1)]  # odd and even; smaller than the larger kernels


def value_and_gradients(x, kernel, probe):
    value, pull = jax.vjp(convolve, x, kernel)
    return value, *pull(probe)


def by_definition(x, kernel, probe):
    """The same in float64, one offset of the kernel after the other."""
    x, kernel, probe = (np.asarray(a, np.float64) for a in (x, kernel, probe))
    size, (_, height, width, _) = len(kernel), x.shape
    margin = ((0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0))
    padded = np.pad(x, margin)
    value, of_padded, of_kernel = (np.zeros_like(a) for a in (probe, padded, kernel))
    for i, j in np.ndindex(size, size):
        window = np.s_[:, i : i + height, j : j + width]
        value += padded[window] @ kernel[i, j]
        of_padded[window] += probe @ kernel[i, j].T
        of_kernel[i, j] = np.tensordot(padded[window], probe, ([0, 1, 2], [0, 1, 2]))
    inside = [slice(size // 2, size // 2 + n) for n in (height, width)]
    of_x = of_padded[:, *inside]
    return value, of_x, of_kernel


def arrays_of(shape, size, channels):
    random = np.random.default_rng(size)
    into, out = channels
    sizes = ((*shape, into), (size, size, into, out), (*shape, out))
    return [jnp.asarray(random.uniform(-1, 1, s), jnp.float32) for s in sizes]


def assert_equal_to_rounding(actual, expected):
    for mine, wanted in zip(actual, expected, strict=True):
        atol = 1e-5 * np.abs(wanted).max()
        np.testing.assert_allclose(mine, wanted, rtol=0, atol=atol)


@pytest.fixture(scope="module")
def cases():
    """Arrays and results of all cases, compiled as one."""
    keys = list(itertools.product(SHAPES, SIZES, CHANNELS))
    arrays = [arrays_of(*key) for key in keys]

    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def run(arrays):
        return [value_and_gradients(*a) for a in arrays]

    return dict(zip(keys, zip(arrays, run(arrays), strict=True), strict=True))


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", CHANNELS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients_are_those_of_the_definition(cases, shape, size, channels):
    arrays, results = cases[shape, size, channels]
    assert_equal_to_rounding(results, by_definition(*arrays))


@pytest.mark.parametrize("channels", [(2, 128), (2, 4)], ids=str)
def test_a_vmapped_gradient_is_that_of_each(channels):
    arrays = arrays_of((1, 3, 4), 3, channels)
    stacked = [jnp.stack([a, a - 0.5]) for a in arrays]
    results = jax.jit(jax.vmap(value_and_gradients))(*stacked)
    for i in range(2):
        expected = by_definition(*(a[i] for a in stacked))
        assert_equal_to_rounding([leaf[i] for leaf in results], expected)


@pytest.mark.parametrize("channels", [(2, 128), (2, 4)], ids=str)
def test_only_a_cpu_gets_matrix_products(channels):
    function = jax.jit(value_and_gradients)
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


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("shape", [(2, 6, 8, 3), (1, 7, 5, 2), (1, 1, 4, 2)], ids=str)
def test_the_pooling_is_linens(shape):
    # All values differ, so the maximum has one place.
    x = jnp.asarray(np.random.default_rng(1).permutation(np.arange(np.prod(shape))))
    x = x.reshape(shape).astype(jnp.float32)
    result, pull = jax.vjp(max_pool, x)
    expected, pull_linens = jax.vjp(lambda x: nn.max_pool(x, (2, 2), (2, 2)), x)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(*(f(result)[0] for f in (pull, pull_linens)))


def gradient_of_pooling(x, gradient):
    """The same in float64: all of it goes to the largest of each 2 x 2 pixels."""
    batch, height, width, channels = x.shape
    pairs = (batch, height // 2, 2, width // 2, 2, channels)
    blocks = x.reshape(pairs).transpose(0, 1, 3, 5, 2, 4)
    blocks = blocks.reshape(*blocks.shape[:4], 4)
    is_largest = blocks == blocks.max(axis=-1, keepdims=True)
    spread = is_largest * np.asarray(gradient, np.float64)[..., None]
    spread = spread.reshape(*spread.shape[:4], 2, 2).transpose(0, 1, 4, 2, 5, 3)
    return spread.reshape(x.shape)


def test_the_gradient_of_the_pooling_of_a_layers_result_is_right(key):
    """A compiler may write the gradient over that result, which is a temporary.

    With a pooling by a reshape, XLA of JAX 0.12 did while it still had to read it.
    """
    of_z, of_kernel, of_pooled = jax.random.split(key, 3)
    z = jax.random.normal(of_z, (2, 32, 32, 32))
    kernel = jax.random.normal(of_kernel, (32, 32))
    gradient = jax.random.normal(of_pooled, (2, 16, 16, 32))

    @jax.jit
    def layer(z, kernel):
        return jax.lax.optimization_barrier(jnp.einsum("bhwc,cd->bhwd", z, kernel))

    @jax.jit
    def through_relu(z, kernel, gradient):
        y = layer(z, kernel)
        return jnp.where(y > 0, jax.vjp(max_pool, y)[1](gradient)[0], 0)

    y = np.asarray(layer(z, kernel), np.float64)
    expected = np.where(y > 0, gradient_of_pooling(y, gradient), 0)
    np.testing.assert_allclose(through_relu(z, kernel, gradient), expected, rtol=1e-6)
