"""Scores of HDR estimates on validation images.

One row per image and method: every stage of the model, what it is compared with, and
the linearised input (the photograph through the inverse sRGB curve), the baseline that
a reconstruction has to beat. Truth and estimates are in scale `ldr_white`: those of a
model in another scale are aligned to the photograph, as in a reconstruction. Whether
estimates are aligned to the truth, too, is up to the protocol. Images are read,
estimated and scored one by one, so memory does not grow with their number.
"""

import functools
import glob
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float
from tqdm import tqdm

from jaxhdr import data, image_io, models
from jaxhdr._version import __version__
from jaxhdr.errors import UserError
from jaxhdr.evaluation import image_sets, page, thumbnails
from jaxhdr.evaluation.image_sets import Example, ImageSet
from jaxhdr.evaluation.reports import Report, Row, mean_scores, write_report
from jaxhdr.evaluation.row_log import RowLog
from jaxhdr.imaging import camera, color, scales
from jaxhdr.inference import Reconstructor
from jaxhdr.metrics import METRICS, Display, Metric, Protocol, select
from jaxhdr.storage import checkpoints, run_log
from jaxhdr.storage.pretrained import trained_scale

__all__ = [
    "BASELINE",
    "Evaluated",
    "Method",
    "by_folder",
    "by_model",
    "by_run",
    "evaluate",
    "evaluate_methods",
    "evaluate_workdir",
    "mean_scores",
    "predictor",
    "score",
]

BASELINE = "linearised input"
_PROTOCOL = Protocol()

Method = Callable[[Example], Float[np.ndarray, "stages h w 3"]]
"""Estimates of an image, in scale `ldr_white` unless the protocol aligns them."""


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
    clipped: Bool[Array, "h w 1"],
    *,
    metrics: tuple[Metric, ...],
    display: Display,
    with_maps: bool = False,
) -> _Scores:
    """Returns each metric of estimates of one image, and the maps of those that draw.

    Args:
        tests: the estimates.
        references: the truth, as each is compared with it.
        clipped: the mask of clipped pixels.
        metrics: the columns.
        display: that shows the images to metrics of absolute light.
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


def predictor(
    model: nn.Module, params: Any, *, scale: str = "ldr_white"
) -> Callable[[Array], Array]:
    """Returns predict(encoded): the stages of whole images, in scale `ldr_white`.

    It compiles once per size of image and model, whatever the parameters.

    Args:
        model: under the contract of `jaxhdr.models`.
        params: of the model.
        scale: of the model's output; other than `ldr_white` it is aligned.
    """

    def predict(encoded: Float[Array, "b h w 3"]) -> Float[Array, "stages b h w 3"]:
        stages = _apply(params, encoded, model=model)
        if not scales.alignment_note(scale):
            return stages
        images = zip(np.asarray(stages).swapaxes(0, 1), encoded, strict=True)
        factors = [
            scales.alignment_factors(estimates, np.asarray(image), scale=scale)
            for estimates, image in images
        ]
        return stages * np.stack(factors, axis=1)[..., None, None, None]

    return predict


@functools.partial(jax.jit, static_argnames="model")
def _apply(params: Any, encoded: Array, *, model: Any) -> Array:
    return model.apply({"params": params}, encoded)


def by_run(predict: Callable[[Array], Array]) -> Method:
    """Returns the method that is a model in training.

    Args:
        predict: maps encoded images (b, h, w, 3) to stages (stages, b, h, w, 3) in
            scale `ldr_white`, as `predictor` does.
    """
    return lambda image: np.asarray(predict(jnp.asarray(image.encoded)[None])[:, 0])


def by_model(reconstructor: Reconstructor) -> Method:
    """Returns the method that is a model, or a classical operator."""
    return lambda image: reconstructor.stages(np.asarray(image.encoded))


def by_folder(folder: str | os.PathLike) -> Method:
    """Returns the method whose results are in a folder of HDR files.

    A file has the name of the photograph that `examples.write_photographs` writes and
    a suffix of its own.

    Raises, when called:
        UserError: there is no such file or several, it cannot be read, or its size is
            not that of the photograph.
    """

    def read(image: Example) -> Float[np.ndarray, "1 h w 3"]:
        stem = image_sets.file_stem(image.name)
        found = sorted(pathlib.Path(folder).glob(f"{glob.escape(stem)}.*"))
        if len(found) != 1:
            raise UserError(
                f"{folder} has {len(found)} files {stem}.*; expected one HDR image of "
                "the photograph of that name, which --photographs writes"
            )
        hdr = image_io.read_hdr(found[0])
        if hdr.shape != image.encoded.shape:
            raise UserError(
                f"{found[0]} has shape {hdr.shape}, its photograph "
                f"{image.encoded.shape}; both must be one size"
            )
        return hdr[None]

    return read


def evaluate(
    methods: Mapping[str, Method],
    images: Iterable[Example],
    metrics: tuple[Metric, ...],
    *,
    protocol: Protocol = _PROTOCOL,
    with_maps: bool = False,
) -> Iterator[Evaluated]:
    """Yields each image with its rows: the baseline, then those of the methods.

    Args:
        methods: by the name they get in the rows; "" for one whose stages alone are
            its names.
        images: may be any iterator; it is read one image at a time.
        metrics: the columns.
        protocol: what is done to the images before; what the alignment did is in the
            row, too.
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
                clipped,
                metrics=metrics,
                display=protocol.shown_by,
                with_maps=with_maps,
            )
        )
        rows: list[Row] = []
        for index, (method, pair) in enumerate(prepared.items()):
            row = {"image": image.name, "scene": image.scene, "method": method}
            numbers = {"clipped_share": float(jnp.mean(clipped))}
            if protocol.alignment != "none":
                numbers["alignment_stops"] = pair.stops
            numbers |= {m.name: float(scores.numbers[m.name][index]) for m in metrics}
            rows.append(row | numbers)
        shown = {
            method: estimates[method] * np.float32(2.0 ** np.nan_to_num(pair.stops))
            for method, pair in prepared.items()
        }
        maps = {
            method: {name: seen[index] for name, seen in scores.maps.items()}
            for index, method in enumerate(prepared)
        }
        yield Evaluated(image, shown, maps, rows)


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


