import numpy as np
import pytest

from jaxhdr.errors import UserError
from jaxhdr.pictures import previews


def random_hdr(*shape: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.exp(2.5 * rng.standard_normal((*shape, 3))).astype(np.float32)


def constant(value: float) -> np.ndarray:
    return np.full((4, 5, 3), value, np.float32)


HOSTILE = {
    "black": constant(0.0),
    "tiny": constant(1e-30),
    "grey": constant(0.5),
    "huge": constant(3e38),
    "one pixel": random_hdr(1, 1),
    "mostly black": np.where(random_hdr(40, 40) > 300, 1.0, 0.0).astype(np.float32),
    "pure red": constant(1.0) * np.array([1, 0, 0], np.float32),
    "not finite": np.where(random_hdr(9, 9) > 5, np.nan, np.float32(np.inf)),
    "a sun": random_hdr(30, 30) + 1e6 * (np.arange(900).reshape(30, 30, 1) == 7),
}


@pytest.mark.parametrize("hdr", HOSTILE.values(), ids=HOSTILE)
def test_every_preview_is_finite_and_in_range(hdr):
    hdr = hdr.astype(np.float32)
    for shown in (previews.tone_map(hdr), previews.expose(hdr, -2)):
        assert shown.shape == hdr.shape and shown.dtype == np.float32
        assert shown.min() >= 0 and shown.max() <= 1


def test_exposure_follows_the_srgb_curve():
    # IEC 61966-2-1 in double precision: 0.25 -> 0.537099, 0.5 -> 0.735357.
    hdr = constant(1.0)
    np.testing.assert_allclose(previews.expose(hdr, -2), 0.537099, atol=1e-5)
    np.testing.assert_allclose(previews.expose(hdr, -1), 0.735357, atol=1e-5)
    np.testing.assert_allclose(previews.expose(hdr, 1), 1, atol=1e-6)


def test_tone_mapping_does_not_depend_on_the_unit():
    hdr = random_hdr(20, 30)
    expected = previews.tone_map(hdr)
    for unit in (1e-6, 179.0):
        shown = previews.tone_map(hdr * np.float32(unit))
        np.testing.assert_allclose(shown, expected, atol=2e-4)


def test_tone_mapping_keeps_the_order_of_grey_radiances():
    ramp = np.geomspace(1e-4, 1e4, 300, dtype=np.float32)
    shown = previews.tone_map(np.repeat(ramp[None, :, None], 3, axis=2))[0, :, 0]
    assert (np.diff(shown) >= 0).all()
    assert shown[0] < 0.05 and shown[-1] > 0.95


def test_a_constant_image_is_middle_grey():
    # sRGB code of 0.18: 0.461356.
    shown = previews.tone_map(constant(7.0))
    np.testing.assert_allclose(shown, 0.461356, atol=1e-4)


def test_bright_scenes_stay_brighter_than_dark_ones():
    rng = np.random.default_rng(0)
    bright = rng.beta(5, 1, (30, 30, 1)).astype(np.float32) * np.ones(3, np.float32)
    dark = rng.beta(1, 5, (30, 30, 1)).astype(np.float32) * np.ones(3, np.float32)
    assert previews.tone_map(bright).mean() > previews.tone_map(dark).mean() + 0.05


def test_one_sun_leaves_the_rest_of_the_picture_as_it_was():
    hdr = random_hdr(100, 100)
    with_sun = hdr.copy()
    with_sun[50, 50] = 1e7
    difference = np.abs(previews.tone_map(with_sun) - previews.tone_map(hdr))
    difference[50, 50] = 0
    assert difference.max() < 0.02


def test_a_sheet_shows_photograph_prediction_and_truth_in_this_order():
    encoded, prediction, hdr = constant(0.2), constant(1.0), constant(16.0)
    sheet = previews.sample_sheet([(encoded, prediction, hdr)])
    columns = np.linspace(0, sheet.shape[1], 8)[:-1].astype(int) + 3
    row = sheet[-2, columns, 0]
    # sRGB codes of 1, 1/4, 1/16 (clipped: 16, 4, 1).
    expected = [0.2, 1.0, 0.537099, 0.277342, 1.0, 1.0, 1.0]
    np.testing.assert_allclose(row, expected, atol=1e-4)


def test_a_sheet_takes_examples_of_different_sizes_and_shrinks_large_ones():
    shapes = [(700, 500), (20, 30), (1, 1)]
    examples = [(random_hdr(*s).clip(0, 1), random_hdr(*s), random_hdr(*s))
                for s in shapes]  # fmt: skip
    sheet = previews.sample_sheet(examples)
    assert 256 + 20 + 1 < sheet.shape[0] < 256 + 20 + 1 + 60
    assert 7 * 183 <= sheet.shape[1] < 7 * 190
    assert sheet.min() >= 0 and sheet.max() <= 1


def test_shrinking_keeps_the_mean_radiance():
    hdr = random_hdr(512, 512)
    sheet = previews.sample_sheet([(hdr.clip(0, 1), hdr / 1e6, hdr / 1e6)])
    shown = sheet[-256:, 258:514].astype(np.float64)
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(linear.mean() * 1e6, hdr.mean(), rtol=1e-3)


def test_the_labels_are_drawn():
    sheet = previews.sample_sheet([(constant(0.0),) * 3])
    bar = sheet[:24]
    assert (bar > 0.5).mean() > 0.01


def test_a_sheet_needs_an_example():
    with pytest.raises(UserError, match="at least one"):
        previews.sample_sheet([])
