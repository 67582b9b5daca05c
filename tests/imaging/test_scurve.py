import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr.imaging import scurve

CURVES = [
    (float(maximum), float(np.float32(white)))
    for maximum in (0.25, 1000.0)
    for white in np.geomspace(0.1, 1e4, 6)
]
# Dense everywhere, and down to the last float32 at both ends.
ENCODED = np.unique(
    np.concatenate(
        [
            np.linspace(0, 1, 8193),
            np.geomspace(1e-30, 1e-3, 500),
            1 - np.geomspace(2.0**-24, 1e-2, 500),
        ]
    ).astype(np.float32)
)


def curve_of(maximum, white):
    white = jnp.broadcast_to(jnp.asarray(white, jnp.float32), (3,))
    return scurve.Curve(jnp.asarray(maximum, jnp.float32), white)


def image_of(values):
    values = jnp.asarray(values, jnp.float32)
    return jnp.broadcast_to(values[None, :, None], (1, values.size, 3))


def tone_map(radiance, maximum, white):
    """Reinhard et al. (2002), Eq. 4, with 1.0 at the maximum; in double precision."""
    scaled = radiance * white / maximum
    return scaled * (1 + scaled / white**2) / (1 + scaled)


def inverse_by_bisection(encoded, maximum, white):
    """Solves `tone_map` for the radiance, without Eq. 5."""
    low, high = np.zeros_like(encoded), np.full_like(encoded, maximum)
    for _ in range(200):
        middle = (low + high) / 2
        below = tone_map(middle, maximum, white) < encoded
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


@jax.jit
def gradients(encoded, maximum, white):
    def radiance(encoded, maximum, white):
        return scurve.expand(encoded, scurve.Curve(maximum, white)).sum()

    return jax.grad(radiance, argnums=(0, 1, 2))(encoded, maximum, white)


def test_golden_values_of_the_papers_figure_4():
    # Oh et al. (2021), Fig. 4: L'max 3.6 and white 22; values by arithmetic on Eq. 5.
    radiance = scurve.expand(image_of([0.0, 0.5, 0.9, 1.0]), curve_of(3.6, 22.0))
    np.testing.assert_allclose(radiance[0, :, 0], [0, 0.163, 1.269, 3.6], atol=5e-4)


@pytest.mark.parametrize(("maximum", "white"), CURVES)
def test_expanding_and_compressing_keep_the_digits_of_float32(maximum, white):
    curve = curve_of(maximum, white)
    encoded = ENCODED.astype(np.float64)
    root = np.sqrt((white * (1 - encoded)) ** 2 + 4 * encoded)
    expected = 2 * maximum * encoded / (white * (1 - encoded) + root)
    radiance = scurve.expand(image_of(ENCODED), curve)
    np.testing.assert_allclose(radiance[0, :, 1], expected, rtol=1e-6)
    given = np.asarray(radiance[0, :, 1], np.float64)
    compressed = scurve.compress(radiance, curve)[0, :, 1]
    np.testing.assert_allclose(compressed, tone_map(given, maximum, white), rtol=1e-6)
    np.testing.assert_allclose(compressed, ENCODED, rtol=1e-6)


@pytest.mark.parametrize(("maximum", "white"), [(3.6, 22.0), (0.5, 0.1), (90.0, 1e3)])
def test_expanding_solves_reinhards_equation(maximum, white):
    encoded = np.linspace(0.0, 1.0, 101).astype(np.float32)
    expected = inverse_by_bisection(encoded.astype(np.float64), maximum, white)
    radiance = scurve.expand(image_of(encoded), curve_of(maximum, white))
    np.testing.assert_allclose(radiance[0, :, 2], expected, rtol=2e-6, atol=1e-12)


@pytest.mark.parametrize(("maximum", "white"), CURVES)
def test_the_curve_rises_from_zero_to_its_maximum_on_16_bit_codes(maximum, white):
    curve = curve_of(maximum, white)
    radiance = scurve.expand(image_of(np.arange(0, 65536, 5) / 65535), curve)
    assert (radiance[:, 0] == 0).all()
    np.testing.assert_allclose(radiance[:, -1], maximum, rtol=1e-6)
    assert (jnp.diff(radiance[0, :, 0]) > 0).all()
    assert (jnp.diff(scurve.compress(radiance, curve)[0, :, 0]) > 0).all()


def test_white_one_and_maximum_one_is_the_identity():
    for apply in (scurve.expand, scurve.compress):
        values = apply(image_of(ENCODED), curve_of(1.0, 1.0))
        np.testing.assert_allclose(values, image_of(ENCODED), rtol=3e-7)


@pytest.mark.parametrize(("maximum", "white"), CURVES)
def test_gradients_are_finite_and_right_at_both_ends(maximum, white):
    curve = curve_of(maximum, white)
    for gradient in gradients(image_of(ENCODED), *curve):
        assert jnp.isfinite(gradient).all()
    # By hand: the slope at both ends; the maximum is a factor; white moves neither end.
    slope, by_maximum, by_white = gradients(image_of([0.0, 1.0]), *curve)
    expected = [maximum / white, maximum * (1 + white) / 2]
    np.testing.assert_allclose(slope[0, :, 0], expected, rtol=2e-6)
    np.testing.assert_allclose(by_maximum, 3.0, rtol=1e-6)
    np.testing.assert_allclose(by_white, 0.0, atol=1e-6 * maximum)


def test_the_gradient_of_white_is_the_slope_of_the_curve_family():
    encoded = image_of([0.3, 0.8])

    def radiance(white):
        return scurve.expand(encoded, scurve.Curve(jnp.float32(2.0), white)).sum()

    white = np.array([0.7, 5.0, 40.0])
    levels = np.array([0.3, 0.8])[:, None]
    step = 1e-5 * white
    above, below = (
        inverse_by_bisection(levels + 0 * w, 2.0, w).sum(axis=0)
        for w in (white + step, white - step)
    )
    expected = (above - below) / (2 * step)
    gradient = jax.grad(radiance)(jnp.asarray(white, jnp.float32))
    np.testing.assert_allclose(gradient, expected, rtol=1e-4)


def test_each_image_has_its_maximum_and_each_channel_its_white():
    curve = scurve.Curve(jnp.array([1.0, 4.0]), jnp.array([[1, 2, 3.0], [4, 5, 6.0]]))
    encoded = jnp.linspace(0, 1, 2 * 4 * 5 * 3).reshape(2, 4, 5, 3)
    radiance = scurve.expand(encoded, curve)
    mapped = jax.jit(jax.vmap(scurve.expand))(encoded, curve)
    np.testing.assert_allclose(mapped, radiance, rtol=1e-6)
    for image, channel in np.ndindex(2, 3):
        own = curve_of(curve.maximum[image], curve.white[image, channel])
        alone = scurve.expand(encoded[image], own)
        np.testing.assert_allclose(
            alone[..., channel], radiance[image, ..., channel], rtol=1e-6
        )
