import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr.imaging import camera, color
from jaxhdr.models.camera_response import Belief
from jaxhdr.models.response import KNOTS
from jaxhdr.training.response_error import CODES, ResponseError

CAMERA = camera.Camera(curve_shares=(0.4, 0.3, 0.1, 0.2))
COUNT = 24


@functools.cache
def responses(seed=0):
    return camera.responses(jax.random.key(seed), COUNT, CODES, camera=CAMERA)


def photographs():
    """Images whose values fill the whole range."""
    values = np.random.default_rng(0).random((COUNT, 16, 16, 3))
    return jnp.asarray(values, jnp.float32)


def belief_of(responses, *, evidence=None, deviation=0.1):
    """What a network would say that knows the cameras."""
    deviations = responses.stops - jnp.asarray(KNOTS[1:], jnp.float32)[None]
    # The slope of the lowest segment does not count; its end is below all codes.
    rises = jnp.diff(deviations, axis=1) / np.diff(KNOTS[1:])[None]
    slopes = jnp.concatenate([jnp.ones((COUNT, 1)), 1 + rises], axis=1)
    if evidence is None:
        evidence = jnp.where(responses.is_srgb, 20.0, -20.0)
    return Belief(evidence, slopes, jnp.full(COUNT, deviation))


def terms(belief, seed=0):
    _, found = ResponseError()(belief, responses(seed), photographs())
    return {name: float(value) for name, value in found.items()}


@pytest.mark.slow
def test_who_knows_the_cameras_has_no_error():
    found = terms(belief_of(responses()))
    assert found["curve"] == pytest.approx(0, abs=1e-4)
    assert found["mean_curve"] == pytest.approx(0, abs=1e-4)
    assert found["evidence"] == pytest.approx(0, abs=1e-4)


@pytest.mark.slow
def test_wrong_evidence_and_curves_of_other_cameras_cost():
    known = responses()
    right = terms(belief_of(known))
    doubtful = terms(belief_of(known, evidence=jnp.zeros(COUNT)))
    wrong = terms(belief_of(known, evidence=jnp.where(known.is_srgb, -9.0, 9.0)))
    assert right["evidence"] < doubtful["evidence"] < wrong["evidence"]
    assert right["mean_curve"] < doubtful["mean_curve"] < wrong["mean_curve"]
    of_others = terms(belief_of(responses(seed=1), evidence=belief_of(known).evidence))
    assert of_others["curve"] > right["curve"] + 0.01
    assert of_others["loss"] > right["loss"] + 0.01


@pytest.mark.slow
def test_the_curve_of_srgb_cameras_does_not_count():
    known = responses()
    belief = belief_of(known)
    bent = jnp.where(known.is_srgb[:, None], 1.7, belief.slopes)
    assert terms(belief._replace(slopes=bent))["curve"] == pytest.approx(0, abs=1e-4)


def test_the_best_deviation_is_the_error_itself():
    belief = belief_of(responses(seed=1))
    error = terms(belief)["curve"] ** 0.5
    likelihoods = [
        terms(belief._replace(deviation=jnp.full(COUNT, factor * error)))["deviation"]
        for factor in (0.5, 0.9, 1.0, 1.1, 2.0)
    ]
    assert np.argmin(likelihoods) == 2


def test_codes_that_a_photograph_lacks_hardly_count():
    known = responses()
    belief = belief_of(known)
    dark_end = belief.slopes.at[:, 1].add(0.5)  # from -10 to -9 stops
    bright = jnp.clip(photographs(), 0.5, 0.9)
    error = ResponseError()
    _, of_bright = error(belief._replace(slopes=dark_end), known, bright)
    _, of_dark = error(belief._replace(slopes=dark_end), known, bright / 100)
    assert of_bright["curve"] < of_dark["curve"] / 5


@pytest.mark.slow
def test_all_clipped_photographs_have_a_finite_error_and_gradient():
    known = responses()

    def loss(slopes):
        belief = belief_of(known)._replace(slopes=slopes)
        return ResponseError()(belief, known, jnp.ones((COUNT, 4, 4, 3)))[0]

    value, gradient = jax.value_and_grad(loss)(jnp.full((COUNT, len(KNOTS) - 1), 1.2))
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.slow
def test_the_responses_are_those_of_the_photographs():
    clean = dataclasses.replace(
        CAMERA,
        clipped_fraction=(0.0, 0.0),
        read_noise=0.0,
        shot_noise=0.0,
        jpeg_share=0.0,
    )
    hdr = jnp.exp2(jax.random.uniform(jax.random.key(1), (COUNT, 32, 32, 3)) * 9 - 9)
    hdr = hdr.at[:, 0, 0].set(1.0)
    levels = jnp.ones((COUNT, len(camera.CLIPPED_FRACTIONS)))
    key = jax.random.key(0)
    pair = camera.simulate(key, hdr, levels, camera=clean)
    found = camera.responses(key, COUNT, CODES, camera=clean)
    assert 0 < np.mean(found.is_srgb) < 1
    for encoded, radiance, is_srgb, stops in zip(
        pair.encoded, pair.hdr, *found, strict=True
    ):
        estimated = np.interp(encoded, CODES, stops)
        mid = (encoded > 0.15) & (encoded < 0.95)
        error = np.abs(estimated - np.log2(radiance))[mid]
        assert np.median(error) < 0.05  # straight lines between the codes
        if is_srgb:
            np.testing.assert_allclose(stops, KNOTS[1:], atol=0.01)
    np.testing.assert_allclose(color.srgb_decode(CODES), 2.0 ** KNOTS[1:], rtol=1e-4)
