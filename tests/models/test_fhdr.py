import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr.errors import UserError
from jaxhdr.models.fhdr import FHDR, HEADS
from jaxhdr.models.fhdr_torch import from_torch, to_torch
from jaxhdr.models.front import Front, FrontContext
from tests.models import fhdr_reference

# These networks are tiny and compiled for one call each, so compiling is all the
# time: without LLVM's optimisation it takes a third. Where the promise is about bits,
# the tests use plain `jax.jit`, as the library does.
fast_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)
STATE = fhdr_reference.random_state()
PARAMS = from_torch(STATE)


def photographs(*shape, seed=1):
    return np.random.default_rng(seed).random((*shape, 3), np.float32)


def apply(model, encoded, *, params=PARAMS, jit=fast_jit):
    return np.asarray(jit(model.apply)({"params": params}, encoded))


@fast_jit
def initial_params(seed):
    model = FHDR(num_iterations=1, zero_last_layer=True)
    return model.init(jax.random.key(seed), jnp.zeros((1, 4, 4, 3)))["params"]


def double(state):
    return {name: value.astype(np.float64) for name, value in state.items()}


# The published network


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("num_iterations", [1, 2, 3, 4])
def test_there_are_571267_parameters(head, num_iterations):
    # feb1 + feb2 + compress_in + 3 dense blocks + GFF + hrb1 + hrb2, by arithmetic:
    # 1792 + 36928 + 8256 + 3 * 149568 + 36928 + 36928 + 1731.
    model = FHDR(num_iterations=num_iterations, head=head)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 4, 4, 3)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 571_267


def test_all_four_stages_equal_the_published_network():
    encoded = photographs(2, 7, 5)
    state = double(STATE)
    expected = [fhdr_reference.run(state, x, num_iterations=4) for x in encoded]
    expected = np.stack(expected, axis=1)
    assert expected.std() > 0.2 and np.abs(expected).max() < 0.99
    assert np.abs(np.diff(expected, axis=0)).max(axis=(1, 2, 3, 4)).min() > 0.05

    stages = apply(FHDR(num_iterations=4, head="tanh", peak=1.0), encoded)

    np.testing.assert_allclose(stages, (expected + 1) / 2, rtol=0, atol=1e-5)


def test_from_torch_and_to_torch_are_inverse():
    back = to_torch(PARAMS)
    assert back.keys() == STATE.keys()
    for name, value in STATE.items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)
    again = from_torch(back)
    jax.tree.map(np.testing.assert_array_equal, again, PARAMS)


def test_imported_parameters_fit_the_model():
    model = FHDR(num_iterations=2)
    init = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 4, 4, 3)))
    assert jax.tree.map(np.shape, PARAMS) == jax.tree.map(np.shape, init["params"])


def without(name):
    return {n: value for n, value in STATE.items() if n != name}


def test_an_incomplete_tree_is_refused_and_left_alone():
    params = {name: value for name, value in PARAMS.items() if name != "feb1"}
    with pytest.raises(UserError, match="not those of the FHDR network"):
        to_torch(params)
    assert "feb1" not in params


WRONG_STATES = {
    "missing weight": (without("hrb1.weight"), "hrb1.weight"),
    "missing bias": (without("feedback_block.DRDB2.compress.bias"), "DRDB2"),
    "bias too many": (
        STATE | {"feedback_block.DRDB1.conv_1x1.bias": np.zeros(64)},
        "DRDB1.conv_1x1.bias",
    ),
    "HWIO kernel": (
        STATE | {"feb1.weight": np.zeros((3, 3, 3, 64), np.float32)},
        "feb1.weight",
    ),
    "flat kernel": (STATE | {"hrb2.weight": np.zeros(1728, np.float32)}, "hrb2.weight"),
    "NaN": (STATE | {"hrb2.bias": np.full(3, np.nan)}, "hrb2.bias"),
    "text": (STATE | {"hrb2.bias": np.array(["a", "b", "c"])}, "hrb2.bias"),
    "empty": ({}, "feb1"),
    "another prefix": ({f"module.{n}": v for n, v in STATE.items()}, "feb1"),
}


@pytest.mark.parametrize("case", WRONG_STATES)
def test_a_state_dict_of_another_network_is_named_and_refused(case):
    state, named = WRONG_STATES[case]
    with pytest.raises(UserError, match=named):
        from_torch(state)


