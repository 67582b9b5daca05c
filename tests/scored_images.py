"""Small images to score methods on, and methods whose scores are known."""

import jax.numpy as jnp
import numpy as np

from jaxhdr.evaluation.image_sets import Example, ImageSet
from jaxhdr.evaluation.methods import Method
from jaxhdr.imaging import color
from tests import golden_scenes

SCENES = ("gradient_sun", "interior_window")


def example(name, *, scene="interior_window", white=400.0):
    """An image of a golden scene; `white` cd/m^2 clip its photograph."""
    hdr = golden_scenes.version(scene, "ref").astype(np.float32) / white
    encoded = jnp.round(255 * color.srgb_encode(jnp.clip(hdr, 0, 1))) / 255
    return Example(name, f"scene of {name}", encoded, jnp.asarray(hdr))


def image_set(names=SCENES, *, when_read=lambda name: None):
    """Golden scenes as images; `when_read` is called with the name of each."""

    def read(skip):
        for name in names:
            if name not in skip:
                when_read(name)
                yield example(name, scene=name)

    return ImageSet(len(names), {"data": "golden scenes"}, read)


def gain(factor):
    """A method of two stages: the linearised photograph, and that times a factor."""

    def estimate(image):
        linear = np.asarray(color.srgb_decode(jnp.asarray(image.encoded)))
        return np.stack([linear, np.float32(factor) * linear])

    return Method(estimate, label=f"gain {factor}")
