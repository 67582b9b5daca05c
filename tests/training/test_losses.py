import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
import skimage.metrics

from jaxhdr.errors import UserError
from jaxhdr.metrics import log2_rmse
from jaxhdr.models import vgg
from jaxhdr.training import losses, perceptual
from jaxhdr.training.losses import Domain, create_loss

_PEAK = 16.0
_perceptual = jax.jit(perceptual.perceptual_error, static_argnames="domain")
_features = jax.jit(vgg.vgg19_features)


def total(stages, hdr, encoded, *, vgg_params=None, **fields):
    """The loss of these fields, with the peak of the tests."""
    loss = create_loss(**({"peak": _PEAK} | fields))
    return loss(stages, hdr, encoded, vgg_params=vgg_params)


def jitted_total(stages, hdr, encoded, *, vgg_params=None, **fields):
    def call(*images, vgg_params):
        return total(*images, vgg_params=vgg_params, **fields)

    return jax.jit(call)(stages, hdr, encoded, vgg_params=vgg_params)


def error_of(kind):
    """A function of images that takes the options of the error and of its domain."""

    def call(stages, hdr, encoded=None, *, domain="mu_law", peak=_PEAK, **options):
        encoded = jnp.zeros_like(hdr) if encoded is None else encoded
        return kind(**options)(stages, hdr, encoded, Domain(domain, peak))

    return call


l1, rms, split_rms = map(error_of, (losses.L1, losses.RMS, losses.SplitRMS))


def clipped_where(mask):
    """A photograph that is clipped where `mask` (b, h, w) is true."""
    return jnp.broadcast_to(jnp.where(mask, 1.0, 0.5)[..., None], (*mask.shape, 3))


@pytest.fixture
def hdr(key):
    return jnp.exp(jax.random.normal(key, (2, 16, 16, 3)) * 2).clip(0, _PEAK)


@pytest.fixture
def stages(hdr):
    scales = jnp.array([0.5, 1.5, 1.1])[:, None, None, None, None]
    return jnp.clip(hdr[None] * scales, 0, _PEAK)


@pytest.fixture(scope="module")
def vgg_params():
    """VGG19 with eight features a layer: the network takes its widths from these."""
    random = np.random.default_rng(0)
    names = "1_1 1_2 2_1 2_2 3_1 3_2 3_3 3_4 4_1 4_2 4_3 4_4 5_1".split()
    inputs = [3] + [8] * (len(names) - 1)
    return {
        f"conv{name}": {
            "kernel": random.normal(size=(3, 3, i, 8)).astype(np.float32)
            / (4.5 * i) ** 0.5,
            "bias": np.zeros(8, np.float32),
        }
        for name, i in zip(names, inputs, strict=True)
    }


def test_l1_of_known_values():
    # log(1 + 5000 / 2) / log(1 + 5000) = 0.918666... by hand, and 1 for the peak.
    stages = jnp.stack([jnp.full((1, 2, 2, 3), 8.0), jnp.full((1, 2, 2, 3), 16.0)])
    got = l1(stages, jnp.zeros((1, 2, 2, 3)), peak=16.0)
    expected = [np.log(2501) / np.log(5001), 1.0]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_equal_images_cost_nothing(hdr, vgg_params):
    loss, parts = jitted_total(
        hdr[None],
        hdr,
        jnp.ones_like(hdr),
        peak=_PEAK,
        perceptual_weight=1.0,
        clipped_pixel_weight=5.0,
        vgg_params=vgg_params,
    )
    # Fused, the two sides may round differently; typical losses are above 1e-2.
    assert abs(loss) < 1e-6
    assert all(abs(value) < 1e-6 for value in parts.values())


def test_radiance_beyond_the_range_counts_as_its_end():
    hdr = jnp.array([-1.0, 0.0, 16.0, 1e8, jnp.inf, 0.0]).reshape(1, 1, 2, 3)
    stages = jnp.array([0.0, -3.0, jnp.inf, 16.0, 1e8, 0.0]).reshape(1, 1, 1, 2, 3)
    assert l1(stages, hdr, peak=_PEAK) == 0


