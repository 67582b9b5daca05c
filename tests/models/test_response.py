import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr.errors import UserError
from jaxhdr.imaging import color
from jaxhdr.models import create_model, response
from jaxhdr.models.front import FrontContext
from jaxhdr.models.response import Response, expand

# Compiled without optimisation, because each function runs once.
fast_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)

SEGMENTS = 14
CODES = jnp.linspace(0.0, 1.0, 256)
# The bounds of the network's output, and values between them.
SLOPES = [
    *(np.full(SEGMENTS, np.exp(end)) for end in (-1, 1)),
    np.exp(np.tile([-1.0, 1.0], SEGMENTS // 2)),
    *np.exp(np.random.default_rng(0).uniform(-1, 1, (4, SEGMENTS))),
]


def photographs(*shape, seed=1):
    return jnp.asarray(np.random.default_rng(seed).random((*shape, 3), np.float32))


def curve(slopes):
    codes = jnp.broadcast_to(CODES[None, None, :, None], (1, 1, 256, 3))
    slopes = jnp.broadcast_to(jnp.asarray(slopes, jnp.float32), (1, SEGMENTS))
    return np.asarray(expand(codes, slopes))[0, 0, :, 0]


@functools.cache
def random_params(seed=0):
    init = fast_jit(Response().init)
    params = init(jax.random.key(seed), jnp.zeros((1, 8, 8, 3)))["params"]
    last = jax.random.normal(jax.random.key(seed), (128, SEGMENTS))
    return params | {"dense_3": params["dense_3"] | {"kernel": last}}


@fast_jit
def estimate(params, encoded):
    return Response().apply({"params": params}, encoded, method="context")


def test_an_untrained_estimate_is_srgb_decoding():
    encoded = photographs(2, 9, 7)
    stages, _ = fast_jit(Response().init_with_output)(jax.random.key(0), encoded)
    np.testing.assert_allclose(stages[0], color.srgb_decode(encoded), rtol=1e-5)


@pytest.mark.parametrize("slopes", SLOPES)
def test_every_curve_keeps_black_and_white_and_rises(slopes):
    radiance = curve(slopes)
    assert radiance[0] == 0 and radiance[-1] == 1
    assert (np.diff(radiance) > 0).all()


@pytest.mark.parametrize("power", [0.5, 1.3, 2.5])
def test_equal_slopes_are_a_power_of_the_srgb_decoded_value(power):
    expected = color.srgb_decode(CODES) ** power
    np.testing.assert_allclose(curve(power), expected, rtol=1e-4, atol=1e-30)


def test_a_segment_changes_what_is_darker_by_a_factor_and_what_is_brighter_not():
    slopes = np.ones(SEGMENTS)
    slopes[11] = 2.0  # from 1.5 to 1 stop below white
    factor = curve(slopes)[1:] / color.srgb_decode(CODES)[1:]
    stops = np.log2(color.srgb_decode(CODES)[1:])
    np.testing.assert_allclose(factor[stops > -1], 1, rtol=1e-5)
    np.testing.assert_allclose(factor[stops < -1.5], 2**-0.5, rtol=1e-4)


@pytest.mark.slow
def test_the_curve_has_finite_gradients_at_black_and_white():
    encoded = jnp.zeros((1, 2, 2, 3)).at[0, 0].set(1.0)

    def total(encoded, slopes):
        return expand(encoded, slopes).sum()

    gradients = jax.grad(total, argnums=(0, 1))(encoded, jnp.ones((1, SEGMENTS)))
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 5), (130, 257)])
@pytest.mark.parametrize("value", [0.0, 1.0, None], ids=["black", "white", "noise"])
def test_any_image_has_a_finite_estimate(shape, value):
    encoded = photographs(1, *shape)
    if value is not None:
        encoded = jnp.full_like(encoded, value)
    context = estimate(random_params(), encoded)
    assert context.shape == (1, SEGMENTS)
    assert np.isfinite(context).all() and np.min(context) > 0.36


@pytest.mark.slow
def test_the_estimate_hardly_depends_on_the_size_of_the_photograph():
    """The image is soft, so that a smaller version has the same content."""
    large = jax.image.resize(photographs(1, 24, 30), (1, 512, 640, 3), "cubic")
    large = jnp.clip(large, 0.0, 1.0)
    small = jax.image.resize(large, (1, 170, 213, 3), "linear")
    of_large, of_small, of_other = (
        estimate(random_params(), image) for image in (large, small, large**3)
    )
    by_size = jnp.abs(jnp.log(of_large / of_small)).mean()
    assert by_size < 0.1 * jnp.abs(jnp.log(of_large / of_other)).mean()


