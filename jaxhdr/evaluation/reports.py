"""Means of scores, and the files of a report.

Means are computed from the rows, so they cannot disagree with them. Every image counts
once. A score that does not exist (NaN) is left out of the mean, and the report says how
many scores are left. In files an absent score is empty (CSV) or null (JSON), and an
infinite one is `inf`.
"""

import csv
import dataclasses
import functools
import json
import math
import os
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from jaxhdr.atomic import atomic_path
from jaxhdr.errors import UserError
from jaxhdr.evaluation.differences import (
    CONFIDENCE,
    FEWEST_SCENES,
    Difference,
    check_baseline,
    differences,
)
from jaxhdr.evaluation.rows import Row, mean_scores, num_scored
from jaxhdr.metrics import Metric

__all__ = [
    "Report",
    "certainty",
    "difference_text",
    "json_number",
    "markdown",
    "precision",
    "summary",
    "write_report",
]

_METRIC_FIELDS = ("unit", "higher_is_better", "input_unit", "reference", "pixels")
_DECIMALS = {"dB": 2, "stops": 3, "": 4}


@dataclasses.dataclass(frozen=True)
class Report:
    """Scores, and what one has to know to compare or repeat them.

    Attributes:
      rows: the scores of every image and method.
      metrics: the metrics that the rows hold, in the order of the columns.
      protocol: how the scores were made, by the names that the report prints.
      baseline: the method that the others are compared with; "" for the first one.

    Raises:
      UserError: no row is of the baseline.
    """

    rows: Sequence[Row]
    metrics: tuple[Metric, ...]
    protocol: Mapping[str, Any]
    baseline: str = ""

    def __post_init__(self) -> None:
        check_baseline(self.compared_with, mean_scores(self.rows))

    @property
    def compared_with(self) -> str:
        """The name of the baseline."""
        return self.baseline or str(self.rows[0]["method"])

    @functools.cached_property
    def differences(self) -> dict[str, dict[str, Difference]]:
        """Differences of the other methods from the baseline, `[method][metric]`."""
        names = [metric.name for metric in self.metrics]
        return differences(self.rows, names, baseline=self.compared_with)


