import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from jaxhdr.errors import UserError
from jaxhdr.imaging import regions, scurve
from jaxhdr.models import create_model
from jaxhdr.models.conv_lstm import ConvLSTMNet
from jaxhdr.models.front import Front, FrontContext
from jaxhdr.models.sparam import Context, SParam
from jaxhdr.models.sparam_lstm import SParamLSTM
from tests.models import conv_lstm_reference

# As in test_fhdr.py: compiling is all the time.
fast_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)
RANDOM = np.random.default_rng(4)
CURVE = scurve.Curve(jnp.array([3.6]), jnp.array([[2.0, 3.0, 1.5]]))


def compact(num_regions, **fields):
    return SParam(backbone="compact", num_regions=num_regions, **fields)


def conv_lstm_params():
    state = conv_lstm_reference.random_state(peepholes=False, shared_prelu=False)
    leaves = {name: jnp.asarray(x, jnp.float32) for name, x in state.items()}
    return traverse_util.unflatten_dict(leaves, sep="/")


def photographs(*shape):
    return jnp.asarray(RANDOM.random((*shape, 3), np.float32))


def context_of(encoded, num_regions):
    return Context(CURVE, regions.histogram_edges(encoded, num_regions=num_regions))


def param_shapes(**fields):
    model, encoded = SParamLSTM(**fields), jnp.zeros((1, 4, 5, 3))
    return jax.eval_shape(model.init, jax.random.key(0), encoded)["params"]


def test_the_parameters_are_those_of_the_two_networks():
    shapes = param_shapes()
    sizes = {
        name: sum(leaf.size for leaf in jax.tree.leaves(part))
        for name, part in shapes.items()
    }
    assert sizes == {"sparam": 134_285_572, "conv_lstm": 208_743 + 188}


def test_options_reach_the_networks():
    shapes = param_shapes(
        sparam=compact(2),
        conv_lstm=ConvLSTMNet(peepholes=True, shared_prelu=True),
    )
    first = shapes["sparam"]["features"]["convolution_1"]["kernel"]
    assert first.shape == (3, 3, 9, 16)
    leaves = jax.tree.leaves(shapes["conv_lstm"])
    assert sum(leaf.size for leaf in leaves) == 208_743 + 7 + 210


@pytest.mark.slow
def test_what_the_photograph_clips_is_at_least_white_in_both_stages():
    encoded = photographs(1, 8, 8).at[0, 2:6, 2:6, 1].set(1.0)
    dim = scurve.Curve(jnp.array([0.5]), jnp.array([[2.0, 2.0, 2.0]]))
    context = context_of(encoded, 2)._replace(curve=dim)
    params = {"conv_lstm": jax.tree.map(lambda x: -abs(x), conv_lstm_params())}
    free, kept = (
        np.asarray(
            fast_jit(
                SParamLSTM(
                    sparam=compact(2),
                    conv_lstm=ConvLSTMNet(head="residual"),
                    keep_white=keep,
                ).apply
            )({"params": params}, encoded, context)
        )
        for keep in (False, True)
    )
    clipped = np.broadcast_to(encoded == 1, kept.shape)
    assert (free[0][clipped[0]] < 1).all()
    assert (kept[clipped] >= 1).all()
    np.testing.assert_array_equal(kept[~clipped], free[~clipped])


