"""Means of scores, and the files of a report.

Means are computed from the rows, so they cannot disagree with them. Every image counts
once. A score that does not exist (NaN) is left out of the mean, and the report says how
many scores are left. In files an absent score is empty (CSV) or null (JSON), and an
infinite one is `inf`.
"""

import collections
import csv
import dataclasses
import json
import math
import os
import pathlib
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jaxhdr.atomic import atomic_path
from jaxhdr.errors import UserError
from jaxhdr.metrics import Metric

__all__ = [
    "Report",
    "Row",
    "json_number",
    "markdown",
    "mean_scores",
    "num_scored",
    "precision",
    "summary",
    "write_report",
]

Row = Mapping[str, str | float]
"""The scores of one method on one image, by the names of the columns."""

_NOT_SCORES = {"image", "scene", "method", "clipped_share", "alignment_stops"}
_METRIC_FIELDS = ("unit", "higher_is_better", "input_unit", "reference", "pixels")
_DECIMALS = {"dB": 2, "stops": 3, "": 4}


@dataclasses.dataclass(frozen=True)
class Report:
    """Scores, and what one has to know to compare or repeat them.

    Attributes:
      rows: the scores of every image and method; the first method is the baseline.
      metrics: the metrics that the rows hold, in the order of the columns.
      protocol: how the scores were made, by the names that the report prints.
    """

    rows: Sequence[Row]
    metrics: tuple[Metric, ...]
    protocol: Mapping[str, Any]


def mean_scores(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    """Returns `[method][metric]` means of the scores that exist; NaN if none does."""
    return _over_images(
        rows, lambda scores: statistics.fmean(scores) if scores else math.nan
    )


def num_scored(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Returns `[method][metric]` numbers of images whose score exists."""
    return _over_images(rows, len)


def _over_images(rows: Iterable[Row], reduce: Callable[[list[float]], Any]) -> dict:
    scores = collections.defaultdict(lambda: collections.defaultdict(list))
    for row in rows:
        for name in (name for name in row if name not in _NOT_SCORES):
            value = float(row[name])
            scores[row["method"]][name] += [] if math.isnan(value) else [value]
    return {
        method: {name: reduce(values) for name, values in by_metric.items()}
        for method, by_metric in scores.items()
    }


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
    alignment = ["---", *("---:" for _ in report.metrics)]
    body = [
        [method, *(_rounded(means[m.name], m) for m in report.metrics)]
        for method, means in mean_scores(report.rows).items()
    ]
    table = [f"| {' | '.join(cells)} |" for cells in (header, alignment, *body)]
    definitions = [
        f"- `{metric.name}`: {metric.reference}" for metric in report.metrics
    ]
    paragraphs = (table, [summary(report)], [_protocol(report)], definitions)
    return "\n\n".join("\n".join(lines) for lines in paragraphs) + "\n"


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
