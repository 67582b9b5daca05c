"""Small FHDR models with random parameters, for tests of what is around a model."""

import functools
import json
import os

import jax
import jax.numpy as jnp

from jaxhdr import weight_files
from jaxhdr.models import create_model
from jaxhdr.pretrained import Pretrained

# Without the zero last layer, which would return the photograph linearised.
FIELDS = {
    "name": "fhdr",
    "num_iterations": 1,
    "head": "residual",
    "peak": 64.0,
    "zero_last_layer": False,
    "initial_gain": 0.5,
}


@functools.cache
def random_params(*, seed: int = 0) -> dict:
    model = create_model(**FIELDS)
    return dict(model.init(jax.random.key(seed), jnp.zeros((1, 8, 8, 3)))["params"])


def random_pretrained(**fields: object) -> Pretrained:
    return Pretrained(create_model(**(FIELDS | fields)), random_params(), "random")


def write_random_weights(path: str | os.PathLike, *, half: bool = False) -> None:
    weight_files.write_safetensors(
        path,
        weight_files.flatten(random_params()),
        metadata={"model": json.dumps(FIELDS), "scale": "ldr_white"},
        float16=half,
    )