@pytest.mark.parametrize("value, sign", [(-2.0, -1), (20.0, 1), (1e6, 1)])
def test_a_prediction_outside_the_range_is_drawn_back(value, sign):
    gradient = jax.grad(lambda x: l1(x, jnp.ones((1, 1, 1, 3)), peak=_PEAK).sum())(
        jnp.full((1, 1, 1, 1, 3), value)
    )
    assert np.all(np.isfinite(gradient)) and np.all(np.sign(gradient) == sign)


def test_the_gradient_inside_the_range_is_that_of_the_mu_law():
    gradient = jax.grad(lambda x: l1(x, jnp.zeros((1, 1, 1, 3)), peak=2.0).sum())(
        jnp.full((1, 1, 1, 1, 3), 0.3)
    )
    expected = 5000 / 2 / (1 + 5000 * 0.15) / np.log(5001) / 3
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


def test_gradients_are_finite_where_slopes_break(hdr, vgg_params):
    stages = jnp.stack([hdr, jnp.zeros_like(hdr)])

    @jax.jit
    @jax.grad
    def gradient_of(x):
        return total(
            x, hdr, hdr, peak=_PEAK, perceptual_weight=0.1, vgg_params=vgg_params
        )[0]

    gradient = gradient_of(stages)
    assert np.all(np.isfinite(gradient))


def test_equal_weights_change_nothing(stages, hdr):
    everywhere = jnp.ones_like(hdr)
    weighted = l1(stages, hdr, everywhere, clipped_pixel_weight=7.0)
    plain = l1(stages, hdr, peak=_PEAK)
    np.testing.assert_allclose(weighted, plain, rtol=1e-5)


def test_pixels_of_weight_zero_do_not_count(stages, hdr):
    encoded = clipped_where(jnp.ones((2, 16, 16), bool).at[:, :4].set(False))
    got = l1(stages, hdr, encoded, clipped_pixel_weight=0.0)
    expected = l1(stages[:, :, :4], hdr[:, :4], peak=_PEAK)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    none = l1(stages, hdr, jnp.ones_like(hdr), clipped_pixel_weight=0.0)
    assert np.all(np.asarray(none) == 0)


def test_clipped_pixels_weigh_more():
    # One of four pixels has error 1 and is clipped in one channel only.
    hdr = jnp.zeros((1, 2, 2, 3))
    stages = hdr.at[0, 0, 0].set(_PEAK)[None]
    encoded = jnp.zeros((1, 2, 2, 3)).at[0, 0, 0, 1].set(254 / 255)
    for weight, expected in [(1.0, 1 / 4), (5.0, 5 / 8)]:
        loss, _ = total(stages, hdr, encoded, clipped_pixel_weight=weight)
        np.testing.assert_allclose(loss, expected, rtol=1e-6)


def two_images(first, second):
    """A truth of black, and a stage whose images err by these codes."""
    codes = jnp.array([first, second])[:, None, None, None]
    radiance = _PEAK * jnp.expm1(codes * np.log(5001.0)) / 5000
    return jnp.broadcast_to(radiance, (2, 4, 4, 3))[None], jnp.zeros((2, 4, 4, 3))


def test_the_geometric_mean_is_that_of_the_images_errors():
    stages, hdr = two_images(0.02, 0.5)
    got = l1(stages, hdr, peak=_PEAK, image_mean="geometric")
    # sqrt((0.02 + 0.001) (0.5 + 0.001)) - 0.001, by hand.
    np.testing.assert_allclose(got, [0.101572], rtol=1e-4)


def test_halving_either_error_gains_the_same_in_the_geometric_mean():
    worse, *halved = (
        float(l1(stages, hdr, peak=_PEAK, image_mean="geometric")[0])
        for stages, hdr in (
            two_images(0.1, 0.8),
            two_images(0.05, 0.8),
            two_images(0.1, 0.4),
        )
    )
    assert max(halved) < 0.75 * worse
    np.testing.assert_allclose(*halved, rtol=0.02)


def test_images_without_error_have_finite_gradients_in_the_geometric_mean(hdr):
    def loss(stages):
        mean = {"peak": _PEAK, "image_mean": "geometric"}
        return l1(stages, hdr, **mean).sum()

    value, gradient = jax.jit(jax.value_and_grad(loss))(hdr[None])
    np.testing.assert_allclose(value, 0.0, atol=1e-7)
    assert jnp.isfinite(gradient).all()


