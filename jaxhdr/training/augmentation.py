"""Random flips and turns of training images, on the device.

They are applied to the radiance before the camera takes its photograph, and to both
images of a pair alike, so the photograph and the truth always agree.

Colours are left to `camera.Camera.color_cast`, the one change of colour that has a
physical cause: light of another colour multiplies each channel. The changes of
brightness, contrast, gamma, hue and saturation that dm_pix offers are made for encoded
images in [0, 1]; they would add an offset to radiance, bend it, or mix its channels.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import dm_pix
import jax
from jaxtyping import Array, Key

from jaxhdr.errors import UserError
from jaxhdr.fields import made_of

_IMAGES = ("hdr", "ldr")


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Which changes are made at random, independently for each image.

    Attributes:
      flip_left_right: probability of a flip of left and right.
      flip_up_down: probability of a flip of top and bottom. Photographs have their
        light from above, so this is 0 by default.
      quarter_turns: whether images are turned by 0, 90, 180 or 270 degrees, each as
        likely as the others. They must be square.

    Raises:
      UserError: a probability is out of range.
    """

    flip_left_right: float = 0.5
    flip_up_down: float = 0.0
    quarter_turns: bool = False

    def __post_init__(self) -> None:
        for name in ("flip_left_right", "flip_up_down"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(
                    f"augmentation.{name} is {getattr(self, name)}; expected a "
                    "probability from 0 to 1"
                )


def create_augmentation(**fields: Any) -> Augmentation:
    """Returns the augmentation with these attributes.

    Raises:
      UserError: an attribute is not known or has a wrong value.
    """
    return made_of("augmentation", fields, kind=Augmentation)


def augment(
    key: Key[Array, ""], batch: Mapping[str, Array], *, augmentation: Augmentation
) -> dict[str, Array]:
    """Returns a batch whose images are changed at random.

    Args:
      key: random key; each image gets its own, which its photograph shares.
      batch: `hdr` (b, h, w, 3), and `ldr` (b, h, w, 3) in a batch of pairs. All other
        entries are kept as they are.
      augmentation: which changes are made.

    Raises:
      UserError: images to be turned are not square.
    """
    keys = jax.random.split(key, len(batch["hdr"]))
    change = jax.vmap(functools.partial(_changed, augmentation=augmentation))
    images = {name: change(keys, batch[name]) for name in _IMAGES if name in batch}
    return {**batch, **images}


def _changed(key: Array, image: Any, *, augmentation: Augmentation) -> Array:
    left_right_key, up_down_key, turn_key = jax.random.split(key, 3)
    if augmentation.flip_left_right:
        image = dm_pix.random_flip_left_right(
            left_right_key, image, probability=augmentation.flip_left_right
        )
    if augmentation.flip_up_down:
        image = dm_pix.random_flip_up_down(
            up_down_key, image, probability=augmentation.flip_up_down
        )
    if augmentation.quarter_turns:
        image = _turned(turn_key, image)
    return image


def _turned(key: Array, image: Array) -> Array:
    height, width, _ = image.shape
    if height != width:
        raise UserError(
            f"augmentation.quarter_turns needs square images, these have {height} x "
            f"{width} pixels: turn it off"
        )
    turns = [functools.partial(dm_pix.rot90, k=number) for number in range(4)]
    return jax.lax.switch(jax.random.randint(key, (), 0, len(turns)), turns, image)
