import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from jaxhdr import kernels
from jaxhdr.errors import UserError
from jaxhdr.models import conv_lstm
from jaxhdr.models.conv_lstm import ConvLSTMNet
from tests.models import conv_lstm_reference

# As in test_fhdr.py: compiling is all the time.
fast_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)

RANDOM = np.random.default_rng(1)
REGIONS = 3
PSEUDO = RANDOM.uniform(0.1, 3.0, (5, 6, 3)).astype(np.float32)
MAPS = RANDOM.random((REGIONS, 5, 6, 3), np.float32)
PROBE = RANDOM.uniform(-1, 1, (5, 6, 3))  # the loss: the result, weighed by this
# Each option takes both its values, and each head is used.
CASES = {
    "relu": {"peepholes": True},
    "residual": {"head": "residual", "peak": 8.0, "shared_prelu": True},
}


def state_of(fields):
    return conv_lstm_reference.random_state(
        peepholes=fields.get("peepholes", False),
        shared_prelu=fields.get("shared_prelu", False),
    )


def tree_of(state):
    leaves = {name: jnp.asarray(x, jnp.float32) for name, x in state.items()}
    return traverse_util.unflatten_dict(leaves, sep="/")


def double(params):
    flat = traverse_util.flatten_dict(params, sep="/")
    return {name: np.asarray(x, np.float64) for name, x in flat.items()}


def reference(arrays, fields):
    """The reference with its head; `arrays` has the inputs too."""
    pseudo = arrays["pseudo_hdr"]
    if fields.get("head") != "residual":
        # Without the ReLU: where it cuts off, the gradient is to pass.
        return conv_lstm_reference.run(arrays, pseudo, arrays["maps"])
    peak = fields["peak"]
    code = np.log1p(5000 * pseudo / peak) / np.log1p(5000)  # Khan et al. (2019), II-D
    code += conv_lstm_reference.run(arrays, code, arrays["maps"])
    assert 0 < code.min() < code.max() < 1
    return peak * np.expm1(code * np.log1p(5000)) / 5000


@functools.cache
def result_and_gradients(case, regions=REGIONS, **changes):
    """The result, and the gradients of it and the inputs by the reference's names."""
    fields = CASES[case]
    model = ConvLSTMNet(**fields, **changes)
    params = tree_of(state_of(fields))
    inputs = (jnp.asarray(PSEUDO[None]), jnp.asarray(MAPS[:regions, None]))

    def loss(params, inputs):
        result = model.apply({"params": params}, *inputs)
        return jnp.sum(result[0] * PROBE), result[0]

    gradient = fast_jit(jax.grad(loss, argnums=(0, 1), has_aux=True))
    (of_params, (of_pseudo, of_maps)), result = gradient(params, inputs)
    gradients = double(of_params)
    gradients["pseudo_hdr"] = np.asarray(of_pseudo[0])
    gradients["maps"] = np.asarray(of_maps[:, 0])
    return np.asarray(result), gradients


def arrays_of(case, regions=REGIONS):
    arrays = double(tree_of(state_of(CASES[case])))
    return arrays | {
        "pseudo_hdr": PSEUDO.astype(np.float64),
        "maps": MAPS[:regions].astype(np.float64),
    }


# Parameters


def param_shapes(regions=2, **fields):
    model = ConvLSTMNet(**fields)
    pseudo, maps = jnp.zeros((1, 4, 5, 3)), jnp.zeros((regions, 1, 4, 5, 3))
    variables = jax.eval_shape(model.init, jax.random.key(0), pseudo, maps)
    return variables["params"]


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    "fields, count",
    [
        ({}, 208_743 + 188),
        ({"shared_prelu": True}, 208_743 + 7),
        ({"peepholes": True}, 208_743 + 188 + 210),  # 3 * (64 + 6)
        ({"peepholes": True, "shared_prelu": True}, 208_743 + 7 + 210),
        ({"head": "residual"}, 208_743 + 188),
    ],
    ids=str,
)
def test_there_are_as_many_parameters_as_by_arithmetic(fields, count):
    # 4 (9 * 70 * 64 + 64) + 4 (9 * 70 * 6 + 6) for the two layers, 32,063 in the
    # decoder: 208,743.
    leaves = jax.tree.leaves(param_shapes(**fields))
    assert sum(leaf.size for leaf in leaves) == count


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
    "fields", [{"loop": "rolled"}, {"remat": True}, {"loop": "rolled", "remat": True}]
)
@pytest.mark.parametrize("regions", [1, 3, 7])
def test_parameters_are_the_same_whatever_the_steps_and_how_they_run(regions, fields):
    shapes = functools.partial(jax.tree.map, lambda leaf: (leaf.shape, leaf.dtype))
    assert shapes(param_shapes(regions, **fields)) == shapes(param_shapes())


