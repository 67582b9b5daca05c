"""The report as one web page, which loads nothing from anywhere.

`page.html` is the page without its contents. The contents are put into it as JSON, and
its script draws them. The pictures are WebP files inside the page. They are read from
an iterator, one image at a time, so memory does not grow with their number.
"""

import importlib.resources
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

from jaxhdr.atomic import atomic_path
from jaxhdr.evaluation.reports import (
    Report,
    certainty,
    difference_text,
    json_number,
    precision,
    summary,
)
from jaxhdr.evaluation.rows import mean_scores
from jaxhdr.pictures.previews import SHEET_STOPS
from jaxhdr.viewer.embedding import embedded_json
from jaxhdr.viewer.page import component

_REPORT, _PICTURES = "/*REPORT*/", "<!--PICTURES-->"
_VIEWER = ("<!--VIEWER-->", "/*VIEWER_STYLE*/", "/*VIEWER_SCRIPT*/")


def write_page(
    path: str | os.PathLike,
    report: Report,
    *,
    title: str,
    pictures: Iterable[Mapping[str, Any]] = (),
    curves: Mapping[str, Any] | None = None,
) -> None:
    """Writes the web page of a report, whole or not at all.

    Args:
      path: path of the page; a file that exists is replaced.
      report: the scores to show.
      title: title of the page, as plain text.
      pictures: the pictures of each image, in the order of the rows, as
        `thumbnails.pictures` makes them; empty for a page without pictures.
      curves: `scores`, [metric][method] lists of (step, score) during training, and
        `steps_per_epoch`, None if it is not known; None for a page without curves.

    Raises:
      UserError: the file cannot be written.
    """
    before, rest = _shell().split(_REPORT)
    between, after = rest.split(_PICTURES)
    contents = _contents(report, title=title, curves=curves)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(before + embedded_json(contents) + between)
        for index, of_image in enumerate(pictures):
            opening = f'<script type="application/json" id="pictures-{index}">'
            file.write(f"{opening}{embedded_json(of_image)}</script>\n")
        file.write(after)


def _shell() -> str:
    """Returns the page without its contents, and with the viewer of `jaxhdr view`."""
    page = importlib.resources.files("jaxhdr.evaluation").joinpath("page.html")
    viewer = component("opening.js")
    shell = page.read_text(encoding="utf-8")
    for place, text in zip(_VIEWER, viewer, strict=True):
        shell = shell.replace(place, text)
    return shell


def _contents(
    report: Report, *, title: str, curves: Mapping[str, Any] | None
) -> dict[str, Any]:
    names = [metric.name for metric in report.metrics]
    means = mean_scores(report.rows)
    images: dict[str, dict[str, Any]] = {}
    for row in report.rows:
        facts = {key: row[key] for key in ("scene", "clipped_share")}
        image = images.setdefault(str(row["image"]), {"name": row["image"], **facts})
        scores = [_short(float(row[name])) for name in names]
        image.setdefault("scores", []).append(scores)
    return {
        "title": title,
        "summary": summary(report),
        "protocol": dict(report.protocol),
        "metrics": [
            {
                "name": metric.name,
                "unit": metric.unit,
                "higher_is_better": metric.higher_is_better,
                "reference": metric.reference,
                "decimals": precision(metric),
            }
            for metric in report.metrics
        ],
        "methods": list(means),
        "baseline": list(means).index(report.compared_with),
        "certainty": certainty(report),
        "differences": _differences(report, list(means)),
        "means": [[_short(of[name]) for name in names] for of in means.values()],
        "images": list(images.values()),
        "exposures": [f"{stops:+g}" if stops else "0" for stops in SHEET_STOPS],
        "curves": curves,
    }


def _differences(report: Report, methods: list[str]) -> list[list[dict[str, Any]]]:
    """Returns [method][metric] texts and whether they are clear; the baseline's: []."""
    found = report.differences
    return [
        [
            {
                "text": difference_text(found[method][metric.name], metric),
                "clear": found[method][metric.name].is_clear,
                "interval": not math.isnan(found[method][metric.name].low),
            }
            for metric in report.metrics
            if method in found
        ]
        for method in methods
    ]


def _short(value: float) -> float | str | None:
    """Returns a number with the digits that a page can show."""
    return json_number(float(f"{value:.7g}"))
