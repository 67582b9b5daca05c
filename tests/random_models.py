"""Small models with random parameters, for tests of the code around a model."""

import functools
import json
import os

import jax
import jax.numpy as jnp
import numpy as np

from jaxhdr.models import create_model
from jaxhdr.storage import checkpoints, weight_files
from jaxhdr.storage.pretrained import Pretrained

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


@functools.cache
def random_sparam_lstm(*, num_regions: int = 5, loop: str = "unrolled") -> Pretrained:
    """SParam-LSTM with the small backbone, and stages that depend on the image."""
    model = create_model(
        "sparam_lstm",
        sparam={"backbone": "compact", "num_regions": num_regions},
        conv_lstm={"loop": loop},
    )
    image = jnp.zeros((1, 8, 8, 3))
    shapes = jax.eval_shape(model.init, jax.random.key(0), image)["params"]
    rng = np.random.default_rng(0)

    def draw(leaf):  # by hand: compiling `init` takes longer than the tests
        deviation = np.sqrt(2 / np.prod(leaf.shape[:-1]))
        return jnp.asarray(rng.normal(0, min(deviation, 0.1), leaf.shape), leaf.dtype)

    params = jax.tree.map(draw, shapes)
    params["sparam"]["dense_3"]["bias"] = jnp.array([1.5, 0.5, 0.7, 0.9])
    params["conv_lstm"]["decoder"]["deconvolution"]["kernel"] *= 30
    return Pretrained(model, params, "random", "mean_half")


def write_random_weights(path: str | os.PathLike, *, half: bool = False) -> None:
    weight_files.write_safetensors(
        path,
        weight_files.flatten(random_params()),
        metadata={"model": json.dumps(FIELDS), "scale": "ldr_white"},
        float16=half,
    )


def save_random_run(workdir: str | os.PathLike, config: dict, *, step: int = 7) -> None:
    """Writes a checkpoint as training does: random parameters for `config["model"]`."""
    name = config["model"]["name"]
    params = random_params() if name == "fhdr" else random_sparam_lstm().params
    if name == "sparam":
        params = params["sparam"]
    with checkpoints.open_manager(workdir) as manager:
        checkpoints.save(
            manager,
            step,
            params=jax.tree.map(np.asarray, dict(params)),
            train_state={"step": np.zeros(())},
            config=config,
            data={},
        )