# Equality with the reference


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("regions", [1, REGIONS])
def test_the_scanned_network_equals_the_reference(case, regions):
    expected = reference(arrays_of(case, regions), CASES[case])
    assert expected.std() > 0.05
    result, _ = result_and_gradients(case, regions)
    if case == "relu":
        assert (expected < 0).any() and (expected > 0).any()
        expected = np.maximum(expected, 0)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_gradients_equal_differences_of_the_reference(case):
    arrays, random = arrays_of(case), np.random.default_rng(5)
    _, gradients = result_and_gradients(case)
    assert gradients.keys() == arrays.keys()
    for name, gradient in gradients.items():
        norm = np.linalg.norm(gradient)
        assert norm > 0, name
        # Along the gradient for its length, and anywhere else for its direction.
        noise = random.normal(size=gradient.shape)
        direction = gradient / norm + noise / np.linalg.norm(noise)
        ends = [
            reference(arrays | {name: arrays[name] + step * direction}, CASES[case])
            for step in (1e-5, -1e-5)
        ]
        np.testing.assert_allclose(
            np.vdot(gradient, direction),
            np.vdot(PROBE, ends[0] - ends[1]) / 2e-5,
            rtol=0,
            atol=1e-4 * norm,
            err_msg=name,
        )


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"loop": "rolled"}, {"remat": True}], ids=str)
def test_every_way_to_run_the_steps_gives_the_same(changes):
    result, gradients = result_and_gradients("relu", **changes)
    expected, expected_gradients = result_and_gradients("relu")
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
    for name, gradient in gradients.items():
        atol = 1e-5 * np.abs(expected_gradients[name]).max()
        np.testing.assert_allclose(
            gradient, expected_gradients[name], rtol=0, atol=atol, err_msg=name
        )


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_bfloat16_is_near_float32_and_leaves_float32_outside(case):
    result, gradients = result_and_gradients(case, dtype="bfloat16")
    expected, expected_gradients = result_and_gradients(case)
    assert result.dtype == np.float32
    assert 0 < np.linalg.norm(result - expected) < 0.05 * np.linalg.norm(expected)
    if kernels.supports(jnp.dtype("bfloat16")):  # XLA's own are coarser
        assert np.abs(result - expected).max() < 0.05 * expected.std()
    mine, wanted = (
        np.concatenate([gradient.ravel() for gradient in found.values()])
        for found in (gradients, expected_gradients)
    )
    assert np.linalg.norm(mine - wanted) < 0.05 * np.linalg.norm(wanted)


# What is read


@functools.cache
def relu_network():
    model, params = ConvLSTMNet(), tree_of(state_of({}))
    run = fast_jit(functools.partial(model.apply, mutable=["intermediates"]))
    return lambda pseudo, maps: run({"params": params}, pseudo, maps)


def test_the_order_of_the_regions_matters():
    pseudo, maps = jnp.asarray(PSEUDO[None]), jnp.asarray(MAPS[:, None])
    forwards, _ = relu_network()(pseudo, maps)
    backwards, _ = relu_network()(pseudo, maps[::-1])
    again, _ = relu_network()(pseudo, maps[::-1][::-1])
    assert jnp.abs(forwards - backwards).max() > 0.01 * forwards.max()
    np.testing.assert_array_equal(again, forwards)


def test_no_state_is_kept_between_calls_or_shared_in_a_batch():
    images = jnp.asarray(RANDOM.random((2, 1, 5, 6, 3), np.float32))
    maps = jnp.asarray(RANDOM.random((2, REGIONS, 1, 5, 6, 3), np.float32))
    run = relu_network()
    first, _ = run(images[0], maps[0])
    run(images[1], maps[1])
    again, _ = run(images[0], maps[0])
    np.testing.assert_array_equal(again, first)
    both, _ = run(images[:, 0], jnp.concatenate(list(maps), axis=1))
    np.testing.assert_allclose(both[:1], first, rtol=1e-5, atol=1e-6)