def test_the_rms_in_stops_is_the_score_in_stops(stages, hdr):
    got = rms(stages, hdr, peak=_PEAK, domain="stops")
    expected = [log2_rmse(stage, hdr).mean() for stage in stages]
    np.testing.assert_allclose(got, expected, atol=0.002)


def test_the_rms_of_an_image_weighs_its_pixels_and_images_count_alike():
    stages, hdr = two_images(0.02, 0.5)
    right = stages.at[:, :, :2].set(0.0)  # half of each image has no error
    encoded = clipped_where(jnp.zeros((2, 4, 4), bool).at[:, :2].set(True))
    got = rms(right, hdr, encoded, clipped_pixel_weight=3.0)
    # An error on a quarter of the weight: (0.02 + 0.5) / 2 halves.
    np.testing.assert_allclose(got, [0.13], rtol=0.01)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_scale_invariance_forgives_a_share_of_the_error_of_exposure(key, hdr, share):
    """Two equal halves, one a stop too bright: a mean of 1/2 and a deviation of 1/2."""
    hdr = jnp.maximum(hdr, 0.2)
    stages = hdr.at[:, :, ::2].multiply(2.0)[None]
    got = rms(stages, hdr, peak=1e4, domain="stops", scale_invariance=share)
    np.testing.assert_allclose(got, [np.sqrt(0.5 - share * 0.25)], rtol=0.02)
    factor = rms(4 * hdr[None], hdr, peak=1e4, domain="stops", scale_invariance=share)
    np.testing.assert_allclose(factor, [2 * np.sqrt(1 - share)], rtol=0.02, atol=2e-3)


def test_scale_invariance_is_that_of_the_unclipped_pixels_of_a_split_rms(hdr):
    hdr = jnp.maximum(hdr, 0.2)
    encoded = jnp.full_like(hdr, 0.5).at[:, :3].set(1.0)
    stages = hdr.at[:, 3:].multiply(4.0)[None]  # clipped pixels are right
    options = {"peak": 1e4, "domain": "stops", "scale_invariance": 1.0}
    got = split_rms(stages, hdr, encoded, **options)
    np.testing.assert_allclose(got, [0.0], atol=2e-3)
    got = split_rms(4 * hdr[None], hdr, encoded, **options)
    np.testing.assert_allclose(got, [2.0], rtol=0.02)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_scale_invariance_out_of_range_is_refused(stages, hdr, share):
    with pytest.raises(UserError, match="scale_invariance is"):
        rms(stages, hdr, peak=_PEAK, scale_invariance=share)
    with pytest.raises(UserError, match="l1 has no scale_invariance"):
        total(stages, hdr, hdr, peak=_PEAK, scale_invariance=0.5)


def test_the_split_rms_adds_up_the_scores_of_unclipped_and_clipped_pixels(key, hdr):
    encoded = jnp.where(jax.random.uniform(key, hdr.shape) < 0.2, 1.0, 0.5)
    encoded = encoded.at[1].set(0.5)  # an image where nothing clips
    stages = jnp.minimum(hdr[None] * 1.5, _PEAK)
    got = split_rms(
        stages, hdr, encoded, peak=_PEAK, domain="stops", clipped_term_weight=2.0
    )
    clipped = encoded.max(axis=-1, keepdims=True) == 1
    unclipped = log2_rmse(stages[0], hdr, mask=~clipped).mean()
    of_clipped = log2_rmse(stages[0, :1], hdr[:1], mask=clipped[:1])[0]
    np.testing.assert_allclose(got, unclipped + 2 * of_clipped, rtol=0.02)


def test_a_split_rms_without_clipped_pixels_or_without_others_is_finite(hdr):
    def loss(stages, encoded):
        options = {"peak": _PEAK, "domain": "stops", "image_mean": "geometric"}
        return split_rms(stages, hdr, encoded, **options).sum()

    for code in (0.5, 1.0):
        encoded = jnp.full_like(hdr, code)
        value, gradient = jax.value_and_grad(loss)(hdr[None] * 1.2, encoded)
        assert value > 0.1
        assert jnp.isfinite(gradient).all()
        assert jnp.abs(gradient).max() > 0


