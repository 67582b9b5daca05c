import csv
import pathlib

import dm_pix
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.metrics

from jaxhdr import metrics
from jaxhdr.errors import UserError
from tests import golden_scenes

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "metrics_synthetic.csv"
PHOTOGRAPHS = pathlib.Path(__file__).parents[3] / "shared" / "golden"
COLUMNS = {
    "psnr_linear": "psnr_linear",
    "mu_psnr": "psnr_mu",
    "ssim_linear_rgb": "ssim_linear",
    "ssim_mu_rgb": "ssim_mu",
    "pu21_psnr_rgb": "pu21_psnr",
    "pu21_ssim_y": "pu21_ssim",
}
# Float32 against float64; SSIM measured within 3e-6, PSNR within 6e-6 dB.
TOLERANCE = {"dB": 1e-4, "": 1e-5}
# The golden images are in cd/m^2.
ABSOLUTE = metrics.Protocol(display=metrics.Display(white=1.0))
ROWS = list(csv.DictReader(GOLDEN.read_text().splitlines()))
PERFECT = {
    "hdr_vdp2_q": 100,
    "hdr_vdp2_p_det": 0,
    "hdr_vdp220_q_mos": 100,
    "hdr_vdp3_q": 10,
    "hdr_vdp3_jod": 10,
    "delta_e_itp": 0,
}
BOUNDED = ("hdr_vdp220_q_mos", "hdr_vdp3_jod")
# HDR-VDP has its own tests, and MS-SSIM needs larger images than these.
OF_ONE_SIZE = [n for n in metrics.METRICS if not n.startswith(("hdr_vdp", "ms_ssim"))]
# The bilateral filter of the tone mapping takes long to compile.
TONE_MAPPED_SLOWLY = [
    pytest.param(n, marks=pytest.mark.slow if n.endswith("tone_mapped") else ())
    for n in OF_ONE_SIZE
]
IMAGE = golden_scenes.version("interior_window", "ref").astype(np.float32) / 400
NOISY = golden_scenes.version("interior_window", "noise").astype(np.float32) / 400
ENCODED = np.clip(np.round(IMAGE * 255) / 255, 0, 1)


def assert_equals_golden(scores, row):
    for column, name in COLUMNS.items():
        expected = float(row[column])
        np.testing.assert_allclose(
            scores[name],
            expected,
            rtol=0,
            atol=TOLERANCE[metrics.METRICS[name].unit],
            err_msg=name,
        )


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r['scene']}-{r['distortion']}")
def test_scores_equal_scikit_image_and_numpy_on_scenes_of_formulas(row):
    image = golden_scenes.version(row["scene"], row["distortion"])
    found = [image.mean(), image.min(), image.max(), np.sum(image**2)]
    expected = [float(row[k]) for k in ("mean", "min", "max", "sum_of_squares")]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    reference = golden_scenes.version(row["scene"], "ref")
    scores = metrics.compare(
        image, reference, names=COLUMNS.values(), protocol=ABSOLUTE
    )
    assert_equals_golden(scores, row)


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="golden photographs not here")
def test_scores_equal_scikit_image_and_numpy_on_photographs():
    lines = (PHOTOGRAPHS / "metrics.csv").read_text().splitlines()
    for row in csv.DictReader(lines):
        with np.load(PHOTOGRAPHS / "images" / f"{row['scene']}.npz") as images:
            scores = metrics.compare(
                images[row["distortion"]],
                images["ref"],
                names=COLUMNS.values(),
                protocol=ABSOLUTE,
            )
        assert_equals_golden(scores, row)