@pytest.mark.slow
def test_a_tile_with_the_context_of_the_whole_is_a_crop_beyond_the_radius():
    model = SParamLSTM(sparam=compact(2))
    radius = model.receptive_radius
    encoded = photographs(1, radius + 8, 5)
    context = context_of(encoded, 2)
    # A given context needs no parameters of SParam-Net.
    variables = {"params": {"conv_lstm": conv_lstm_params()}}
    last = variables["params"]["conv_lstm"]["decoder"]["deconvolution"]
    last["bias"] = jnp.ones(3)  # above the ReLU's edge
    run = fast_jit(functools.partial(model.apply, variables))
    whole = np.asarray(run(encoded, context))
    tile = np.asarray(run(encoded[:, 4:], context))

    assert whole.shape == (2, *encoded.shape)
    np.testing.assert_allclose(whole[0], scurve.expand(encoded, CURVE), rtol=1e-5)
    np.testing.assert_allclose(tile[0], whole[0][:, 4:], rtol=1e-6)
    assert (whole[1] > 0).all() and whole[1].std() > 0.02
    near, far = np.split(tile[1] - whole[1][:, 4:], [radius], axis=1)
    assert np.abs(far).max() < 1e-5
    assert np.abs(near).max() > 1e-3


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
    "axis, num_regions, head, smoothing",
    [(1, 2, "residual", 0), (2, 3, "relu", 0), (1, 1, "relu", 0), (2, 1, "relu", 3)],
)
def test_the_receptive_radius_is_exact(axis, num_regions, head, smoothing):
    options = {}
    if smoothing:
        options = {"curve_of": "radiance", "front": Front(smooth_noise=True)}
    model = SParamLSTM(
        sparam=compact(num_regions, **options), conv_lstm=ConvLSTMNet(head=head)
    )
    radius = model.receptive_radius
    assert radius == num_regions + 11 + smoothing
    centre = radius + 3
    shape = [1, 1, 1]
    shape[axis] = 2 * centre + 1
    encoded = 0.5 + photographs(*shape) / 2
    context = context_of(encoded, num_regions)
    if smoothing:
        context = context._replace(front=FrontContext(noise=jnp.ones(1)))

    # Positive numbers only, as in test_fhdr.py: no two paths cancel, and a derivative
    # shows also those whose effect float32 would round away.
    def positive(leaf):
        weights = 0.5 + RANDOM.random(leaf.shape, np.float32)
        return jnp.asarray(weights / np.prod(leaf.shape[:-1], dtype=np.float32))

    params = {"conv_lstm": jax.tree.map(positive, conv_lstm_params())}

    def centre_of_output(encoded):
        stages = model.apply({"params": params}, encoded, context)
        return 1e10 * jnp.take(stages[-1], centre, axis=axis).sum()

    slope = np.asarray(fast_jit(jax.grad(centre_of_output))(encoded))
    reached = np.flatnonzero(np.abs(slope).sum(axis=-1).ravel())
    np.testing.assert_array_equal(
        reached, np.arange(centre - radius, centre + radius + 1)
    )


def initialised():
    """Gradients and stages of a black and a white image, at the start."""
    model = SParamLSTM(sparam=compact(2), conv_lstm=ConvLSTMNet(head="residual"))
    images = jnp.stack([jnp.zeros((2, 3, 3)), jnp.ones((2, 3, 3))])

    @fast_jit
    def run(key):
        variables = model.init(key, images)

        def loss(params):
            stages = model.apply({"params": params}, images)
            return jnp.log1p(stages).mean(), stages

        return jax.grad(loss, has_aux=True)(variables["params"])

    return run(jax.random.key(0))


@pytest.mark.slow
def test_black_and_white_images_start_at_themselves_with_finite_gradients():
    gradients, stages = initialised()
    assert stages.shape == (2, 2, 2, 3, 3)
    np.testing.assert_allclose(stages[:, 0], 0, atol=1e-6)
    np.testing.assert_allclose(stages[:, 1], 1, rtol=1e-5)
    for name, leaf in traverse_util.flatten_dict(gradients, sep="/").items():
        assert np.isfinite(leaf).all(), name
    # The joint loss trains both networks.
    assert np.any(gradients["sparam"]["dense_3"]["bias"])
    assert np.any(gradients["conv_lstm"]["decoder"]["deconvolution"]["kernel"])


@pytest.mark.parametrize(
    "part, option, value",
    [
        ("sparam", "backbone", "vgg19"),
        ("sparam", "positive", "relu"),
        ("sparam", "num_regions", 0),
        ("sparam", "dropout_rate", 1.0),
        ("conv_lstm", "head", "tanh"),
        ("conv_lstm", "loop", "python"),
        ("conv_lstm", "peak", -1.0),
        ("conv_lstm", "dtype", "int32"),
    ],
)
def test_a_bad_option_is_named_and_refused(part, option, value):
    with pytest.raises(UserError, match=f"{option} is {value!r}; expected"):
        create_model("sparam_lstm", **{part: {option: value}})
