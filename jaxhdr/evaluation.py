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
import re
import sys
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float
from tqdm import tqdm

import jaxhdr
from jaxhdr import alignment, camera, checkpoints, color, data, image_io, models
from jaxhdr.errors import UserError
from jaxhdr.inference import Reconstructor
from jaxhdr.metrics import METRICS, Display, Metric, Protocol, select
from jaxhdr.pretrained import trained_scale
from jaxhdr.reports import Report, Row, mean_scores, write_report
from jaxhdr.row_log import RowLog

__all__ = [
    "BASELINE",
    "Example",
    "Method",
    "by_folder",
    "by_model",
    "evaluate",
    "evaluate_workdir",
    "mean_scores",
    "predictor",
    "score",
    "validation_examples",
    "write_photographs",
]

BASELINE = "linearised input"
_PROTOCOL = Protocol()


class Example(NamedTuple):
    """A photograph, display-encoded, and its radiance in scale `ldr_white`."""

    name: str
    scene: str
    encoded: Float[Array, "h w 3"]
    hdr: Float[Array, "h w 3"]


Method = Callable[[Example], Float[np.ndarray, "stages h w 3"]]
"""Estimates of an image, in scale `ldr_white` unless the protocol aligns them."""

# Kept here, so that a training run which evaluates often compiles it once.
_simulate = jax.jit(camera.simulate, static_argnames="camera")


@functools.partial(jax.jit, static_argnames=("metrics", "display"))
def score(
    tests: Float[Array, "methods h w 3"],
    references: Float[Array, "methods h w 3"],
    clipped: Bool[Array, "h w 1"],
    *,
    metrics: tuple[Metric, ...],
    display: Display,
) -> dict[str, Float[Array, " methods"]]:
    """Returns each metric of estimates of one image.

    Args:
        tests: the estimates.
        references: the truth, as each is compared with it.
        clipped: the mask of clipped pixels.
        metrics: the columns.
        display: that shows the images to metrics of absolute light.
    """
    # One estimate after the other: the memory of one, whatever the number of stages.
    return jax.lax.map(
        lambda pair: {
            metric.name: metric.score(*pair, clipped=clipped, display=display)
            for metric in metrics
        },
        (tests, references),
    )


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
        if not alignment.sentence(scale):
            return stages
        images = zip(np.asarray(stages).swapaxes(0, 1), encoded, strict=True)
        factors = [
            alignment.factors(estimates, np.asarray(image), scale=scale)
            for estimates, image in images
        ]
        return stages * np.stack(factors, axis=1)[..., None, None, None]

    return predict


@functools.partial(jax.jit, static_argnames="model")
def _apply(params: Any, encoded: Array, *, model: Any) -> Array:
    return model.apply({"params": params}, encoded)


def evaluate(
    predict: Callable[[Array], Array],
    images: Iterable[Example],
    metrics: tuple[Metric, ...],
    *,
    protocol: Protocol = _PROTOCOL,
    others: Mapping[str, Method] = MappingProxyType({}),
) -> Iterator[list[Row]]:
    """Yields the rows of each image: the baseline, the others, the stages.

    Args:
        predict: maps encoded images (b, h, w, 3) to stages (stages, b, h, w, 3) in
            scale `ldr_white`, as `predictor` does.
        images: may be any iterator; it is read one image at a time.
        metrics: the columns.
        protocol: what is done to the images before; what the alignment did is in the
            row, too.
        others: methods to compare with, by the name they get in the rows.

    Raises:
        UserError: a stage has values that are not finite, or nothing to align by.
    """
    for image in images:
        stages = predict(image.encoded[None])
        estimates = {BASELINE: np.asarray(color.srgb_decode(image.encoded))}
        for name, other in others.items():
            estimates |= _by_stage(other(image), name)
        estimates |= _by_stage(np.asarray(stages[:, 0]), "")
        _check_finite(estimates, image.name)
        clipped = camera.is_clipped(image.encoded)
        prepared = [
            protocol.prepare(
                estimate, np.asarray(image.hdr), clipped=np.asarray(clipped)
            )
            for estimate in estimates.values()
        ]
        scores = jax.device_get(
            score(
                jnp.asarray(np.stack([p.test for p in prepared]), jnp.float32),
                jnp.asarray(np.stack([p.reference for p in prepared]), jnp.float32),
                clipped,
                metrics=metrics,
                display=protocol.shown_by,
            )
        )
        rows: list[Row] = []
        for index, method in enumerate(estimates):
            row = {"image": image.name, "scene": image.scene, "method": method}
            numbers = {"clipped_share": float(jnp.mean(clipped))}
            if protocol.alignment != "none":
                numbers["alignment_stops"] = prepared[index].stops
            numbers |= {m.name: float(scores[m.name][index]) for m in metrics}
            rows.append(row | numbers)
        yield rows


def by_model(reconstructor: Reconstructor) -> Method:
    """Returns the method that is a model, or a classical operator."""
    return lambda image: reconstructor.stages(np.asarray(image.encoded))


def by_folder(folder: str | os.PathLike) -> Method:
    """Returns the method whose results are in a folder of HDR files.

    A file has the name of the photograph that `write_photographs` writes and a suffix
    of its own.

    Raises, when called:
        UserError: there is no such file or several, it cannot be read, or its size is
            not that of the photograph.
    """

    def read(image: Example) -> Float[np.ndarray, "1 h w 3"]:
        stem = _file_stem(image.name)
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


