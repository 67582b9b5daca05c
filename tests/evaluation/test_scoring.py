import itertools

import numpy as np
import pytest

from jaxhdr import metrics
from jaxhdr.errors import UserError
from jaxhdr.evaluation import scoring
from jaxhdr.imaging import color
from tests.scored_images import example

NAMES = ("psnr_mu", "ssim_mu", "log2_rmse", "log2_rmse_clipped")
METRICS = metrics.select(NAMES)


def perfect_second_stage(image):
    def estimate(shown):
        return np.stack([color.srgb_decode(shown.encoded), image.hdr])

    return {"": estimate}


def test_every_stage_of_every_image_gets_a_row_and_the_baseline_is_first():
    image = example("a")
    images = [image, image._replace(name="b")]
    by_image = scoring.evaluate(perfect_second_stage(image), images, METRICS)
    rows = [row for evaluated in by_image for row in evaluated.rows]
    assert [(row["image"], row["method"]) for row in rows] == [
        *itertools.product("ab", ("linearised input", "stage 1", "stage 2"))
    ]
    baseline, first, second = rows[:3]
    for name in NAMES:
        assert baseline[name] == first[name]
    assert (second["psnr_mu"], second["ssim_mu"]) == (np.inf, 1)
    assert second["log2_rmse"] == second["log2_rmse_clipped"] == 0
    clipped = np.asarray(image.encoded).max(axis=-1) >= 254 / 255
    assert baseline["clipped_share"] == pytest.approx(clipped.mean())
    assert baseline["scene"] == "scene of a"


def test_rows_equal_the_scores_of_a_single_pair():
    image = example("a")
    found = next(scoring.evaluate(perfect_second_stage(image), [image], METRICS))
    row = found.rows[0]
    linear = np.asarray(color.srgb_decode(image.encoded))
    expected = metrics.compare(linear, image.hdr, encoded=image.encoded, names=NAMES)
    assert {name: row[name] for name in NAMES} == pytest.approx(expected, rel=1e-5)


def test_images_are_taken_one_by_one_as_rows_are_asked_for():
    taken = []
    endless = (taken.append(n) or example(str(n)) for n in itertools.count())
    found = scoring.evaluate(perfect_second_stage(example("")), endless, METRICS)
    next(found)
    assert taken == [0]
    assert [row["image"] for row in next(found).rows] == ["1"] * 3
    assert taken == [0, 1]


def test_a_diverged_model_is_refused_not_left_out_of_the_mean():
    def estimate(image):
        stages = np.stack([image.encoded, image.encoded])
        stages[1, 3, 4, 1] = np.nan
        return stages

    with pytest.raises(UserError, match=r"stage 2 of image 'a'.*NaN"):
        list(scoring.evaluate({"": estimate}, [example("a")], METRICS))


def test_all_metrics_that_need_no_package_are_the_default():
    assert scoring.Scoring().metrics == metrics.select(metrics.METRICS)
