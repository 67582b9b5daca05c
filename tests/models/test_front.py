import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr import options
from jaxhdr.errors import UserError
from jaxhdr.imaging import color, noise
from jaxhdr.models.front import Front, FrontContext
from jaxhdr.models.response import expand

# As in test_fhdr.py: compiling is all the time.
fast_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)
SLOPES = jnp.full((1, 14), 1.5)


def dark_photograph():
    """Codes around 5 of 255, with noise of one."""
    values = 0.02 + 0.004 * np.random.default_rng(0).normal(size=(1, 40, 40, 3))
    return jnp.asarray(values, jnp.float32)


def context_of(front, encoded):
    @fast_jit
    def run(key):
        variables = front.init(key, encoded, method="context")
        return variables, front.apply(variables, encoded, method="context")

    return run(jax.random.key(0))


def test_the_words_for_the_response_are_those_of_the_command_line():
    for word in options.RESPONSES:
        assert Front(response=word).response == word
    with pytest.raises(UserError, match="response is 'gamma'; expected one of"):
        Front(response="gamma")


def test_nothing_is_estimated_unless_asked_for():
    variables, context = context_of(Front(), dark_photograph())
    assert not jax.tree.leaves((variables, context))
    encoded = dark_photograph()
    radiance = Front().apply({}, encoded, context)
    np.testing.assert_array_equal(radiance, color.srgb_decode(encoded))
    seen = Front().apply({}, encoded, context, method="as_srgb")
    np.testing.assert_array_equal(seen, encoded)


def test_response_and_noise_are_undone_in_this_order():
    encoded = dark_photograph()
    front = Front(response="estimated", smooth_noise=True)
    variables, context = context_of(front, encoded)
    assert set(variables["params"]) == {"response"}
    # An untrained estimate is sRGB's.
    np.testing.assert_allclose(context.slopes, 1)
    np.testing.assert_allclose(context.noise, 0.004 / 12.92, rtol=0.1)

    context = context._replace(slopes=SLOPES)
    radiance = front.apply({}, encoded, context)
    expected = noise.smooth(expand(encoded, SLOPES), context.noise)
    np.testing.assert_allclose(radiance, expected, rtol=1e-5)
    seen = front.apply({}, encoded, context, method="as_srgb")
    np.testing.assert_allclose(seen, color.srgb_encode(expected), rtol=1e-4)


def test_the_noise_is_that_of_the_radiance_by_the_estimated_response():
    front = Front(response="estimated", smooth_noise=True)
    encoded = dark_photograph()
    variables, context = context_of(front, encoded)
    params = variables["params"]["response"]
    last = params["dense_3"] | {"bias": jnp.ones(14)}
    changed = {"params": {"response": params | {"dense_3": last}}}
    other = fast_jit(functools.partial(front.apply, method="context"))(changed, encoded)
    assert other.slopes.min() > 2
    assert other.noise[0] < 0.5 * context.noise[0]


def test_the_estimate_gets_no_gradient():
    front = Front(response="estimated")
    encoded = dark_photograph()
    variables, _ = context_of(front, encoded)

    @fast_jit
    @jax.grad
    def gradient(variables):
        context = front.apply(variables, encoded, method="context")
        return front.apply(variables, encoded, context).sum()

    assert not any(leaf.any() for leaf in jax.tree.leaves(gradient(variables)))


@pytest.mark.parametrize("smooth_noise, radius", [(False, 0), (True, noise.RADIUS)])
def test_only_smoothing_looks_at_neighbours(smooth_noise, radius):
    assert Front(smooth_noise=smooth_noise).receptive_radius == radius
    encoded = dark_photograph()
    context = FrontContext(SLOPES, jnp.ones(1) if smooth_noise else None)
    change = jnp.zeros_like(encoded).at[0, 20, 20].set(0.01)
    before, after = (
        Front().apply({}, image, context) for image in (encoded, encoded + change)
    )
    rows = np.flatnonzero((before != after).any((0, 2, 3)))
    np.testing.assert_array_equal(rows, np.arange(20 - radius, 20 + radius + 1))
