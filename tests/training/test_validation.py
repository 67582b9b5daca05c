import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxhdr.errors import UserError
from jaxhdr.imaging import color
from jaxhdr.metrics import select
from jaxhdr.models import create_model
from jaxhdr.storage import run_log
from jaxhdr.training import validation
from tests import small_runs
from tests.random_models import FIELDS, random_params

STOPS, PSNR = select(["log2_rmse", "psnr_mu"])  # the lower, the higher the better


def scores(value, *, name="log2_rmse"):
    """Scores of a baseline and of the last stage, where the value belongs."""
    return {"linearised input": {name: 0.0}, "stage 1": {name: value}}


@pytest.mark.parametrize("metric, sign", [(STOPS, 1), (PSNR, -1)])
def test_the_best_score_is_the_lowest_or_the_highest(metric, sign):
    best = validation.Best(metric)
    found = [
        best.is_improved_by(scores(sign * value, name=metric.name))
        for value in (3.0, 2.0, 2.5, 2.0, float("nan"), 2.0, 1.0)
    ]
    # An equal score is as good; later parameters have seen more.
    assert found == [True, True, False, True, False, True, True]


@pytest.mark.parametrize("metric, sign", [(STOPS, 1), (PSNR, -1)])
def test_one_lucky_score_is_not_the_best(metric, sign):
    best = validation.Best(metric, window=3)
    found = [
        best.is_improved_by(scores(sign * value, name=metric.name))
        for value in (3.0, 1.0, 2.9, 2.8, 2.7, float("nan"), 2.6, 2.5)
    ]
    # Medians: 3, 3 (of two, the worse), 2.9, 2.8, 2.8, none, 2.7, 2.6.
    assert found == [True, True, True, True, True, False, True, True]
    after_luck = validation.Best(metric, window=3)
    for value in (3.0, 3.0, 3.0, 1.0, 3.1):
        last = after_luck.is_improved_by(scores(sign * value, name=metric.name))
    assert last  # the median is 3 again, as good as before
    assert not after_luck.is_improved_by(scores(sign * 3.2, name=metric.name))


def test_a_window_without_scores_is_refused():
    with pytest.raises(UserError, match=r"best_window is 0; expected 1 or more"):
        validation.Best(STOPS, window=0)


def test_without_a_metric_nothing_is_the_best():
    best = validation.Best(None)
    best.resume({"log2_rmse": {"stage 1": [(1, 3.0)]}})
    assert not best.is_improved_by(scores(1.0))


def test_a_resumed_run_goes_on_from_its_best_score():
    best = validation.Best(STOPS)
    best.resume(
        {
            "psnr_mu": {"stage 1": [(1, 0.1)]},
            "log2_rmse": {
                "linearised input": [(1, 0.5), (2, 0.5)],
                "stage 1": [(1, 2.0), (2, 3.0)],
            },
        }
    )
    assert not best.is_improved_by(scores(2.5))
    assert best.is_improved_by(scores(1.9))
    fresh = validation.Best(STOPS)
    fresh.resume({})
    assert fresh.is_improved_by(scores(2.5))


class Traced(nn.Module):
    """The linearised photograph times a learned factor; it remembers each trace."""

    traced = []  # noqa: RUF012
    receptive_radius = 0

    def context(self, encoded):
        return None

    @nn.compact
    def __call__(self, encoded, context=None):
        self.traced.append(encoded.shape)
        gain = self.param("gain", nn.initializers.ones, (), jnp.float32)
        return (gain * color.srgb_decode(encoded))[None]


def validate_twice(workdir, config, model, params):
    validate = validation.create_validation(config, model)
    with run_log.open_log(workdir, num_steps=2) as log:
        log.start(0)
        return [validate(each, step, log) for step, each in enumerate(params, 1)]


def test_validating_again_compiles_nothing_and_uses_the_new_parameters(
    tmp_path, synthetic_small
):
    config = small_runs.config(synthetic_small)
    params = [{"gain": jnp.float32(gain)} for gain in (1, 3)]
    first, second = validate_twice(tmp_path, config, Traced(), params)
    assert len(Traced.traced) == 1
    baseline = first["linearised input"]
    assert second["linearised input"] == baseline
    assert first["stage 1"]["psnr_mu"] == pytest.approx(baseline["psnr_mu"], rel=1e-5)
    assert second["stage 1"]["psnr_mu"] != first["stage 1"]["psnr_mu"]
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    recorded = json.loads(lines[1])
    assert recorded["step"] == 2
    assert recorded["validation/stage 1/psnr_mu"] == second["stage 1"]["psnr_mu"]


@pytest.mark.slow
def test_a_run_in_bfloat16_is_validated_in_float32(tmp_path, synthetic_small):
    config = small_runs.config(synthetic_small)
    exact, half = (
        validate_twice(
            tmp_path / dtype,
            config,
            create_model(**FIELDS, dtype=dtype),
            [jax.tree.map(jnp.asarray, random_params())],
        )[0]
        for dtype in ("float32", "bfloat16")
    )
    assert exact == half
    assert np.isfinite(exact["stage 1"]["psnr_mu"])