# Gradients through the iterations

IMAGE = photographs(1, 5, 4, seed=2)
PROBE = photographs(5, 4, seed=3) - 0.5  # the loss: last stage, weighed by this
ITERATIONS = 3


@functools.cache
def last_stage_and_gradients(**fields):
    model = FHDR(num_iterations=ITERATIONS, head="tanh", peak=1.0, **fields)

    def loss(params, encoded):
        last = model.apply({"params": params}, encoded)[-1, 0]
        return jnp.sum(last * PROBE), last

    gradient = fast_jit(jax.grad(loss, argnums=(0, 1), has_aux=True))
    (params, encoded), last = gradient(PARAMS, IMAGE)
    return np.asarray(last), {"input": np.asarray(encoded[0]), **to_torch(params)}


def reference_slope(arrays, name, direction, *, hidden_states=None, step=1e-5):
    """Slope of the reference's loss by central differences, in double precision.

    With `hidden_states` the iterations see these, whatever the arrays.
    """
    ends = []
    for sign in (1, -1):
        moved = arrays | {name: arrays[name] + sign * step * direction}
        encoded = moved.pop("input")
        frozen = iter(hidden_states or ())
        between = (lambda _, f=frozen: next(f)) if hidden_states else (lambda h: h)
        stages = fhdr_reference.run(
            moved, encoded, num_iterations=ITERATIONS, between=between
        )
        ends.append(np.sum((stages[-1] + 1) / 2 * PROBE))
    return (ends[0] - ends[1]) / (2 * step)


@pytest.mark.slow
@pytest.mark.parametrize("detach_hidden", [False, True])
def test_gradients_of_the_last_stage_equal_those_of_the_published_network(
    detach_hidden,
):
    _, gradients = last_stage_and_gradients(detach_hidden=detach_hidden)
    arrays = double(STATE) | {"input": IMAGE[0].astype(np.float64)}
    seen = []
    fhdr_reference.run(
        double(STATE),
        arrays["input"],
        num_iterations=ITERATIONS,
        between=lambda hidden: seen.append(hidden) or hidden,
    )
    for name, gradient in gradients.items():
        # Along the gradient itself the slope is the gradient's own norm.
        norm = np.linalg.norm(gradient)
        expected = reference_slope(
            arrays, name, gradient / norm, hidden_states=seen if detach_hidden else None
        )
        np.testing.assert_allclose(norm, expected, rtol=1e-3, err_msg=name)


@pytest.mark.slow
def test_gradients_reach_the_first_iteration_unless_detached():
    last, through_time = last_stage_and_gradients(detach_hidden=False)
    same, detached = last_stage_and_gradients(detach_hidden=True)
    np.testing.assert_array_equal(last, same)
    for name, gradient in through_time.items():
        if not name.startswith("hrb"):  # not on the way to the hidden states
            change = np.linalg.norm(gradient - detached[name])
            assert change > 0.02 * np.linalg.norm(gradient), name


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"loop": "rolled"},
        pytest.param({"loop": "python"}, marks=pytest.mark.slow),
        pytest.param({"remat": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_every_way_to_run_the_iterations_gives_the_same(fields):
    last, gradients = last_stage_and_gradients(**fields)
    expected, expected_gradients = last_stage_and_gradients(detach_hidden=False)
    np.testing.assert_allclose(last, expected, rtol=0, atol=1e-6)
    for name, gradient in gradients.items():
        scale = np.abs(expected_gradients[name]).max()
        np.testing.assert_allclose(
            gradient, expected_gradients[name], rtol=0, atol=1e-4 * scale, err_msg=name
        )


# Context and state


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("axis", [1, 2], ids=["rows", "columns"])
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"num_iterations": 1}, 29),
        pytest.param({"num_iterations": 2}, 54, marks=pytest.mark.slow),
        ({"num_iterations": 1, "dilations": (1, 2, 4)}, 33),
        ({"num_iterations": 1, "front": Front(smooth_noise=True)}, 32),
    ],
)
def test_the_receptive_radius_is_exact(fields, expected, axis):
    model = FHDR(**fields)
    radius = model.receptive_radius
    assert radius == expected
    centre = radius + 3
    shape = [1, 1, 1]
    shape[axis] = 2 * centre + 1
    encoded = 0.5 + photographs(*shape) / 2
    context = FrontContext(noise=jnp.ones(1)) if model.front.smooth_noise else None

    # Positive numbers only: then no ReLU blocks a path and no two paths cancel, and a
    # derivative shows also the paths whose effect float32 would round away.
    def positive(leaf):
        width = np.shape(leaf)
        weights = 0.5 + np.random.default_rng(4).random(width, np.float32)
        return jnp.asarray(weights / np.prod(width[:-1], dtype=np.float32))

    def centre_of_output(encoded):
        params = jax.tree.map(positive, PARAMS)
        stages = model.apply({"params": params}, encoded, context)
        # The slope of the longest path alone is below float32's smallest number.
        return 1e25 * jnp.take(stages[-1], centre, axis=axis).sum()

    slope = np.asarray(fast_jit(jax.grad(centre_of_output))(jnp.asarray(encoded)))
    reached = np.flatnonzero(np.abs(slope).sum(axis=-1).ravel())
    np.testing.assert_array_equal(
        reached, np.arange(centre - radius, centre + radius + 1)
    )


