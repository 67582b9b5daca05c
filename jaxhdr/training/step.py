"""One step of training: photographs, loss, gradient, update.

The step is compiled once for each recipe. Its batch is sharded over the devices and its
parameters are replicated. All randomness derives from (seed, step).
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float, Key, PyTree

from jaxhdr.imaging import camera, panorama, scales
from jaxhdr.training import crops
from jaxhdr.training.augmentation import augment
from jaxhdr.training.recipe import Recipe, Tables
from jaxhdr.training.response_error import CODES, ResponseError

# Numbers that make a key of its own from the key of a step; the camera has that itself.
_CROP, _DROPOUT, _AUGMENTATION = 1, 2, 3


@struct.dataclass
class TrainState:
    """All that a resumed run needs besides the position of the data iterator."""

    step: PyTree  # int32 scalar
    params: PyTree
    ema_params: PyTree
    opt_state: PyTree


class _Example(NamedTuple):
    """What a step learns from.

    `photograph` (b, h, w, 3) is seen by the model's context. Stages and a loss are
    computed for `encoded` and `hdr` only: the same pixels, or a part of them.
    """

    photograph: Float[Array, "b h w 3"]
    encoded: Float[Array, "b _h _w 3"]
    hdr: Float[Array, "b _h _w 3"]
    responses: camera.Responses | None
    """Of the cameras that took the photographs, if the loss compares them."""


def create_state(params: PyTree, optimizer: optax.GradientTransformation) -> TrainState:
    """Returns the state before the first step."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        # A copy: the step donates its state, and one buffer cannot be given twice.
        ema_params=jax.tree.map(jnp.array, params),
        opt_state=optimizer.init(params),
    )


@functools.partial(jax.jit, static_argnames="recipe", donate_argnames="state")
def train_step(
    state: TrainState,
    batch: Mapping[str, Array],
    key: Key[Array, ""],
    *,
    recipe: Recipe,
    tables: Tables,
) -> tuple[TrainState, dict[str, Array]]:
    """Returns the state after one step, and scalars of the step.

    Args:
      state: state before the step; its buffers are reused, so it is lost.
      batch: images, as `photographs` takes them, or numbers, as `views` takes them if
        there are panoramas.
      key: random key of the run; the key of the step is folded from `state.step`.
      recipe: choices of the run, compiled into the step.
      tables: arrays that the step reads.
    """
    step_key = jax.random.fold_in(key, state.step)
    example = _example(step_key, batch, recipe=recipe, tables=tables)
    objective = functools.partial(
        _objective,
        example=example,
        dropout_key=jax.random.fold_in(step_key, _DROPOUT),
        recipe=recipe,
        tables=tables,
    )
    gradients, terms = jax.grad(objective, has_aux=True)(state.params)
    updates, opt_state = recipe.optimizer.update(
        gradients, state.opt_state, state.params
    )
    params = optax.apply_updates(state.params, updates)
    new_state = TrainState(
        step=state.step + 1,
        params=params,
        ema_params=_averaged(state, params, ema_decay=recipe.ema_decay),
        opt_state=opt_state,
    )
    return new_state, terms | {"gradient_norm": optax.tree.norm(gradients)}


def photographs(
    key: Key[Array, ""],
    batch: Mapping[str, Array],
    *,
    virtual_camera: camera.Camera,
    curves: Float[Array, "curves samples"] | None = None,
) -> camera.Pair:
    """Returns the photographs of a batch: its own, or those of the virtual camera.

    Args:
      key: random key of the virtual camera.
      batch: `hdr` (b, h, w, 3) and `clipping_levels` (b, fractions) in any unit. A
        batch of pairs also has `ldr` (b, h, w, 3), uint8, and its `hdr` is in scale
        `ldr_white`. A mixture also has `has_ldr` (b,), which is true for the pairs.
      virtual_camera: camera for the images that have no photograph.
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


def views(
    batch: Mapping[str, Array], panoramas: panorama.Panoramas, *, size: int
) -> dict[str, Array]:
    """Returns a batch of images: the views that a batch of numbers describes.

    Args:
      batch: `panorama` (b,) and `angles` (b, 4), from `data.view_batches`.
      panoramas: what the views show.
      size: side of the views in pixels.
    """
    angles = panorama.Angles(*batch["angles"].T)
    hdr = panorama.render(panoramas, batch["panorama"], angles, size=size)
    return {"hdr": hdr, "clipping_levels": camera.levels_on_device(hdr)}


def _example(
    key: Array, batch: Mapping[str, Array], *, recipe: Recipe, tables: Tables
) -> _Example:
    """Returns what a step learns from, with radiance in the scale of the recipe."""
    if tables.panoramas is not None:
        batch = views(batch, tables.panoramas, size=recipe.view_size)
    batch = augment(
        jax.random.fold_in(key, _AUGMENTATION), batch, augmentation=recipe.augmentation
    )
    pair = photographs(key, batch, virtual_camera=recipe.camera, curves=tables.curves)
    factor = scales.factor(pair.hdr, recipe.scale)
    encoded, hdr = pair.encoded, pair.hdr * factor[:, None, None, None]
    if recipe.crop is not None:
        corners = crops.choose(
            jax.random.fold_in(key, _CROP), pair.encoded, recipe.crop
        )
        encoded, hdr = (
            crops.cut(image, corners, recipe.crop.size) for image in (encoded, hdr)
        )
    responses = None
    if isinstance(recipe.loss, ResponseError):
        responses = camera.responses(
            key, len(hdr), CODES, camera=recipe.camera, curves=tables.curves
        )
    return _Example(pair.encoded, encoded, hdr, responses)


def _objective(
    params: PyTree,
    *,
    example: _Example,
    dropout_key: Array,
    recipe: Recipe,
    tables: Tables,
) -> tuple[Array, dict[str, Array]]:
    """Returns the loss of `params` and the scalars that are logged."""
    apply = functools.partial(
        recipe.model.apply, {"params": params}, rngs={"dropout": dropout_key}
    )
    context: Any = apply(example.photograph, method="context")
    clipped_share = camera.is_clipped(example.encoded).mean()
    if isinstance(recipe.loss, ResponseError):
        assert example.responses is not None
        value, terms = recipe.loss(context, example.responses, example.photograph)
        return value, terms | {"clipped_share": clipped_share}
    stages, sown = apply(example.encoded, context, mutable=["intermediates"])
    value, terms = recipe.loss(
        stages, example.hdr, example.encoded, vgg_params=tables.vgg_params
    )
    terms |= {"clipped_share": clipped_share}
    return value, terms | _minima_of_sown(sown)


def _averaged(state: TrainState, params: PyTree, *, ema_decay: float) -> PyTree:
    """Returns the averaged parameters after a step to `params`."""
    decay: Array | float = 0.0
    if ema_decay > 0:
        # An average of few steps would remember the initial values, so the decay
        # begins small.
        decay = jnp.minimum(ema_decay, (1 + state.step) / (10 + state.step))
    return jax.tree.map(
        lambda mean, new: mean + (1 - decay) * (new - mean), state.ema_params, params
    )


def _minima_of_sown(sown: Mapping[str, PyTree]) -> dict[str, Array]:
    """Returns the minimum over the stages of each quantity that a model sows."""
    leaves = jax.tree_util.tree_leaves_with_path(sown.get("intermediates", {}))
    return {
        next(str(key.key) for key in reversed(path) if hasattr(key, "key")): value.min()
        for path, value in leaves
    }
