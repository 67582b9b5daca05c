import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr import metrics

SIZE = (64, 96)
INSIDE = np.zeros((*SIZE, 1), bool)
INSIDE[8:-8, 8:-8] = True
ROWS, COLUMNS = np.mgrid[: SIZE[0], : SIZE[1]]
NAMES = ("clipped_detail_invented", "clipped_detail_correlation")


def radiance(stops: np.ndarray) -> jnp.ndarray:
    return jnp.asarray(2.0 ** np.repeat(stops[..., None], 3, -1), jnp.float32)


SLOPE = 1 + COLUMNS / 32  # a sky that gets brighter slowly
TRUTH = SLOPE + 0.3 * np.random.default_rng(0).standard_normal(SIZE)
WAVES = 0.2 * np.sqrt(2) * np.sin(ROWS * 2 * np.pi / 8)


def scores(test, reference=TRUTH, mask=INSIDE) -> tuple[float, float]:
    images = radiance(test), radiance(reference)
    inside = jnp.asarray(mask)
    return (
        float(metrics.clipped_detail_invented(*images, mask=inside)),
        float(metrics.clipped_detail_correlation(*images, mask=inside)),
    )


def test_the_truth_has_invented_nothing_and_is_correlated():
    invented, correlation = scores(TRUTH)
    assert invented < 2e-3 and correlation == pytest.approx(1, abs=1e-4)


def test_an_exposure_and_a_lower_contrast_invent_nothing():
    invented, correlation = scores(SLOPE + 0.5 * (TRUTH - SLOPE) + 3)
    assert invented < 0.01 and correlation > 0.99


def test_the_size_of_waves_is_measured_in_stops():
    invented, correlation = scores(SLOPE + WAVES)
    # The Gaussian leaves 99 % of waves of 8 pixels.
    assert invented == pytest.approx(0.2, abs=0.01)
    assert abs(correlation) < 0.1


def test_detail_of_the_wrong_sign_is_invented():
    invented, correlation = scores(2 * SLOPE - TRUTH)
    assert invented == pytest.approx(0.3, abs=0.02) and correlation < -0.99


def test_an_even_estimate_has_invented_nothing_and_has_no_correlation():
    invented, correlation = scores(np.full(SIZE, 2.0))
    assert invented < 1e-3 and np.isnan(correlation)


def test_what_lies_outside_or_at_the_edge_of_the_area_does_not_count():
    test, disturbed = TRUTH.copy(), ~INSIDE[..., 0]
    test[disturbed] -= 5
    assert scores(test)[0] < 2e-3
    test[8:10, 8:-8] += 0.5  # two rows at the edge shine into the mean, but little
    assert scores(test)[0] < 0.1


def test_without_a_pixel_inside_there_is_no_score():
    thin = np.zeros_like(INSIDE)
    thin[20:28] = True  # eight rows: none is four pixels from the edge on both sides
    assert np.isnan(scores(TRUTH, mask=thin)).all()


def test_only_pixels_that_clip_in_all_channels_count():
    encoded = np.full((*SIZE, 3), 0.5, np.float32)
    encoded[..., :2] = 1.0
    hdr = np.asarray(radiance(TRUTH))
    found = metrics.compare(hdr, hdr, encoded=encoded, names=NAMES)
    assert np.isnan(list(found.values())).all()
    encoded[..., 2] = 1.0
    found = metrics.compare(hdr, hdr, encoded=encoded, names=NAMES)
    assert found["clipped_detail_correlation"] == pytest.approx(1, abs=1e-4)


def test_each_image_of_a_batch_has_its_own_scores():
    tests = jnp.stack([radiance(TRUTH), radiance(SLOPE + WAVES)])
    truths = jnp.stack([radiance(TRUTH)] * 2)
    found = metrics.clipped_detail_invented(
        tests, truths, mask=jnp.asarray(np.stack([INSIDE, INSIDE]))
    )
    assert found.shape == (2,)
    assert found[0] < 2e-3 and found[1] == pytest.approx(0.2, abs=0.01)