def test_of_pixels_that_cannot_be_told_apart_the_rms_is_least_for_the_mean():
    codes = jnp.array([0.1, 0.1, 0.1, 0.7])  # mean 0.25, median 0.1
    truth = _PEAK * jnp.expm1(codes * np.log(5001.0)) / 5000
    hdr = jnp.broadcast_to(truth[None, None, :, None], (1, 1, 4, 3))
    tried = jnp.linspace(0, 1, 101)
    stages = _PEAK * jnp.expm1(tried * np.log(5001.0)) / 5000
    stages = jnp.broadcast_to(stages[:, None, None, None, None], (101, 1, 1, 4, 3))
    best = [tried[function(stages, hdr, peak=_PEAK).argmin()] for function in (rms, l1)]
    np.testing.assert_allclose(best, [0.25, 0.1], atol=0.011)


@pytest.mark.parametrize("domain", ["mu_law", "stops", "linear"])
def test_equal_black_and_huge_images_have_finite_gradients_of_the_rms(domain, hdr):
    truths = jnp.stack([hdr[0], jnp.zeros_like(hdr[0]), jnp.full_like(hdr[0], 1e4)])

    def loss(stages):
        return rms(stages, truths, peak=_PEAK, domain=domain).sum()

    for stages in (truths, jnp.zeros_like(truths)):
        value, gradient = jax.jit(jax.value_and_grad(loss))(stages[None])
        assert jnp.isfinite(value)
        assert jnp.isfinite(gradient).all()


def test_the_total_takes_the_error_by_name(stages, hdr):
    loss, parts = jitted_total(
        stages, hdr, hdr, peak=_PEAK, domain="stops", error="rms"
    )
    expected = rms(stages, hdr, peak=_PEAK, domain="stops")
    np.testing.assert_allclose(loss, expected.mean(), rtol=1e-5)
    np.testing.assert_allclose(parts["rms_stage_2"], expected[1], rtol=1e-5)
    with pytest.raises(UserError, match=r"'mse'.*'rms'"):
        total(stages, hdr, hdr, peak=_PEAK, error="mse")


def test_an_unknown_mean_is_refused(stages, hdr):
    with pytest.raises(UserError, match=r"'median'.*'geometric'"):
        l1(stages, hdr, peak=_PEAK, image_mean="median")


def test_the_loss_is_the_mean_over_stages(stages, hdr, vgg_params):
    loss, parts = jitted_total(
        stages,
        hdr,
        jnp.zeros_like(hdr),
        peak=_PEAK,
        perceptual_weight=0.1,
        vgg_params=vgg_params,
    )
    alone = []
    for i, stage in enumerate(stages, 1):
        error = l1(stage[None], hdr)[0]
        (features,) = _perceptual(
            stage[None], hdr, vgg_params=vgg_params, domain=Domain(peak=_PEAK)
        )
        np.testing.assert_allclose(parts[f"l1_stage_{i}"], error, rtol=1e-5)
        np.testing.assert_allclose(parts[f"perceptual_stage_{i}"], features, rtol=1e-4)
        alone.append(error + 0.1 * features)
    np.testing.assert_allclose(loss, np.mean(alone), rtol=1e-5)
    assert parts["loss"] == loss


def test_stage_weights_are_taken_as_they_are(stages, hdr):
    loss, parts = total(stages, hdr, hdr, peak=_PEAK, stage_weights=(0.0, 0.5, 2.0))
    expected = 0.5 * parts["l1_stage_2"] + 2 * parts["l1_stage_3"]
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    with pytest.raises(UserError, match="2 stage weights for a model of 3 stages"):
        total(stages, hdr, hdr, peak=_PEAK, stage_weights=(1.0, 1.0))


def test_stages_without_weights_count_the_same(stages, hdr):
    empty, _ = total(stages, hdr, hdr, peak=_PEAK, stage_weights=())
    equal, _ = total(stages, hdr, hdr, peak=_PEAK, stage_weights=(1 / 3,) * 3)
    np.testing.assert_allclose(empty, equal, rtol=1e-6)


def scikit_image_ssim(test, reference):
    """The mean over the images of SSIM with data range 1, in float64."""
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return np.mean(
        [
            skimage.metrics.structural_similarity(
                a, b, data_range=1, channel_axis=2, **options
            )
            for a, b in zip(test, reference, strict=True)
        ]
    )


