import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxhdr.errors import UserError
from jaxhdr.models import (
    MODELS,
    create_model,
    estimates_response,
    has_dtype,
    taking_srgb,
    with_dtype,
)

# The compact backbone if there is one; the other takes half a gigabyte.
SMALL = {
    "sparam": {"backbone": "compact"},
    "sparam_lstm": {"sparam": {"backbone": "compact"}},
}


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", [(1, 9, 14), (3, 5, 4)], ids=str)
def test_every_model_returns_stages_of_the_input_shape_in_float32(name, shape):
    model = create_model(name)
    encoded = jnp.full((*shape, 3), 0.5)
    stages, variables = jax.eval_shape(
        lambda key: model.init_with_output(key, encoded), jax.random.key(0)
    )
    assert stages.ndim == 5 and stages.shape[1:] == encoded.shape
    assert stages.dtype == jnp.float32
    assert set(variables) == {"params"}  # nothing kept from one image to the next


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("name", MODELS)
def test_every_model_returns_finite_radiance_at_initialisation(name):
    encoded = np.random.default_rng(0).random((1, 8, 8, 3), np.float32)
    run = jax.jit(
        create_model(
            name, **SMALL.get(name, {})
        ).init_with_output,  # without optimisation, as it runs once
        compiler_options={"xla_backend_optimization_level": 0},
    )
    stages, _ = run(jax.random.key(0), jnp.asarray(encoded))
    assert np.isfinite(stages).all() and np.min(stages) >= 0


@pytest.mark.parametrize("name", MODELS)
def test_every_model_states_its_receptive_radius(name):
    radius = create_model(name).receptive_radius
    assert isinstance(radius, int) and radius >= 0


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_given_the_context_of_its_own_image(name):
    model = create_model(name, **SMALL.get(name, {}))
    encoded = jnp.full((2, 5, 4, 3), 0.5)

    def both(key):
        stages, variables = model.init_with_output(key, encoded)
        context = model.apply(variables, encoded, method="context")
        return stages, model.apply(variables, encoded, context), context

    alone, with_context, context = jax.eval_shape(both, jax.random.key(0))
    assert with_context.shape == alone.shape
    assert all(len(leaf) == 2 for leaf in jax.tree.leaves(context))


@pytest.mark.parametrize("name", MODELS)
def test_models_made_alike_are_equal_so_that_compiled_functions_are_reused(name):
    assert create_model(name) == create_model(name)
    assert hash(create_model(name)) == hash(create_model(name))


def test_fields_reach_the_model():
    model = create_model("fhdr", num_iterations=3, peak=8.0)
    assert isinstance(model, nn.Module)
    assert (model.num_iterations, model.peak) == (3, 8.0)
    encoded = jnp.zeros((1, 4, 4, 3))
    stages = jax.eval_shape(model.init_with_output, jax.random.key(0), encoded)[0]
    assert stages.shape == (3, 1, 4, 4, 3)


@pytest.mark.parametrize("name", ["", "FHDR", "fhdr ", "sparam-net", "../fhdr"])
def test_an_unknown_name_is_refused_with_the_names_there_are(name):
    with pytest.raises(UserError, match=r"unknown model .*; available: .*'fhdr'"):
        create_model(name)


@pytest.mark.parametrize("option", ["num_iteration", "parent", "Head", ""])
def test_an_unknown_option_is_refused_with_the_options_there_are(option):
    with pytest.raises(UserError, match=r"no option .*; available: .*num_iterations"):
        create_model("fhdr", **{option: 1})


def test_a_bad_value_of_an_option_is_refused():
    with pytest.raises(UserError, match="head is 'x'"):
        create_model("fhdr", head="x")


def test_fields_reach_the_parts_of_a_model():
    model = create_model(
        "sparam_lstm",
        sparam={"curve_of": "radiance", "front": {"response": "estimated"}},
        conv_lstm={"head": "residual"},
    )
    assert model.sparam.front.response == "estimated"
    assert model.sparam.num_regions == 5  # the others keep their defaults
    assert model.conv_lstm.head == "residual"


@pytest.mark.parametrize(
    "name, fields, named",
    [
        ("fhdr", {"front": {"gamma": 2.2}}, "front.gamma"),
        ("fhdr", {"front": "estimated"}, "front"),
        ("fhdr", {"head": {"kind": "tanh"}}, "head.kind"),
        ("sparam_lstm", {"backbone": "compact"}, "backbone"),
        ("sparam_lstm", {"sparam": {"front": {"name": "x"}}}, "sparam.front.name"),
    ],
)
def test_an_unknown_option_of_a_part_is_refused_with_those_there_are(
    name, fields, named
):
    with pytest.raises(UserError, match=rf"no option \['{named}'\]") as error:
        create_model(name, **fields)
    assert "front.smooth_noise'" in str(error.value)


ESTIMATED = {"response": "estimated", "smooth_noise": True}
ESTIMATING = {
    "fhdr": {"front": ESTIMATED},
    "sparam": {"curve_of": "radiance", "front": ESTIMATED},
    "sparam_lstm": {"sparam": {"curve_of": "radiance", "front": ESTIMATED}},
}


@pytest.mark.parametrize("name", ESTIMATING)
def test_a_model_may_take_all_photographs_for_srgb(name):
    estimating = create_model(name, **ESTIMATING[name])
    assert estimates_response(estimating)
    assert not estimates_response(create_model(name))
    plain = taking_srgb(estimating)
    assert not estimates_response(plain)
    assert plain.receptive_radius == estimating.receptive_radius  # still smooths


def test_the_response_alone_is_always_an_estimate():
    model = create_model("response")
    assert estimates_response(model) and taking_srgb(model) is model


def test_networks_with_a_choice_compute_in_another_type():
    assert {name for name in MODELS if has_dtype(create_model(name))} == {
        "fhdr",
        "sparam_lstm",
    }
    assert with_dtype(create_model("fhdr"), "bfloat16").dtype == "bfloat16"
    both = with_dtype(create_model("sparam_lstm"), "bfloat16")
    assert both == create_model("sparam_lstm", conv_lstm={"dtype": "bfloat16"})
