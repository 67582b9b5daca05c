import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr.errors import UserError
from jaxhdr.models import create_model
from jaxhdr.storage import checkpoints, pretrained, weight_files
from jaxhdr.training.initialisation import initial_params

COMPACT = {"backbone": "compact", "num_regions": 2}


@functools.cache
def random_params(name, **fields):
    params = initial_params(jax.random.key(7), create_model(name, **fields))
    return jax.tree.map(np.asarray, params)


def random_run(workdir, name, **fields):
    """Writes a run's checkpoint of random parameters, and returns those."""
    params = random_params(name, **fields)
    with checkpoints.open_manager(workdir) as manager:
        config = {"model": {"name": name, **fields}}
        checkpoints.save(
            manager, 1, params=params, train_state={"a": 1}, config=config, data={}
        )
    return params


def assert_equal(actual, expected):
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


@pytest.mark.slow
def test_the_whole_is_taken_from_a_run_of_the_same_model(tmp_path):
    expected = random_run(tmp_path, "fhdr", num_iterations=1)
    # The number of iterations does not change the parameters.
    model = create_model("fhdr", num_iterations=2)
    assert_equal(
        initial_params(jax.random.key(0), model, init_from=str(tmp_path)), expected
    )


@pytest.mark.slow
def test_parameters_are_taken_from_a_weight_file_or_a_shipped_model(tmp_path):
    expected = random_run(tmp_path / "run", "fhdr", num_iterations=1)
    path = tmp_path / "fhdr.safetensors"
    pretrained.export_weights(tmp_path / "run", path, half=False)
    model = create_model("fhdr", num_iterations=2)
    assert_equal(
        initial_params(jax.random.key(0), model, init_from=str(path)), expected
    )
    model = create_model("fhdr", num_iterations=2, front={"response": "estimated"})
    shipped = pretrained.load_pretrained("fhdr").params
    assert_equal(
        initial_params(jax.random.key(0), model, init_from="fhdr"), dict(shipped)
    )
    with pytest.raises(UserError, match="holds no checkpoints"):
        initial_params(jax.random.key(0), model, init_from=str(tmp_path / "none"))


@pytest.mark.slow
def test_a_part_is_taken_from_a_run_of_that_part(tmp_path):
    expected = random_run(tmp_path, "sparam", **COMPACT)
    model = create_model("sparam_lstm", sparam=COMPACT)
    params = initial_params(jax.random.key(0), model, init_from=str(tmp_path))
    assert_equal(params["sparam"], expected)
    fresh = initial_params(jax.random.key(0), model)
    assert_equal(params["conv_lstm"], fresh["conv_lstm"])


@pytest.mark.slow
def test_joint_training_starts_where_stage_1_ended(tmp_path):
    """Both stages equal the pseudo-HDR of the run that is continued."""
    params = random_run(tmp_path, "sparam", **COMPACT)
    encoded = jnp.asarray(np.random.default_rng(0).random((1, 12, 9, 3), np.float32))
    alone = create_model("sparam", **COMPACT).apply({"params": params}, encoded)
    model = create_model("sparam_lstm", sparam=COMPACT, conv_lstm={"head": "residual"})
    joint = initial_params(jax.random.key(0), model, init_from=str(tmp_path))
    stages = jax.jit(model.apply)({"params": joint}, encoded)
    np.testing.assert_allclose(stages[0], alone[0], rtol=1e-5)
    np.testing.assert_allclose(stages[1], alone[0], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_several_sources_are_taken_in_their_order(tmp_path):
    """FHDR's layers from a run that had no estimate of the response, and that."""
    layers = random_run(tmp_path / "layers", "fhdr", num_iterations=1)
    estimate = random_run(tmp_path / "estimate", "response")
    model = create_model("fhdr", front={"response": "estimated"})
    for order in (("layers", "estimate"), ("estimate", "layers")):
        sources = "+".join(str(tmp_path / name) for name in order)
        params = initial_params(jax.random.key(0), model, init_from=sources)
        assert_equal(params, layers | {"response": estimate})
    with pytest.raises(UserError, match="parameters of another model"):
        plain = create_model("fhdr")
        initial_params(jax.random.key(0), plain, init_from=str(tmp_path / "estimate"))


@pytest.mark.slow
def test_a_part_of_a_part_is_taken_too(tmp_path):
    expected = random_run(tmp_path, "response")
    model = create_model(
        "sparam_lstm",
        sparam={**COMPACT, "curve_of": "radiance", "front": {"response": "estimated"}},
    )
    params = initial_params(jax.random.key(0), model, init_from=str(tmp_path))
    assert_equal(params["sparam"]["response"], expected)


@pytest.mark.slow
def test_a_run_with_other_regions_or_of_another_model_is_refused(tmp_path):
    random_run(tmp_path / "regions", "sparam", backbone="compact", num_regions=3)
    random_run(tmp_path / "other", "fhdr", num_iterations=1)
    model = create_model("sparam_lstm", sparam=COMPACT)
    for run in ("regions", "other"):
        with pytest.raises(UserError, match="parameters of another model"):
            initial_params(jax.random.key(0), model, init_from=str(tmp_path / run))


def vgg16_state():
    """A state dict of torchvision's vgg16, with the smallest possible sizes."""
    rng = np.random.default_rng(0)
    widths = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    numbers = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    state, inputs = {"classifier.0.weight": np.zeros((1, 1), np.float32)}, 3
    for number, width in zip(numbers, widths, strict=True):
        kernel = rng.standard_normal((width, inputs, 3, 3), np.float32)
        state[f"features.{number}.weight"] = kernel
        state[f"features.{number}.bias"] = rng.standard_normal(width, np.float32)
        inputs = width
    return state


@pytest.mark.slow
def test_the_convolutions_but_the_first_are_taken_from_a_vgg16_file(tmp_path):
    state = vgg16_state()
    path = tmp_path / "vgg16.safetensors"
    weight_files.write_safetensors(path, state)
    params = initial_params(jax.random.key(0), create_model("sparam"), vgg16=str(path))
    features = params["features"]
    assert features["conv1_1"]["kernel"].shape == (3, 3, 18, 64)
    assert np.ptp(features["conv1_1"]["kernel"]) > 0
    last = state["features.28.weight"]
    np.testing.assert_array_equal(
        features["conv5_3"]["kernel"][2, 0, 5, 7], last[7, 5, 2, 0]
    )
    np.testing.assert_array_equal(
        features["conv3_2"]["bias"], state["features.12.bias"]
    )


@pytest.mark.slow
def test_vgg16_weights_for_a_model_without_vgg16_are_refused(tmp_path):
    path = tmp_path / "vgg16.safetensors"
    weight_files.write_safetensors(path, vgg16_state())
    for model in (create_model("fhdr"), create_model("sparam", backbone="compact")):
        with pytest.raises(UserError, match="cannot start from"):
            initial_params(jax.random.key(0), model, vgg16=str(path))
