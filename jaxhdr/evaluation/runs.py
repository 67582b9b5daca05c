"""A checkpoint of a training run, with all that its evaluation needs."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from jaxhdr import data
from jaxhdr.errors import UserError
from jaxhdr.evaluation import image_sets
from jaxhdr.evaluation.image_sets import ImageSet
from jaxhdr.evaluation.methods import Method, open_method
from jaxhdr.evaluation.writing import About
from jaxhdr.imaging import scales
from jaxhdr.storage import run_log
from jaxhdr.storage.pretrained import StrPath, load_run


@dataclasses.dataclass(frozen=True)
class Run:
    """A checkpoint of a training run, ready to be scored.

    Attributes:
      method: the averaged parameters of the checkpoint.
      images: the validation images of the run's configuration.
      about: what the report says of the run.
      folder: where the report goes by default, `WORKDIR/evaluation/STEP`.
    """

    method: Method
    images: ImageSet
    about: About
    folder: pathlib.Path


def open_run(
    workdir: StrPath,
    *,
    step: int | None = None,
    num_images: int | None = None,
    data_dir: str | None = None,
    size: int | str = "auto",
) -> Run:
    """Returns a checkpoint of a training run with its validation images.

    Args:
      workdir: folder of the training run.
      step: step of the checkpoint; default the newest.
      num_images: number of images, spread over the split; default all.
      data_dir: folder of the prepared data; default as in training.
      size: size at which the network computes, as `Reconstructor` takes it.

    Raises:
      UserError: there is no such checkpoint, or its data are not prepared.
    """
    trained, step, config = load_run(workdir, step=step)
    images = image_sets.from_config(config, num_images=num_images, data_dir=data_dir)
    about = About(
        title=f"{config['model']['name']}, step {step}",
        facts={
            "model": dict(config["model"]),
            "step": step,
            "alignment_to_photograph": scales.alignment_note(trained.scale) or "none",
        },
        curves=_curves(workdir, config, data_dir),
    )
    folder = pathlib.Path(workdir) / "evaluation" / str(step)
    return Run(open_method(trained, size=size), images, about, folder)


def _curves(
    workdir: StrPath, config: Mapping[str, Any], data_dir: str | None
) -> dict[str, Any] | None:
    scores = run_log.read_scores(workdir)
    if not scores:
        return None
    return {"scores": scores, "steps_per_epoch": _steps_per_epoch(config, data_dir)}


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
