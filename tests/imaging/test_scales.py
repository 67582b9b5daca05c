import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr.errors import UserError
from jaxhdr.imaging import scales

_factor = jax.jit(scales.factor, static_argnames="scale")


def photograph_of(radiance):
    """An sRGB photograph of 8 bits (IEC 61966-2-1)."""
    linear = np.clip(radiance, 0, 1)
    power = 1.055 * linear ** (1 / 2.4) - 0.055
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, power)
    return (np.round(255 * encoded) / 255).astype(np.float32)


def linear_of(encoded):
    """Linear light of sRGB (IEC 61966-2-1)."""
    encoded = np.asarray(encoded, float)
    power = ((encoded + 0.055) / 1.055) ** 2.4
    return np.where(encoded <= 0.04045, encoded / 12.92, power).astype(np.float32)


@pytest.fixture
def radiance():
    random = np.random.default_rng(0)
    return np.exp(random.normal(-1, 1, (40, 50, 3))).astype(np.float32)


def test_images_have_the_scale_that_the_factor_promises(key):
    hdr = jnp.exp(3 * jax.random.normal(key, (4, 9, 7, 3)))
    found = {name: _factor(hdr, name) for name in scales.SCALES}
    assert all(value.shape == (4,) for value in found.values())
    scaled = {
        name: np.asarray(hdr.T) * np.asarray(value) for name, value in found.items()
    }
    np.testing.assert_array_equal(scaled["ldr_white"], hdr.T)
    np.testing.assert_allclose(scaled["mean_half"].mean((0, 1, 2)), 0.5, rtol=1e-5)
    np.testing.assert_allclose(scaled["max_one"].max((0, 1, 2)), 1.0, rtol=1e-6)


@pytest.mark.parametrize("scale", scales.SCALES)
@pytest.mark.parametrize("value", [0.0, 1e-45, 1e-37, 1e-3, 1e9, 1e30])
def test_factors_are_positive_and_finite_for_any_flat_image(scale, value):
    factor = _factor(jnp.full((1, 3, 3, 3), value), scale)
    assert np.isfinite(factor) and factor > 0
    assert value or factor == 1


def test_an_unknown_scale_is_refused():
    with pytest.raises(UserError, match=r"'nits'.*'ldr_white', 'mean_half', 'max_one'"):
        scales.factor(jnp.ones((1, 2, 2, 3)), "nits")


@pytest.mark.parametrize("factor", [1e-6, 0.37, 1.0, 420.0, 1e6])
def test_a_known_factor_is_found_though_clipped_pixels_are_far_off(radiance, factor):
    encoded = photograph_of(radiance)
    clipped = encoded.max(axis=-1, keepdims=True) >= 254 / 255
    assert 0.2 < clipped.mean() < 0.9
    for wrong in (0.0, 1e-3, 1e4):
        estimate = np.where(clipped, wrong, linear_of(encoded)) / factor
        found = scales.align(estimate.astype(np.float32), encoded)
        assert found == pytest.approx(factor, rel=1e-5)


def test_up_to_half_of_the_unclipped_pixels_may_be_wrong(radiance):
    encoded = photograph_of(radiance / radiance.max() * 0.9)
    estimate = linear_of(encoded) / 3
    estimate[:19] *= 1000
    assert scales.align(estimate, encoded) == pytest.approx(3, rel=1e-4)


def test_the_scale_of_a_photographed_scene_is_found_through_8_bits(radiance):
    exposed = radiance / np.median(radiance) / 4
    found = scales.align(exposed / 7, photograph_of(exposed))
    assert found == pytest.approx(7, rel=0.01)


def test_images_larger_than_a_block_give_the_median_of_all_pixels(monkeypatch):
    encoded = photograph_of(np.linspace(0.01, 0.9, 90).reshape(5, 6, 3))
    estimate = linear_of(encoded) * np.linspace(1, 2, 30).reshape(5, 6, 1)
    estimate = estimate.astype(np.float32)
    whole = scales.align(estimate, encoded)
    monkeypatch.setattr(scales, "_BLOCK", 7)
    assert scales.align(estimate, encoded) == whole
    expected = np.median(1 / np.linspace(1, 2, 30))
    assert whole == pytest.approx(expected, rel=1e-5)


def test_pixels_without_light_or_number_do_not_count(radiance):
    encoded = photograph_of(radiance)
    estimate = linear_of(encoded) / 5
    encoded[:9] = 0
    for i, value in enumerate([0, -1, np.nan, np.inf, -np.inf, 1e-45]):
        estimate[9 + i] = value
    assert scales.align(estimate, encoded) == pytest.approx(5, rel=1e-4)


@pytest.mark.parametrize("shape", [(4, 5, 3), (1, 1, 3), (0, 5, 3)])
def test_images_without_a_comparable_pixel_keep_their_scale(shape):
    black, white = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    for estimate, encoded in [(black, white), (white, black), (black, black)]:
        assert scales.align(estimate, encoded) == 1
    assert scales.align(np.full_like(white, np.nan), white) == 1


def test_an_estimate_of_a_wholly_clipped_photograph_is_set_to_white():
    white = np.ones((4, 5, 3), np.float32)
    assert scales.align(0.25 * white, white) == pytest.approx(4)


def test_images_of_two_sizes_are_refused(radiance):
    with pytest.raises(UserError, match=r"\(39, 50, 3\).*\(40, 50, 3\)"):
        scales.align(radiance[1:], photograph_of(radiance))
