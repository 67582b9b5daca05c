"""Training: state, step, loop.

One `jit`-compiled step on a batch that is sharded over all local devices, with the
parameters replicated: the compiler inserts the gradient's all-reduce, which is what
`pmap` with `pmean` did by hand. All randomness derives from (seed, step), so a
resumed run repeats an uninterrupted one.
"""

import functools
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import struct
from jaxtyping import Array, Float, Int, Key, PyTree

from jaxhdr import (
    camera,
    checkpoints,
    data,
    evaluation,
    losses,
    previews,
    run_log,
)
from jaxhdr.errors import UserError
from jaxhdr.metrics import METRICS
from jaxhdr.models import create_model


@struct.dataclass
class TrainState:
    """All that a resumed run needs besides the position of the data iterator."""

    step: Int[Array, ""]
    params: PyTree
    ema_params: PyTree
    opt_state: PyTree


def learning_rate(config: Any, num_steps: int) -> optax.Schedule:
    """Returns the rate by step: linear warm-up, constant part, decay to 0.

    Raises:
      UserError: the kind of decay is not known.
    """
    warmup = min(config.warmup_steps, num_steps // 2)
    constant = round((num_steps - warmup) * config.constant_share)
    falling = max(num_steps - warmup - constant, 1)
    rate = config.learning_rate
    decays = {
        "linear": optax.linear_schedule(rate, 0.0, falling),
        "cosine": optax.cosine_decay_schedule(rate, falling),
    }
    if config.decay not in decays:
        raise UserError(
            f"optimizer.decay is {config.decay!r}; expected one of {sorted(decays)}"
        )
    return optax.join_schedules(
        [
            optax.linear_schedule(rate / max(warmup, 1), rate, max(warmup, 1)),
            optax.constant_schedule(rate),
            decays[config.decay],
        ],
        [warmup, warmup + constant],
    )


def create_optimizer(config: Any, num_steps: int) -> optax.GradientTransformation:
    """Returns Adam with the configured schedule and gradient clipping."""
    adam = optax.adam(
        learning_rate(config, num_steps), b1=config.beta1, b2=config.beta2
    )
    if config.clip_norm > 0:
        return optax.chain(optax.clip_by_global_norm(config.clip_norm), adam)
    return adam


def create_state(
    key: Key[Array, ""],
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    *,
    params: PyTree | None = None,
) -> TrainState:
    """Returns the state before the first step, from `params` if they are given."""
    # Compiled as one: op by op it takes minutes on a busy machine.
    initial = jax.jit(model.init)(key, jnp.zeros((1, 8, 8, 3)))["params"]
    if params is not None:
        theirs = jax.tree.map(jnp.shape, params)
        if theirs != jax.tree.map(jnp.shape, initial):
            raise UserError("train.init_from holds parameters of another model")
        initial = jax.tree.map(jnp.asarray, params)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=initial,
        # A copy: the step donates its state, and one buffer cannot be given twice.
        ema_params=jax.tree.map(jnp.array, initial),
        opt_state=optimizer.init(initial),
    )


@functools.partial(
    jax.jit,
    static_argnames=("model", "optimizer", "loss", "virtual_camera", "ema_decay"),
    donate_argnames=("state",),
)
def train_step(
    state: TrainState,
    batch: Mapping[str, Array],
    key: Key[Array, ""],
    *,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    loss: tuple[tuple[str, Any], ...],
    virtual_camera: camera.Camera,
    ema_decay: float,
    vgg_params: PyTree | None = None,
    curves: Float[Array, "curves samples"] | None = None,
) -> tuple[TrainState, dict[str, Array]]:
    """Returns the state after one step, and scalars of the step.

    Args:
      state: given away; its buffers are reused.
      batch: `hdr` (b, h, w, 3) in any unit and `clipping_levels` (b, fractions).
      key: of the run; the step's own key is folded from `state.step`.
      model: under the contract of `jaxhdr.models`.
      optimizer: from `create_optimizer`.
      loss: keyword arguments of `losses.total` as pairs.
      virtual_camera: takes the photographs.
      ema_decay: of the averaged parameters; 0 for none.
      vgg_params: for a perceptual loss.
      curves: measured camera responses.
    """
    pair = camera.simulate(
        jax.random.fold_in(key, state.step),
        batch["hdr"],
        batch["clipping_levels"],
        camera=virtual_camera,
        curves=curves,
    )

    def objective(params):
        stages = model.apply({"params": params}, pair.encoded)
        return losses.total(
            stages, pair.hdr, pair.encoded, vgg_params=vgg_params, **dict(loss)
        )

    gradients, terms = jax.grad(objective, has_aux=True)(state.params)
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    # The average of few steps would remember the initial values: start it short.
    decay = jnp.minimum(ema_decay, (1 + state.step) / (10 + state.step))
    decay = jnp.where(ema_decay > 0, decay, 0.0)
    ema_params = jax.tree.map(
        lambda mean, new: decay * mean + (1 - decay) * new, state.ema_params, params
    )
    terms = terms | {
        "gradient_norm": optax.tree.norm(gradients),
        "clipped_share": camera.is_clipped(pair.encoded).mean(),
    }
    new_state = TrainState(state.step + 1, params, ema_params, opt_state)
    return new_state, terms