@pytest.mark.parametrize("domain", ["mu_law", "linear"])
@pytest.mark.parametrize("weight", [0.83, 1.0])
def test_structure_and_l1_are_mixed_as_equation_7_says(stages, hdr, domain, weight):
    def values(x):
        x = np.asarray(x, float)
        return x if domain == "linear" else np.log1p(5000 * x / _PEAK) / np.log(5001)

    loss, parts = jitted_total(
        stages, hdr, hdr, peak=_PEAK, domain=domain, structure_weight=weight
    )
    expected = []
    for i, stage in enumerate(stages, 1):
        l1 = np.abs(values(stage) - values(hdr)).mean()
        ssim_loss = 1 - scikit_image_ssim(values(stage), values(hdr))
        np.testing.assert_allclose(parts[f"l1_stage_{i}"], l1, rtol=1e-4)
        np.testing.assert_allclose(parts[f"ssim_loss_stage_{i}"], ssim_loss, atol=1e-5)
        expected.append(weight * ssim_loss + (1 - weight) * l1)
    np.testing.assert_allclose(loss, np.mean(expected), rtol=1e-4)


def test_without_structure_the_loss_is_l1_alone(stages, hdr):
    loss, parts = jitted_total(stages, hdr, hdr, peak=_PEAK, structure_weight=0.0)
    assert not [name for name in parts if "ssim" in name]
    expected = l1(stages, hdr, peak=_PEAK)
    np.testing.assert_allclose(loss, expected.mean(), rtol=1e-6)


def test_in_linear_light_radiance_counts_as_it_is_whatever_the_peak(stages, hdr):
    doubled = [
        l1(s * stages, s * hdr, peak=peak, domain="linear")
        for s, peak in [(1.0, _PEAK), (2.0, 1.0)]
    ]
    np.testing.assert_allclose(2 * doubled[0], doubled[1], rtol=1e-6)
    expected = np.abs(np.asarray(stages) - np.asarray(hdr)).mean((1, 2, 3, 4))
    np.testing.assert_allclose(doubled[0], expected, rtol=1e-5)


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("domain", ["mu_law", "linear"])
@pytest.mark.parametrize("image_mean", ["arithmetic", "geometric"])
def test_gradients_are_finite_on_flat_equal_huge_and_black_patches(
    key, domain, image_mean
):
    noise = jax.random.uniform(key, (12, 13, 3))
    flat, black = jnp.full_like(noise, 0.7), jnp.zeros_like(noise)
    hdr = jnp.stack([noise, flat, black, flat, 1e5 * noise, 1e5 * flat, black])
    stages = jnp.stack([noise, flat, black, black, 1e5 * flat, noise, 1e5 * noise])
    encoded = jnp.clip(hdr, 0, 1)

    @jax.jit
    @jax.value_and_grad
    def loss(x):
        options = {"domain": domain, "image_mean": image_mean}
        weights = {"structure_weight": 0.83, "clipped_pixel_weight": 5.0}
        return total(x, hdr, encoded, peak=_PEAK, **options, **weights)[0]

    value, gradient = loss(stages[None])
    assert np.isfinite(value) and np.all(np.isfinite(gradient))
    assert np.all(gradient[0, 3] < 0) and np.all(gradient[0, 6] > 0)


def test_a_step_against_the_gradient_of_the_structure_lowers_it(key):
    hdr, noise = jax.random.uniform(key, (2, 1, 16, 16, 3))

    @jax.jit
    @jax.value_and_grad
    def loss(x):
        return losses.structure(x, hdr, domain=Domain("linear", 1.0)).sum()

    stages = (0.6 * hdr + 0.4 * noise)[None]
    before, gradient = loss(stages)
    after, _ = loss(stages - 0.05 * gradient / jnp.abs(gradient).max())
    assert after < before - 1e-3


def test_wrong_options_of_the_structure_are_refused_with_a_remedy(stages, hdr):
    for weight in (-0.1, 1.1, float("nan")):
        with pytest.raises(UserError, match=r"structure weight is .*expected 0"):
            total(stages, hdr, hdr, peak=_PEAK, structure_weight=weight)
    with pytest.raises(UserError, match=r"'log'.*'mu_law', 'stops' or 'linear'"):
        total(stages, hdr, hdr, peak=_PEAK, domain="log")
    stages, hdr = stages[..., :10, :], hdr[..., :10, :]
    with pytest.raises(UserError, match=r"11 x 11.*16 x 10.*larger patches.* 0"):
        jitted_total(stages, hdr, hdr, peak=_PEAK, structure_weight=0.5)