def test_live_output_is_the_share_that_is_not_cut_off():
    result, variables = relu_network()(
        jnp.asarray(PSEUDO[None]), jnp.asarray(MAPS[:, None])
    )
    (live,) = variables["intermediates"]["live_output"]
    assert 0 < live < 1
    np.testing.assert_allclose(live, np.mean(np.asarray(result) > 0), rtol=1e-6)


# Heads


def test_the_straight_through_relu_is_a_relu_with_slope_one():
    x = jnp.array([-1e30, -2.0, -0.0, 0.0, 1e-30, 3.0]).reshape(1, 1, 1, 6)
    np.testing.assert_array_equal(
        conv_lstm.relu_straight_through(x), np.maximum(np.asarray(x), 0)
    )
    weight = jnp.arange(1.0, 7.0)[None, None, None]
    slope = jax.grad(lambda x: jnp.sum(weight * conv_lstm.relu_straight_through(x)))
    np.testing.assert_array_equal(slope(x), weight)


@pytest.mark.slow
def test_an_output_that_died_everywhere_comes_back():
    """A plain ReLU has no gradient here; with this one, steps revive the output."""
    model, params = ConvLSTMNet(), tree_of(state_of({}))
    last = params["decoder"]["deconvolution"]
    last["bias"] = jnp.full(3, -10.0)
    inputs = (jnp.asarray(PSEUDO[None]), jnp.asarray(MAPS[:, None]))

    @fast_jit
    def step(params):
        def loss(params):
            result = model.apply({"params": params}, *inputs)
            return jnp.abs(result - 1).mean(), result

        return jax.grad(loss, has_aux=True)(params)

    gradient, dead = step(params)
    assert not dead.any()
    assert (gradient["decoder"]["deconvolution"]["bias"] < 0).all()
    for name, leaf in traverse_util.flatten_dict(gradient, sep="/").items():
        assert np.isfinite(leaf).all() and np.any(leaf), name
    last["bias"] -= 33 * gradient["decoder"]["deconvolution"]["bias"]  # 1/3 each
    _, alive = step(params)
    assert (alive > 0).mean() > 0.5


@fast_jit
def started(seed):
    """Params and results of both heads at the start of training."""
    pseudo, maps = jnp.asarray(10 * PSEUDO[None]), jnp.asarray(MAPS[:, None])
    return {
        head: ConvLSTMNet(head=head).init_with_output(
            jax.random.key(seed), pseudo, maps
        )[0]
        for head in conv_lstm.HEADS
    }


@pytest.mark.slow
def test_training_starts_at_the_pseudo_hdr_or_near_one_half():
    results = started(0)
    # 30 and the peak of 64 are far above 1; the mu-law round trip costs some digits.
    np.testing.assert_allclose(results["residual"][0], 10 * PSEUDO, rtol=1e-5)
    assert abs(results["relu"].mean() - 0.5) < 0.2
    assert (results["relu"] > 0).mean() > 0.9


def test_radiance_above_the_peak_is_cut_to_it_by_the_residual_head():
    fields = CASES["residual"]
    params = tree_of(state_of(fields))
    params["decoder"]["deconvolution"] = jax.tree.map(
        jnp.zeros_like, params["decoder"]["deconvolution"]
    )
    pseudo = jnp.asarray([0.0, 8.0, 1e6]).reshape(1, 1, 1, 3)
    run = fast_jit(ConvLSTMNet(**fields).apply)
    result = run({"params": params}, pseudo, jnp.zeros((REGIONS, 1, 1, 1, 3)))
    np.testing.assert_allclose(result.ravel(), [0, 8, 8], rtol=1e-5)


@pytest.mark.parametrize(
    "option, value",
    [
        ("head", "tanh"),
        ("loop", "python"),
        ("peak", 0.0),
        ("peak", -1.0),
        ("peak", float("nan")),
        ("peak", float("inf")),
        ("dtype", "float99"),
    ],
)
def test_a_bad_option_is_named_and_refused(option, value):
    with pytest.raises(UserError, match=f"{option} is {value!r}; expected"):
        ConvLSTMNet(**{option: value})
