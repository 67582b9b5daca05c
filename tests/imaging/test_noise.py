import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr.imaging import noise

# Compiled without optimisation, because each function runs once.
measure, smooth = (
    jax.jit(f, compiler_options={"xla_backend_optimization_level": 0})
    for f in (noise.measure, noise.smooth)
)


def noisy(level, deviation, *, side=64, batch=1, seed=0):
    """A flat image with normal noise, cut off at black as a camera does."""
    normal = np.random.default_rng(seed).normal(size=(batch, side, side, 3))
    return jnp.asarray(np.maximum(level + deviation * normal, 0), jnp.float32)


def step_edge(low, high, side=32):
    image = np.full((1, side, side, 3), low, np.float32)
    image[:, :, side // 2 :] = high
    return image


@pytest.mark.parametrize("deviation", [1e-4, 5e-4, 2e-3])
def test_the_deviation_of_noise_in_dark_pixels_is_measured(deviation):
    image = noisy(0.01, deviation)
    np.testing.assert_allclose(measure(image), deviation, rtol=0.05)


def test_each_image_of_a_batch_has_its_own_noise():
    images = jnp.concatenate([noisy(0.01, 1e-4), noisy(0.01, 1e-3)])
    np.testing.assert_allclose(measure(images), [1e-4, 1e-3], rtol=0.05)


def test_a_large_image_is_measured_in_some_of_its_rows():
    image = noisy(0.01, 5e-4, side=900)
    np.testing.assert_allclose(measure(image), 5e-4, rtol=0.02)


def test_edges_and_bright_pixels_are_no_noise():
    image = np.array(noisy(0.01, 3e-4))
    image[:, ::9] = 0.004
    image[:, 40:] = np.random.default_rng(1).random((1, 24, 64, 3))
    assert 2e-4 < float(measure(image)[0]) < 6e-4


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 32, 32, 3)),
        np.ones((1, 32, 32, 3)),
        np.random.default_rng(0).uniform(0.5, 1, (1, 32, 32, 3)),
        np.broadcast_to(np.linspace(0, 0.01, 32)[:, None, None], (1, 32, 32, 3)),
        step_edge(0.001, 0.01),
        *(
            np.full((1, *shape, 3), 0.01)
            for shape in [(1, 1), (2, 40), (40, 2), (3, 3)]
        ),
    ],
    ids=["black", "white", "bright", "ramp", "edge", "1x1", "2x40", "40x2", "3x3"],
)
def test_without_noise_nothing_is_measured_and_nothing_changes(image):
    image = jnp.asarray(image, jnp.float32)
    deviation = measure(image)
    np.testing.assert_allclose(deviation, 0, atol=1e-8)
    np.testing.assert_array_equal(smooth(image, jnp.zeros(1)), image)


@pytest.mark.parametrize("level", [0.0, 5e-4, 0.01, 0.5])
def test_noise_is_smoothed_to_a_half_at_any_level(level):
    """At level 0 the camera clips noise at black, so the mean is above 0."""
    image = noisy(level, 5e-4)
    smoothed = smooth(image, jnp.full(1, 5e-4))
    assert float(smoothed.std()) < 0.5 * float(image.std())
    np.testing.assert_allclose(smoothed.mean(), image.mean(), rtol=0.01)


def test_edges_far_above_the_noise_stay():
    image = jnp.asarray(step_edge(0.001, 0.5))
    smoothed = smooth(image, jnp.full(1, 1e-3))
    assert float(jnp.abs(smoothed - image).max()) < 1e-4


@pytest.mark.parametrize("deviation", [0.0, 1e-3, 10.0])
def test_hostile_images_stay_in_their_range(deviation):
    random = np.random.default_rng(3)
    images = [
        np.zeros((9, 9, 3)),
        np.ones((9, 9, 3)),
        (random.random((9, 9, 3)) < 0.1).astype(np.float32),
        1e-30 * random.random((9, 9, 3)),
    ]
    for image in images:
        image = jnp.asarray(image, jnp.float32)[None]
        smoothed = np.asarray(smooth(image, jnp.full(1, deviation)))
        assert np.isfinite(smoothed).all()
        assert smoothed.min() >= image.min() * (1 - 1e-6)
        assert smoothed.max() <= image.max() * (1 + 1e-6)


@pytest.mark.parametrize("deviation", [0.0, 0.001])
@pytest.mark.parametrize("level", [0.0, 0.3])
def test_a_constant_image_has_a_finite_gradient(level, deviation):
    radiance = jnp.full((1, 8, 8, 3), level)
    deviations = jnp.array([deviation])
    gradient = jax.grad(lambda x: noise.smooth(x, deviations).sum())(radiance)
    assert jnp.isfinite(gradient).all()


def test_the_filter_sees_no_further_than_its_radius():
    image = np.array(noisy(0.01, 1e-3, side=21))
    changed = image.copy()
    changed[0, 10, 10] += 1e-3
    moved = np.abs(
        smooth(changed, jnp.full(1, 1e-2)) - smooth(image, jnp.full(1, 1e-2))
    )
    rows, columns = np.nonzero(moved[0].sum(-1))
    assert (rows.min(), rows.max()) == (10 - noise.RADIUS, 10 + noise.RADIUS)
    assert (columns.min(), columns.max()) == (10 - noise.RADIUS, 10 + noise.RADIUS)