@pytest.mark.slow
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
    # At this level floats of mean squares are 8 apart; the squared noise is 0.1.
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


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize("name", metrics.METRICS)
def test_identical_images_score_perfectly_and_noise_scores_worse(name):
    metric = metrics.METRICS[name]
    perfect = {"dB": np.inf, "": 1.0, "stops": 0.0}.get(metric.unit)
    image, noisy, encoded = IMAGE, NOISY, ENCODED
    if name == "ms_ssim_mu":  # defined for large images only
        image, noisy, encoded = (np.tile(x, (3, 4, 1)) for x in (image, noisy, encoded))
    strengths = [0, 0.01, 0.1, 1]
    scores = [
        metrics.compare(
            image + s * (noisy - image), image, encoded=encoded, names=[name]
        )[name]
        for s in strengths
    ]
    assert scores[0] == pytest.approx(PERFECT.get(name, perfect), abs=2e-5)
    worse = np.diff(scores) * (-1 if metric.higher_is_better else 1)
    # Some scores have a bound, near which float32 cannot show a difference.
    assert (worse >= 0).all() if name in BOUNDED else (worse > 0).all()
    assert scores[-1] != scores[0]


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize("name", TONE_MAPPED_SLOWLY)
def test_gradients_are_finite_also_at_equal_black_and_negative_images(name):
    clipped = jnp.any(ENCODED == 1, axis=-1, keepdims=True)
    metric = metrics.METRICS[name]
    gradient = jax.jit(
        jax.grad(lambda x: metric.score(x, jnp.asarray(IMAGE), clipped=clipped)),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    for test in (IMAGE, NOISY, 0 * IMAGE, 1e4 * IMAGE, -IMAGE):
        assert jnp.isfinite(gradient(jnp.asarray(test))).all()
    assert jnp.abs(gradient(jnp.asarray(NOISY))).max() > 0


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("name", TONE_MAPPED_SLOWLY)
def test_a_batch_scores_as_its_images_do(name):
    metric = metrics.METRICS[name]
    test, reference = jnp.stack([NOISY, 0.5 * IMAGE]), jnp.stack([IMAGE, NOISY])
    clipped = jnp.stack([IMAGE, NOISY]).max(axis=-1, keepdims=True) > 1

    def score(test, reference, clipped):
        return metric.score(test, reference, clipped=clipped)

    quickly = {"xla_backend_optimization_level": 0}
    together = jax.jit(score, compiler_options=quickly)(test, reference, clipped)
    mapped = jax.jit(jax.vmap(score), compiler_options=quickly)(
        test, reference, clipped
    )
    single = jax.jit(score, compiler_options=quickly)
    alone = [single(*x) for x in zip(test, reference, clipped, strict=True)]
    np.testing.assert_allclose(together, jnp.stack(alone), rtol=2e-5)
    np.testing.assert_allclose(mapped, jnp.stack(alone), rtol=2e-5)


RELATIVE = [n for n, m in metrics.METRICS.items() if m.input_unit == "relative"]


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("name", RELATIVE)
def test_a_common_scale_changes_no_score_of_relative_light(name):
    once, scaled = (
        metrics.compare(scale * NOISY, scale * IMAGE, names=[name])[name]
        for scale in (1, 1e3)
    )
    np.testing.assert_allclose(scaled, once, rtol=1e-5)


# pytorch-msssim 1.0.0 in float64, of the mu-law codes.
@pytest.mark.parametrize(
    "distortion, expected",
    [("noise", 0.9993657865), ("blur", 0.9033658704), ("clip8", 0.9858780632)],
)
def test_multi_scale_ssim_equals_pytorch_msssim(distortion, expected):
    pair = (golden_scenes.version("interior_window", d) for d in (distortion, "ref"))
    images = [np.tile(image, (3, 4, 1))[:192, :176] for image in pair]
    found = metrics.compare(*images, names=["ms_ssim_mu"])["ms_ssim_mu"]
    assert found == pytest.approx(expected, abs=1e-5)


# colour-science 0.4.7, from BT.709 over BT.2020 and ICtCp of BT.2100-2.
@pytest.mark.parametrize(
    "test, reference, expected",
    [
        ((1, 2, 3), (2, 2, 2), 21.8859082736),
        ((100, 100, 100), (100, 90, 120), 12.3251361851),
        ((0.01, 0.02, 0.5), (0.02, 0.02, 0.4), 5.67598605668),
        ((1000, 3000, 200), (1200, 2500, 300), 17.9175268414),
    ],
)
def test_delta_e_itp_equals_colour_science(test, reference, expected):
    pair = (jnp.full((2, 3, 3), jnp.asarray(x, float)) for x in (test, reference))
    # The standard gives its matrices to four digits.
    assert metrics.delta_e_itp(*pair) == pytest.approx(expected, rel=2e-3)


def test_log2_rmse_of_a_doubled_bright_image_is_one_stop():
    bright = jnp.full((2, 5, 7, 3), 100.0)
    np.testing.assert_allclose(metrics.log2_rmse(2 * bright, bright), 1, atol=1e-5)
    # Far below the floor, the same ratio makes hardly a difference.
    assert (metrics.log2_rmse(bright * 2e-9, bright * 1e-9) < 1e-2).all()


def test_pu21_codes_are_those_of_the_authors():
    light = jnp.array([0.1, 1, 10, 100, 1000, 10000])
    expected = [5.71707384, 36.54391114, 123.6474836, 256.3838973, 420.0969213]
    expected.append(595.39392)
    np.testing.assert_allclose(metrics.pu21_code(light), expected, rtol=1e-5)


def test_a_display_clips_and_is_checked():
    display = metrics.Display(white=100.0, peak=1000.0, black=0.1)
    light = display.emitted(jnp.array([0.0, 1.0, 100.0]))
    np.testing.assert_allclose(light, [0.1, 100, 1000])
    # Values that are clipped in both images make no difference.
    bright = {"test": 50 * IMAGE + 20, "reference": 90 * IMAGE + 20}
    protocol = metrics.Protocol(display=display)
    found = metrics.compare(**bright, names=["pu21_psnr"], protocol=protocol)
    assert found["pu21_psnr"] == np.inf
    for fields in ({"black": 0.0}, {"peak": 0.001}, {"white": -1.0}):
        with pytest.raises(UserError, match=r"(black|white) is|the display has"):
            metrics.Display(**fields)


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


@pytest.mark.slow
def test_scores_that_do_not_exist_are_nan():
    names = [n for n in metrics.METRICS if n.startswith(("log2", "ssim", "psnr"))]
    dark = metrics.compare(NOISY, IMAGE, encoded=0.5 * ENCODED, names=names)
    assert np.isnan(dark["log2_rmse_clipped"])
    assert dark["log2_rmse_unclipped"] == pytest.approx(dark["log2_rmse"], rel=1e-6)
    small = metrics.compare(NOISY[:10], IMAGE[:10])
    absent = {name for name, score in small.items() if np.isnan(score)}
    windows = ("ssim_mu", "ssim_linear", "ssim_tone_mapped", "ms_ssim_mu", "hdr_vdp")
    assert absent == {name for name in small if name.startswith(windows)}
    black = metrics.compare(NOISY, np.zeros_like(IMAGE), names=names[:-2])
    assert np.isnan(black["psnr_linear"]) and np.isfinite(black["log2_rmse"])


@pytest.mark.slow
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


@pytest.mark.slow
def test_compare_without_the_photograph_leaves_its_metrics_out():
    found = metrics.compare(NOISY[:9], IMAGE[:9])
    assert set(metrics.METRICS) - set(found) == {
        "log2_rmse_clipped",
        "log2_rmse_unclipped",
        "clipped_detail_invented",
        "clipped_detail_correlation",
    }


def test_color_video_vdp_equals_its_authors_values():
    pytest.importorskip("pycvvdp", exc_type=ImportError)
    for row in ROWS:
        pair = [
            golden_scenes.version(row["scene"], d) for d in (row["distortion"], "ref")
        ]
        found = metrics.color_video_vdp(
            *(jnp.asarray(x, jnp.float32) for x in pair), pixels_per_degree=30.0
        )
        assert found == pytest.approx(float(row["cvvdp_ppd30_JOD"]), abs=1e-4)


def test_a_metric_of_another_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install 'jaxhdr\[cvvdp\]'"):
        metrics.compare(IMAGE, IMAGE, names=["cvvdp_jod"])


@pytest.mark.slow
def test_pu21_in_float64_equals_the_originals():
    with jax.enable_x64(True):
        for row in ROWS:
            pair = [
                jnp.asarray(golden_scenes.version(row["scene"], d), jnp.float64)
                for d in (row["distortion"], "ref")
            ]
            psnr, ssim = metrics.pu21_psnr(*pair), metrics.pu21_ssim(*pair)
            assert psnr == pytest.approx(float(row["pu21_psnr_rgb"]), abs=1e-6)
            assert ssim == pytest.approx(float(row["pu21_ssim_y"]), abs=1e-7)
