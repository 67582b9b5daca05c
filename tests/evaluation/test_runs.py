import csv

import numpy as np
import pytest

from jaxhdr import metrics
from jaxhdr.errors import UserError
from jaxhdr.evaluation.methods import open_methods
from jaxhdr.evaluation.runs import open_run
from jaxhdr.evaluation.scoring import Scoring
from jaxhdr.evaluation.writing import write_evaluation
from tests import small_runs
from tests.random_models import FIELDS, save_random_run

SCORING = Scoring(metrics.select(["psnr_mu", "log2_rmse"]), with_pictures=False)


def save_run(workdir, data_dir, *, fields=FIELDS, scale="ldr_white", **changes):
    config = small_runs.config(data_dir, loss__scale=scale).to_dict()
    save_random_run(workdir, {**config, **changes, "model": dict(fields)})


def scores_of(path):
    """The scores of each image by the last method."""
    with open(path / "per_image.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    last = rows[-1]["method"]
    return [
        {name: row[name] for name in ("image", "psnr_mu", "log2_rmse")}
        for row in rows
        if row["method"] == last
    ]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_run_and_the_model_of_its_checkpoint_have_the_same_scores(
    tmp_path, synthetic_small, dtype
):
    workdir = tmp_path / "run"
    save_run(workdir, synthetic_small, fields={**FIELDS, "dtype": dtype})
    run = open_run(workdir, num_images=1)
    opened = open_methods(models=[str(workdir)])
    for name, methods in (("run", {"": run.method}), ("model", opened)):
        write_evaluation(run.images, methods, tmp_path / name, scoring=SCORING)
    assert scores_of(tmp_path / "run") == scores_of(tmp_path / "model") != []


@pytest.mark.slow
def test_a_report_says_which_run_it_is_of(tmp_path, synthetic_small):
    save_run(tmp_path, synthetic_small, scale="mean_half")
    run = open_run(tmp_path, num_images=1)
    assert run.folder == tmp_path / "evaluation" / "7"
    assert run.method.label == f"{tmp_path.name} step 7, size auto"
    assert (run.about.title, run.about.curves) == ("fhdr, step 7", None)
    report = write_evaluation(
        run.images, {"": run.method}, run.folder, scoring=SCORING, about=run.about
    )
    methods = [row["method"] for row in report.rows]
    assert methods == ["linearised input", "stage 1"]
    assert list(report.protocol)[:3] == ["model", "step", "alignment_to_photograph"]
    assert report.protocol["model"]["head"] == "residual"
    seed = small_runs.config(synthetic_small).eval.seed
    assert (report.protocol["camera_seed"], report.protocol["step"]) == (seed, 7)
    assert report.protocol["others"] == {}
    text = (run.folder / "report.md").read_text(encoding="utf-8")
    assert '; alignment_to_photograph "median ratio' in text
    assert "own scale is mean_half" in text


def test_an_absolute_run_is_not_aligned_to_the_photograph(tmp_path, synthetic_small):
    save_run(tmp_path, synthetic_small)
    run = open_run(tmp_path)
    assert run.about.facts["alignment_to_photograph"] == "none"
    assert run.images.length > 1


def test_a_run_brings_the_curves_of_its_training(tmp_path, synthetic_small):
    save_run(tmp_path, synthetic_small)
    line = '{"step": 3, "validation/stage 1/psnr_mu": 20.5}\n'
    (tmp_path / "log.jsonl").write_text(line)
    curves = open_run(tmp_path).about.curves
    assert curves["scores"] == {"psnr_mu": {"stage 1": [(3, 20.5)]}}
    assert curves["steps_per_epoch"] > 0


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("name, stages", [("sparam", 1), ("sparam_lstm", 2)])
def test_runs_of_models_with_a_context_are_scored(
    tmp_path, synthetic_small, name, stages
):
    fields = {"name": name, "backbone": "compact"}
    save_run(tmp_path, synthetic_small, fields=fields, scale="mean_half")
    run = open_run(tmp_path, num_images=1)
    image = next(run.images.read(()))
    estimates = run.method(image)
    assert estimates.shape == (stages, *image.encoded.shape)
    assert np.isfinite(estimates).all()


def test_what_a_run_lacks_is_named(tmp_path, synthetic_small):
    with pytest.raises(UserError, match="nothing holds no checkpoints"):
        open_run(tmp_path / "nothing")
    save_run(tmp_path, synthetic_small)
    with pytest.raises(UserError, match="no checkpoint of step 8"):
        open_run(tmp_path, step=8)
    with pytest.raises(UserError, match="nowhere"):
        open_run(tmp_path, data_dir=str(tmp_path / "nowhere"))
