import csv
import pathlib

import dm_pix
import golden_scenes
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.metrics

from jaxhdr import metrics
from jaxhdr.errors import UserError

GOLDEN = pathlib.Path(__file__).parent / "golden" / "metrics_synthetic.csv"
PHOTOGRAPHS = pathlib.Path(__file__).parents[2] / "shared" / "golden"
COLUMNS = {
    "psnr_linear": "psnr_linear",
    "mu_psnr": "psnr_mu",
    "ssim_linear_rgb": "ssim_linear",
    "ssim_mu_rgb": "ssim_mu",
}
# Float32 against float64; SSIM measured within 3e-6, PSNR within 6e-6 dB.
TOLERANCE = {"psnr_linear": 1e-4, "psnr_mu": 1e-4, "ssim_linear": 1e-5, "ssim_mu": 1e-5}
ROWS = list(csv.DictReader(GOLDEN.read_text().splitlines()))
IMAGE = golden_scenes.version("interior_window", "ref").astype(np.float32) / 400
NOISY = golden_scenes.version("interior_window", "noise").astype(np.float32) / 400
ENCODED = np.clip(np.round(IMAGE * 255) / 255, 0, 1)


def assert_equals_golden(scores, row):
    for column, name in COLUMNS.items():
        expected = float(row[column])
        np.testing.assert_allclose(
            scores[name], expected, rtol=0, atol=TOLERANCE[name], err_msg=name
        )


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r['scene']}-{r['distortion']}")
def test_scores_equal_scikit_image_and_numpy_on_scenes_of_formulas(row):
    image = golden_scenes.version(row["scene"], row["distortion"])
    found = [image.mean(), image.min(), image.max(), np.sum(image**2)]
    expected = [float(row[k]) for k in ("mean", "min", "max", "sum_of_squares")]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    reference = golden_scenes.version(row["scene"], "ref")
    assert_equals_golden(metrics.compare(image, reference), row)


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="golden photographs not here")
def test_scores_equal_scikit_image_and_numpy_on_photographs():
    lines = (PHOTOGRAPHS / "metrics.csv").read_text().splitlines()
    for row in csv.DictReader(lines):
        with np.load(PHOTOGRAPHS / "images" / f"{row['scene']}.npz") as images:
            scores = metrics.compare(images[row["distortion"]], images["ref"])
        assert_equals_golden(scores, row)


