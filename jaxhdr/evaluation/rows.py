"""Rows of scores, and means over them.

A score that does not exist (NaN) is left out of a mean, and the number of scores that
are left says so.
"""

import collections
import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["Row", "mean_scores", "num_scored"]

Row = Mapping[str, str | float]
"""The scores of one method on one image, by the names of the columns."""

_NOT_SCORES = {"image", "scene", "method", "clipped_share", "alignment_stops"}


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