def evaluate_workdir(
    workdir: str | os.PathLike,
    *,
    step: int | None = None,
    num_images: int | None = None,
    data_dir: str | None = None,
    output: str | os.PathLike | None = None,
    metrics: Iterable[str] | None = None,
    protocol: Protocol = _PROTOCOL,
    others: Iterable[str] = (),
    predictions: Iterable[str | os.PathLike] = (),
    with_pictures: bool = True,
) -> Report:
    """Returns the scores of a training run's checkpoint, after writing the report.

    Args:
        workdir: folder of the training run.
        step: which checkpoint; default the newest.
        num_images: evaluate that many, spread over the split; default all.
        data_dir: where the prepared data are; default as in training.
        output: folder of the report; default `WORKDIR/evaluation/STEP`.
        metrics: as for `evaluate_methods`.
        protocol: as for `evaluate_methods`.
        others: models and operators to compare with, as for `evaluate_methods`.
        predictions: as for `evaluate_methods`.
        with_pictures: as for `evaluate_methods`.

    Raises:
        UserError: no such checkpoint or data, or as for `evaluate_methods`.
    """
    step, params, config = checkpoints.load_trained(workdir, step=step)
    images = image_sets.from_config(config, num_images=num_images, data_dir=data_dir)
    model = models.create_model(**config["model"])
    scale = trained_scale(config)
    predict = predictor(model, jax.device_put(params), scale=scale)
    curves = {
        "scores": run_log.read_scores(workdir),
        "steps_per_epoch": _steps_per_epoch(config, data_dir),
    }
    return _evaluate(
        images,
        {"": by_run(predict)},
        folder=pathlib.Path(output or pathlib.Path(workdir) / "evaluation" / str(step)),
        title=f"{config['model']['name']}, step {step}",
        described={
            "model": dict(config["model"]),
            "step": step,
            "alignment_to_photograph": scales.alignment_note(scale) or "none",
        },
        metrics=metrics,
        protocol=protocol,
        models=others,
        predictions=predictions,
        with_pictures=with_pictures,
        curves=curves if curves["scores"] else None,
    )


