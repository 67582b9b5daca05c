"""Trained models: shipped with the package, from a training run, or from a file.

A weight file is safetensors with flattened parameters and the metadata `model` (the
fields of `create_model`, in JSON), `scale` (the unit of the model's output) and
`origin` (where the weights come from).
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxhdr import options
from jaxhdr._version import __version__
from jaxhdr.errors import UserError
from jaxhdr.imaging import expansion, scales
from jaxhdr.models import create_model, fhdr_torch
from jaxhdr.storage import earlier_fields, weight_files

_SUFFIX: Final = ".safetensors"

StrPath = str | os.PathLike


class Pretrained(NamedTuple):
    """A model that can be applied."""

    model: nn.Module | expansion.Operator
    params: Mapping[str, Any]
    label: str
    """What it is, for a file's header: a name with a hash, or a run with a step."""
    scale: str = "ldr_white"
    """Unit of the model's output."""


def load_pretrained(source: StrPath) -> Pretrained:
    """Returns the model that `source` names.

    Args:
      source: a shipped model's name, that of a classical operator, the workdir of a
        training run (its newest checkpoint is taken) or a weight file.

    Raises:
      UserError: there is no such model, or it is damaged.
    """
    names = options.shipped_names()
    if source in names:
        return _load_file(options.WEIGHTS / f"{source}{_SUFFIX}")
    if source in expansion.OPERATORS:
        operator = expansion.OPERATORS[str(source)]
        label = f"{operator.name}, {operator.reference}"
        return Pretrained(operator, {}, label, scale=expansion.SCALE)
    # Not pathlib: it raises on a name too long.
    if os.path.isdir(source):
        return load_run(source).pretrained
    if os.path.exists(source):
        return _load_file(pathlib.Path(source))
    raise UserError(
        f"unknown model {os.fspath(source)!r}; expected a shipped one "
        f"({', '.join(names) or 'there is none'}), a classical operator "
        f"({', '.join(expansion.OPERATORS)}), the folder of a training run, or a "
        f"{_SUFFIX} file"
    )


class TrainedRun(NamedTuple):
    """A checkpoint of a training run, and how it was trained."""

    pretrained: Pretrained
    step: int
    config: Mapping[str, Any]
    """The fields of `configs/default.py`."""


def load_run(workdir: StrPath, *, step: int | None = None) -> TrainedRun:
    """Returns a checkpoint of a training run.

    Args:
      workdir: folder of the training run.
      step: step of the checkpoint; default the newest.

    Raises:
      UserError: the run holds no such checkpoint, or it is damaged.
    """
    trained = _load_trained(workdir, step=step)
    model = _checked_model(
        trained.config["model"], trained.params, source=os.fspath(workdir)
    )
    label = f"{_name(workdir)} step {trained.step}"
    scale = trained_scale(trained.config)
    pretrained = Pretrained(model, _on_device(trained.params), label, scale)
    return TrainedRun(pretrained, trained.step, trained.config)


class Stored(NamedTuple):
    """What a run or a weight file holds."""

    params: Mapping[str, Any]
    """The parameters as NumPy arrays."""
    fields: Mapping[str, Any]
    """What `create_model` makes the model of."""
    scale: str
    """Unit of the model's output."""


def load_params(source: StrPath) -> Stored:
    """Returns the parameters that `source` names, to train on.

    Args:
      source: a shipped model's name, the workdir of a training run or a weight file.

    Raises:
      UserError: there is no such model, or it is damaged.
    """
    if source in options.shipped_names():
        return _read_file(options.WEIGHTS / f"{source}{_SUFFIX}")
    if os.path.isfile(source):
        return _read_file(pathlib.Path(source))
    trained = _load_trained(source)
    return Stored(
        trained.params, trained.config["model"], trained_scale(trained.config)
    )


def export_weights(
    workdir: StrPath, path: StrPath, *, half: bool = True, step: int | None = None
) -> None:
    """Writes a checkpoint's averaged parameters to a weight file.

    Args:
      workdir: folder of the training run.
      path: the file, replaced if it exists.
      half: whether to store float16 instead of float32.
      step: step of the checkpoint; default the newest.

    Raises:
      UserError: the run holds no such checkpoint, or the file cannot be written.
    """
    trained = _load_trained(workdir, step=step)
    origin = f"{_name(workdir)} step {trained.step}"
    fields = trained.config["model"]
    scale = trained_scale(trained.config)
    _write(path, trained.params, fields=fields, origin=origin, half=half, scale=scale)


