"""What a run trains: the choices that are compiled into a step, and its tables."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from jaxtyping import Array, Float, PyTree

from jaxhdr.imaging import camera
from jaxhdr.imaging.camera import Camera
from jaxhdr.imaging.panorama import Panoramas
from jaxhdr.models.camera_response import CameraResponse
from jaxhdr.training import perceptual
from jaxhdr.training.augmentation import Augmentation, create_augmentation
from jaxhdr.training.crops import Crop
from jaxhdr.training.losses import Loss, create_loss
from jaxhdr.training.optimizer import create_optimizer
from jaxhdr.training.response_error import ResponseError


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The choices of a run, hashable: a step is compiled once for each recipe.

    Attributes:
      model: the network, under the contract of `jaxhdr.models`.
      optimizer: from `create_optimizer`.
      loss: the number to minimise.
      augmentation: random flips and turns of the images, before the camera.
      camera: camera that takes the photographs.
      scale: unit of the radiance that the model learns, one of `scales.SCALES`; each
        patch of a batch counts as a whole image.
      crop: part of each patch that gets stages and a loss, while the model's context
        is that of the whole patch; None for all of it.
      ema_decay: decay of the averaged parameters; 0 for no averaging.
      view_size: side in pixels of the views that a step renders of `Tables.panoramas`.
    """

    model: nn.Module
    optimizer: optax.GradientTransformation
    loss: Loss | ResponseError = dataclasses.field(default_factory=Loss)
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    camera: Camera = dataclasses.field(default_factory=Camera)
    scale: str = "ldr_white"
    crop: Crop | None = None
    ema_decay: float = 0.0
    view_size: int = 0


@struct.dataclass
class Tables:
    """Arrays that a step reads and does not change.

    Attributes:
      vgg_params: parameters of VGG19, for a perceptual loss.
      curves: measured camera responses, from `camera.read_curves`; None for the
        sigmoid family.
      panoramas: what views are rendered of; None if batches have images.
    """

    vgg_params: PyTree | None = None
    curves: Float[Array, "curves samples"] | None = None
    panoramas: Panoramas | None = None


def create_recipe(config: Any, model: nn.Module) -> Recipe:
    """Returns the recipe that a configuration describes.

    Args:
      config: the fields of `configs/default.py`.
      model: the network, from `create_model`.

    Raises:
      UserError: a field has a wrong value.
    """
    crop = None
    if config.train.inner_crop:
        crop = Crop(config.train.inner_crop, config.data.bright_share)
    return Recipe(
        model=model,
        optimizer=create_optimizer(config.optimizer, config.train.num_steps),
        loss=_loss(config, model),
        augmentation=create_augmentation(**config.augmentation),
        camera=dataclasses.replace(
            camera.create_camera(**config.camera),
            unclipped_share=config.data.unclipped_share,
        ),
        scale=config.loss.scale,
        crop=crop,
        ema_decay=config.optimizer.ema_decay,
        view_size=config.views.size,
    )


def _loss(config: Any, model: nn.Module) -> Loss | ResponseError:
    if isinstance(model, CameraResponse):
        return ResponseError()  # the section `loss` compares images
    return create_loss(**config.loss)


def load_tables(config: Any) -> Tables:
    """Returns the tables that a configuration names.

    Args:
      config: the fields of `configs/default.py`.

    Raises:
      UserError: a file is missing, cannot be read or holds something else.
    """
    loss = config.loss
    curves = None
    if config.camera_curves:
        curves = jnp.asarray(camera.read_curves(config.camera_curves))
    return Tables(
        vgg_params=perceptual.load_vgg19(loss.vgg19 or None, loss.perceptual_weight),
        curves=curves,
    )
