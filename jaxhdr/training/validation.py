"""Validation in training: scores of the averaged parameters, and the best so far."""

import collections
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from flax import linen as nn
from jaxtyping import Float, PyTree

from jaxhdr.errors import UserError
from jaxhdr.evaluation import image_sets, methods, scoring
from jaxhdr.evaluation.rows import mean_scores
from jaxhdr.metrics import Metric, select
from jaxhdr.pictures import previews
from jaxhdr.storage import run_log
from jaxhdr.storage.pretrained import Pretrained

Scores = Mapping[str, Mapping[str, float]]
"""Mean scores over the validation images, `[method][metric]`.

The last method is the model's answer, its last stage.
"""

Validation = Callable[[PyTree, int, run_log.RunLog], Scores]
"""Scores parameters, writes their scores and a sample sheet into the log of the run at
a step, and returns the scores."""

_Image = Float[np.ndarray, "h w 3"]


def create_validation(config: Any, model: nn.Module) -> Validation:
    """Returns what scores the parameters of a model during training.

    The scores are those of `eval.py`: they are computed in float32, whatever the model
    is trained in. New parameters do not compile anything anew.

    Args:
      config: the fields of `configs/default.py`.
      model: the network in training.

    Raises:
      UserError: a metric of the configuration is unknown.
    """
    metrics = select(config.eval.metrics)

    def validate(params: PyTree, step: int, log: run_log.RunLog) -> Scores:
        trained = Pretrained(model, params, f"step {step}", config.loss.scale)
        images = image_sets.from_config(
            config.to_dict(), num_images=config.eval.num_images or None
        )
        rows, shown = [], []
        for evaluated in scoring.evaluate(
            {"": methods.open_method(trained)}, images.read(()), metrics
        ):
            rows += evaluated.rows
            if len(shown) < config.eval.num_samples:
                shown.append(_triple(evaluated))
        means = mean_scores(rows)
        log.write_scalars(
            step,
            {
                f"{run_log.VALIDATION}/{method}/{name}": value
                for method, scores in means.items()
                for name, value in scores.items()
            },
        )
        log.write_sheet(step, previews.sample_sheet(shown))
        return means

    return validate


class Best:
    """The best validation of a run so far, by the scores of the model's answer.

    Scores of few images jump from one validation to the next. So what counts is the
    median of the last ones: one lucky score is no reason to keep its parameters. A
    score that is not finite is never the best, and in the median it is the worst.
    """

    def __init__(self, metric: Metric | None, *, window: int = 1):
        """Begins without a score.

        Args:
          metric: the metric that says which parameters are the best; None if nobody
            wants to know: then no score is the best.
          window: the number of last scores whose median counts; of two, the worse one.
            While a run has fewer scores, the median is that of all.

        Raises:
          UserError: the window is less than 1.
        """
        if window < 1:
            raise UserError(f"eval.best_window is {window}; expected 1 or more scores")
        self._metric = metric
        self._last: collections.deque[float] = collections.deque(maxlen=window)
        self._median = -math.inf  # the higher, the better, whatever the metric

    def resume(
        self, recorded: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]
    ) -> None:
        """Takes the scores of the steps up to the one that a run resumes from.

        Args:
          recorded: (step, score) by metric and method, from `run_log.read_scores`.
        """
        by_method = {} if self._metric is None else recorded.get(self._metric.name, {})
        *_, of_answer = [[], *by_method.values()]
        for _, score in of_answer:
            self._is_improved_by(score)

    def is_improved_by(self, scores: Scores) -> bool:
        """Returns whether no median so far was better; remembers the best one.

        Args:
          scores: the scores of a validation.
        """
        if self._metric is None:
            return False
        *_, of_answer = scores.values()
        return self._is_improved_by(of_answer[self._metric.name])

    def _is_improved_by(self, score: float) -> bool:
        assert self._metric is not None
        signed = score if self._metric.higher_is_better else -score
        self._last.append(signed if math.isfinite(signed) else -math.inf)
        median = statistics.median_low(self._last)
        if not math.isfinite(signed) or median < self._median:
            return False
        self._median = median
        return True


def create_best(config: Any) -> Best:
    """Returns the record of the best score by the metric that a configuration names.

    Args:
      config: the fields of `configs/default.py`.

    Raises:
      UserError: `eval.best_metric` is not among `eval.metrics`, or `eval.best_window`
        is less than 1.
    """
    name = config.eval.best_metric
    if not name:
        return Best(None)
    if name not in config.eval.metrics:
        raise UserError(
            f"eval.best_metric is {name!r}; expected one of eval.metrics, "
            f"{tuple(config.eval.metrics)}, or '' to keep the last parameters only"
        )
    return Best(select([name])[0], window=config.eval.best_window)


def _triple(evaluated: scoring.Evaluated) -> tuple[_Image, _Image, _Image]:
    """Returns the photograph, the answer and the truth of a sample sheet."""
    *_, answer = evaluated.estimates.values()
    image = evaluated.image
    return np.asarray(image.encoded), answer, np.asarray(image.hdr)
