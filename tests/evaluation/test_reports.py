import csv
import json
import math

import pytest

from jaxhdr import metrics
from jaxhdr.errors import UserError
from jaxhdr.evaluation import reports, rows

METRICS = metrics.select(["psnr_mu", "log2_rmse_clipped"])


def row(image, method, psnr, stops):
    return {
        "image": image,
        "scene": "s",
        "method": method,
        "clipped_share": 0.25 if image == "a" else 0.0,
        "psnr_mu": psnr,
        "log2_rmse_clipped": stops,
    }


ROWS = [
    row("a", "linearised input", 30.0, 2.0),
    row("a", "stage 1", math.inf, 0.5),
    row("b", "linearised input", 20.0, math.nan),
    row("b", "stage 1", 10.0, math.nan),
]
REPORT = reports.Report(ROWS, METRICS, {"alignment": "none", "camera_seed": 3})


def test_means_leave_absent_scores_out_and_counts_say_so():
    means, counts = rows.mean_scores(iter(ROWS)), rows.num_scored(iter(ROWS))
    assert means["linearised input"] == {"psnr_mu": 25, "log2_rmse_clipped": 2}
    assert counts["linearised input"] == {"psnr_mu": 2, "log2_rmse_clipped": 1}
    assert means["stage 1"] == {"psnr_mu": math.inf, "log2_rmse_clipped": 0.5}


def test_the_mean_of_no_scores_is_absent():
    means = rows.mean_scores(ROWS[2:])["stage 1"]
    assert math.isnan(means["log2_rmse_clipped"])
    assert rows.num_scored(ROWS[2:])["stage 1"]["log2_rmse_clipped"] == 0


def test_markdown_names_units_directions_counts_and_protocol():
    lines = reports.markdown(REPORT).splitlines()
    assert lines[0] == "| method | psnr_mu (dB ↑) | log2_rmse_clipped (stops ↓) |"
    assert lines[2:4] == [
        "| linearised input | 25.00 | 2.000 |",
        "| stage 1 | inf | 0.500 |",
    ]
    text = "\n".join(lines)
    assert "Means over 2 images; 12.5 % of their pixels clip." in text
    assert "log2_rmse_clipped exists for 1 of them." in text
    assert 'Protocol: alignment "none"; camera_seed 3.' in text
    assert "- `psnr_mu`: mu = 5000" in text
    absent = reports.markdown(reports.Report(ROWS[2:], METRICS, {}))
    assert "| stage 1 | 10.00 | absent |" in absent


def test_files_keep_every_digit_and_every_absent_score(tmp_path):
    found = [*ROWS, row('c, "d"\n', "stage 1", 1 / 3, 0.0)]
    reports.write_report(
        reports.Report(found, METRICS, {}), tmp_path / "new" / "folder"
    )
    with open(tmp_path / "new" / "folder" / "per_image.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert read[4]["image"] == 'c, "d"\n' and float(read[4]["psnr_mu"]) == 1 / 3
    assert read[2]["log2_rmse_clipped"] == "" and read[1]["psnr_mu"] == "inf"

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    text = (tmp_path / "new" / "folder" / "report.json").read_text()
    saved = json.loads(text, parse_constant=refuse)
    assert saved["scores"]["stage 1"]["psnr_mu"] == {"mean": "inf", "num_images": 3}
    assert saved["metrics"]["log2_rmse_clipped"]["unit"] == "stops"
    assert saved["num_images"] == 3


def test_an_unusable_folder_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot make the report's folder .*file"):
        reports.write_report(REPORT, tmp_path / "file")
    with pytest.raises(UserError, match=r"per_image\.csv"):
        (tmp_path / "per_image.csv").mkdir()
        reports.write_report(REPORT, tmp_path)


def scenes(*methods):
    return [
        {"image": str(n), "scene": str(n), "method": method}
        | {"clipped_share": 0.1, "psnr_mu": 20.0 + n + gain, "log2_rmse_clipped": 1.0}
        for n in range(6)
        for method, gain in methods
    ]


def test_differences_from_the_chosen_baseline_have_intervals():
    found = scenes(("linearised input", 0.0), ("theirs", 1.0), ("ours", 1.5))
    report = reports.Report(found, METRICS, {}, "theirs")
    text = reports.markdown(report)
    assert "| minus theirs | psnr_mu | log2_rmse_clipped |" in text
    assert "| ours | +0.50 (+0.50 to +0.50) | +0.000 (+0.000 to +0.000) |" in text
    assert "| linearised input | -1.00 (-1.00 to -1.00)" in text
    assert "means over the images of 6 scenes, with 95 % intervals" in text
    assert "3.5 dB" not in text  # PU21-PSNR is not among the scores


def test_a_baseline_that_was_not_scored_is_refused():
    with pytest.raises(UserError, match=r"'hers'; expected one of .*'linearised input"):
        reports.Report(ROWS, METRICS, {}, "hers")


def test_one_method_has_no_differences():
    text = reports.markdown(reports.Report(ROWS[::2], METRICS, {}))
    assert "minus" not in text


def test_few_scenes_say_that_they_give_no_interval_and_pu21_what_it_needs():
    renamed = [
        {"pu21_psnr" if key == "psnr_mu" else key: value for key, value in each.items()}
        for each in ROWS
    ]
    report = reports.Report(renamed, metrics.select(["pu21_psnr"]), {})
    text = reports.markdown(report)
    assert "Fewer than 5 scenes give no intervals." in text
    assert "3.5 dB of PU21-PSNR" in text