def test_images_of_a_batch_do_not_mix_and_flips_change_nothing():
    encoded = photographs(3, 20, 30) ** jnp.array([1.0, 2.0, 3.0])[:, None, None, None]
    together = estimate(random_params(), encoded)
    for i in range(3):
        flipped = encoded[i : i + 1, ::-1, ::-1]
        alone = estimate(random_params(), flipped)
        np.testing.assert_allclose(together[i], alone[0], rtol=0.01)
    assert np.ptp(np.asarray(together), axis=0).max() > 0.1


@pytest.mark.slow
def test_the_network_learns_to_tell_a_response():
    """Two cameras have a curve each, and a few steps suffice to tell them apart."""
    scenes = photographs(8, 32, 32, seed=3) ** 2
    encoded = jnp.concatenate([color.srgb_encode(scenes), scenes ** (1 / 4)])
    truth = jnp.concatenate([scenes, scenes])
    model = Response(dropout_rate=0.0)
    params = fast_jit(model.init)(jax.random.key(0), encoded)["params"]

    def loss(params):
        radiance = model.apply({"params": params}, encoded)[0]
        return ((jnp.log2(radiance + 2**-12) - jnp.log2(truth + 2**-12)) ** 2).mean()

    step = jax.jit(jax.value_and_grad(loss))
    first = step(params)[0]
    for _ in range(100):
        _, gradients = step(params)
        params = jax.tree.map(lambda p, g: p - 0.02 * g, params, gradients)
    assert step(params)[0] < 0.3 * first


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_wrong_rate_of_dropout_is_refused(rate):
    with pytest.raises(UserError, match="dropout_rate is"):
        Response(dropout_rate=rate)


# As the first thing that FHDR does


def fhdr(**fields):
    options = {
        "front": {"response": "estimated"},
        "num_iterations": 1,
        "head": "residual",
        "zero_last_layer": False,
    }
    return create_model("fhdr", **options | fields)


def stages_of(model, params, *arguments):
    return fast_jit(model.apply)({"params": params}, *arguments)


@pytest.fixture(scope="module")
def params():
    image = jnp.zeros((1, 8, 8, 3))
    made = fast_jit(fhdr().init)(jax.random.key(0), image)["params"]
    return made | {"response": random_params()}


@pytest.mark.slow
def test_fhdr_sees_what_an_srgb_camera_would_have_encoded(params):
    encoded = photographs(2, 9, 7)
    rest = {name: part for name, part in params.items() if name != "response"}
    context = estimate(params["response"], encoded)
    as_srgb = color.srgb_encode(expand(encoded, context))
    plain = fhdr(front={"response": "srgb"})
    np.testing.assert_allclose(
        stages_of(fhdr(), params, encoded),
        stages_of(plain, rest, as_srgb),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.slow
def test_the_estimate_gets_no_gradient_from_fhdr(params):
    encoded = photographs(1, 9, 7)
    gradient = fast_jit(jax.grad(lambda p: fhdr().apply({"params": p}, encoded).sum()))
    gradients = gradient(params)
    assert not any(x.any() for x in jax.tree.leaves(gradients["response"]))
    assert all(x.any() for x in jax.tree.leaves(gradients["feb1"]))


def test_channels_that_the_photograph_clips_stay_white(params):
    encoded = photographs(1, 9, 7).at[0, :4].set(1.0)
    stages = stages_of(fhdr(keep_white=True), params, encoded)
    assert stages[:, 0, :4].min() >= 1


@pytest.mark.slow
def test_a_part_with_the_context_of_the_whole_equals_that_part(params):
    model = fhdr()
    encoded = photographs(1, 80, 24).at[:, 40:].multiply(0.2)
    context = estimate(params["response"], encoded)
    whole = stages_of(model, params, encoded)
    radius = model.receptive_radius
    seen = encoded[:, 40 - radius :]
    part = stages_of(model, params, seen, FrontContext(context))
    np.testing.assert_allclose(
        part[:, :, radius:], whole[:, :, 40:], rtol=1e-3, atol=1e-5
    )
    assert np.abs(stages_of(model, params, seen) - part).max() > 0.01


def test_an_unknown_response_is_refused():
    with pytest.raises(UserError, match="response is 'gamma'"):
        create_model("fhdr", front={"response": "gamma"})


def test_there_are_92174_parameters_more(params):
    # 576 statistics (3 x 64 values, 3 x 16 x 8 pairs), 128, 128, 14 segments.
    expected = 576 * 128 + 128 + 128 * 128 + 128 + 128 * 14 + 14
    counted = sum(leaf.size for leaf in jax.tree.leaves(params["response"]))
    assert counted == expected == 92_174
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 571_267 + expected
    assert len(response.KNOTS) == SEGMENTS + 1