def evaluate_methods(
    images: ImageSet,
    output: str | os.PathLike,
    *,
    models: Iterable[str] = (),
    predictions: Iterable[str | os.PathLike] = (),
    metrics: Iterable[str] | None = None,
    protocol: Protocol = _PROTOCOL,
    with_pictures: bool = True,
) -> Report:
    """Returns the scores of methods, after writing the report.

    An evaluation that was stopped goes on after its last finished image.

    Args:
        images: to score on.
        output: folder of the report.
        models: names or files of models and names of classical operators, as
            `Reconstructor` takes them.
        predictions: folders of other methods' results, see `by_folder`.
        metrics: names of the columns; default all that need no other package.
        protocol: what is done to the images before they are scored.
        with_pictures: whether the web page shows pictures.

    Raises:
        UserError: no method, no such model or metric, an image that cannot be read, or
            the report cannot be written.
    """
    models, predictions = list(models), list(predictions)
    if not models and not predictions:
        raise UserError("nothing to evaluate: name models or folders of predictions")
    return _evaluate(
        images,
        {},
        folder=pathlib.Path(output),
        title=", ".join([*models, *(pathlib.Path(f).name for f in predictions)]),
        described={},
        metrics=metrics,
        protocol=protocol,
        models=models,
        predictions=predictions,
        with_pictures=with_pictures,
        curves=None,
    )


def _evaluate(
    images: ImageSet,
    methods: Mapping[str, Method],
    *,
    folder: pathlib.Path,
    title: str,
    described: Mapping[str, Any],
    metrics: Iterable[str] | None,
    protocol: Protocol,
    models: Iterable[str],
    predictions: Iterable[str | os.PathLike],
    with_pictures: bool,
    curves: Mapping[str, Any] | None,
) -> Report:
    columns = select(METRICS if metrics is None else metrics)
    models, predictions = list(models), list(predictions)
    folders = {pathlib.Path(path).name: path for path in predictions}
    opened = {
        pathlib.Path(name).name.removesuffix(".safetensors"): Reconstructor(
            name,
            tile=None,
            precision="float32",  # scores of one program do not depend on the machine
        )
        for name in models
    }
    if len(opened | folders) < len(models) + len(predictions):
        raise UserError(
            f"two of {[*models, *map(str, predictions)]} have one name; a report tells "
            "methods by it, so rename one"
        )
    others = {name: by_model(opened[name]) for name in opened}
    others |= {name: by_folder(path) for name, path in folders.items()}
    described = {
        **described,
        **images.protocol,
        "scale": "ldr_white",
        **protocol.describe(),
        "others": {name: opened[name].label for name in opened}
        | dict.fromkeys(folders, "files"),
        "software": {"jaxhdr": __version__, "jax": jax.__version__},
    }
    subject = {
        "protocol": described,
        "metrics": [metric.name for metric in columns],
        "num_images": images.length,
        "files": [_state(path) for path in folders.values()],
        "pictures": with_pictures,
    }
    log = RowLog(folder / "rows.jsonl", subject=subject)
    rows = [row for finished in log.finished.values() for row in finished]
    unfinished = tqdm(
        images.read(log.finished),
        initial=len(log.finished),
        total=images.length,
        unit="image",
        disable=None,
    )
    for evaluated in evaluate(
        {**others, **methods},
        # iter(): type checkers peek into what has a length, which would start it twice.
        iter(unfinished),
        columns,
        protocol=protocol,
        with_maps=with_pictures,
    ):
        log.append(evaluated.rows, _pictures(evaluated) if with_pictures else {})
        rows += evaluated.rows
    report = Report(rows, columns, described)
    write_report(report, folder)
    page.write_page(
        folder / "report.html",
        report,
        title=title,
        pictures=log.pictures() if with_pictures else (),
        curves=curves,
    )
    log.remove()
    return report


def _pictures(evaluated: Evaluated) -> dict[str, Any]:
    image = evaluated.image
    return thumbnails.pictures(
        np.asarray(image.encoded),
        np.asarray(image.hdr),
        evaluated.estimates,
        evaluated.maps,
    )


def _steps_per_epoch(config: Mapping[str, Any], data_dir: str | None) -> float | None:
    """Returns how many steps see each training image once; None if data are gone."""
    section = config["data"]
    if not {"train_split", "batch_size"} <= section.keys():
        return None
    directory = data_dir or section.get("data_dir") or None
    try:
        source = data.data_source(
            section["name"], section["train_split"], data_dir=directory
        )
    except UserError:
        return None
    return len(source) / section["batch_size"]


def _state(folder: str | os.PathLike) -> str:
    """Returns what tells the files of a folder from later ones of the same names."""
    paths = sorted(path for path in pathlib.Path(folder).glob("*") if path.is_file())
    return image_sets.versions(paths)
