"""How sure a report can be that one method is better than another.

The images of one scene resemble each other, so they are not independent. Intervals
therefore come from a bootstrap that draws whole scenes: what would the mean difference
have been, had other scenes of the same kind been photographed? Both methods are always
compared on the same images.
"""

import collections
import functools
import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from jaxhdr.errors import UserError
from jaxhdr.evaluation.rows import Row

__all__ = [
    "CONFIDENCE",
    "FEWEST_SCENES",
    "Difference",
    "check_baseline",
    "differences",
]

CONFIDENCE: Final = 0.95
"""Share of intervals that hold the true mean difference, if scenes are many."""

FEWEST_SCENES: Final = 5
"""Fewer scenes give no interval: they cannot show how much scenes differ."""

_NUM_DRAWS, _SEED = 10_000, 0


class Difference(NamedTuple):
    """The mean of a method's scores minus those of the baseline, image by image.

    Attributes:
      mean: the mean over all images for which both scores are finite; NaN if there is
        none.
      low: lower end of the interval; NaN if there are fewer than `FEWEST_SCENES`.
      high: upper end of the interval.
      num_images: the number of these images.
      num_scenes: the number of their scenes.
    """

    mean: float
    low: float
    high: float
    num_images: int
    num_scenes: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval exists and does not hold 0."""
        return self.low > 0 or self.high < 0


def differences(
    rows: Iterable[Row],
    metrics: Sequence[str],
    *,
    baseline: str,
) -> dict[str, dict[str, Difference]]:
    """Returns `[method][metric]` differences from the baseline, for all other methods.

    The interval is the percentile bootstrap (Efron and Tibshirani 1993, chapter 13) of
    10,000 draws, with whole scenes as the units that are drawn. The draws are the same
    for all metrics and methods.

    Args:
      rows: the scores of all images and methods.
      metrics: names of the scores.
      baseline: name of the method that the others are compared with.

    Raises:
      UserError: no row is of the baseline.
    """
    by_method: dict[str, dict[str, Row]] = collections.defaultdict(dict)
    for row in rows:
        by_method[str(row["method"])][str(row["image"])] = row
    check_baseline(baseline, by_method)
    theirs = by_method.pop(baseline)
    return {
        method: {metric: _difference(own, theirs, metric=metric) for metric in metrics}
        for method, own in by_method.items()
    }


def check_baseline(baseline: str, methods: Iterable[str]) -> None:
    """Checks that the baseline is one of the methods.

    Raises:
      UserError: it is not.
    """
    if baseline not in (names := list(methods)):
        raise UserError(f"the baseline is {baseline!r}; expected one of {names}")


def _difference(
    own: dict[str, Row], theirs: dict[str, Row], *, metric: str
) -> Difference:
    by_scene = collections.defaultdict(list)
    for image, row in own.items():
        if image in theirs:
            difference = float(row[metric]) - float(theirs[image][metric])
            if math.isfinite(difference):
                by_scene[row["scene"]].append(difference)
    counts = np.array([len(each) for each in by_scene.values()])
    sums = np.array([sum(each) for each in by_scene.values()])
    if not counts.size:
        return Difference(math.nan, math.nan, math.nan, 0, 0)
    low = high = math.nan
    if len(counts) >= FEWEST_SCENES:
        times = _drawn(len(counts))
        means = (times @ sums) / (times @ counts)
        tail = (1 - CONFIDENCE) / 2
        low, high = map(float, np.quantile(means, [tail, 1 - tail]))
    mean = float(sums.sum() / counts.sum())
    return Difference(mean, low, high, int(counts.sum()), len(counts))


@functools.lru_cache(maxsize=8)
def _drawn(number: int) -> np.ndarray:
    """Returns how often each of `number` scenes is in each draw, (draws, scenes)."""
    generator = np.random.default_rng(_SEED)
    return generator.multinomial(number, np.full(number, 1 / number), size=_NUM_DRAWS)
