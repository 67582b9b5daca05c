import csv
import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr import image_io, metrics
from jaxhdr.errors import UserError
from jaxhdr.evaluation import image_sets
from jaxhdr.evaluation.methods import open_methods
from jaxhdr.evaluation.rows import mean_scores
from jaxhdr.evaluation.scoring import Scoring
from jaxhdr.evaluation.writing import About, write_evaluation
from jaxhdr.imaging import color
from tests.scored_images import SCENES, gain, image_set

NAMES = ("psnr_mu", "ssim_mu", "log2_rmse", "log2_rmse_clipped")
SCORING = Scoring(metrics.select(NAMES))
METHODS = {"": gain(1.5)}


def scoring_by(*names, **options):
    return Scoring(metrics.select(names), **options)


def test_the_report_holds_the_means_of_its_rows(tmp_path):
    names = [*NAMES, "pu21_psnr"]
    report = write_evaluation(
        *(image_set(), METHODS, tmp_path),
        scoring=scoring_by(*names),
        about=About(facts={"step": 7}),
    )
    with open(tmp_path / "per_image.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    saved = json.loads((tmp_path / "report.json").read_text())
    assert list(rows[0])[-len(names) :] == names
    assert len(rows) == len(report.rows) == 2 * 3 and saved["num_images"] == 2
    for method, by_metric in saved["scores"].items():
        for name, score in by_metric.items():
            values = [float(r[name]) for r in rows if r["method"] == method]
            assert score == {"mean": pytest.approx(np.mean(values)), "num_images": 2}
    scores = saved["scores"]
    assert scores["stage 1"] == scores["linearised input"] != scores["stage 2"]
    assert saved["protocol"]["alignment"] == "none"
    assert saved["protocol"]["step"] == 7
    assert saved["protocol"]["data"] == "golden scenes"
    assert saved["protocol"]["display"]["white"] == 200
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "log2_rmse_clipped (stops ↓)" in text and "psnr_mu (dB ↑)" in text


def test_absolute_light_is_that_of_the_display(tmp_path):
    dim = metrics.Protocol(display=metrics.Display(white=20.0))
    reports = [
        write_evaluation(
            *(image_set(), METHODS, tmp_path),
            scoring=scoring_by("psnr_mu", "pu21_psnr", **display),
        )
        for display in ({}, {"protocol": dim})
    ]
    first, second = (r.rows[2] for r in reports)
    assert first["psnr_mu"] == second["psnr_mu"]
    assert first["pu21_psnr"] != second["pu21_psnr"]
    assert reports[1].protocol["display"]["white"] == 20


def test_a_wrong_baseline_is_told_after_the_first_image(tmp_path):
    scoring = dataclasses.replace(SCORING, baseline="theirs")
    read = []
    images = image_set(when_read=read.append)
    with pytest.raises(UserError, match=r"baseline is 'theirs'; expected one of"):
        write_evaluation(images, METHODS, tmp_path, scoring=scoring)
    assert len(read) == 1


def test_others_are_scored_beside_a_run(tmp_path):
    methods = open_methods(models=["aky", "kuo"]) | METHODS
    report = write_evaluation(
        image_set(SCENES[:1]), methods, tmp_path, scoring=scoring_by("psnr_mu")
    )
    rows = [row["method"] for row in report.rows]
    assert rows == ["linearised input", "aky", "kuo", "stage 1", "stage 2"]
    assert report.protocol["others"] == {
        "aky": "aky, Akyüz et al. (2007)",
        "kuo": "kuo, Kuo et al. (2012)",
    }


def test_results_of_any_method_are_scored_by_their_files(tmp_path):
    photographs, theirs, folder = (tmp_path / n for n in ("photos", "theirs", "report"))
    assert image_sets.write_photographs(image_set(), photographs) == 2
    theirs.mkdir()
    for path in sorted(photographs.iterdir()):
        linear = color.srgb_decode(jnp.asarray(image_io.read_encoded(path)))
        np.save(theirs / f"{path.stem}.npy", 1.5 * np.asarray(linear))

    def evaluate():
        methods = open_methods(predictions=[theirs]) | METHODS
        scoring = scoring_by("log2_rmse")
        return write_evaluation(image_set(), methods, folder, scoring=scoring)

    report = evaluate()
    scores = mean_scores(report.rows)
    # The second stage of the other method is the linearised photograph times 1.5.
    assert scores["theirs"]["log2_rmse"] == pytest.approx(
        scores["stage 2"]["log2_rmse"], rel=1e-5
    )
    assert report.protocol["others"] == {"theirs": "files"}
    # A stopped evaluation does not mix results of files that have changed since.
    np.save(theirs / "interior_window.npy", np.ones((4, 5, 3), np.float32))
    with pytest.raises(UserError, match=r"shape \(4, 5, 3\), its photograph"):
        evaluate()
    log = folder / "rows.jsonl"
    assert len(log.read_text().splitlines()) == 2
    (theirs / "interior_window.npy").unlink()
    np.save(theirs / "gradient_sun.npy", 3 * np.load(theirs / "gradient_sun.npy"))
    before = log.read_text().splitlines()[1]
    with pytest.raises(UserError, match=r"0 HDR files interior_window\.\*"):
        evaluate()
    assert log.read_text().splitlines()[1] != before


@pytest.mark.parametrize("cut", [0, 7])
def test_a_stopped_evaluation_goes_on_and_ends_alike(tmp_path, cut):
    whole = write_evaluation(image_set(), METHODS, tmp_path / "a", scoring=SCORING)
    read = []

    def stop_at_the_second(name):
        read.append(name)
        if len(read) == 2:
            raise KeyboardInterrupt

    images = image_set(when_read=stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        write_evaluation(images, METHODS, tmp_path / "b", scoring=SCORING)
    log = tmp_path / "b" / "rows.jsonl"
    assert len(log.read_text().splitlines()) == 2  # what it is, and the first image
    if cut:  # killed while writing
        log.write_text(log.read_text()[:-cut])
    again = write_evaluation(images, METHODS, tmp_path / "b", scoring=SCORING)
    assert len(read) == (4 if cut else 3)
    assert again.rows == whole.rows
    for name in ("per_image.csv", "report.json", "report.md", "report.html"):
        assert (tmp_path / "b" / name).read_bytes() == (
            tmp_path / "a" / name
        ).read_bytes()
    assert not log.exists()


def test_rows_of_another_evaluation_are_not_taken(tmp_path):
    log = tmp_path / "rows.jsonl"
    row = '[{"image": "gradient_sun", "scene": "s", "method": "m", "psnr_mu": 1.0}]'
    log.write_text(f'{{"evaluation": "another"}}\n{row}\n')
    scoring = scoring_by("psnr_mu")
    report = write_evaluation(image_set(), METHODS, tmp_path, scoring=scoring)
    assert [row["image"] for row in report.rows][:3] == ["gradient_sun"] * 3


def test_the_report_says_what_alignment_did(tmp_path):
    protocol = metrics.Protocol(alignment="median")
    report = write_evaluation(
        *(image_set(SCENES[:1]), METHODS, tmp_path),
        scoring=scoring_by("log2_rmse", protocol=protocol),
    )
    stops = [row["alignment_stops"] for row in report.rows]
    # The second stage is 1.5 times the first, and ends in the same place.
    assert stops[2] == pytest.approx(stops[1] - np.log2(1.5), abs=1e-5)
    assert stops[0] == stops[1]
    assert report.rows[1]["log2_rmse"] == pytest.approx(
        report.rows[2]["log2_rmse"], abs=1e-5
    )
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "median moved linearised input by" in text


def test_the_folder_is_made_and_holds_the_report_alone(tmp_path):
    folder = tmp_path / "x" / "y"
    images, scoring = image_set(SCENES[:1]), scoring_by("psnr_mu")
    report = write_evaluation(images, METHODS, folder, scoring=scoring)
    assert report.metrics == metrics.select(["psnr_mu"])
    assert {row["image"] for row in report.rows} == {"gradient_sun"}
    assert sorted(path.name for path in folder.iterdir()) == [
        *("per_image.csv", "report.html", "report.json", "report.md")
    ]


def test_a_page_without_pictures_has_a_title(tmp_path):
    write_evaluation(
        *(image_set(SCENES[:1]), {"a": gain(2), "b": gain(3)}, tmp_path),
        scoring=scoring_by("psnr_mu", with_pictures=False),
    )
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count('id="pictures-') == 0 and '"title": "a, b"' in page


def test_nothing_to_evaluate_is_refused(tmp_path):
    with pytest.raises(UserError, match="name models or folders"):
        write_evaluation(image_set(), {}, tmp_path / "x")
    assert not (tmp_path / "x").exists()