def test_what_the_photograph_clips_is_at_least_white():
    encoded = photographs(1, 12, 12)
    encoded[:, 3:9, 3:9, 0] = 1.0
    dim = jax.tree.map(lambda leaf: -abs(leaf), PARAMS)
    free, kept = (
        apply(
            FHDR(num_iterations=1, head="residual", keep_white=keep),
            encoded,
            params=dim,
        )
        for keep in (False, True)
    )
    clipped = np.broadcast_to(encoded == 1, kept.shape)
    assert (free[clipped] < 1).any()
    assert (kept[clipped] >= 1).all()
    np.testing.assert_array_equal(kept[~clipped], free[~clipped])


@pytest.mark.slow
def test_the_answer_alone_costs_one_reconstruction_block():
    model = FHDR(num_iterations=3, keep_white=True)
    encoded = jnp.asarray(photographs(1, 8, 8))

    def convolutions(stages):
        run = fast_jit(lambda params: model.apply({"params": params}, encoded)[stages])
        compiled = run.lower(PARAMS).compile().as_text()
        # By oneDNN, by XLA, and XLA's of a kernel of one pixel.
        return len(re.findall(r" (custom-call|convolution|dot)\(", compiled))

    assert convolutions(slice(None)) - convolutions(-1) == 2 * len(["hrb1", "hrb2"])


def dark_photograph():
    """Codes around 5 of 255, with noise of one."""
    noise = 0.004 * np.random.default_rng(0).normal(size=(1, 96, 20, 3))
    return jnp.asarray(0.02 + noise, jnp.float32)


@pytest.mark.slow
def test_the_noise_of_the_whole_image_is_that_of_a_part():
    model = FHDR(num_iterations=1, front=Front(smooth_noise=True))

    @fast_jit
    def run(encoded):
        variables = {"params": PARAMS}
        context = model.apply(variables, encoded, method="context")
        part = model.apply(variables, encoded[:, :80], context)
        return model.apply(variables, encoded), part, context

    whole, part, context = run(dark_photograph())
    assert context.slopes is None
    # The slope of sRGB decoding there is 1 / 12.92 (IEC 61966-2-1).
    np.testing.assert_allclose(context.noise, 0.004 / 12.92, rtol=0.1)
    kept = 80 - model.receptive_radius
    np.testing.assert_allclose(part[:, :, :kept], whole[:, :, :kept], rtol=1e-4)


@pytest.mark.slow
def test_the_residual_head_starts_at_the_photograph_without_its_noise():
    params, encoded = initial_params(0), dark_photograph()
    plain = FHDR(num_iterations=1, head="residual")
    smoothing = plain.clone(front=Front(smooth_noise=True))
    kept, smoothed = (apply(m, encoded, params=params) for m in (plain, smoothing))
    assert smoothed.std() < 0.5 * kept.std()
    np.testing.assert_allclose(smoothed.mean(), kept.mean(), rtol=0.02)

    flat = jnp.full((1, 12, 12, 3), 0.02)
    kept, smoothed = (apply(m, flat, params=params) for m in (plain, smoothing))
    np.testing.assert_allclose(smoothed, kept, rtol=1e-4)