def write_photographs(
    workdir: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    num_images: int | None = None,
    data_dir: str | None = None,
) -> int:
    """Writes what `evaluate_workdir` shows to the methods, as PNG; returns how many.

    Args:
        workdir: folder of a training run, which says data and camera.
        folder: made if it does not exist.
        num_images: as for the evaluation.
        data_dir: where the prepared data are; default as in training.

    Raises:
        UserError: no such run or data, or the folder cannot be written to.
    """
    config = checkpoints.load_trained(workdir).config
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {folder}: {error.strerror}") from error
    count = 0
    for image in validation_examples(config, num_images=num_images, data_dir=data_dir):
        path = folder / f"{_file_stem(image.name)}.png"
        image_io.write_png(path, np.asarray(image.encoded))
        count += 1
    return count


def _versions(folder: str | os.PathLike) -> list[tuple[str, int, int]]:
    """Returns what tells the files of a folder from later ones of the same names."""
    files = sorted(path for path in pathlib.Path(folder).glob("*") if path.is_file())
    states = [path.stat() for path in files]
    return [
        (path.name, state.st_size, state.st_mtime_ns)
        for path, state in zip(files, states, strict=True)
    ]


def _file_stem(name: str) -> str:
    """Returns the name of an image as that of a file: `/`, `#` and such become `_`."""
    return re.sub(r"[^\w.-]", "_", name)


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


def validation_examples(
    config: Mapping[str, Any],
    *,
    num_images: int | None = None,
    data_dir: str | None = None,
    skip: Container[str] = (),
) -> Iterator[Example]:
    """Yields the validation images of a run's config, photographed, but those to skip.

    A photograph depends on the image, its name, the camera and `eval.seed` only: it
    is the same for every model, and whichever other images are evaluated.
    """
    source = _validation_source(config, data_dir)
    device = camera.create_camera(**config["camera"])
    path = config.get("camera_curves")
    curves = camera.read_curves(path) if path else None
    seed = jax.random.key(config["eval"]["seed"])
    for record in data.validation_images(source, limit=num_images):
        if record["name"] in skip:
            continue
        key = jax.random.fold_in(seed, zlib.crc32(record["name"].encode()))
        hdr, levels = record["hdr"][None], record["clipping_levels"][None]
        pair = _simulate(key, hdr, levels, camera=device, curves=curves)
        yield Example(record["name"], record["scene"], pair.encoded[0], pair.hdr[0])


def _validation_source(config, data_dir):
    section = config["data"]
    data_dir = data_dir or section.get("data_dir") or None
    return data.data_source(
        section["name"], section["validation_split"], data_dir=data_dir
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
) -> Report:
    """Returns the scores of a training run's checkpoint, after writing the report.

    An evaluation that was stopped goes on after its last finished image.

    Args:
        workdir: folder of the training run.
        step: which checkpoint; default the newest.
        num_images: evaluate that many, spread over the split; default all.
        data_dir: where the prepared data are; default as in training.
        output: folder of the report; default `WORKDIR/evaluation/STEP`.
        metrics: names of the columns; default all.
        protocol: what is done to the images before they are scored.
        others: models and classical operators to compare with, as `Reconstructor`
            takes them.
        predictions: folders of other methods' results to score, see `by_folder`.

    Raises:
        UserError: no such checkpoint, data, model or metric, no images, or the report
            cannot be written.
    """
    columns = select(METRICS if metrics is None else metrics)
    predictions = list(predictions)
    opened = {str(name): Reconstructor(name, tile=None) for name in others}
    methods = {name: by_model(opened[name]) for name in opened}
    methods |= {pathlib.Path(f).name: by_folder(f) for f in predictions}
    step, params, config = checkpoints.load_trained(workdir, step=step)
    model = models.create_model(**config["model"])
    predict = predictor(model, jax.device_put(params), scale=trained_scale(config))
    described = _protocol(config, step, protocol)
    labels = {
        name: opened[name].label if name in opened else "files" for name in methods
    }
    described |= {"others": labels}
    folder = pathlib.Path(output or pathlib.Path(workdir) / "evaluation" / str(step))
    section = config["data"]
    total = min(num_images or sys.maxsize, len(_validation_source(config, data_dir)))
    if not total:
        raise UserError(
            f"{section['name']} has no images in split {section['validation_split']!r}"
        )
    names = [metric.name for metric in columns]
    subject = {"protocol": described, "metrics": names, "num_images": total}
    subject |= {"files": [_versions(folder) for folder in predictions]}
    log = RowLog(folder / "rows.jsonl", subject=subject)
    rows = [row for rows in log.finished.values() for row in rows]
    examples = validation_examples(
        config, num_images=num_images, data_dir=data_dir, skip=log.finished
    )
    done = len(log.finished)
    # iter(): type checkers peek into what has a length, which would start it twice.
    images = iter(tqdm(examples, initial=done, total=total, unit="image", disable=None))
    for of_image in evaluate(
        predict, images, columns, protocol=protocol, others=methods
    ):
        log.append(of_image)
        rows += of_image
    report = Report(rows, columns, described)
    write_report(report, folder)
    log.remove()
    return report


def _protocol(
    config: Mapping[str, Any], step: int, protocol: Protocol
) -> dict[str, Any]:
    return {
        "model": dict(config["model"]),
        "step": step,
        "data": config["data"]["name"],
        "split": config["data"]["validation_split"],
        "scale": "ldr_white",
        "alignment_to_photograph": alignment.sentence(trained_scale(config)) or "none",
        **protocol.describe(),
        "camera_seed": config["eval"]["seed"],
        "camera": dict(config["camera"]),
        "camera_curves": config.get("camera_curves", ""),
        "software": {"jaxhdr": jaxhdr.__version__, "jax": jax.__version__},
    }
