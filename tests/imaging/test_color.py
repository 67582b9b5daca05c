import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr.imaging import color

LINEAR = [0.0, 1e-6, 0.0005, 0.0031, 0.0032, 0.01, 0.18, 0.5, 0.9, 1.0]
ELEMENTWISE = {
    "srgb_encode": color.srgb_encode,
    "srgb_decode": color.srgb_decode,
    "mu_law": color.mu_law,
    "inverse_mu_law": color.inverse_mu_law,
}
INVERSES = {
    "srgb": (color.srgb_encode, color.srgb_decode),
    "mu_law": (color.mu_law, color.inverse_mu_law),
}


def iec_encode(linear: float) -> float:
    """IEC 61966-2-1:1999, section 5.2, in double precision."""
    if linear <= 0.0031308:
        return 12.92 * linear
    return 1.055 * linear ** (1 / 2.4) - 0.055


def iec_decode(encoded: float) -> float:
    if encoded <= 0.04045:
        return encoded / 12.92
    return ((encoded + 0.055) / 1.055) ** 2.4


def test_srgb_encoding_matches_the_standard():
    expected = [iec_encode(x) for x in LINEAR]
    encoded = color.srgb_encode(jnp.array(LINEAR))
    np.testing.assert_allclose(encoded, expected, rtol=2e-6, atol=1e-7)


def test_srgb_decoding_matches_the_standard_on_every_8_bit_code():
    codes = np.arange(256) / 255
    expected = [iec_decode(x) for x in codes]
    decoded = color.srgb_decode(jnp.asarray(codes, jnp.float32))
    np.testing.assert_allclose(decoded, expected, rtol=3e-6)


def test_mu_law_matches_the_published_formula():
    # Kalantari and Ramamoorthi (2017), equation 5, in double precision.
    expected = [math.log(1 + 5000 * x) / math.log(5001) for x in LINEAR]
    code = color.mu_law(jnp.array(LINEAR))
    np.testing.assert_allclose(code, expected, rtol=2e-6)


def test_mu_law_takes_another_mu():
    code = color.mu_law(jnp.array([0.5]), mu=10.0)
    np.testing.assert_allclose(code, [math.log(6) / math.log(11)], rtol=1e-6)


@pytest.mark.parametrize("name", INVERSES)
def test_a_curve_and_its_inverse_round_trip(name):
    forward, backward = INVERSES[name]
    x = jnp.linspace(0, 1, 1001)
    np.testing.assert_allclose(backward(forward(x)), x, rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(forward(backward(x)), x, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("name", INVERSES)
def test_radiance_above_one_round_trips_unclipped(name):
    forward, backward = INVERSES[name]
    x = jnp.array([1.5, 64.0, 1e4])
    assert (forward(x) > 1).all()
    np.testing.assert_allclose(backward(forward(x)), x, rtol=1e-5)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_curves_map_the_unit_interval_onto_itself_and_rise(name):
    curve = ELEMENTWISE[name](jnp.linspace(0, 1, 4097))
    np.testing.assert_allclose(curve[jnp.array([0, -1])], [0, 1], atol=1e-6)
    assert (jnp.diff(curve) > 0).all()


@pytest.mark.parametrize("x", [0.0, 1e-8, 0.0031308, 0.04045, 0.5, 1.0, 10.0])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_gradients_are_finite_and_positive(name, x):
    slope = jax.grad(ELEMENTWISE[name])(x)
    assert jnp.isfinite(slope)
    assert slope > 0


def test_the_slopes_at_black_are_those_of_the_linear_segments():
    assert jax.grad(color.srgb_encode)(0.0) == pytest.approx(12.92)
    assert jax.grad(color.srgb_decode)(0.0) == pytest.approx(1 / 12.92)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("shape", [(), (0,), (1, 1, 3), (2, 3, 4, 3)])
def test_elementwise_curves_keep_shape_and_dtype(shape):
    for curve in ELEMENTWISE.values():
        for dtype in (jnp.float32, jnp.bfloat16):
            x = jnp.full(shape, 0.25, dtype)
            assert curve(x).shape == shape
            assert curve(x).dtype == dtype


def test_luminance_weighs_the_primaries_as_bt_709():
    # ITU-R BT.709-6, item 3.2.
    primaries = jnp.eye(3)[None]
    weights = color.luminance(primaries)
    np.testing.assert_allclose(weights, [[0.2126, 0.7152, 0.0722]], rtol=1e-6)


def test_luminance_of_grey_is_the_grey_in_its_own_unit():
    grey = jnp.full((2, 3, 4, 3), 1e4)
    luminance = color.luminance(grey)
    assert luminance.shape == (2, 3, 4)
    np.testing.assert_allclose(luminance, 1e4, rtol=1e-6)


def test_pq_codes_are_those_of_the_standard():
    # colour-science 0.4.7.
    light = np.array([0.0, 0.005, 1.0, 100.0, 1000.0, 10_000.0])
    codes = color.pq_code(light)
    assert codes[3] == pytest.approx(0.508078421517, abs=1e-12)
    assert codes[-1] == 1 and 0 < codes[0] < 1e-6
    np.testing.assert_allclose(color.pq_light(codes), light, rtol=1e-9)
    assert color.pq_light(np.zeros(1)) == 0


def test_clipped_channels_are_at_least_white_and_learn_as_if_they_were_not():
    encoded = jnp.array([1.0, 1.0, 254 / 255]).reshape(1, 1, 1, 3)
    hdr = jnp.array([0.2, 5.0, 0.3]).reshape(1, 1, 1, 1, 3)
    found = color.at_least_white(hdr, encoded)
    np.testing.assert_allclose(found.ravel(), [1.0, 5.0, 0.3], rtol=1e-6)
    gradient = jax.grad(lambda hdr: color.at_least_white(hdr, encoded).sum())(hdr)
    np.testing.assert_array_equal(gradient, 1.0)
