"""Parts of images at random places, cut on the device.

A model that summarises the whole image in a context can learn from small parts of large
images: only the context is computed from all pixels, the costly layers from the part.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxhdr.errors import UserError
from jaxhdr.imaging import camera


@dataclasses.dataclass(frozen=True)
class Crop:
    """Size and place of the parts.

    Attributes:
      size: side of the part in pixels.
      clipped_share: share of the parts, 0 to 1, that are cut around a clipped pixel
        where the image has one, so that clipped regions are not rare.
    """

    size: int
    clipped_share: float = 0.0


def choose(
    key: Key[Array, ""], encoded: Float[Array, "b h w 3"], crop: Crop
) -> Int[Array, "b 2"]:
    """Returns the upper left corner, row and column, of one part of each image.

    Args:
      key: random key.
      encoded: photographs, display-encoded in [0, 1].
      crop: size and place of the parts.

    Raises:
      UserError: an image is smaller than the part.
    """
    if min(encoded.shape[1:3]) < crop.size:
        raise UserError(
            f"the inner crop is {crop.size} pixels, but patches are "
            f"{encoded.shape[1]} x {encoded.shape[2]}; expected at most that"
        )
    keys = jax.random.split(key, len(encoded))
    return jax.vmap(lambda *x: _corner(*x, crop=crop))(keys, encoded)


def cut(
    images: Float[Array, "b h w c"], corners: Int[Array, "b 2"], size: int
) -> Float[Array, "b size size c"]:
    """Returns one square part of each image.

    Args:
      images: images of any unit.
      corners: row and column of the upper left corner of each part.
      size: side of the parts in pixels.
    """

    def one(image, corner):
        start = (corner[0], corner[1], 0)
        return jax.lax.dynamic_slice(image, start, (size, size, image.shape[-1]))

    return jax.vmap(one)(images, corners)


def _corner(key, encoded, *, crop):
    kind_key, anchor_key, place_key = jax.random.split(key, 3)
    clipped = camera.is_clipped(encoded)[..., 0]
    wanted = jax.random.uniform(kind_key) < crop.clipped_share
    candidates = jnp.where(wanted & clipped.any(), clipped, True)
    # Pick one candidate uniformly: the argmax of independent random numbers.
    draws = jnp.where(candidates, jax.random.uniform(anchor_key, candidates.shape), -1)
    anchor = jnp.stack(jnp.unravel_index(draws.argmax(), draws.shape))
    within = jax.random.randint(place_key, (2,), 0, crop.size)
    largest = jnp.array(encoded.shape[:2]) - crop.size
    return jnp.clip(anchor - within, 0, largest)
