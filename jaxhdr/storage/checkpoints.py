"""Checkpoints of a training run, by Orbax.

`WORKDIR/checkpoints/STEP` holds separate items: `params` are the averaged parameters,
for inference; `train_state` is the state from which a run is resumed; `config` is the
config, and `data` the state of the data iterator, both as JSON. Orbax writes under a
temporary name and renames, so if a run is killed, its last checkpoint stays intact.
"""

import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxhdr.errors import UserError
from jaxhdr.storage import earlier_fields

_FOLDER = "checkpoints"


class Restored(NamedTuple):
    """The state from which a run is resumed."""

    step: int
    train_state: Any
    config: dict[str, Any]
    data: Any


class Trained(NamedTuple):
    """The parts of a training run that inference and evaluation use."""

    step: int
    params: dict[str, Any]
    config: dict[str, Any]


def open_manager(
    workdir: str | os.PathLike, *, max_to_keep: int | None = None
) -> ocp.CheckpointManager:
    """Returns the manager of the checkpoints in `workdir`; the caller closes it."""
    folder = pathlib.Path(workdir).absolute() / _FOLDER
    return ocp.CheckpointManager(
        folder,
        options=ocp.CheckpointManagerOptions(max_to_keep=max_to_keep, create=True),
    )


def save(
    manager: ocp.CheckpointManager,
    step: int,
    *,
    params: Any,
    train_state: Any,
    config: Mapping[str, Any],
    data: Any,
) -> None:
    """Writes a checkpoint in the background; the caller may reuse the arguments."""
    manager.save(
        step,
        args=ocp.args.Composite(
            **_trained_args(params, config),
            train_state=ocp.args.StandardSave(train_state),
            data=ocp.args.JsonSave(data),
        ),
    )


def save_trained(
    workdir: str | os.PathLike, step: int, *, params: Any, config: Mapping[str, Any]
) -> None:
    """Writes a checkpoint for `load_trained` in place of an older one in `workdir`."""
    with open_manager(workdir, max_to_keep=1) as manager:
        # A killed run that repeats its steps may find a later step here.
        if (manager.latest_step() or 0) < step:
            args = ocp.args.Composite(**_trained_args(params, config))
            manager.save(step, args=args)


def _trained_args(params: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    # NumPy arrays can be restored on any device; arrays of JAX need those they were
    # saved from.
    params = jax.tree.map(np.asarray, params)
    return {
        "params": ocp.args.StandardSave(params),
        "config": ocp.args.JsonSave(dict(config)),
    }


def restore_latest(manager: ocp.CheckpointManager, train_state: Any) -> Restored | None:
    """Returns the newest checkpoint, or None if there is none.

    Args:
      manager: manager from `open_manager`.
      train_state: tree with the structure, shapes and placement of the result.

    Raises:
      UserError: the checkpoint is from a different model or optimizer.
    """
    step = manager.latest_step()
    if step is None:
        return None
    arguments = ocp.args.Composite(
        train_state=ocp.args.StandardRestore(train_state),
        config=ocp.args.JsonRestore(),
        data=ocp.args.JsonRestore(),
    )
    try:
        restored = manager.restore(step, args=arguments)
    except (ValueError, KeyError) as error:
        raise UserError(
            f"the checkpoint of step {step} in {manager.directory} does not fit this "
            f"config ({error}); use another --workdir, or the config of the checkpoint"
        ) from error
    config = earlier_fields.translated_config(restored["config"])
    return Restored(step, restored["train_state"], config, restored["data"])


def load_trained(workdir: str | os.PathLike, *, step: int | None = None) -> Trained:
    """Returns the averaged parameters (NumPy) and the config of a training run.

    Args:
      workdir: folder of the run.
      step: step of the checkpoint; default: the newest.

    Raises:
      UserError: the folder has no checkpoints, or none of this step.
    """
    if not (pathlib.Path(workdir) / _FOLDER).is_dir():
        raise UserError(
            f"{os.fspath(workdir)} holds no checkpoints; expected the --workdir of a "
            "training run"
        )
    with open_manager(workdir) as manager:
        steps: list[int] = sorted(manager.all_steps())
        if not steps:
            raise UserError(
                f"{os.fspath(workdir)} holds no finished checkpoint; wait for the "
                "first one"
            )
        if step is None:
            step = steps[-1]
        if step not in steps:
            raise UserError(
                f"{os.fspath(workdir)} has no checkpoint of step {step}; "
                f"available: {steps}"
            )
        restored = manager.restore(
            step,
            args=ocp.args.Composite(
                params=ocp.args.StandardRestore(),
                config=ocp.args.JsonRestore(),
            ),
        )
    config = earlier_fields.translated_config(restored["config"])
    return Trained(step, restored["params"], config)