def test_perceptual_loss_weighs_the_layers_as_the_official_code(
    stages, hdr, vgg_params
):
    def code(x):
        return np.log1p(5000 * np.asarray(x) / _PEAK) / np.log(5001)

    truth = _features(vgg_params, jnp.asarray(code(hdr)))
    got = _perceptual(stages, hdr, vgg_params=vgg_params, domain=Domain(peak=_PEAK))
    for stage, value in zip(stages, got, strict=True):
        features = _features(vgg_params, jnp.asarray(code(stage)))
        distances = [
            np.mean(np.abs(np.asarray(a) - np.asarray(b)))
            for a, b in zip(features, truth, strict=True)
        ]
        expected = np.dot(distances, [0.03125, 0.0625, 0.125, 0.25, 1.0])
        np.testing.assert_allclose(value, expected, rtol=1e-4)


def test_a_perceptual_loss_without_weights_says_how_to_get_them(stages, hdr):
    assert perceptual.load_vgg19(None, 0.0) is None
    with pytest.raises(UserError, match=r"vgg19-dcbb9e9d\.pth .* weight to 0"):
        perceptual.load_vgg19(None, 0.1)
    with pytest.raises(UserError, match=r"vgg19-dcbb9e9d\.pth"):
        total(stages, hdr, hdr, peak=_PEAK, perceptual_weight=0.1)
    with pytest.raises(UserError, match="0 or more"):
        perceptual.load_vgg19(None, -1.0)


def test_perceptual_weights_are_read_from_a_file(tmp_path):
    state = {}
    inputs = 3
    for _, source, outputs in vgg._torchvision_layers(vgg.VGG19_DEPTHS):
        weight = np.zeros((outputs, inputs, 3, 3), np.float32)
        weight[-1, 0, 2, 1] = outputs
        state[f"{source}.weight"] = weight
        state[f"{source}.bias"] = np.arange(outputs, dtype=np.float32)
        inputs = outputs
    path = tmp_path / "vgg19.safetensors"
    safetensors.numpy.save_file(state, path)
    loaded = perceptual.load_vgg19(path, 0.1)
    assert loaded["conv5_1"]["kernel"][2, 1, 0, -1] == 512
    assert loaded["conv5_1"]["bias"][7] == 7
    assert perceptual.load_vgg19(path, 0.0) is None


@pytest.mark.parametrize(
    ("error", "field", "value", "users"),
    [
        ("l1", "scale_invariance", 0.5, "'rms' or 'split_rms'"),
        ("l1", "clipped_term_weight", 0.5, "'split_rms'"),
        ("rms", "clipped_term_weight", 0.0, "'split_rms'"),
        ("split_rms", "clipped_pixel_weight", 5.0, "'l1' or 'rms'"),
    ],
)
def test_an_option_that_the_error_does_not_use_is_refused(error, field, value, users):
    default = getattr(losses.SplitRMS() if error != "split_rms" else losses.L1(), field)
    assert create_loss(error=error, **{field: default}).error == losses.ERRORS[error]()
    with pytest.raises(UserError, match=f"{error} has no {field}.*{users}"):
        create_loss(error=error, **{field: value})


def test_an_unknown_field_of_the_loss_is_named():
    with pytest.raises(UserError, match=r"\['clipped_weight'\].*clipped_pixel_weight"):
        create_loss(clipped_weight=5.0)


def test_the_loss_of_a_stored_section_is_that_of_the_section():
    fields = {"error": "split_rms", "clipped_term_weight": 0.5, "domain": "stops"}
    elsewhere = {"scale": "mean_half", "vgg19": "file"}
    loss = create_loss(**fields, **elsewhere, stage_weights=[0.3, 0.7])
    assert loss == losses.Loss(
        domain=Domain("stops"),
        error=losses.SplitRMS(clipped_term_weight=0.5),
        stage_weights=(0.3, 0.7),
    )
    assert hash(loss) == hash(create_loss(**fields, stage_weights=(0.3, 0.7)))
