import json

import jax
import numpy as np
import pytest

from jaxhdr import options
from jaxhdr.errors import UserError
from jaxhdr.inference import Reconstructor
from jaxhdr.models import create_model
from jaxhdr.storage import checkpoints, pretrained, weight_files
from jaxhdr.storage.earlier_fields import translated
from tests.random_models import random_params, random_sparam_lstm

# What version 0.1 stored for the shipped SParam-LSTM, all 15 fields and the name.
SPARAM_LSTM = {
    "backbone": "compact",
    "curve_input": "estimated",
    "dropout_rate": 0.1,
    "dtype": "bfloat16",
    "forget_bias": 1.0,
    "head": "residual",
    "keep_white": True,
    "loop": "rolled",
    "name": "sparam_lstm",
    "num_regions": 5,
    "peak": 64.0,
    "peepholes": False,
    "positive": "exponential",
    "remat": False,
    "shared_prelu": False,
    "smooth_noise": True,
}
NESTED = {
    "name": "sparam_lstm",
    "keep_white": True,
    "sparam": {
        "backbone": "compact",
        "curve_of": "radiance",
        "dropout_rate": 0.1,
        "num_regions": 5,
        "positive": "exponential",
        "front": {"response": "estimated", "smooth_noise": True},
    },
    "conv_lstm": {
        "dtype": "bfloat16",
        "forget_bias": 1.0,
        "head": "residual",
        "loop": "rolled",
        "peak": 64.0,
        "peepholes": False,
        "remat": False,
        "shared_prelu": False,
    },
}
CASES = [
    (SPARAM_LSTM, NESTED),
    (
        {"name": "sparam", "curve_input": "linear", "smooth_noise": False},
        {
            "name": "sparam",
            "curve_of": "radiance",
            "front": {"response": "srgb", "smooth_noise": False},
        },
    ),
    (
        {"name": "sparam", "curve_input": "encoded"},
        {"name": "sparam", "curve_of": "encoded", "front": {"response": "srgb"}},
    ),
    (
        {"name": "fhdr", "linearisation": "estimated", "head": "tanh", "peak": 1.0},
        {
            "name": "fhdr",
            "front": {"response": "estimated"},
            "head": "tanh",
            "peak": 1.0,
        },
    ),
    ({"name": "fhdr", "num_iterations": 2}, {"name": "fhdr", "num_iterations": 2}),
    ({"name": "response", "dropout_rate": 0.1},) * 2,
]


@pytest.mark.parametrize("stored, expected", CASES)
def test_earlier_fields_are_found_in_the_parts(stored, expected):
    before = json.dumps(stored)
    assert translated(stored) == expected
    assert json.dumps(stored) == before
    create_model(**translated(stored))


@pytest.mark.parametrize("_, todays", CASES)
def test_todays_fields_stay(_, todays):
    assert translated(todays) == todays


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "fhdr", "linearisation": "gamma"},
        {"name": "sparam", "curve_input": "gamma"},
        {"name": "sparam_lstm", "curve_input": "gamma"},
        {"name": "sparam_lstm", "depth": 3},
        {"name": "fhdr", "curve_input": "linear"},
    ],
)
def test_what_no_version_knew_is_still_refused(fields):
    with pytest.raises(UserError):
        create_model(**translated(fields))


@pytest.mark.parametrize("name", options.shipped_names())
def test_the_shipped_files_name_a_model_with_an_estimate(name):
    loaded = pretrained.load_pretrained(name)
    front = loaded.model.front if name == "fhdr" else loaded.model.sparam.front
    assert (front.response, front.smooth_noise) == ("estimated", True)
    assert Reconstructor(loaded).response == "estimated"
    assert Reconstructor(loaded, response="srgb").response == "srgb"


def test_a_run_with_earlier_fields_is_the_same_model_and_exports_todays(tmp_path):
    model, params, *_ = random_sparam_lstm()
    flat = {"name": "sparam_lstm", "backbone": "compact", "curve_input": "encoded"}
    workdir, path = tmp_path / "run", tmp_path / "run.safetensors"
    checkpoints.save_trained(
        workdir, 3, params=params, config={"model": flat, "loss": {}}
    )
    loaded = pretrained.load_pretrained(workdir)
    assert loaded.model == model
    jax.tree.map(np.testing.assert_array_equal, loaded.params, dict(params))
    pretrained.export_weights(workdir, path)
    stored = json.loads(weight_files.read_metadata(path)["model"])
    assert stored["sparam"]["curve_of"] == "encoded"
    assert pretrained.load_pretrained(path).model == model


def test_a_resumed_run_compares_todays_fields(tmp_path):
    params = random_params()
    state = {"step": np.zeros(())}
    with checkpoints.open_manager(tmp_path) as manager:
        checkpoints.save(
            manager,
            3,
            params=params,
            train_state=state,
            config={"model": {"name": "fhdr", "linearisation": "srgb"}},
            data={},
        )
        manager.wait_until_finished()
        restored = checkpoints.restore_latest(manager, state)
    assert restored is not None
    assert restored.config["model"] == {"name": "fhdr", "front": {"response": "srgb"}}