def test_ssim_equals_that_of_dm_pix(key):
    test, reference = jax.random.uniform(key, (2, 24, 31, 3))
    ours = metrics.structural_similarity(test, reference, peak=1.0)
    theirs = dm_pix.ssim(test, reference, max_val=1.0)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_ssim_equals_scikit_image_on_batches_of_any_rank_and_peak(key):
    test = 255 * jax.random.uniform(key, (2, 1, 17, 12, 3))
    reference = jnp.roll(test, 1, axis=-2)
    found = jax.jit(lambda *x: metrics.structural_similarity(*x, peak=255.0))(
        test, reference
    )
    expected = [
        [
            skimage.metrics.structural_similarity(
                np.asarray(a, float),
                np.asarray(b, float),
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
                data_range=255,
                channel_axis=2,
            )
            for a, b in zip(*pair, strict=True)
        ]
        for pair in zip(test, reference, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_gradient_of_ssim_equals_that_of_dm_pix(key):
    test, reference = jax.random.uniform(key, (2, 14, 19, 3))
    ours = jax.jit(
        jax.grad(lambda x: metrics.structural_similarity(x, reference, peak=1.0))
    )
    theirs = jax.jit(jax.grad(lambda x: dm_pix.ssim(x, reference, max_val=1.0)))
    expected = np.asarray(theirs(test))
    np.testing.assert_allclose(ours(test), expected, atol=1e-4 * abs(expected).max())


def scikit_image_ssim(test, reference):
    return skimage.metrics.structural_similarity(
        *(np.asarray(x, float) for x in (test, reference)),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=2,
    )


@pytest.mark.parametrize("noise", [0.03, 0.3])
def test_ssim_of_faint_noise_on_bright_light_equals_that_of_float64(key, noise):
    # Means of squares have a spacing of 8 there, and the noise a square of 0.1.
    level = jnp.array([1e4, 1e3, 5e3])
    level = jnp.broadcast_to(level, (2, 24, 31, 3))
    test, reference = level + noise * jax.random.normal(key, level.shape)
    found = metrics.structural_similarity(test, reference, peak=1.0)
    expected = scikit_image_ssim(test, reference)
    assert 0.01 < expected < 0.9
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_ssim_of_a_step_between_dark_and_bright_equals_that_of_float64(key):
    step = jnp.where(jnp.arange(31) < 15, 0.1, 1e5)[:, None]
    step = jnp.broadcast_to(step, (2, 24, 31, 3))
    test, reference = step + 0.1 * jax.random.normal(key, step.shape)
    found = metrics.structural_similarity(test, reference, peak=1.0)
    np.testing.assert_allclose(found, scikit_image_ssim(test, reference), atol=3e-3)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_identical_images_score_perfectly_and_noise_scores_worse(name):
    metric = metrics.METRICS[name]
    perfect = {"dB": np.inf, "": 1.0, "stops": 0.0}[metric.unit]
    strengths = [0, 0.01, 0.1, 1]
    scores = [
        metrics.compare(
            IMAGE + s * (NOISY - IMAGE), IMAGE, encoded=ENCODED, names=[name]
        )[name]
        for s in strengths
    ]
    assert scores[0] == perfect
    worse = np.diff(scores) < 0 if metric.higher_is_better else np.diff(scores) > 0
    assert worse.all()


@pytest.mark.parametrize("name", metrics.METRICS)
def test_gradients_are_finite_also_at_equal_black_and_negative_images(name):
    clipped = jnp.any(ENCODED == 1, axis=-1, keepdims=True)
    metric = metrics.METRICS[name]
    gradient = jax.jit(
        jax.grad(lambda x: metric.score(x, jnp.asarray(IMAGE), clipped=clipped))
    )
    for test in (IMAGE, NOISY, 0 * IMAGE, 1e4 * IMAGE, -IMAGE):
        assert jnp.isfinite(gradient(jnp.asarray(test))).all()
    assert jnp.abs(gradient(jnp.asarray(NOISY))).max() > 0


@pytest.mark.parametrize("name", metrics.METRICS)
def test_a_batch_scores_as_its_images_do(name):
    metric = metrics.METRICS[name]
    test, reference = jnp.stack([NOISY, 0.5 * IMAGE]), jnp.stack([IMAGE, NOISY])
    clipped = jnp.stack([IMAGE, NOISY]).max(axis=-1, keepdims=True) > 1

    def score(test, reference, clipped):
        return metric.score(test, reference, clipped=clipped)

    together = jax.jit(score)(test, reference, clipped)
    mapped = jax.jit(jax.vmap(score))(test, reference, clipped)
    single = jax.jit(score)
    alone = [single(*x) for x in zip(test, reference, clipped, strict=True)]
    np.testing.assert_allclose(together, jnp.stack(alone), rtol=1e-5)
    np.testing.assert_allclose(mapped, jnp.stack(alone), rtol=1e-5)


@pytest.mark.parametrize("name", [n for n in metrics.METRICS if "rmse" not in n])
def test_a_common_scale_changes_nothing_after_max_one(name):
    fn = metrics.METRICS[name].fn
    once = fn(jnp.asarray(NOISY), jnp.asarray(IMAGE))
    scaled = fn(jnp.asarray(1e3 * NOISY), jnp.asarray(1e3 * IMAGE))
    np.testing.assert_allclose(scaled, once, rtol=1e-5)


def test_log2_rmse_of_a_doubled_bright_image_is_one_stop():
    bright = jnp.full((2, 5, 7, 3), 100.0)
    np.testing.assert_allclose(metrics.log2_rmse(2 * bright, bright), 1, atol=1e-5)
    # Below the floor the same ratio is no visible difference.
    assert (metrics.log2_rmse(bright * 2e-9, bright * 1e-9) < 1e-2).all()


def test_log2_rmse_counts_the_masked_pixels_only():
    reference = jnp.ones((4, 4, 3))
    mask = jnp.zeros((4, 4, 1), bool).at[1, 2].set(True)
    test = jnp.where(mask, 4.0, 1.0) * reference
    assert metrics.log2_rmse(test, reference, mask=~mask) == 0
    np.testing.assert_allclose(
        metrics.log2_rmse(test, reference, mask=mask), 2, atol=1e-3
    )
    # One pixel of 16 differs by two stops: sqrt(4 / 16).
    np.testing.assert_allclose(metrics.log2_rmse(test, reference), 0.5, atol=1e-3)


def test_scores_that_do_not_exist_are_nan():
    dark = metrics.compare(NOISY, IMAGE, encoded=0.5 * ENCODED)
    assert np.isnan(dark["log2_rmse_clipped"])
    assert dark["log2_rmse_unclipped"] == pytest.approx(dark["log2_rmse"], rel=1e-6)
    small = metrics.compare(NOISY[:10], IMAGE[:10])
    assert np.isnan(small["ssim_mu"]) and np.isfinite(small["psnr_mu"])
    black = metrics.compare(NOISY, np.zeros_like(IMAGE))
    assert np.isnan(black["psnr_linear"]) and np.isfinite(black["log2_rmse"])


def test_large_images_lose_no_precision_to_summation(key):
    test = jax.random.uniform(key, (2000, 1500, 3))
    expected = -10 * np.log10(np.mean((np.asarray(test, float) - 0.5) ** 2))
    found = metrics.psnr(test, jnp.full_like(test, 0.5), peak=1.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"test": IMAGE[:-1]}, "shape"),
        ({"test": IMAGE[..., 0], "reference": IMAGE[..., 0]}, "shape"),
        ({"test": IMAGE[:0], "reference": IMAGE[:0]}, "shape"),
        ({"encoded": ENCODED[:5]}, "encoded"),
        ({"test": np.where(IMAGE > 1, np.nan, IMAGE)}, "test .* NaN"),
        ({"reference": np.where(IMAGE > 1, np.inf, IMAGE)}, "reference .* infinite"),
        ({"test": -IMAGE}, "9165 values .* negative"),
        ({"names": ["psnr", "ssim_mu"]}, r"unknown metrics \['psnr'\]"),
        ({"names": ["log2_rmse_clipped"], "encoded": None}, "pass it as `encoded`"),
    ],
)
def test_compare_refuses_with_one_clear_sentence(arguments, message):
    arguments = {
        "test": NOISY,
        "reference": IMAGE,
        "encoded": ENCODED,
        **arguments,
    }
    with pytest.raises(UserError, match=message):
        metrics.compare(arguments.pop("test"), arguments.pop("reference"), **arguments)


def test_compare_without_the_photograph_leaves_its_metrics_out():
    assert set(metrics.METRICS) - set(metrics.compare(NOISY, IMAGE)) == {
        "log2_rmse_clipped",
        "log2_rmse_unclipped",
    }