def test_pixels_beyond_the_receptive_radius_change_nothing():
    model = FHDR(num_iterations=1)
    radius = model.receptive_radius
    encoded = photographs(1, 1, 2 * radius + 41)
    changed = photographs(1, 1, 2 * radius + 41, seed=5)
    changed[:, :, 20 : 2 * radius + 21] = encoded[:, :, 20 : 2 * radius + 21]
    run = jax.jit(model.apply)
    first, second = (np.asarray(run({"params": PARAMS}, x)) for x in (encoded, changed))
    centre = radius + 20
    np.testing.assert_array_equal(first[..., centre, :], second[..., centre, :])
    assert (first[..., centre + 5, :] != second[..., centre + 5, :]).any()


@pytest.mark.slow
def test_an_image_does_not_depend_on_the_images_before_it():
    run = jax.jit(FHDR(num_iterations=2).apply)
    first, second = photographs(2, 1, 9, 12)
    alone = np.asarray(run({"params": PARAMS}, second))
    run({"params": PARAMS}, first)
    after = np.asarray(run({"params": PARAMS}, second))
    np.testing.assert_array_equal(after, alone)


@pytest.mark.slow
def test_an_image_does_not_depend_on_its_batch():
    run = fast_jit(FHDR(num_iterations=2, head="tanh", peak=1.0).apply)
    batch = photographs(3, 9, 12)
    together = np.asarray(run({"params": PARAMS}, batch))
    for i in range(3):
        alone = np.asarray(run({"params": PARAMS}, batch[i : i + 1]))
        # On the 2-core CPU at hand, bit for bit; XLA promises nothing across shapes.
        np.testing.assert_allclose(together[:, i : i + 1], alone, rtol=0, atol=1e-6)


# Heads


def with_last_layer(*, kernel, bias):
    last = {
        "kernel": kernel * PARAMS["iteration"]["hrb2"]["kernel"],
        "bias": np.full(3, bias, np.float32),
    }
    return PARAMS | {"iteration": PARAMS["iteration"] | {"hrb2": last}}


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("head", HEADS)
def test_radiance_is_in_zero_to_peak_and_spans_it(head):
    model = FHDR(num_iterations=1, head=head, peak=20.0)
    params = with_last_layer(kernel=50.0, bias=0.0)
    stages = apply(model, photographs(1, 8, 8), params=params)
    assert stages.dtype == np.float32
    assert stages.min() == 0
    np.testing.assert_allclose(stages.max(), 20.0, rtol=1e-5)


@pytest.mark.slow
def test_the_tanh_head_is_a_share_of_the_peak():
    encoded = photographs(1, 4, 4)
    unit, scaled = (
        apply(FHDR(num_iterations=1, head="tanh", peak=peak), encoded)
        for peak in (1.0, 48.0)
    )
    np.testing.assert_allclose(scaled, 48 * unit, rtol=1e-6)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("radiance", [1e-5, 1e-3, 0.18, 1.0, 30.0, 64.0])
def test_the_mu_law_head_inverts_the_mu_law(radiance):
    # Khan et al. (2019) section II-D in double precision.
    code = np.log1p(5000 * radiance / 64) / np.log1p(5000)
    params = with_last_layer(kernel=0.0, bias=code)
    stages = apply(FHDR(num_iterations=1), photographs(1, 3, 3), params=params)
    np.testing.assert_allclose(stages, radiance, rtol=5e-6)


@pytest.mark.slow
def test_the_residual_head_starts_at_the_linearised_photograph():
    encoded = np.linspace(0, 1, 256, dtype=np.float32)  # every 8-bit code
    encoded = np.repeat(encoded.reshape(1, 16, 16, 1), 3, axis=-1)
    model = FHDR(num_iterations=2, head="residual")
    # IEC 61966-2-1 in double precision.
    x = encoded.astype(np.float64)
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    for stage in apply(model, encoded, params=initial_params(0)):
        np.testing.assert_allclose(stage, linear, rtol=1e-5)


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    "fields, is_zero",
    [
        ({"head": "residual"}, True),
        ({"head": "mu_law"}, False),
        ({"head": "tanh"}, False),
        ({"head": "residual", "zero_last_layer": False}, False),
        ({"head": "mu_law", "zero_last_layer": True}, True),
    ],
    ids=str,
)
def test_the_last_layer_starts_at_zero_by_default_only_for_the_residual_head(
    fields, is_zero
):
    model = FHDR(num_iterations=1, **fields)

    @fast_jit  # so that the other layers' numbers are not made
    def last_kernel():
        variables = model.init(jax.random.key(0), jnp.zeros((1, 4, 4, 3)))
        return variables["params"]["iteration"]["hrb2"]["kernel"]

    assert (not np.any(last_kernel())) == is_zero


