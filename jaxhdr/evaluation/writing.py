"""An evaluation from its start to its report.

An evaluation that was stopped goes on after its last finished image.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from jaxhdr._version import __version__
from jaxhdr.errors import UserError
from jaxhdr.evaluation import page, thumbnails
from jaxhdr.evaluation.differences import check_baseline
from jaxhdr.evaluation.image_sets import ImageSet
from jaxhdr.evaluation.methods import Method
from jaxhdr.evaluation.reports import Report, write_report
from jaxhdr.evaluation.row_log import RowLog
from jaxhdr.evaluation.rows import Row
from jaxhdr.evaluation.scoring import Evaluated, Scoring, evaluate

_SCORING = Scoring()


@dataclasses.dataclass(frozen=True)
class About:
    """What a report says beside its scores.

    Attributes:
      title: title of the web page; "" for the names of the methods.
      facts: what goes into the report's protocol before everything else.
      curves: scores during training, as `page.write_page` takes them.
    """

    title: str = ""
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    curves: Mapping[str, Any] | None = None


_ABOUT = About()


def write_evaluation(
    images: ImageSet,
    methods: Mapping[str, Method],
    folder: str | os.PathLike,
    *,
    scoring: Scoring = _SCORING,
    about: About = _ABOUT,
) -> Report:
    """Writes the scores of methods on images into a folder, and returns them.

    Args:
      images: the images to score on.
      methods: the methods by name, in the order of the report; a method named "" is
        called by its stages alone.
      folder: folder of the report; it is made if it does not exist.
      scoring: how the estimates are scored.
      about: what the report says beside the scores.

    Raises:
      UserError: there is no method or no such baseline, an image cannot be read or
        scored, or the report cannot be written.
    """
    if not methods:
        raise UserError("nothing to evaluate: name models or folders of predictions")
    folder = pathlib.Path(folder)
    protocol = {
        **about.facts,
        **images.protocol,
        "scale": "ldr_white",
        **scoring.protocol.describe(),
        "others": {name: method.label for name, method in methods.items() if name},
        "software": {"jaxhdr": __version__, "jax": jax.__version__},
    }
    subject = {
        "protocol": protocol,
        "metrics": [metric.name for metric in scoring.metrics],
        "num_images": images.length,
        "files": [method.files for method in methods.values() if method.files],
        "pictures": scoring.with_pictures,
        "viewer_side": scoring.viewer_side_for(images.length),
    }
    log = RowLog(folder / "rows.jsonl", subject=subject)
    rows = _all_rows(images, methods, scoring, log)
    report = Report(rows, scoring.metrics, protocol, scoring.baseline)
    write_report(report, folder)
    page.write_page(
        folder / "report.html",
        report,
        title=about.title or ", ".join(methods),
        pictures=log.pictures() if scoring.with_pictures else (),
        curves=about.curves,
    )
    log.remove()
    return report


def _all_rows(
    images: ImageSet, methods: Mapping[str, Method], scoring: Scoring, log: RowLog
) -> list[Row]:
    """Returns the rows of all images, after scoring those that are not in the log."""
    viewer_side = scoring.viewer_side_for(images.length)
    rows = [row for finished in log.finished.values() for row in finished]
    unfinished = tqdm(
        images.read(log.finished),
        initial=len(log.finished),
        total=images.length,
        unit="image",
        disable=None,
    )
    for evaluated in evaluate(
        methods,
        # iter(): type checkers peek into what has a length, which would start it twice.
        iter(unfinished),
        scoring.metrics,
        protocol=scoring.protocol,
        with_maps=scoring.with_pictures,
    ):
        pictures = _pictures(evaluated, viewer_side) if scoring.with_pictures else {}
        log.append(evaluated.rows, pictures)
        rows += evaluated.rows
        # A name that is wrong is told after the first image, not after the last.
        if scoring.baseline:
            check_baseline(
                scoring.baseline, (str(row["method"]) for row in evaluated.rows)
            )
    return rows


def _pictures(evaluated: Evaluated, viewer_side: int) -> dict[str, Any]:
    image = evaluated.image
    return thumbnails.pictures(
        np.asarray(image.encoded),
        np.asarray(image.hdr),
        evaluated.estimates,
        evaluated.maps,
        viewer_side=viewer_side,
    )
