import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr.imaging import tone_mapping
from jaxhdr.imaging.bilateral import joint_bilateral
from tests import golden_scenes

WEIGHTS = np.array([0.2126, 0.7152, 0.0722])
PIXELS = np.array([[[4.0, 4.0, 4.0], [1.0, 1.0, 1.0]], [[0.25] * 3, [16.0] * 3]])


def by_formula(name, x):
    """The operators on grey pixels, written out again."""
    mean = np.exp(np.mean(np.log(x)))
    if name == "reinhard":
        scaled = 0.18 * x / mean
        return scaled * (1 + scaled / scaled.max() ** 2) / (1 + scaled)
    if name == "drago":
        y = x / mean
        exponent = np.log(0.85) / np.log(0.5)
        base = np.log(2 + 8 * (y / y.max()) ** exponent)
        return np.log(y + 1) / base / np.log10(y.max() + 1)
    return 200 * x / (199 * x + x.max())


@pytest.mark.parametrize("name", ["reinhard", "drago", "schlick"])
def test_global_operators_follow_their_formulas(name):
    found = tone_mapping.OPERATORS[name](jnp.asarray(PIXELS))
    expected = np.clip(by_formula(name, PIXELS), 0, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert found.max() == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_the_local_operator_compresses_the_large_scale_and_keeps_detail():
    rows, columns = np.mgrid[:64, :96]
    detail = 1.1 ** ((rows + columns) % 2)
    scene = np.where(columns < 48, 1.0, 1000.0) * detail
    mapped = np.asarray(tone_mapping.durand(jnp.asarray(scene[..., None].repeat(3, 2))))
    inside = mapped[16:48, ..., 0]
    ratio = inside[:, 60:80].mean() / inside[:, 16:36].mean()
    assert ratio == pytest.approx(5, rel=0.05)
    kept = inside[:, 16:36].max() / inside[:, 16:36].min()
    assert kept == pytest.approx(1.1, rel=0.01)


@pytest.mark.parametrize("name", tone_mapping.OPERATORS)
def test_a_factor_changes_nothing_and_hostile_images_are_finite(name):
    operator = jax.jit(tone_mapping.OPERATORS[name])
    image = golden_scenes.night_lamps().astype(np.float32)
    expected = operator(image)
    assert 0 <= expected.min() and 0.5 < expected.max() <= 1
    np.testing.assert_allclose(operator(1e-4 * image), expected, rtol=2e-3, atol=1e-5)
    for hostile in (0 * image, -image, 1e30 * image, np.full_like(image, 3)):
        assert np.isfinite(operator(hostile)).all()


def brute_force(image, guide, sigma_space, sigma_range):
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    found = np.zeros_like(image)
    for r, c in np.ndindex(image.shape):
        weight = np.exp(
            -((rows - r) ** 2 + (columns - c) ** 2) / (2 * sigma_space**2)
            - (guide - guide[r, c]) ** 2 / (2 * sigma_range**2)
        )
        found[r, c] = np.sum(weight * image) / np.sum(weight)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("sigma_space, sigma_range", [(4.0, 0.1), (9.0, 0.3)])
def test_the_bilateral_grid_is_close_to_the_filter_itself(sigma_space, sigma_range):
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:40, :50]
    guide = 0.5 + 0.4 * np.sin(rows / 7) * np.cos(columns / 9)
    guide = guide + 0.02 * rng.normal(size=guide.shape)
    image = rng.uniform(size=guide.shape) + (guide > 0.5)
    span = float(np.ptp(guide))
    found = joint_bilateral(
        jnp.asarray(image),
        jnp.asarray(guide),
        sigma_space=sigma_space,
        sigma_range=sigma_range,
        span=span,
    )
    expected = brute_force(image, guide, sigma_space, sigma_range)
    assert np.abs(found - expected).mean() < 0.015
    assert np.abs(found - expected).max() < 0.12


@pytest.mark.slow
def test_the_bilateral_filter_keeps_a_constant_and_has_gradients():
    filtered = functools.partial(
        joint_bilateral, sigma_space=5.0, sigma_range=0.1, span=1.0
    )
    guide = jnp.linspace(0, 1, 30 * 20).reshape(30, 20)
    np.testing.assert_allclose(filtered(jnp.full((30, 20), 0.7), guide), 0.7, rtol=1e-5)
    slope = jax.grad(lambda x: filtered(x, x)[10, 10])(guide)
    assert np.isfinite(slope).all() and slope.max() > 0
