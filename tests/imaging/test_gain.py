import numpy as np
import pytest

from jaxhdr.imaging import gain
from jaxhdr.imaging.gain import DARK, Gains, apart, coarser_with_distance


def test_the_gain_takes_radiance_to_hdr():
    rng = np.random.default_rng(0)
    radiance, hdr = rng.random((4, 5, 3)), rng.random((4, 5, 3)) * 50
    back = (radiance + DARK) * np.exp2(gain.gain(hdr, radiance)) - DARK
    np.testing.assert_allclose(back, hdr, rtol=1e-6, atol=1e-9)


def test_negative_estimates_give_finite_gains():
    assert np.isfinite(gain.gain(np.full((1, 1, 3), -1.0), np.zeros((1, 1, 3)))).all()


def lamp(side: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """The gain and the clipped share of a lamp of 3 stops before a dark wall."""
    share = np.zeros((side, side, 3), np.float32)
    share[8:20, 8:20] = 1
    share[8, 8:20] = 0.5  # an edge that runs through pixels of the copy
    return 3 * share, share


def test_the_edge_of_a_lamp_blurs_neither_the_lamp_nor_the_wall():
    stops, share = lamp()
    gains = apart(stops, share)
    assert isinstance(gains, Gains)
    assert gains.clipped[8:20, 8:20].min() > 2.7
    assert abs(gains.unclipped[share == 0]).max() < 0.02
    # At the mixed edge each kind has the gain of its own side, not the mean of 1.5.
    assert gains.clipped[8, 10, 0] > 2
    assert gains.unclipped[8, 10, 0] < 1.5


def test_a_thin_wire_keeps_its_own_gain_though_a_lamp_is_in_the_image():
    stops, share = lamp(128)
    share[100] = 0.1
    stops[100] = 0.05
    assert apart(stops, share).clipped[100, 100:].max() < 0.3


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_an_image_of_one_kind_keeps_its_gain(share):
    stops = np.random.default_rng(1).normal(size=(9, 14, 3)).astype(np.float32)
    gains = apart(stops, np.full_like(stops, share))
    kept = gains.clipped if share else gains.unclipped
    np.testing.assert_allclose(kept, stops, atol=0.01)
    assert all(np.isfinite(x).all() for x in gains)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2)])
def test_small_copies_are_finite(size):
    stops = np.ones((*size, 3), np.float32)
    for share in (0.0, 1e-6, 0.5, 1.0):
        for kind in apart(stops, np.full_like(stops, share)):
            assert np.isfinite(kind).all()


def waves(side: int = 128) -> np.ndarray:
    column = np.sin(np.arange(side) * 2 * np.pi / 8)  # 8 pixels long
    return np.broadcast_to(column[None, :, None], (side, side, 3)).astype(np.float32)


def test_waves_vanish_far_from_information_and_stay_beside_it():
    is_clipped = np.zeros((128, 128), bool)
    is_clipped[16:112, 16:112] = True
    result = coarser_with_distance(waves(), is_clipped)
    np.testing.assert_array_equal(result[~is_clipped], waves()[~is_clipped])
    np.testing.assert_array_equal(result[16, 16:112], waves()[16, 16:112])
    assert np.abs(result[48:80, 48:80]).max() < 0.02


def test_a_slow_change_stays_where_waves_vanish():
    is_clipped = np.zeros((128, 128), bool)
    is_clipped[16:112, 16:112] = True
    ramp = np.broadcast_to(
        np.linspace(0, 1, 128, dtype=np.float32)[:, None, None], (128, 128, 3)
    )
    result = coarser_with_distance(ramp, is_clipped)
    assert np.abs(result - ramp)[52:76, 40:88].max() < 0.05


def test_what_is_not_clipped_has_no_part_in_the_means():
    is_clipped = np.zeros((64, 64), bool)
    is_clipped[:, 20:] = True
    stops = np.where(is_clipped[..., None], 2.0, -9.0) * np.ones(3)
    result = coarser_with_distance(stops.astype(np.float32), is_clipped)
    np.testing.assert_allclose(result, stops, atol=1e-4)


def test_an_image_that_clips_everywhere_becomes_nearly_even():
    result = coarser_with_distance(waves(), np.ones((128, 128), bool))
    assert np.abs(result).max() < 0.05
    one = np.full((1, 1, 3), 2.5, np.float32)
    np.testing.assert_allclose(coarser_with_distance(one, np.ones((1, 1), bool)), one)
