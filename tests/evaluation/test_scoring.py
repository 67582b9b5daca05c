import csv
import itertools
import json
import subprocess
import sys
import time

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxhdr import image_io, metrics
from jaxhdr.errors import UserError
from jaxhdr.evaluation import image_sets, scoring
from jaxhdr.imaging import camera, color
from jaxhdr.inference import Reconstructor
from jaxhdr.models import create_model
from jaxhdr.storage.checkpoints import Trained
from tests import golden_scenes
from tests.random_models import random_sparam_lstm

NAMES = ("psnr_mu", "ssim_mu", "log2_rmse", "log2_rmse_clipped")
METRICS = metrics.select(NAMES)
CONFIG = {
    "model": {"name": "fake"},
    "data": {"name": "scenes", "validation_split": "validation", "data_dir": ""},
    "camera": {"clipped_fraction": [0.05, 0.1], "jpeg_share": 0.0},
    "eval": {"seed": 5},
}


class Gain(nn.Module):
    """Two stages: the linearised input, and the same times a learned factor."""

    @nn.compact
    def __call__(self, encoded):
        gain = self.param("gain", nn.initializers.ones, (), jnp.float32)
        linear = color.srgb_decode(encoded)
        return jnp.stack([linear, gain * linear])


def example(name, *, white=400.0):
    hdr = golden_scenes.version("interior_window", "ref").astype(np.float32) / white
    encoded = jnp.round(255 * color.srgb_encode(jnp.clip(hdr, 0, 1))) / 255
    return image_sets.Example(name, "room", encoded, jnp.asarray(hdr))


def record(name):
    hdr = golden_scenes.version(name, "ref").astype(np.float32)
    return {
        "hdr": hdr,
        "clipping_levels": camera.clipping_levels(hdr),
        "name": name,
        "scene": f"scene of {name}",
    }


def trained_as(monkeypatch, model, params, **config):
    trained = Trained(7, params, CONFIG | config)
    monkeypatch.setattr(scoring.models, "create_model", lambda **_: model)
    monkeypatch.setattr(scoring.checkpoints, "load_trained", lambda *_, **__: trained)


@pytest.fixture
def workdir(monkeypatch, tmp_path):
    records = [record("gradient_sun"), record("interior_window")]
    monkeypatch.setattr(image_sets.data, "data_source", lambda *_, **__: records)
    trained_as(monkeypatch, Gain(), {"gain": np.float32(1.5)})
    return tmp_path


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
    assert baseline["scene"] == "room"


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
    def predict(encoded):
        return jnp.stack([encoded, encoded.at[0, 3, 4, 1].set(jnp.nan)])

    methods = {"": scoring.by_run(predict)}
    with pytest.raises(UserError, match=r"stage 2 of image 'a'.*NaN"):
        list(scoring.evaluate(methods, [example("a")], METRICS))


def test_a_photograph_does_not_depend_on_the_other_images(workdir):
    images = image_sets.from_config(CONFIG)
    both, again = list(images.read(())), list(images.read(()))
    one = list(image_sets.from_config(CONFIG, num_images=1).read(()))
    other_seed = {**CONFIG, "eval": {"seed": 6}}
    other = next(image_sets.from_config(other_seed).read(()))
    assert [image.name for image in both] == ["gradient_sun", "interior_window"]
    for image, same in zip([*both, both[0]], [*again, *one], strict=True):
        np.testing.assert_array_equal(image.encoded, same.encoded)
        np.testing.assert_array_equal(image.hdr, same.hdr)
    assert not np.array_equal(both[0].hdr, other.hdr)
    assert 0.03 < np.mean(camera.is_clipped(both[0].encoded)) < 0.12


