import csv
import pathlib

import numpy as np
import pytest

from jaxhdr import metrics
from jaxhdr.errors import UserError
from jaxhdr.metrics import protocols
from tests import golden_scenes

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "metrics_synthetic.csv"
REFERENCE = golden_scenes.version("interior_window", "ref")
NOISY = golden_scenes.version("interior_window", "noise")


@pytest.mark.parametrize("alignment", ["median", "mean_half", "paper_range"])
@pytest.mark.parametrize("factor", [1e-3, 0.7, 500.0])
def test_alignment_removes_a_factor(alignment, factor):
    expected = protocols.aligned(NOISY, REFERENCE, alignment=alignment)
    found = protocols.aligned(factor * NOISY, REFERENCE, alignment=alignment)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_no_alignment_changes_nothing():
    found = protocols.aligned(NOISY, REFERENCE, alignment="none")
    np.testing.assert_array_equal(found, [NOISY, REFERENCE])


def test_the_median_is_that_of_unclipped_pixels():
    clipped = REFERENCE.max(axis=-1, keepdims=True) > 20  # most of them
    test = np.where(clipped, 0.1 * REFERENCE, 2 * REFERENCE)
    found, _ = protocols.aligned(test, REFERENCE, alignment="median", clipped=clipped)
    np.testing.assert_allclose(
        found, np.where(clipped, 0.05 * REFERENCE, REFERENCE), rtol=1e-12
    )


def test_each_image_gets_its_mean_or_range():
    for image in protocols.aligned(NOISY, REFERENCE, alignment="mean_half"):
        assert image.mean() == pytest.approx(0.5)
    pair = golden_scenes.version("night_lamps", "noise"), golden_scenes.night_lamps()
    for image in protocols.aligned(*pair, alignment="paper_range"):
        assert image.min() >= 0
        below, above = np.sum(image <= 1), np.sum(image >= 999 - 1e-9)
        assert below == above == round(0.001 * image.size)


@pytest.mark.slow
def test_hdr_vdp_over_the_paper_range_equals_the_original():
    with open(GOLDEN, encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["scene"] == "night_lamps"]
    display = metrics.Display(black=1e-5, peak=1e6)
    protocol = metrics.Protocol(alignment="paper_range", display=display)
    for row in rows[1:3]:
        test = golden_scenes.version("night_lamps", row["distortion"])
        reference = golden_scenes.version("night_lamps", "ref")
        found = metrics.compare(
            test, reference, names=["hdr_vdp2_q"], protocol=protocol
        )
        expected = float(row["hdrvdp221_paperrange_Q"])
        assert found["hdr_vdp2_q"] == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    "alignment, message",
    [
        ("median", "no pixel"),
        ("mean_half", "has mean 0"),
        ("paper_range", "single value 0"),
    ],
)
def test_a_black_estimate_cannot_be_aligned(alignment, message):
    with pytest.raises(UserError, match=message):
        protocols.aligned(0 * REFERENCE, REFERENCE, alignment=alignment)


def pu21_psnr(test, reference):
    protocol = metrics.Protocol(display=metrics.Display(white=1.0))
    scores = metrics.compare(test, reference, names=["pu21_psnr"], protocol=protocol)
    return scores["pu21_psnr"]


@pytest.mark.parametrize("gamma, gain", [(0.8, 3.0), (1.2, 0.5)])
def test_the_response_correction_removes_a_smooth_curve(gamma, gain):
    test = gain * 100 * (REFERENCE / 100) ** gamma
    corrected = protocols.correct_response(test, REFERENCE)
    assert pu21_psnr(corrected, REFERENCE) > pu21_psnr(test, REFERENCE) + 6


def test_the_response_correction_removes_a_curve_of_luminance_well():
    luminance = (REFERENCE @ [0.2126, 0.7152, 0.0722])[..., None]
    test = REFERENCE * 2 * (luminance / 100) ** -0.1
    corrected = protocols.correct_response(test, REFERENCE)
    assert pu21_psnr(test, REFERENCE) < 35
    assert pu21_psnr(corrected, REFERENCE) > 50


def test_the_response_correction_leaves_the_truth_and_does_not_hide_noise():
    same = protocols.correct_response(REFERENCE, REFERENCE)
    np.testing.assert_allclose(same, REFERENCE, rtol=2e-3)
    before = pu21_psnr(NOISY, REFERENCE)
    after = pu21_psnr(protocols.correct_response(NOISY, REFERENCE), REFERENCE)
    assert before - 0.5 < after < before + 2


def test_the_response_correction_takes_black_and_constant_estimates():
    for test in (0 * REFERENCE, np.full_like(REFERENCE, 5)):
        assert np.isfinite(protocols.correct_response(test, REFERENCE)).all()
