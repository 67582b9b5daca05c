import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxhdr.errors import UserError
from jaxhdr.imaging import color, noise, regions, scurve
from jaxhdr.models import sparam
from jaxhdr.models.front import Front, FrontContext
from jaxhdr.models.sparam import SParam

# As in test_fhdr.py: compiling is all the time.
fast_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)
RANDOM = np.random.default_rng(2)
MODEL = SParam(backbone="compact", num_regions=2)


def param_shapes(model):
    key, encoded = jax.random.key(0), jnp.zeros((1, 4, 5, 3))
    return jax.eval_shape(model.init, key, encoded)["params"]


def size(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def random_params(model, *, gain=1.4):
    def leaf(shape):
        values = RANDOM.standard_normal(shape.shape, np.float32)
        return jnp.asarray(gain * values / np.sqrt(np.prod(shape.shape[:-1]) + 1))

    return jax.tree.map(leaf, param_shapes(model))


def photographs(*shape):
    """Of 8 bits."""
    codes = RANDOM.integers(0, 256, (*shape, 3))
    return jnp.asarray(codes / 255, jnp.float32)


PARAMS = random_params(MODEL)


def context_without_features(model, params, encoded, **options):
    """The context, and what the backbone was given, which here returns ones."""
    seen = []

    def intercept(function, args, kwargs, method):
        if method.module.name != "features":
            return function(*args, **kwargs)
        seen.extend(args)
        return jnp.ones((len(args[0]), 2 * 192))

    with nn.intercept_methods(intercept):
        context = model.apply({"params": params}, encoded, method="context", **options)
    return context, seen[0]


# Parameters


def test_there_are_134285572_parameters_with_the_papers_backbone():
    # 13 convolutions on 18 channels, and three layers on 7 x 7 x 512, by arithmetic:
    # 14,723,328 + 102,764,544 + 16,781,312 + 16,388.
    assert size(param_shapes(SParam())) == 134_285_572


def test_the_compact_network_has_at_most_one_and_a_half_million():
    assert 100_000 < size(param_shapes(SParam(backbone="compact"))) <= 1_500_000


def test_only_the_first_convolution_depends_on_the_number_of_regions():
    few, many = (
        param_shapes(SParam(backbone="compact", num_regions=n)) for n in (1, 7)
    )
    first = [p["features"].pop("convolution_1")["kernel"].shape for p in (few, many)]
    assert first == [(3, 3, 6, 16), (3, 3, 24, 16)]
    assert jax.tree.map(jnp.shape, few) == jax.tree.map(jnp.shape, many)


# What the network sees


def test_the_network_sees_the_image_and_its_region_maps_brightest_first():
    model, encoded = SParam(backbone="compact"), photographs(1, 256, 256)
    run = fast_jit(functools.partial(context_without_features, model))
    context, seen = run(random_params(model), encoded)
    assert seen.shape == (1, 256, 256, 18)
    image, *maps = np.split(np.asarray(seen), 6, axis=-1)
    np.testing.assert_array_equal(image, encoded)
    np.testing.assert_array_equal(sum(maps), encoded)
    np.testing.assert_array_equal(
        maps, regions.region_maps(encoded, regions.histogram_edges(encoded))
    )
    for brighter, darker in itertools.pairwise(maps):
        for channel in range(3):
            values = brighter[..., channel]
            assert values[values > 0].min() > darker[..., channel].max()
    np.testing.assert_array_equal(context.edges, regions.histogram_edges(encoded))


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 2)], ids=str)
def test_any_image_is_seen_at_256_x_256_with_edges_of_its_own_size(shape):
    encoded = photographs(1, *shape)
    run = fast_jit(functools.partial(context_without_features, MODEL))
    context, seen = run(PARAMS, encoded)
    assert seen.shape == (1, 256, 256, 9)
    assert 0 <= seen.min() and seen.max() <= 1
    np.testing.assert_allclose(
        seen[..., :3].mean((1, 2)), encoded.mean((1, 2)), atol=0.02
    )
    np.testing.assert_array_equal(
        context.edges, regions.histogram_edges(encoded, num_regions=2)
    )
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(context))


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (7, 400)], ids=str)
@pytest.mark.parametrize("backbone", sparam.BACKBONES)
def test_any_image_has_one_stage_of_its_size(backbone, shape):
    encoded = jnp.zeros((2, *shape, 3))
    stages, _ = jax.eval_shape(
        SParam(backbone=backbone).init_with_output, jax.random.key(0), encoded
    )
    assert stages.shape == (1, *encoded.shape)


