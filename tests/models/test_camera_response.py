import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr.imaging import color
from jaxhdr.models.camera_response import (
    TRAINING_SHARE,
    Belief,
    CameraResponse,
    deviation_in_stops,
    mean_slopes,
    probability_of_srgb,
)
from jaxhdr.models.front import Front
from jaxhdr.models.response import KNOTS, expand

SEGMENTS = len(KNOTS) - 1
fast_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)
CONTEXT = fast_jit(functools.partial(CameraResponse().apply, method="context"))


def belief(evidence=0.0, slope=1.5):
    return Belief(
        jnp.array([evidence]), jnp.full((1, SEGMENTS), slope), jnp.array([0.2])
    )


@pytest.fixture(scope="module")
def variables():
    """Random parameters that make every output depend on the photograph."""
    start = fast_jit(CameraResponse().init)(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    leaves, tree = jax.tree.flatten(start)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    moved = [
        leaf + 0.05 * jax.random.normal(key, leaf.shape)
        for key, leaf in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(tree, moved)


def photograph(height=40, width=56, seed=0):
    values = np.random.default_rng(seed).random((1, height, width, 3))
    return jnp.asarray(np.round(values * 255) / 255, jnp.float32)


@pytest.mark.slow
def test_before_training_it_believes_nothing_and_takes_srgb():
    model = CameraResponse()
    variables = fast_jit(model.init)(jax.random.key(0), photograph())
    found = CONTEXT(variables, photograph())
    assert found.evidence == 0 and (found.slopes == 1).all()
    stages = model.apply(variables, photograph(), found)
    np.testing.assert_allclose(stages[0], color.srgb_decode(photograph()), rtol=2e-5)


@pytest.mark.parametrize("prior", [0.05, 0.4, 0.98])
def test_without_evidence_the_prior_remains(prior):
    assert probability_of_srgb(belief(), prior)[0] == pytest.approx(prior, abs=1e-5)


def test_evidence_multiplies_the_odds():
    """Bayes' rule, with odds of 1 : 4 and a likelihood ratio of 12."""
    found = probability_of_srgb(belief(evidence=np.log(12.0)), 0.2)
    assert found[0] == pytest.approx(12 / 16, abs=1e-5)


def test_a_certain_prior_stays_certain():
    assert probability_of_srgb(belief(evidence=-30.0), 1.0) == 1
    assert probability_of_srgb(belief(evidence=30.0), 0.0) == 0


def test_the_mean_curve_is_the_mean_in_stops():
    encoded = jnp.linspace(0.02, 1, 30).reshape(1, 5, 6, 1) * jnp.ones((1, 1, 1, 3))
    for prior in (0.0, 0.3, 1.0):
        found = jnp.log2(expand(encoded, mean_slopes(belief(), prior)))
        srgb = jnp.log2(color.srgb_decode(encoded))
        other = jnp.log2(expand(encoded, belief().slopes))
        np.testing.assert_allclose(
            found, prior * srgb + (1 - prior) * other, rtol=1e-4, atol=1e-4
        )


@pytest.mark.slow
def test_the_deviation_in_stops_is_that_of_the_curve():
    slopes = jnp.exp(jax.random.uniform(jax.random.key(0), (2, SEGMENTS)) - 0.5)
    codes = color.srgb_encode(jnp.exp2(jnp.asarray(KNOTS[1:], jnp.float32)))
    encoded = jnp.broadcast_to(codes[None, None, :, None], (2, 1, SEGMENTS, 3))
    curve = jnp.log2(expand(encoded, slopes))[:, 0, :, 0]
    expected = curve - jnp.asarray(KNOTS[1:], jnp.float32)[None]
    np.testing.assert_allclose(deviation_in_stops(slopes), expected, atol=2e-3)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (15, 1), (700, 600)], ids=str)
def test_photographs_of_any_size_have_a_finite_belief(variables, shape):
    found = CONTEXT(variables, photograph(*shape))
    assert all(np.isfinite(leaf).all() for leaf in found)
    assert (found.slopes > 0).all() and (found.deviation > 0).all()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_photographs_have_a_finite_belief(variables, value):
    found = CONTEXT(variables, jnp.full((1, 20, 20, 3), value))
    assert all(np.isfinite(leaf).all() for leaf in found)


@pytest.mark.slow
def test_each_image_of_a_batch_has_its_own_belief(variables):
    both = jnp.concatenate([photograph(), photograph(seed=1) / 3])
    together = CONTEXT(variables, both)
    alone = CONTEXT(variables, both[1:])
    for of_batch, of_one in zip(together, alone, strict=True):
        np.testing.assert_allclose(of_batch[1:], of_one, rtol=2e-3, atol=2e-4)
        assert not np.allclose(of_batch[0], of_batch[1])


@pytest.mark.slow
def test_the_front_end_takes_the_mean_curve_by_the_prior(variables):
    front = Front(response="estimated", estimator="belief")
    params = {"params": {"camera_response": variables["params"]}}
    encoded = photograph()
    context = fast_jit(functools.partial(front.apply, method="context"))
    found = CONTEXT(variables, encoded)
    for prior in (0.05, 0.98):
        known = context(params, encoded, prior=jnp.float32(prior))
        np.testing.assert_allclose(
            known.slopes, mean_slopes(found, prior), rtol=1e-3, atol=1e-4
        )
        np.testing.assert_allclose(
            known.srgb, probability_of_srgb(found, prior), rtol=1e-2
        )
    without = context(params, encoded)
    expected = context(params, encoded, prior=jnp.float32(TRAINING_SHARE))
    np.testing.assert_allclose(without.slopes, expected.slopes, rtol=1e-5)


@pytest.mark.slow
def test_the_estimate_of_the_front_end_gets_no_gradient(variables):
    front = Front(response="estimated", estimator="belief")

    def total(params):
        variables = {"params": {"camera_response": params}}
        context = front.apply(variables, photograph(), method="context")
        return front.apply(variables, photograph(), context).sum()

    gradient = fast_jit(jax.grad(total))(variables["params"])
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(gradient))