@pytest.mark.slow
@pytest.mark.parametrize("head", ["mu_law", "residual"])
def test_codes_outside_their_range_are_clipped_but_still_learn(head):
    model = FHDR(num_iterations=1, head=head)
    encoded = jnp.asarray(photographs(1, 4, 4))

    def loss(params):
        stages = model.apply({"params": params}, encoded)
        return stages.sum(), stages

    slope = fast_jit(jax.grad(loss, has_aux=True))
    for bias, radiance in [(-3.0, 0.0), (3.0, 64.0)]:
        gradient, stages = slope(with_last_layer(kernel=0.1, bias=bias))
        np.testing.assert_allclose(stages, radiance, rtol=1e-5)
        for leaf in jax.tree.leaves(gradient):
            assert np.isfinite(leaf).all() and np.any(leaf)


# Hostile inputs, other options

IMAGES = {
    "black and white": np.stack([np.zeros((4, 4, 3)), np.ones((4, 4, 3))]),
    "1 x 1": photographs(1, 1, 1),
    "1 x 7": photographs(1, 1, 7),
    "2 x 2": photographs(2, 2, 2),
}


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("name", IMAGES)
def test_values_and_gradients_are_finite(name):
    model = FHDR(num_iterations=2, head="residual")

    def loss(params, encoded):
        stages = model.apply({"params": params}, encoded)
        return jnp.log1p(stages).mean(), stages

    gradient = fast_jit(jax.grad(loss, argnums=(0, 1), has_aux=True))
    gradients, stages = gradient(PARAMS, IMAGES[name].astype(np.float32))
    assert stages.shape == (2, *IMAGES[name].shape)
    for leaf in jax.tree.leaves((gradients, stages)):
        assert np.isfinite(leaf).all()
    assert any(np.any(leaf) for leaf in jax.tree.leaves(gradients[0]))


@pytest.mark.slow
def test_bfloat16_computes_close_to_float32_and_keeps_float32_outside():
    encoded = photographs(1, 16, 16)
    full, half = (
        FHDR(num_iterations=4, head="tanh", peak=1.0, dtype=dtype)
        for dtype in (jnp.float32, jnp.bfloat16)
    )
    params = jax.eval_shape(half.init, jax.random.key(0), encoded)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    expected, stages = apply(full, encoded), apply(half, encoded)
    assert stages.dtype == np.float32
    error = np.abs(stages - expected)
    # Measured: at most 0.005, 0.001 on average; the outputs span 0.7 of their range.
    assert 0 < error.max() < 0.015
    assert np.ptp(expected) > 0.5


@pytest.mark.slow
def test_features_are_alive_at_initialisation():
    model = FHDR(num_iterations=4, loop="python")
    run = functools.partial(
        model.apply,
        capture_intermediates=lambda module, _: module.name == "hrb1",
        mutable=["intermediates"],
    )
    run, encoded = fast_jit(run), photographs(1, 16, 16)
    for seed in range(3):
        _, captured = run({"params": initial_params(seed)}, encoded)
        calls = captured["intermediates"]["iteration"]["hrb1"]["__call__"]
        assert len(calls) == 4
        for features in calls:  # measured: all of them, and 45 to 52 % of the values
            assert (features > 0).any(axis=(0, 1, 2)).mean() > 0.2


BAD_OPTIONS = [
    {"head": "relu"},
    {"num_iterations": 0},
    {"num_iterations": -1},
    {"loop": "scan"},
    {"peak": 0.0},
    {"peak": -1.0},
    {"peak": float("nan")},
    {"peak": float("inf")},
    {"num_iterations": True},
    {"initial_gain": 0.0},
    {"dtype": "float99"},
    {"dtype": "int32"},
    {"dilations": (2, 2)},
    {"dilations": (2, 0, 2)},
]


@pytest.mark.parametrize("fields", BAD_OPTIONS, ids=str)
def test_a_bad_option_is_named_and_refused(fields):
    ((option, value),) = fields.items()
    named = re.escape(f"{option} is {value!r}; expected")
    with pytest.raises(UserError, match=named):
        FHDR(**fields)