def test_adaptive_pooling_is_that_of_pytorch():
    images = [RANDOM.random((2, n, 21 - n, 3), np.float32) for n in range(1, 21)]
    pooled = fast_jit(lambda x: [sparam.adaptive_average_pool(i, 7) for i in x])(
        [jnp.asarray(image) for image in images]
    )
    for image, result in zip(images, pooled, strict=True):
        _, height, width, _ = image.shape
        for i, j in np.ndindex(7, 7):
            # PyTorch's documentation of AdaptiveAvgPool2d, in whole numbers.
            rows = slice(height * i // 7, (height * (i + 1) + 6) // 7)
            columns = slice(width * j // 7, (width * (j + 1) + 6) // 7)
            expected = image[:, rows, columns].astype(np.float64).mean((1, 2))
            np.testing.assert_allclose(result[:, i, j], expected, rtol=1e-5)


# The curve


def test_training_starts_at_the_identity_curve():
    @fast_jit
    def start(key, encoded):
        return MODEL.init_with_output(key, encoded)[0]

    encoded = photographs(1, 5, 6).at[0, 0, 0].set(jnp.array([0.0, 0.5, 1.0]))
    stages = start(jax.random.key(0), encoded)
    np.testing.assert_allclose(stages[0], encoded, rtol=1e-6)


def test_the_identity_curve_of_linear_values_is_the_linearised_photograph():
    encoded = photographs(1, 5, 6)
    identity = scurve.Curve(jnp.ones(1), jnp.ones((1, 3)))
    context = sparam.Context(identity, jnp.zeros((1, 1, 3)), FrontContext())
    stages = SParam(curve_of="radiance").apply({}, encoded, context)
    # IEC 61966-2-1.
    power = ((np.asarray(encoded, np.float64) + 0.055) / 1.055) ** 2.4
    linear = np.where(encoded <= 0.04045, encoded / 12.92, power)
    np.testing.assert_allclose(stages[0], linear, rtol=1e-5)


def test_the_identity_curve_behind_an_estimate_is_radiance_by_that_response():
    encoded = photographs(1, 5, 6)
    identity = scurve.Curve(jnp.ones(1), jnp.ones((1, 3)))
    front = FrontContext(jnp.full((1, 14), 2.0))
    context = sparam.Context(identity, jnp.zeros((1, 1, 3)), front)
    model = SParam(curve_of="radiance", front=Front(response="estimated"))
    stages = model.apply({}, encoded, context)
    np.testing.assert_allclose(stages[0], color.srgb_decode(encoded) ** 2, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("response", ["srgb", "estimated"])
def test_noise_is_smoothed_out_of_what_the_curve_takes(response):
    noisy = 0.02 + 0.004 * np.random.default_rng(0).normal(size=(1, 40, 40, 3))
    encoded = jnp.asarray(noisy, jnp.float32)
    front = Front(response=response, smooth_noise=True)
    model = SParam(curve_of="radiance", front=front, backbone="compact")

    @fast_jit
    def start(key):
        variables = model.init(key, encoded)
        context = model.apply(variables, encoded, method="context")
        return context.front.noise, model.apply(variables, encoded)[0]

    deviation, pseudo_hdr = start(jax.random.key(0))
    # The slope of sRGB decoding there is 1 / 12.92 (IEC 61966-2-1).
    np.testing.assert_allclose(deviation, 0.004 / 12.92, rtol=0.1)
    linear = color.srgb_decode(encoded)
    expected = noise.smooth(linear, deviation)
    np.testing.assert_allclose(pseudo_hdr, expected, rtol=1e-4)
    assert expected.std() < 0.5 * linear.std()


@pytest.mark.parametrize(
    "front, named",
    [
        (Front(smooth_noise=True), "front.smooth_noise"),
        (Front(response="estimated"), "front.response='estimated'"),
    ],
)
def test_a_front_end_is_not_for_encoded_values(front, named):
    expected = f"{named} is for radiance, and curve_of is 'encoded'; expected"
    with pytest.raises(UserError, match=expected):
        SParam(front=front)


OUTPUTS = [-1e4, -200.0, -80.0, -12.0, -5.0, -1.0, -0.1, 0.0]
OUTPUTS += [-x for x in OUTPUTS[-2::-1]]


@functools.cache
def curves_of_outputs(positive):
    """Curves, stages and slopes when the last layer's outputs are OUTPUTS."""
    model = SParam(backbone="compact", num_regions=2, positive=positive)
    encoded = jnp.array([0.0, 0.5, 1.0]).reshape(1, 1, 3, 1).repeat(3, axis=-1)
    last = {"kernel": jnp.zeros((256, 4))}

    def stage(bias):
        params = PARAMS | {"dense_3": last | {"bias": bias}}
        context, _ = context_without_features(model, params, encoded)
        result = model.apply({}, encoded, context)
        return result.sum(), (context.curve, result)

    rows = jnp.asarray([np.roll(OUTPUTS, -i)[:4] for i in range(len(OUTPUTS))])
    slopes, rest = fast_jit(jax.vmap(jax.grad(stage, has_aux=True)))(rows)
    return *rest, slopes


@pytest.mark.parametrize("positive", sparam.POSITIVE)
def test_parameters_are_positive_finite_and_rise_with_the_outputs(positive):
    curve, stages, slopes = curves_of_outputs(positive)
    values = np.asarray(curve.maximum)[:, 0]  # of OUTPUTS in order
    assert values.min() > 0 and np.isfinite(values).all()
    assert (np.diff(values) >= 0).all()
    inner = slice(OUTPUTS.index(-5.0), OUTPUTS.index(5.0) + 1)
    assert (np.diff(values[inner]) > 0.005 * values[inner][:-1]).all()
    np.testing.assert_allclose(values[OUTPUTS.index(0.0)], 1, rtol=1e-6)
    for i, white in enumerate(np.asarray(curve.white)[:, 0].T, 1):
        np.testing.assert_array_equal(white, np.roll(values, -i))  # R, G, B in order
    assert np.isfinite(stages).all() and np.isfinite(slopes).all()


def test_equal_steps_of_exponential_outputs_are_equal_ratios():
    curve, _, _ = curves_of_outputs("exponential")
    values = dict(zip(OUTPUTS, np.asarray(curve.maximum)[:, 0], strict=True))
    for output, value in values.items():
        np.testing.assert_allclose(value * values[-output], 1, rtol=1e-5)
    np.testing.assert_allclose(values[1.0], np.e, rtol=0.01)  # bent, but not yet
    np.testing.assert_allclose(values[1e4], 1e4, rtol=1e-4)


@fast_jit
def run(encoded):
    variables = {"params": PARAMS}
    context = MODEL.apply(variables, encoded, method="context")
    return context, MODEL.apply(variables, encoded)


def test_a_tile_with_the_context_of_the_whole_is_a_crop_of_the_whole():
    encoded = photographs(2, 12, 17)
    context, stages = run(encoded)
    assert np.ptp(stages - encoded[None]) > 0.1  # not the identity
    # Eagerly, so that both are rounded alike; and a given context needs no parameters.
    whole = MODEL.apply({}, encoded, context)
    tile = MODEL.apply({}, encoded[:, 3:9, 5:], context)
    np.testing.assert_array_equal(tile, whole[:, :, 3:9, 5:])
    np.testing.assert_allclose(whole, stages, rtol=1e-5)
    np.testing.assert_allclose(whole[0], scurve.expand(encoded, context.curve))


def test_an_image_does_not_depend_on_its_batch():
    encoded = photographs(2, 12, 17)
    together, alone = run(encoded), run(encoded[1:])
    np.testing.assert_array_equal(together[0].edges[1:], alone[0].edges)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4),
        (together[0].curve.maximum[1:], together[1][:, 1:]),
        (alone[0].curve.maximum, alone[1]),
    )
    assert abs(together[0].curve.maximum[0] - alone[0].curve.maximum[0]) > 1e-4


def test_dropout_is_active_only_with_a_key():
    encoded = photographs(1, 2, 3)

    @functools.partial(fast_jit, static_argnames="rate")
    def curve(key=None, *, rate=0.5):
        model = SParam(backbone="compact", num_regions=2, dropout_rate=rate)
        rngs = None if key is None else {"dropout": key}
        return context_without_features(model, PARAMS, encoded, rngs=rngs)[0].curve

    without = curve()
    first, second = (curve(jax.random.key(i)) for i in (0, 1))
    assert (first.white != without.white).all()
    assert (first.white != second.white).all()
    np.testing.assert_array_equal(curve(jax.random.key(0)).white, first.white)
    unused = curve(jax.random.key(0), rate=0.0)
    np.testing.assert_allclose(unused.white, without.white, rtol=1e-6)


@pytest.mark.parametrize(
    "option, value",
    [
        ("backbone", "vgg19"),
        ("positive", "relu"),
        ("curve_of", "linear"),
        ("num_regions", 0),
        ("num_regions", True),
        ("dropout_rate", 1.0),
        ("dropout_rate", -0.1),
        ("dropout_rate", float("nan")),
    ],
)
def test_a_bad_option_is_named_and_refused(option, value):
    with pytest.raises(UserError, match=f"{option} is {value!r}; expected"):
        SParam(**{option: value})
