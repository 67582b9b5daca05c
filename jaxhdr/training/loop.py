"""Training: the loop around the step.

One `jit`-compiled step on a batch that is sharded over all local devices, with the
parameters replicated: the compiler inserts the gradient's all-reduce, which is what
`pmap` with `pmean` did by hand. All randomness derives from (seed, step), so a
resumed run repeats an uninterrupted one.
"""

import contextlib
import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util
from jaxtyping import Array

from jaxhdr import data
from jaxhdr.errors import UserError
from jaxhdr.imaging import panorama
from jaxhdr.models import create_model
from jaxhdr.storage import checkpoints, run_log
from jaxhdr.training import initialisation, validation
from jaxhdr.training.recipe import create_recipe, load_tables
from jaxhdr.training.step import TrainState, create_state, train_step

# Model options that change how, not what, it computes.
_SAME_RESULT = {"loop", "remat", "dtype"}

_BEST = "best"


def train_and_evaluate(config: Any, workdir: pathlib.Path) -> TrainState:
    """Trains, or continues to train, in `workdir`; returns the last state.

    Args:
      config: the fields of `configs/default.py`.
      workdir: gets `checkpoints/`, `log.jsonl`, TensorBoard events, sample sheets, and
        `best/`, a folder like this with the parameters that validated best.

    Raises:
      UserError: the config or the data are wrong.
      FloatingPointError: a scalar of a step is not finite.
    """
    model = create_model(**config.model)
    recipe, tables = create_recipe(config, model), load_tables(config)
    panoramas, names = _panoramas(config)
    tables = dataclasses.replace(tables, panoramas=panoramas)
    replicated, sharded = _shardings(config.data.batch_size)
    key = jax.random.key(config.seed)
    step_key = jax.random.fold_in(key, 1)
    validate = validation.create_validation(config, model)
    best = validation.create_best(config)
    with (
        contextlib.closing(_open_batches(config, names)) as batches,
        checkpoints.open_manager(
            workdir, max_to_keep=config.train.checkpoints_to_keep
        ) as manager,
        run_log.open_log(workdir, num_steps=config.train.num_steps) as log,
    ):
        # A resumed run does not need what it started from.
        sources = {"init_from": config.train.init_from, "vgg16": config.train.vgg16}
        params = initialisation.initial_params(
            key, model, **(sources if manager.latest_step() is None else {})
        )
        state = create_state(params, recipe.optimizer)
        state = jax.device_put(jax.tree.map(np.array, state), replicated)
        restored = checkpoints.restore_latest(manager, state)
        if restored is not None:
            _check_same_model(restored.config, config)
            state = restored.train_state
            batches.set_state(restored.data)
        first = int(state.step)
        log.start(first)
        best.resume(run_log.read_scores(workdir))
        if first:
            log.say(f"continuing after step {first}")
        for number in range(first + 1, config.train.num_steps + 1):
            batch = jax.device_put(next(batches), sharded)
            state, terms = train_step(
                state, batch, step_key, recipe=recipe, tables=tables
            )
            last = number == config.train.num_steps
            if _is_due(number, config.train.log_every) or last:
                log.write(number, _finite(terms, number), images=config.data.batch_size)
            if _is_due(number, config.train.evaluate_every) or last:
                scores = validate(state.ema_params, number, log)
                if best.is_improved_by(scores):
                    checkpoints.save_trained(
                        workdir / _BEST,
                        number,
                        params=state.ema_params,
                        config=config.to_dict(),
                    )
            if _is_due(number, config.train.checkpoint_every) or last:
                _finite(terms, number)
                checkpoints.save(
                    manager,
                    number,
                    params=state.ema_params,
                    train_state=state,
                    config=config.to_dict(),
                    data=batches.get_state(),
                )
    return state


def _check_same_model(saved: Mapping[str, Any], config: Any) -> None:
    """Parameters of the same shapes may still belong to another network."""
    model = json.loads(json.dumps(config.model.to_dict()))
    before, now = (
        traverse_util.flatten_dict(dict(fields), sep=".")
        for fields in (saved["model"], model)
    )
    for name in sorted(before.keys() | now.keys()):
        is_free = name.rpartition(".")[2] in _SAME_RESULT
        if not is_free and before.get(name) != now.get(name):
            raise UserError(
                f"this run was started with model.{name} = {before.get(name)!r}, not "
                f"{now.get(name)!r}; use another --workdir, or start one from its "
                "parameters with train.init_from"
            )


def _is_due(number: int, every: int) -> bool:
    return every > 0 and number % every == 0


def _finite(terms: Mapping[str, Array], step: int) -> dict[str, float]:
    scalars = {name: float(value) for name, value in terms.items()}
    bad = [name for name, value in scalars.items() if not math.isfinite(value)]
    if bad:
        raise FloatingPointError(
            f"{bad} not finite at step {step}; the last checkpoint is from before. "
            "Lower optimizer.learning_rate or optimizer.clip_norm"
        )
    return scalars


def _shardings(batch_size: int) -> tuple[jax.sharding.Sharding, jax.sharding.Sharding]:
    devices = np.array(jax.local_devices())
    if batch_size % devices.size:
        raise UserError(
            f"data.batch_size is {batch_size}; expected a multiple of the "
            f"{devices.size} devices"
        )
    mesh = jax.sharding.Mesh(devices, ("data",))
    specs = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec("data")
    replicated, sharded = (jax.sharding.NamedSharding(mesh, spec) for spec in specs)
    return replicated, sharded


def _panoramas(config: Any) -> tuple[panorama.Panoramas | None, list[str]]:
    """Returns the panoramas that views are rendered of, and their names, if any are."""
    fields = config.data
    if not config.views.size:
        return None, []
    source = data.data_source(
        fields.name, fields.train_split, data_dir=fields.data_dir or None
    )
    names, images = data.panoramas_of(source)
    return panorama.stack(images), names


def _open_batches(config: Any, names: list[str]) -> Any:
    fields = config.data
    data_dir = fields.data_dir or None
    if names:
        return data.view_batches(
            names,
            batch_size=fields.batch_size,
            ranges=data.create_ranges(**config.views),
            seed=config.seed,
        )
    return data.train_batches(
        *data.data_sources(fields.name, fields.train_split, data_dir=data_dir),
        weights=fields.weights,
        batch_size=fields.batch_size,
        patch_size=fields.patch_size,
        seed=config.seed,
        bright_share=fields.bright_share,
    )
