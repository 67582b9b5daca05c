import math

import numpy as np
import pytest

from jaxhdr.errors import UserError
from jaxhdr.evaluation.differences import FEWEST_SCENES, differences


def rows_of(method, scores, *, images_per_scene=1):
    return [
        {
            "image": f"image {index}",
            "scene": f"scene {index // images_per_scene}",
            "method": method,
            "psnr": score,
        }
        for index, score in enumerate(scores)
    ]


def difference(own, theirs, **options):
    rows = rows_of("new", own, **options) + rows_of("old", theirs, **options)
    return differences(rows, ["psnr"], baseline="old")["new"]["psnr"]


def test_a_constant_gain_is_certain_whatever_the_images_are():
    theirs = np.random.default_rng(0).normal(30, 8, 40)
    found = difference(theirs + 0.5, theirs)
    assert found[:3] == pytest.approx((0.5, 0.5, 0.5), abs=1e-9)
    assert found[3:] == (40, 40) and found.is_clear


def test_independent_images_have_the_interval_of_a_normal_mean():
    gains = np.random.default_rng(1).normal(0.2, 1, 400)
    found = difference(30 + gains, np.full(400, 30.0))
    error = 1.96 * gains.std() / math.sqrt(400)
    assert found.mean == pytest.approx(gains.mean(), abs=1e-9)
    assert found.low == pytest.approx(gains.mean() - error, abs=0.01)
    assert found.high == pytest.approx(gains.mean() + error, abs=0.01)


def test_images_of_one_scene_count_as_one():
    by_scene = np.random.default_rng(2).normal(0.2, 1, 25)
    once = difference(by_scene, np.zeros(25))
    views = difference(np.repeat(by_scene, 16), np.zeros(400), images_per_scene=16)
    assert views[:3] == pytest.approx(once[:3], abs=1e-9)
    assert views[3:] == (400, 25)


def test_intervals_hold_the_truth_as_often_as_they_say():
    generator = np.random.default_rng(3)
    held = []
    for _ in range(100):
        scenes = np.repeat(generator.normal(1, 1, 30), 4)
        gains = scenes + generator.normal(0, 1, 120)
        found = difference(gains, np.zeros(120), images_per_scene=4)
        held.append(found.low <= 1 <= found.high)
    assert 0.87 <= np.mean(held) <= 0.99


def test_few_scenes_have_no_interval():
    few = difference(np.arange(FEWEST_SCENES - 1.0), np.zeros(FEWEST_SCENES - 1))
    assert few.mean == 1.5 and math.isnan(few.low) and not few.is_clear
    enough = difference(np.arange(1.0, FEWEST_SCENES + 1), np.zeros(FEWEST_SCENES))
    assert 1 <= enough.low < enough.high <= FEWEST_SCENES and enough.is_clear


def test_scores_that_do_not_exist_are_left_out_in_pairs():
    found = difference([1, math.nan, math.inf, 5], [0, 7, math.inf, math.nan])
    assert found.mean == 1 and found[3:] == (1, 1)
    nothing = difference([math.nan], [1.0])
    assert math.isnan(nothing.mean) and nothing[3:] == (0, 0)


def test_an_unknown_baseline_is_named():
    with pytest.raises(UserError, match=r"'newest'; expected one of \['new'\]"):
        differences(rows_of("new", [1.0]), ["psnr"], baseline="newest")