def convert_torch(
    source: StrPath, path: StrPath, *, num_iterations: int = 4, half: bool = False
) -> None:
    """Writes a weight file from a state dict of FHDR's official PyTorch code.

    That code trains on HDR images divided by their maximum: scale `max_one`.

    Args:
      source: the .pth file.
      path: the file, replaced if it exists.
      num_iterations: number of iterations of the network; the parameters do not
        depend on it.
      half: whether to store float16 instead of float32.

    Raises:
      UserError: the source holds another network, or a file cannot be read or written.
    """
    params = fhdr_torch.from_torch(weight_files.read(source))
    fields = {
        "name": "fhdr",
        "num_iterations": num_iterations,
        "head": "tanh",
        "peak": 1.0,
    }
    create_model(**fields)
    origin = pathlib.Path(source).name
    _write(path, params, fields=fields, origin=origin, half=half, scale="max_one")


def trained_scale(config: Mapping[str, Any]) -> str:
    """Returns the unit of the output of a model trained with this configuration.

    Raises:
      UserError: it names no known scale.
    """
    # Runs before there was a choice do not name it.
    scale = config.get("loss", {}).get("scale", "ldr_white")
    return _checked_scale(scale, source="the run's config")


def _write(
    path: StrPath,
    params: Mapping[str, Any],
    *,
    fields: Mapping[str, Any],
    origin: str,
    half: bool,
    scale: str,
) -> None:
    if pathlib.Path(path).suffix != _SUFFIX:
        raise UserError(f"cannot write {path}: expected a name ending in {_SUFFIX}")
    metadata = {
        "model": json.dumps(dict(fields), sort_keys=True),
        "scale": scale,
        "origin": origin,
        "software": f"jaxhdr {__version__}",
    }
    arrays = weight_files.flatten(params)
    weight_files.write_safetensors(path, arrays, metadata=metadata, float16=half)


def _read_file(path: pathlib.Path) -> Stored:
    metadata = weight_files.read_metadata(path)
    params = weight_files.unflatten(weight_files.read_safetensors(path))
    try:
        fields = earlier_fields.translated(json.loads(metadata["model"]))
        scale = metadata["scale"]
    except (KeyError, ValueError, TypeError):
        raise UserError(
            f"cannot use {path}: its header does not say which model it is for; make "
            "it with `jaxhdr convert-weights`"
        ) from None
    return Stored(params, fields, _checked_scale(scale, source=str(path)))


def _load_file(path: pathlib.Path) -> Pretrained:
    stored = _read_file(path)
    model = _checked_model(stored.fields, stored.params, source=str(path))
    label = f"{path.stem} {_digest(stored.params)}"
    return Pretrained(model, _on_device(stored.params), label, stored.scale)


def _load_trained(workdir: StrPath, *, step: int | None = None) -> Any:
    from jaxhdr.storage import checkpoints  # Orbax is slow to import, and rarely needed

    try:
        trained = checkpoints.load_trained(workdir, step=step)
        dict(trained.config["model"])
    except UserError:
        raise
    except Exception as error:  # Orbax raises every kind on a damaged checkpoint
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"cannot use {os.fspath(workdir)}: its checkpoint is damaged ({reason})"
        ) from error
    return trained


def _checked_scale(scale: Any, *, source: str) -> str:
    if scale not in scales.SCALES:
        raise UserError(
            f"cannot use {source}: its scale is {scale!r}; expected one of "
            f"{', '.join(scales.SCALES)}"
        )
    return scale


def _checked_model(
    fields: Mapping[str, Any], params: Mapping[str, Any], *, source: str
) -> nn.Module:
    try:
        model = create_model(**fields)
    except TypeError as error:
        raise UserError(f"cannot use {source}: bad model fields ({error})") from None
    # The iterations of FHDR share their parameters, and one is traced faster than four.
    traced = model.clone(num_iterations=1) if "num_iterations" in fields else model
    key = jax.eval_shape(lambda: jax.random.key(0))
    image = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
    expected = jax.eval_shape(traced.init, key, image)["params"]
    if jax.tree.map(jnp.shape, dict(params)) != jax.tree.map(jnp.shape, expected):
        raise UserError(
            f"cannot use {source}: its parameters do not fit its model, {dict(fields)}"
        )
    return model


def _digest(params: Mapping[str, Any]) -> str:
    """Returns a hash of the values: the file's bytes also hold an order of names."""
    digest = hashlib.sha256()
    for name, array in sorted(weight_files.flatten(params).items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).data)  # no copy of half a gigabyte
    return digest.hexdigest()[:12]


def _on_device(params: Mapping[str, Any]) -> dict[str, Any]:
    return jax.device_put(dict(params))


def _name(workdir: StrPath) -> str:
    """Returns the run's name; that of its best parameters is RUN/best."""
    path = pathlib.Path(workdir).resolve()
    return f"{path.parent.name}/best" if path.name == "best" else path.name