def write_report(report: Report, folder: str | os.PathLike) -> None:
    """Writes `per_image.csv`, `report.json` and `report.md`, each whole or not at all.

    Raises:
      UserError: the folder cannot be made or written to.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the report's folder {folder}: {error.strerror}"
        ) from error
    with atomic_path(folder / "per_image.csv") as path:
        _write_csv(report.rows, path)
    with atomic_path(folder / "report.json") as path:
        text = json.dumps(_as_json(report), indent=2, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")
    with atomic_path(folder / "report.md") as path:
        path.write_text(markdown(report), encoding="utf-8")


def markdown(report: Report) -> str:
    """Returns the table of means, with what the numbers mean, as Markdown."""
    header = ["method", *(_heading(metric) for metric in report.metrics)]
    body = [
        [method, *(_rounded(means[m.name], m) for m in report.metrics)]
        for method, means in mean_scores(report.rows).items()
    ]
    definitions = [
        f"- `{metric.name}`: {metric.reference}" for metric in report.metrics
    ]
    paragraphs = [
        _table(header, body),
        [summary(report)],
        *_compared(report),
        [_protocol(report)],
        definitions,
    ]
    return "\n\n".join("\n".join(lines) for lines in paragraphs) + "\n"


def _compared(report: Report) -> list[list[str]]:
    """Returns the paragraphs on the differences from the baseline, if there are any."""
    if not report.differences:
        return []
    header = [f"minus {report.compared_with}", *(m.name for m in report.metrics)]
    body = [
        [method, *(difference_text(found[m.name], m) for m in report.metrics)]
        for method, found in report.differences.items()
    ]
    return [_table(header, body), [certainty(report)]]


def _table(header: list[str], body: list[list[str]]) -> list[str]:
    """Returns the lines of a Markdown table; all columns but the first are numbers."""
    alignment = ["---", *("---:" for _ in header[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (header, alignment, *body)]


def difference_text(difference: Difference, metric: Metric) -> str:
    """Returns a difference as text, with its interval if it has one."""
    mean, *ends = (f"{each:+.{precision(metric)}f}" for each in difference[:3])
    if math.isnan(difference.mean):
        return "absent"
    return mean if math.isnan(difference.low) else f"{mean} ({ends[0]} to {ends[1]})"


def certainty(report: Report) -> str:
    """Returns sentences on what the differences from the baseline prove."""
    found = [each for by in report.differences.values() for each in by.values()]
    scenes = max((each.num_scenes for each in found), default=0)
    sentence = f"Differences are means over the images of {scenes} scenes"
    if any(not math.isnan(each.low) for each in found):
        sentence += (
            f", with {100 * CONFIDENCE:.0f} % intervals over scenes like these (a "
            "bootstrap that draws whole scenes). An interval that holds 0 shows no "
            "difference."
        )
    else:
        sentence += f". Fewer than {FEWEST_SCENES} scenes give no intervals."
    if any(metric.name == "pu21_psnr" for metric in report.metrics):
        sentence += (
            " Hanji et al. (2022) need 3.5 dB of PU21-PSNR to be sure that viewers "
            "prefer one method to another."
        )
    return sentence


def _heading(metric: Metric) -> str:
    unit = f"{metric.unit} " if metric.unit else ""
    return f"{metric.name} ({unit}{'↑' if metric.higher_is_better else '↓'})"


def precision(metric: Metric) -> int:
    """Returns the number of decimals that a score is printed with."""
    return _DECIMALS.get(metric.unit, 4)


def _rounded(value: float, metric: Metric) -> str:
    return "absent" if math.isnan(value) else f"{value:.{precision(metric)}f}"


def summary(report: Report) -> str:
    """Returns sentences on the number of images, and on what alignment did."""
    shares = {row["image"]: float(row["clipped_share"]) for row in report.rows}
    total = len(shares)
    share = statistics.fmean(shares.values())
    sentence = f"Means over {total} images; {100 * share:.1f} % of their pixels clip."
    for name, counts in _counts_by_metric(report).items():
        if counts != {total}:
            numbers = " to ".join(str(count) for count in sorted(counts))
            sentence += f" {name} exists for {numbers} of them."
    return sentence + _alignment(report)


def _alignment(report: Report) -> str:
    """Returns a sentence on what the alignment did to the baseline, or ""."""
    first = report.rows[0]
    if "alignment_stops" not in first or math.isnan(float(first["alignment_stops"])):
        return ""
    stops = sorted(
        float(row["alignment_stops"])
        for row in report.rows
        if row["method"] == first["method"]
    )
    name, middle = report.protocol["alignment"], statistics.median(stops)
    return (
        f" Alignment {name} moved {first['method']} by {stops[0]:+.2f} to "
        f"{stops[-1]:+.2f} stops, {middle:+.2f} in the middle."
    )


def _counts_by_metric(report: Report) -> dict[str, set[int]]:
    counts = num_scored(report.rows).values()
    return {m.name: {by_metric[m.name] for by_metric in counts} for m in report.metrics}


def _protocol(report: Report) -> str:
    parts = (
        f"{key} {json.dumps(value, ensure_ascii=False)}"
        for key, value in report.protocol.items()
    )
    return f"Protocol: {'; '.join(parts)}."


def _as_json(report: Report) -> dict[str, Any]:
    means, counts = mean_scores(report.rows), num_scored(report.rows)
    return {
        "protocol": dict(report.protocol),
        "num_images": len({row["image"] for row in report.rows}),
        "metrics": {
            metric.name: {field: getattr(metric, field) for field in _METRIC_FIELDS}
            for metric in report.metrics
        },
        "scores": {
            method: {
                name: {"mean": json_number(value), "num_images": counts[method][name]}
                for name, value in by_metric.items()
            }
            for method, by_metric in means.items()
        },
        "baseline": report.compared_with,
        "differences": {
            method: {name: _of_difference(each) for name, each in by_metric.items()}
            for method, by_metric in report.differences.items()
        },
    }


def _of_difference(difference: Difference) -> dict[str, Any]:
    return {
        "mean": json_number(difference.mean),
        "low": json_number(difference.low),
        "high": json_number(difference.high),
        "confidence": CONFIDENCE,
        "num_images": difference.num_images,
        "num_scenes": difference.num_scenes,
    }


def json_number(value: float) -> float | str | None:
    """Returns a score as JSON has it: null if it does not exist, `inf` as text."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def _write_csv(rows: Sequence[Row], path: pathlib.Path) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: _csv_cell(value) for key, value in row.items()})


def _csv_cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else repr(value)
