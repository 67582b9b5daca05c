"""Scores of HDR estimates on images whose radiance is known.

One row per image and method: every stage of a model, and the linearised input (the
photograph through the inverse sRGB curve), the baseline that a reconstruction has to
beat. Truth and estimates are in scale `ldr_white`. Whether estimates are aligned to the
truth, too, is up to the protocol. Images are read, estimated and scored one by one, so
memory does not grow with their number.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxhdr.errors import UserError
from jaxhdr.evaluation.image_sets import Example
from jaxhdr.evaluation.rows import Row
from jaxhdr.imaging import camera, color
from jaxhdr.metrics import METRICS, Display, Metric, Protocol, select

__all__ = ["BASELINE", "Estimate", "Evaluated", "Scoring", "evaluate", "score"]

BASELINE = "linearised input"
VIEWER_SIDE = 144
"""Default longest side in pixels; an image with five methods then takes 0.3 MB."""
MOST_VIEWED = 100
"""A report of more images has no viewer by default, because its page gets too large."""
_PROTOCOL = Protocol()

Estimate = Callable[[Example], Float[np.ndarray, "stages h w 3"]]
"""Makes the estimates of an image, in scale `ldr_white` unless the protocol aligns
them."""


@dataclasses.dataclass(frozen=True)
class Scoring:
    """How estimates are scored.

    Attributes:
      metrics: the columns; default all that need no other package.
      protocol: what is done to the images before they are scored.
      with_pictures: whether the web page shows pictures, and the maps of those metrics
        that draw where a difference is seen.
      viewer_side: longest side of the images that the viewer of the web page shows; 0
        for no viewer; None for `VIEWER_SIDE` if there are few images.
      baseline: the method that the report compares the others with; "" for the
        linearised input.
    """

    metrics: tuple[Metric, ...] = select(METRICS)
    protocol: Protocol = _PROTOCOL
    with_pictures: bool = True
    viewer_side: int | None = None
    baseline: str = ""

    def viewer_side_for(self, num_images: int) -> int:
        """Returns the side of the images in the viewer, 0 for no viewer."""
        if not self.with_pictures:
            return 0
        if self.viewer_side is None:
            return VIEWER_SIDE if num_images <= MOST_VIEWED else 0
        return self.viewer_side


class Evaluated(NamedTuple):
    """What is known of one image.

    Attributes:
      image: the photograph and the truth.
      estimates: by method, times the factor that the alignment gave them.
      maps: by method, where a metric that draws one sees a difference, by its name;
        empty unless asked for.
      rows: the scores.
    """

    image: Example
    estimates: Mapping[str, Float[np.ndarray, "h w 3"]]
    maps: Mapping[str, Mapping[str, Float[np.ndarray, "h w"]]]
    rows: list[Row]


class _Scores(NamedTuple):
    """Of all methods on one image, by metric."""

    numbers: dict[str, Float[Array, " methods"]]
    maps: dict[str, Float[Array, "methods h w"]]


@functools.partial(jax.jit, static_argnames=("metrics", "display", "with_maps"))
def score(
    tests: Float[Array, "methods h w 3"],
    references: Float[Array, "methods h w 3"],
    clipped: Bool[Array, "h w 3"],
    *,
    metrics: tuple[Metric, ...],
    display: Display,
    with_maps: bool = False,
) -> _Scores:
    """Returns each metric of estimates of one image, and the maps of those that draw.

    Args:
      tests: the estimates.
      references: the truth, as each estimate is compared with it.
      clipped: the mask of clipped values.
      metrics: the columns.
      display: the display that shows the images to metrics of absolute light.
      with_maps: whether maps are drawn.
    """
    drawn = [m for m in metrics if m.map_fn is not None] if with_maps else []

    def of_one(pair: tuple[Array, Array]) -> _Scores:
        numbers = {
            metric.name: metric.score(*pair, clipped=clipped, display=display)
            for metric in metrics
        }
        return _Scores(numbers, {m.name: m.draw(*pair, display=display) for m in drawn})

    # One estimate after the other: the memory of one, whatever the number of stages.
    return jax.lax.map(of_one, (tests, references))


def evaluate(
    methods: Mapping[str, Estimate],
    images: Iterable[Example],
    metrics: tuple[Metric, ...],
    *,
    protocol: Protocol = _PROTOCOL,
    with_maps: bool = False,
) -> Iterator[Evaluated]:
    """Yields each image with its rows: the baseline, then those of the methods.

    Args:
      methods: what makes the estimates, by the name that the rows give it; a method
        named "" is called by its stages alone.
      images: any iterable or iterator; it is read one image at a time.
      metrics: the columns.
      protocol: what is done to the images before they are scored; what an alignment
        did is in the rows, too.
      with_maps: whether the maps of metrics are drawn.

    Raises:
      UserError: a stage has values that are not finite, or nothing to align by.
    """
    for image in images:
        encoded, truth = jnp.asarray(image.encoded), np.asarray(image.hdr)
        estimates = {BASELINE: np.asarray(color.srgb_decode(encoded))}
        for name, method in methods.items():
            estimates |= _by_stage(method(image), name)
        _check_finite(estimates, image.name)
        clipped = camera.is_clipped(encoded)
        prepared = {
            method: protocol.prepare(estimate, truth, clipped=np.asarray(clipped))
            for method, estimate in estimates.items()
        }
        scores = jax.device_get(
            score(
                _stacked([pair.test for pair in prepared.values()]),
                _stacked([pair.reference for pair in prepared.values()]),
                camera.clipped_values(encoded),
                metrics=metrics,
                display=protocol.shown_by,
                with_maps=with_maps,
            )
        )
        # The factor is 1 where the alignment did more than multiply: `stops` is NaN.
        shown = {
            method: estimates[method] * np.float32(2.0 ** np.nan_to_num(pair.stops))
            for method, pair in prepared.items()
        }
        maps = {
            method: {name: seen[index] for name, seen in scores.maps.items()}
            for index, method in enumerate(prepared)
        }
        rows = _rows(
            image,
            {metric.name: scores.numbers[metric.name] for metric in metrics},
            clipped_share=float(jnp.mean(clipped)),
            stops={method: pair.stops for method, pair in prepared.items()},
            is_aligned=protocol.alignment != "none",
        )
        yield Evaluated(image, shown, maps, rows)


def _rows(
    image: Example,
    scores: Mapping[str, Float[np.ndarray, " methods"]],
    *,
    clipped_share: float,
    stops: Mapping[str, float],
    is_aligned: bool,
) -> list[Row]:
    """Returns the rows of one image.

    Args:
      image: the image.
      scores: the scores of all methods by metric, in the order of the columns.
      clipped_share: share of the photograph's pixels that clip.
      stops: what the alignment did to each method, in the order of the scores.
      is_aligned: whether the protocol aligns at all, so that rows say what it did.
    """
    rows = []
    for index, (method, moved) in enumerate(stops.items()):
        row = {"image": image.name, "scene": image.scene, "method": method}
        numbers = {"clipped_share": clipped_share}
        if is_aligned:
            numbers["alignment_stops"] = moved
        numbers |= {name: float(values[index]) for name, values in scores.items()}
        rows.append(row | numbers)
    return rows


def _stacked(images: list[np.ndarray]) -> Float[Array, "methods h w 3"]:
    return jnp.asarray(np.stack(images), jnp.float32)


def _by_stage(
    stages: Float[np.ndarray, "stages h w 3"], name: str
) -> dict[str, Float[np.ndarray, "h w 3"]]:
    """Returns estimates by the method's name, with a number if it has several."""
    if name and len(stages) == 1:
        return {name: stages[0]}
    return {f"{name} stage {n}".lstrip(): each for n, each in enumerate(stages, 1)}


def _check_finite(estimates: Mapping[str, np.ndarray], image: str) -> None:
    """Refuses what would otherwise pass for a score that does not exist."""
    for method, estimate in estimates.items():
        if not np.isfinite(estimate).all():
            raise UserError(
                f"{method} of image {image!r} has values that are NaN or infinite: "
                "these parameters have diverged; evaluate another step"
            )
