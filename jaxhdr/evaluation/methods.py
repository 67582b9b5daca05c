"""Methods to score: models, classical operators, and results that lie in files.

A method gets an image of the evaluation, looks at its photograph only, and returns its
estimates in scale `ldr_white`. All models are scored the same way, those in training
too: in float32, and at the size at which `jaxhdr` computes by default.
"""

import dataclasses
import pathlib
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.evaluation import image_sets
from jaxhdr.evaluation.image_sets import Example
from jaxhdr.evaluation.scoring import Estimate
from jaxhdr.inference import Reconstructor
from jaxhdr.storage.pretrained import Pretrained, StrPath

__all__ = ["Method", "by_folder", "by_model", "open_method", "open_methods"]


@dataclasses.dataclass(frozen=True)
class Method:
    """What makes estimates of a photograph.

    Attributes:
      estimate: returns the stages of an image; the last is the answer.
      label: which weights these are, with a hash or a step; "files" for results that
        lie in a folder.
      files: what tells the files of such a folder from later ones of the same names;
        "" for a model.
    """

    estimate: Estimate
    label: str
    files: str = ""

    def __call__(self, image: Example) -> Float[np.ndarray, "stages h w 3"]:
        """Returns the stages of an image."""
        return self.estimate(image)


def open_methods(
    *,
    models: Iterable[str] = (),
    predictions: Iterable[StrPath] = (),
    size: int | str = "auto",
) -> dict[str, Method]:
    """Returns methods by their names: models first, then results that lie in files.

    Args:
      models: names of shipped models and of classical operators, workdirs of training
        runs and weight files. The name of a path is its last part.
      predictions: folders of other methods' results, see `by_folder`.
      size: size at which networks compute, as `Reconstructor` takes it.

    Raises:
      UserError: there is no such model or size, or two methods have the same name.
    """
    models, predictions = list(models), list(predictions)
    by_name = {
        pathlib.Path(name).name.removesuffix(".safetensors"): name for name in models
    }
    folders = {pathlib.Path(path).name: path for path in predictions}
    if len(by_name | folders) < len(models) + len(predictions):
        raise UserError(
            f"two of {[*models, *map(str, predictions)]} have the same name, by "
            "which a report identifies methods; rename one"
        )
    opened = {name: open_method(model, size=size) for name, model in by_name.items()}
    return opened | {name: by_folder(path) for name, path in folders.items()}


def open_method(model: StrPath | Pretrained, *, size: int | str = "auto") -> Method:
    """Returns the method that is a model or a classical operator.

    It computes in float32, so that the scores of a program do not depend on the
    machine.

    Args:
      model: its name, folder or file as `Reconstructor` takes it, or the loaded model.
      size: size at which a network computes, as `Reconstructor` takes it.

    Raises:
      UserError: there is no such model or size.
    """
    return by_model(Reconstructor(model, size=size, tile=None, precision="float32"))


def by_model(reconstructor: Reconstructor) -> Method:
    """Returns the method that reconstructs as `reconstructor` does."""
    label = reconstructor.label
    if reconstructor.size is not None:
        # Results of another size are others, and a report must not mix them.
        label = f"{label}, size {reconstructor.size}"
    return Method(
        lambda image: reconstructor.stages(np.asarray(image.encoded)),
        label=label,
    )


def by_folder(folder: StrPath) -> Method:
    """Returns the method whose results are in a folder of HDR files.

    A file has the name of the photograph that `image_sets.write_photographs` writes
    and the suffix of an HDR file. Other files of the folder are left out.

    Raises:
      UserError: there is no such folder. When called: there is no such file or several,
        it cannot be read, or its size is not that of the photograph.
    """
    paths = image_io.list_folder(folder, image_io.HDR_SUFFIXES)

    def read(image: Example) -> Float[np.ndarray, "1 h w 3"]:
        stem = image_sets.file_stem(image.name)
        found = [path for path in paths if path.stem == stem]
        if len(found) != 1:
            raise UserError(
                f"{folder} has {len(found)} HDR files {stem}.*; expected one of the "
                "photograph of that name, which --photographs writes"
            )
        hdr = image_io.read_hdr(found[0])
        if hdr.shape != image.encoded.shape:
            raise UserError(
                f"{found[0]} has shape {hdr.shape}, its photograph "
                f"{image.encoded.shape}; both must be one size"
            )
        return hdr[None]

    return Method(read, label="files", files=image_sets.versions(paths))