def test_the_report_of_a_workdir_holds_the_means_of_its_rows(workdir):
    names = [*NAMES, "pu21_psnr"]
    report = scoring.evaluate_workdir(workdir, metrics=names)
    folder = workdir / "evaluation" / "7"
    with open(folder / "per_image.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    saved = json.loads((folder / "report.json").read_text())
    assert list(rows[0])[-len(names) :] == names
    assert len(rows) == len(report.rows) == 2 * 3 and saved["num_images"] == 2
    for method, by_metric in saved["scores"].items():
        for name, score in by_metric.items():
            values = [float(r[name]) for r in rows if r["method"] == method]
            assert score == {"mean": pytest.approx(np.mean(values)), "num_images": 2}
    scores = saved["scores"]
    assert scores["stage 1"] == scores["linearised input"] != scores["stage 2"]
    assert saved["protocol"]["alignment"] == "none"
    assert saved["protocol"]["alignment_to_photograph"] == "none"
    assert (saved["protocol"]["camera_seed"], saved["protocol"]["step"]) == (5, 7)
    assert saved["protocol"]["display"]["white"] == 200
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "log2_rmse_clipped (stops ↓)" in text and "psnr_mu (dB ↑)" in text


def test_absolute_light_is_that_of_the_display(workdir):
    dim = metrics.Display(white=20.0)
    reports = [
        scoring.evaluate_workdir(workdir, metrics=["psnr_mu", "pu21_psnr"], **display)
        for display in ({}, {"protocol": metrics.Protocol(display=dim)})
    ]
    first, second = (r.rows[2] for r in reports)
    assert first["psnr_mu"] == second["psnr_mu"]
    assert first["pu21_psnr"] != second["pu21_psnr"]
    assert reports[1].protocol["display"]["white"] == 20


def test_a_prediction_is_what_the_reconstruction_of_the_photograph_gives():
    trained = random_sparam_lstm()
    predict = scoring.predictor(trained.model, trained.params, scale=trained.scale)
    bright = example("a").encoded[:60, :40]
    encoded = jnp.stack([bright, bright / 3])
    stages = predict(encoded)
    assert stages.shape == (2, 2, 60, 40, 3)
    reconstructor = Reconstructor(trained, tile=40, precision="float32")
    for image, estimates in zip(encoded, stages.swapaxes(0, 1), strict=True):
        theirs = reconstructor.stages(np.asarray(image))
        np.testing.assert_allclose(estimates, theirs, rtol=2e-5, atol=2e-5)


def test_only_a_model_without_absolute_scale_is_aligned():
    encoded = example("a").encoded[None]
    linear = color.srgb_decode(encoded)
    params = {"gain": jnp.float32(7)}
    absolute = scoring.predictor(Gain(), params)(encoded)
    np.testing.assert_allclose(absolute[1], 7 * linear, rtol=1e-6)
    aligned = scoring.predictor(Gain(), params, scale="mean_half")(encoded)
    np.testing.assert_allclose(aligned, jnp.stack([linear] * 2), rtol=1e-5)


def test_new_parameters_do_not_compile_anew():
    traced = []

    class Traced(Gain):
        def __call__(self, encoded):
            traced.append(encoded.shape)
            return encoded[None] * 2

    for gain in (1, 2, 3):
        scoring.predictor(Traced(), {"gain": jnp.float32(gain)})(jnp.ones((1, 2, 2, 3)))
    assert len(traced) == 1


def test_the_report_says_how_estimates_were_aligned(workdir, monkeypatch):
    params = {"gain": np.float32(9)}
    trained_as(monkeypatch, Gain(), params, loss={"scale": "mean_half"})
    report = scoring.evaluate_workdir(workdir, num_images=1, metrics=NAMES)
    scores = scoring.mean_scores(report.rows)
    for name in NAMES:
        expected = pytest.approx(scores["linearised input"][name], rel=1e-3)
        assert scores["stage 2"][name] == expected
    text = (workdir / "evaluation" / "7" / "report.md").read_text(encoding="utf-8")
    assert '; alignment_to_photograph "median ratio' in text
    assert "own scale is mean_half" in text


@pytest.mark.parametrize("name, stages", [("sparam", 1), ("sparam_lstm", 2)])
def test_runs_of_models_with_a_context_are_scored(workdir, monkeypatch, name, stages):
    model, params, *_ = random_sparam_lstm()
    if name == "sparam":
        model, params = create_model("sparam", backbone="compact"), params["sparam"]
    trained_as(monkeypatch, model, params, loss={"scale": "mean_half"})
    report = scoring.evaluate_workdir(workdir, num_images=1, metrics=NAMES)
    assert [row["method"] for row in report.rows] == [
        *("linearised input", "stage 1", "stage 2")[: stages + 1]
    ]
    assert all(np.isfinite(row["log2_rmse"]) for row in report.rows)


def test_others_are_scored_beside_the_run(workdir):
    report = scoring.evaluate_workdir(
        workdir, num_images=1, metrics=["psnr_mu"], others=["aky", "kuo"]
    )
    methods = [row["method"] for row in report.rows]
    assert methods == ["linearised input", "aky", "kuo", "stage 1", "stage 2"]
    assert report.protocol["others"]["kuo"] == "kuo, Kuo et al. (2012)"
    with pytest.raises(UserError, match="unknown model 'nobody'"):
        scoring.evaluate_workdir(workdir, others=["nobody"])


def test_results_of_any_method_are_scored_by_their_files(workdir):
    photographs, theirs = workdir / "photographs", workdir / "theirs"
    images = image_sets.from_config(CONFIG)
    assert image_sets.write_photographs(images, photographs) == 2
    theirs.mkdir()
    for path in sorted(photographs.iterdir()):
        linear = color.srgb_decode(jnp.asarray(image_io.read_encoded(path)))
        np.save(theirs / f"{path.stem}.npy", 1.5 * np.asarray(linear))
    arguments = {"metrics": ["log2_rmse"], "predictions": [theirs]}
    report = scoring.evaluate_workdir(workdir, **arguments)
    scores = scoring.mean_scores(report.rows)
    # The second stage of this run is the linearised photograph times 1.5.
    assert scores["theirs"]["log2_rmse"] == pytest.approx(
        scores["stage 2"]["log2_rmse"], rel=1e-5
    )
    assert report.protocol["others"] == {"theirs": "files"}
    # A stopped evaluation does not mix results of files that have changed since.
    np.save(theirs / "interior_window.npy", np.ones((4, 5, 3), np.float32))
    with pytest.raises(UserError, match=r"shape \(4, 5, 3\), its photograph"):
        scoring.evaluate_workdir(workdir, **arguments)
    log = workdir / "evaluation" / "7" / "rows.jsonl"
    assert len(log.read_text().splitlines()) == 2
    (theirs / "interior_window.npy").unlink()
    np.save(theirs / "gradient_sun.npy", 3 * np.load(theirs / "gradient_sun.npy"))
    before = log.read_text().splitlines()[1]
    with pytest.raises(UserError, match=r"0 files interior_window\.\*"):
        scoring.evaluate_workdir(workdir, **arguments)
    assert log.read_text().splitlines()[1] != before


@pytest.mark.parametrize("cut", [0, 7])
def test_a_stopped_evaluation_goes_on_and_ends_alike(workdir, monkeypatch, cut):
    whole = scoring.evaluate_workdir(workdir, metrics=NAMES, output=workdir / "a")
    photographed = []
    simulate = image_sets._simulate

    def counted(*arguments, **options):
        photographed.append(1)
        if len(photographed) == 2:
            raise KeyboardInterrupt
        return simulate(*arguments, **options)

    monkeypatch.setattr(image_sets, "_simulate", counted)
    arguments = {"metrics": NAMES, "output": workdir / "b"}
    with pytest.raises(KeyboardInterrupt):
        scoring.evaluate_workdir(workdir, **arguments)
    log = workdir / "b" / "rows.jsonl"
    assert len(log.read_text().splitlines()) == 2  # the header and the first image
    if cut:  # killed while writing
        log.write_text(log.read_text()[:-cut])
    again = scoring.evaluate_workdir(workdir, **arguments)
    assert len(photographed) == (4 if cut else 3)
    assert again.rows == whole.rows
    for name in ("per_image.csv", "report.json", "report.md", "report.html"):
        assert (workdir / "b" / name).read_bytes() == (
            workdir / "a" / name
        ).read_bytes()
    assert not log.exists()


def test_rows_of_another_evaluation_are_not_taken(workdir):
    log = workdir / "evaluation" / "7" / "rows.jsonl"
    log.parent.mkdir(parents=True)
    row = '[{"image": "gradient_sun", "scene": "s", "method": "m", "psnr_mu": 1.0}]'
    log.write_text(f'{{"evaluation": "another"}}\n{row}\n')
    report = scoring.evaluate_workdir(workdir, metrics=["psnr_mu"])
    assert [row["image"] for row in report.rows][:3] == ["gradient_sun"] * 3


def test_the_report_says_what_alignment_did(workdir):
    protocol = metrics.Protocol(alignment="median")
    report = scoring.evaluate_workdir(
        workdir, num_images=1, metrics=["log2_rmse"], protocol=protocol
    )
    stops = [row["alignment_stops"] for row in report.rows]
    # The second stage is 1.5 times the first, and ends in the same place.
    assert stops[2] == pytest.approx(stops[1] - np.log2(1.5), abs=1e-5)
    assert stops[0] == stops[1]
    assert report.rows[1]["log2_rmse"] == pytest.approx(
        report.rows[2]["log2_rmse"], abs=1e-5
    )
    text = (workdir / "evaluation" / "7" / "report.md").read_text(encoding="utf-8")
    assert "median moved linearised input by" in text


def test_num_images_and_output_are_followed(workdir):
    report = scoring.evaluate_workdir(
        workdir, num_images=1, output=workdir / "x" / "y", metrics=["psnr_mu"]
    )
    assert report.metrics == metrics.select(["psnr_mu"])
    assert {row["image"] for row in report.rows} == {"gradient_sun"}
    assert sorted(path.name for path in (workdir / "x" / "y").iterdir()) == [
        "per_image.csv",
        "report.html",
        "report.json",
        "report.md",
    ]


def test_a_split_without_images_is_refused(workdir, monkeypatch):
    monkeypatch.setattr(image_sets.data, "data_source", lambda *_, **__: [])
    with pytest.raises(UserError, match="scenes has no images in split 'validation'"):
        scoring.evaluate_workdir(workdir, metrics=NAMES)
    assert list(workdir.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--workdir={0}/nothing"], "nothing holds no checkpoints"),
        (["--workdir={0}", "--pairs={0},{0}"], "exactly one of --workdir, --config"),
        (["--pairs={0}", "--model=aky", "--output={0}/x"], "expected two folders"),
        (["--pairs={0},{0}", "--model=aky"], "--output is missing"),
        (["--pairs={0},{0}", "--output={0}/x"], "is empty; expected images"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(tmp_path, arguments, message):
    arguments = [argument.format(tmp_path) for argument in arguments]
    done = subprocess.run(
        [sys.executable, "eval.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_evaluation_killed_at_random_ends_as_one_that_was_not(tmp_path):
    rng = np.random.default_rng()
    for folder in ("photographs", "truths"):
        (tmp_path / folder).mkdir()
    for n in range(200):
        hdr = np.exp(rng.normal(-1, 1, (24, 32, 3))).astype(np.float32)
        np.save(tmp_path / "truths" / f"{n:03}.npy", hdr)
        encoded = np.asarray(color.srgb_encode(jnp.clip(hdr, 0, 1)))
        image_io.write_png(tmp_path / "photographs" / f"{n:03}.png", encoded)

    def command(folder):
        return [
            *(sys.executable, "eval.py", "--model=kuo,aky", "--metrics=psnr_mu"),
            f"--pairs={tmp_path}/photographs,{tmp_path}/truths",
            f"--output={tmp_path / folder}",
        ]

    log = tmp_path / "killed" / "rows.jsonl"
    finished = 0
    for _ in range(3):
        finished += rng.integers(5, 60)
        process = subprocess.Popen(command("killed"), stderr=subprocess.DEVNULL)
        while not log.exists() or len(log.read_bytes().splitlines()) <= finished:
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
        process.wait()
        finished = len(log.read_bytes().splitlines())
        assert not (log.parent / "report.json").exists()
    for folder in ("killed", "whole"):
        subprocess.run(command(folder), check=True, capture_output=True)
    for name in ("per_image.csv", "report.json", "report.md", "report.html"):
        killed, whole = (tmp_path / f / name for f in ("killed", "whole"))
        assert killed.read_bytes() == whole.read_bytes()
    assert not log.exists()