def train_and_evaluate(config: Any, workdir: pathlib.Path) -> TrainState:
    """Trains, or continues to train, in `workdir`; returns the last state.

    Args:
      config: the fields of `configs/default.py`.
      workdir: gets `checkpoints/`, `log.jsonl`, TensorBoard events, sample sheets.

    Raises:
      UserError: the config or the data are wrong.
      FloatingPointError: a scalar of a step is not finite.
    """
    model = create_model(**config.model)
    optimizer = create_optimizer(config.optimizer, config.train.num_steps)
    replicated, sharded = _shardings(config.data.batch_size)
    key = jax.random.key(config.seed)
    state = create_state(key, model, optimizer, params=_initial_params(config))
    state = jax.device_put(jax.tree.map(np.array, state), replicated)
    step = functools.partial(
        train_step,
        key=jax.random.fold_in(key, 1),
        model=model,
        optimizer=optimizer,
        ema_decay=config.optimizer.ema_decay,
        **_step_options(config),
    )
    batches = _open_batches(config)
    evaluator = _create_evaluator(config, model)
    with (
        checkpoints.open_manager(
            workdir, max_to_keep=config.train.checkpoints_to_keep
        ) as manager,
        run_log.open_log(workdir, num_steps=config.train.num_steps) as log,
    ):
        restored = checkpoints.restore_latest(manager, state)
        if restored is not None:
            state = restored.train_state
            batches.set_state(restored.data)
        first = int(state.step)
        log.start(first)
        for number in range(first + 1, config.train.num_steps + 1):
            batch = jax.device_put(next(batches), sharded)
            state, terms = step(state, batch)
            last = number == config.train.num_steps
            if _is_due(number, config.train.log_every) or last:
                log.write(number, _finite(terms, number), images=len(batch["hdr"]))
            if _is_due(number, config.train.evaluate_every) or last:
                evaluator(state.ema_params, number, log)
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


def _initial_params(config: Any) -> PyTree | None:
    if not config.train.init_from:
        return None
    return checkpoints.load_trained(config.train.init_from).params


def _step_options(config: Any) -> dict[str, Any]:
    loss = config.loss
    vgg_params = losses.load_perceptual(loss.vgg19 or None, loss.perceptual_weight)
    curves = camera.read_curves(config.camera_curves) if config.camera_curves else None
    names = ("peak", "mu", "perceptual_weight", "clipped_weight")
    return {
        "loss": tuple((name, loss[name]) for name in names),
        "virtual_camera": camera.create_camera(**config.camera),
        "vgg_params": vgg_params,
        "curves": curves,
    }


def _open_batches(config: Any) -> Any:
    fields = config.data
    data_dir = fields.data_dir or None
    data.prepare(fields.name, data_dir=data_dir, manual_dir=fields.manual_dir or None)
    return data.train_batches(
        data.data_source(fields.name, fields.train_split, data_dir=data_dir),
        batch_size=fields.batch_size,
        patch_size=fields.patch_size,
        seed=config.seed,
        bright_share=fields.bright_share,
    )


def _create_evaluator(config: Any, model: nn.Module) -> Any:
    """Returns evaluator(params, step, log): scores and a sample sheet into the log."""
    metrics = tuple(METRICS.values())
    apply = jax.jit(model.apply)

    def evaluator(params: PyTree, step: int, log: run_log.RunLog) -> None:
        examples = list(
            evaluation.validation_examples(
                config.to_dict(), num_images=config.eval.num_images or None
            )
        )
        predict = functools.partial(apply, {"params": params})
        rows = evaluation.evaluate(predict, examples, metrics)
        means = evaluation.mean_scores(rows)
        scores = {
            f"validation/{method}/{name}": value
            for method, values in means.items()
            for name, value in values.items()
        }
        log.write_scalars(step, scores)
        shown = examples[: config.eval.num_samples]
        log.write_sheet(
            step,
            previews.sample_sheet(
                [
                    (
                        np.asarray(example.encoded),
                        np.asarray(predict(example.encoded[None])[-1, 0]),
                        np.asarray(example.hdr),
                    )
                    for example in shown
                ]
            ),
        )

    return evaluator
