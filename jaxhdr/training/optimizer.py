"""The optimizer: Adam with a schedule of its rate."""

import functools
from typing import Any

import jax
import optax
from jaxtyping import PyTree

from jaxhdr.errors import UserError


def learning_rate(config: Any, num_steps: int) -> optax.Schedule:
    """Returns the learning rate by step: linear warm-up, constant part, decay to 0.

    Args:
      config: section `optimizer` of a configuration.
      num_steps: number of steps of the run.

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
    """Returns Adam with the configured schedule, gradient clipping and slower parts.

    Args:
      config: section `optimizer` of a configuration.
      num_steps: number of steps of the run.

    Raises:
      UserError: the kind of decay is not known.
    """
    adam = optax.adam(
        learning_rate(config, num_steps), b1=config.beta1, b2=config.beta2
    )
    slower = [
        optax.masked(optax.scale(factor), functools.partial(_part, name=name))
        for name, factor in config.part_rates
    ]
    clipping = []
    if config.clip_norm > 0:
        clipping.append(optax.clip_by_global_norm(config.clip_norm))
    return optax.chain(*clipping, adam, *slower)


def _part(params: PyTree, *, name: str) -> PyTree:
    """Returns a mask of the parameters under `name`, such as "decoder/convolution_1".

    Raises:
      UserError: there are none.
    """

    def lies_under(path, _leaf):
        full = jax.tree_util.keystr(path, simple=True, separator="/")
        return full.startswith(f"{name}/")

    chosen = jax.tree_util.tree_map_with_path(lies_under, params)
    if not any(jax.tree.leaves(chosen)):
        raise UserError(
            f"optimizer.part_rates names {name!r}, but the model has no such part; it "
            f"has {sorted(params)}, and parts of these, as in 'whole/part'"
        )
    return chosen
