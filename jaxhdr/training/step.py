"""One step of training: state, optimizer, update.

The step is compiled once for a batch that is sharded over the devices, with the
parameters replicated. All randomness derives from (seed, step).
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from jaxtyping import Array, Float, Key, PyTree

from jaxhdr.errors import UserError
from jaxhdr.imaging import camera, scales
from jaxhdr.training import crops, losses


@struct.dataclass
class TrainState:
    """All that a resumed run needs besides the position of the data iterator."""

    step: PyTree  # int32 scalar
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
    """Returns Adam with the configured schedule, gradient clipping and slower parts."""
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
    """Returns which parameters lie under `name`, such as "decoder/convolution_1".

    Raises:
      UserError: none do.
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


def create_state(params: PyTree, optimizer: optax.GradientTransformation) -> TrainState:
    """Returns the state before the first step."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        # A copy: the step donates its state, and one buffer cannot be given twice.
        ema_params=jax.tree.map(jnp.array, params),
        opt_state=optimizer.init(params),
    )


@functools.partial(
    jax.jit,
    static_argnames=(
        *("model", "optimizer", "loss", "virtual_camera", "scale", "inner_crop"),
    ),
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
    ema_decay: Float[Array, ""] | float,
    scale: str = "ldr_white",
    inner_crop: crops.Crop | None = None,
    vgg_params: PyTree | None = None,
    curves: Float[Array, "curves samples"] | None = None,
) -> tuple[TrainState, dict[str, Array]]:
    """Returns the state after one step, and scalars of the step.

    Args:
      state: given away; its buffers are reused.
      batch: of `photographs`.
      key: of the run; the step's own key is folded from `state.step`.
      model: under the contract of `jaxhdr.models`.
      optimizer: from `create_optimizer`.
      loss: keyword arguments of `losses.total` as pairs.
      virtual_camera: takes the photographs.
      ema_decay: of the averaged parameters; 0 for none.
      scale: unit of the radiance that the model learns; each patch of the batch
        counts as a whole image.
      inner_crop: what of each patch gets stages and loss, while the model's context
        is that of the patch; None for all of it.
      vgg_params: for a perceptual loss.
      curves: measured camera responses.
    """
    step_key = jax.random.fold_in(key, state.step)
    pair = photographs(step_key, batch, virtual_camera=virtual_camera, curves=curves)
    factor = scales.factor(pair.hdr, scale)
    encoded, hdr = pair.encoded, pair.hdr * factor[:, None, None, None]
    if inner_crop is not None:
        crop_key = jax.random.fold_in(step_key, 1)
        corners = crops.choose(crop_key, pair.encoded, inner_crop)
        encoded, hdr = (
            crops.cut(image, corners, inner_crop.size) for image in (encoded, hdr)
        )
    rngs = {"dropout": jax.random.fold_in(step_key, 2)}

    def objective(params):
        apply = functools.partial(model.apply, {"params": params}, rngs=rngs)
        context = apply(pair.encoded, method="context")
        stages, sown = apply(encoded, context, mutable=["intermediates"])
        value, terms = losses.total(
            stages, hdr, encoded, vgg_params=vgg_params, **dict(loss)
        )
        terms |= {"clipped_share": camera.is_clipped(encoded).mean()}
        return value, terms | _lowest(sown)

    gradients, terms = jax.grad(objective, has_aux=True)(state.params)
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    # The average of few steps would remember the initial values: start it short.
    decay = jnp.minimum(ema_decay, (1 + state.step) / (10 + state.step))
    decay = jnp.where(ema_decay > 0, decay, 0.0)
    ema_params = jax.tree.map(
        lambda mean, new: mean + (1 - decay) * (new - mean), state.ema_params, params
    )
    terms = terms | {"gradient_norm": optax.tree.norm(gradients)}
    new_state = TrainState(state.step + 1, params, ema_params, opt_state)
    return new_state, terms


def photographs(
    key: Key[Array, ""],
    batch: Mapping[str, Array],
    *,
    virtual_camera: camera.Camera,
    curves: Float[Array, "curves samples"] | None = None,
) -> camera.Pair:
    """Returns the photographs of a batch: its own, or the virtual camera's.

    Args:
      key: of the virtual camera.
      batch: `hdr` (b, h, w, 3) and `clipping_levels` (b, fractions) in any unit; with
        `ldr` (b, h, w, 3), uint8, of a batch of pairs, `hdr` in `ldr_white`; with
        `has_ldr` (b,) of a mixture, where it says of each which of the two it is.
      virtual_camera: takes photographs of what has none.
      curves: measured camera responses.
    """
    own = None
    if "ldr" in batch:
        own = camera.Pair(batch["ldr"].astype(jnp.float32) / 255, batch["hdr"])
        if "has_ldr" not in batch:
            return own
    taken = camera.simulate(
        key,
        batch["hdr"],
        batch["clipping_levels"],
        camera=virtual_camera,
        curves=curves,
    )
    if own is None:
        return taken
    has_own = batch["has_ldr"][:, None, None, None]
    return camera.Pair(
        *(jnp.where(has_own, *pair) for pair in zip(own, taken, strict=True))
    )


def _lowest(sown: Mapping[str, PyTree]) -> dict[str, Array]:
    """The least value, over the stages, of each quantity that a model sows."""
    leaves = jax.tree_util.tree_leaves_with_path(sown.get("intermediates", {}))
    return {
        next(str(key.key) for key in reversed(path) if hasattr(key, "key")): value.min()
        for path, value in leaves
    }
