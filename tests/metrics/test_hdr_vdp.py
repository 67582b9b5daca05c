"""Compares HDR-VDP-2 and -3 with results of the original programs."""

import csv
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
import scipy.ndimage

from jaxhdr.metrics.hdr_vdp import bicubic, pyramid, spectra, v2, v3
from tests import golden_scenes

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
PHOTOGRAPHS = pathlib.Path(__file__).parents[3] / "shared" / "golden"
ROWS = list(csv.DictReader((GOLDEN / "metrics_synthetic.csv").read_text().splitlines()))
DISTORTIONS = ["ref", *golden_scenes.DISTORTIONS]
# The weights with which the golden luminance images were computed.
LUMINANCE = [0.212656, 0.715158, 0.072186]
OPTIONS = {
    "": {},
    "_lum": {"color": "luminance"},
    "_ppd60": {"pixels_per_degree": 60.0},
    "_surroundgeo": {"surround": "geometric mean"},
}


@pytest.fixture(scope="module", autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def quickly(fn):
    """Jits without optimisation, which would take most of the tests' time."""
    return jax.jit(fn, compiler_options={"xla_backend_optimization_level": 0})


@functools.cache
def compiled(metric, **options):
    options = {"pixels_per_degree": 30.0, **options}
    return quickly(functools.partial(metric, **options))


@functools.cache
def compiled_gradient(metric, field):
    def total(test, reference):
        return getattr(metric(test, reference, pixels_per_degree=30.0), field).sum()

    return quickly(jax.value_and_grad(total))


def crop(scene, distortion, size=(24, 20)):
    image = golden_scenes.version(scene, distortion)
    return image[30 : 30 + size[0], 10 : 10 + size[1]]


def assert_equals_golden(found, rows, column, **tolerance):
    expected = [float(row[column]) for row in rows]
    np.testing.assert_allclose(found, expected, err_msg=column, **tolerance)


def pairs(scene):
    tests = np.stack([golden_scenes.version(scene, name) for name in DISTORTIONS])
    return tests, np.broadcast_to(tests[0], tests.shape)


FIRST, *OTHERS = golden_scenes.SCENES


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize(
    "scene", [FIRST, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_equals_the_originals_on_scenes_of_formulas(scene, option):
    rows = [row for row in ROWS if row["scene"] == scene]
    images = pairs(scene)
    if option == "_lum":
        images = tuple(image @ np.asarray(LUMINANCE)[:, None] for image in images)
    found = compiled(v2.hdr_vdp2, **OPTIONS[option])(*images)
    name = f"hdrvdp221{option}"
    assert_equals_golden(found.quality, rows, f"{name}_Q", rtol=0, atol=2e-6)
    assert_equals_golden(found.detection, rows, f"{name}_P_det", rtol=0, atol=1e-6)
    if option != "_surroundgeo":
        contrast = found.largest_contrast
        column = f"{name}_C_max"
        assert_equals_golden(contrast, rows, column, rtol=1e-6, atol=1e-12)
    if option == "":
        means = jnp.mean(found.detection_map, axis=(1, 2))
        assert_equals_golden(means, rows, "hdrvdp221_P_map_mean", rtol=0, atol=1e-6)
    if option in ("", "_lum"):
        column = f"hdrvdp220{option}_Q_MOS"
        assert_equals_golden(found.mean_opinion, rows, column, rtol=0, atol=1e-5)
    if option != "_surroundgeo":
        found = compiled(v3.hdr_vdp3, **OPTIONS[option])(*images)
        name = f"hdrvdp3{option}_Q"
        assert_equals_golden(found.quality, rows, name, rtol=0, atol=2e-6)
        jod = found.just_objectionable
        assert_equals_golden(jod, rows, f"{name}_JOD", rtol=0, atol=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "scene",
    ["night_lamps", pytest.param("interior_window", marks=pytest.mark.slow)],
)
def test_float32_is_close_to_the_originals(scene):
    rows = [row for row in ROWS if row["scene"] == scene]
    images = [image.astype(np.float32) for image in pairs(scene)]
    found = compiled(v2.hdr_vdp2)(*images)
    assert found.quality.dtype == np.float32
    assert_equals_golden(found.quality, rows, "hdrvdp221_Q", rtol=0, atol=2e-3)
    assert_equals_golden(found.detection, rows, "hdrvdp221_P_det", rtol=0, atol=1e-4)
    found = compiled(v3.hdr_vdp3)(*images)
    assert_equals_golden(found.quality, rows, "hdrvdp3_Q", rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="golden photographs not here")
@pytest.mark.parametrize(
    "scene", ["indoor", "night", "sunset", "studio", "city", "forest"]
)
def test_equals_the_originals_on_photographs(scene):
    lines = (PHOTOGRAPHS / "metrics.csv").read_text().splitlines()
    rows = [row for row in csv.DictReader(lines) if row["scene"] == scene]
    with np.load(PHOTOGRAPHS / "images" / f"{scene}.npz") as file:
        tests = np.stack([file[row["distortion"]] for row in rows]).astype(float)
    images = tests, np.broadcast_to(tests[0], tests.shape)
    found = compiled(v2.hdr_vdp2)(*images)
    assert_equals_golden(found.quality, rows, "hdrvdp221_Q", rtol=0, atol=2e-6)
    assert_equals_golden(found.detection, rows, "hdrvdp221_P_det", rtol=0, atol=1e-6)
    # The size of `city` is odd, and there Octave resizes differently from MATLAB.
    accuracy = 2e-5 if scene == "city" else 1e-6
    contrast = found.largest_contrast
    assert_equals_golden(contrast, rows, "hdrvdp221_C_max", rtol=accuracy, atol=1e-12)
    assert_equals_golden(found.mean_opinion, rows, "hdrvdp220_Q_MOS", rtol=0, atol=1e-5)
    found = compiled(v3.hdr_vdp3)(*images)
    assert_equals_golden(found.quality, rows, "hdrvdp3_Q", rtol=0, atol=2e-6)


def test_receptors_respond_to_the_display_as_in_the_original():
    emission = spectra.resampled("hdrvdp2_emission_spectra_ccfl-lcd")
    expected = [
        [0.198996, 0.0410059, 6.15e-5, 0.0143774],
        [0.404763, 0.254923, 6.96e-4, 0.480921],
        [0.0543906, 0.0500122, 0.00703757, 0.454276],
    ]
    found = spectra.photoreceptor_response(emission)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    found = spectra.photoreceptor_response(spectra.resampled(spectra.D65))
    expected = [[0.601847, 0.316708, 0.00766481, 0.904671]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.slow
def test_bands_of_the_response_have_the_energy_of_the_original():
    lines = (GOLDEN / "hdr_vdp2_bands.csv").read_text().splitlines()
    rows = list(csv.DictReader(lines))
    names = ("blur", "ref")
    images = [golden_scenes.version("interior_window", name) for name in names]

    def stages(pair):
        seen = v2._see(pair, 30.0, color="rgb-bt.709", surround=1e-5)
        bands = v2._bands(seen, 30.0)
        return bands, v2._distances(bands, seen.adaptation, 30.0)

    bands, distances = quickly(stages)(jnp.stack(images))
    oriented = [(b, o) for b, band in enumerate(bands) for o in range(len(band))]
    assert len(oriented) == len(rows)
    for (b, o), row in zip(oriented, rows, strict=True):
        difference, reference = np.asarray(bands[b][o])
        found = {"D_l2": np.linalg.norm(distances[b][o])}
        if (
            b < len(bands) - 1
        ):  # the golden energies of the base are those before filtering
            found["diff_energy"] = np.sum(difference**2)
            found["ref_energy"] = np.sum(reference**2)
            found["test_energy"] = np.sum((reference + difference) ** 2)
        for column, value in found.items():
            np.testing.assert_allclose(value, float(row[column]), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "metric, field",
    [
        (v2.hdr_vdp2, "quality"),
        (v2.hdr_vdp2, "largest_contrast"),
        (v3.hdr_vdp3, "just_objectionable"),
    ],
)
def test_gradients_equal_finite_differences(metric, field):
    gradient = compiled_gradient(metric, field)
    for seed, scene in enumerate(("gradient_sun", "interior_window", "sinusoid_chart")):
        test, reference = crop(scene, "noise"), crop(scene, "ref")
        direction = test * np.random.default_rng(seed).normal(size=test.shape)
        step = 1e-6
        above, below = (
            gradient(test + sign * step * direction, reference)[0] for sign in (1, -1)
        )
        slope = jnp.sum(gradient(test, reference)[1] * direction)
        np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "metric, field, perfect",
    [
        (v2.hdr_vdp2, "quality", 100),
        (v3.hdr_vdp3, "just_objectionable", 10),
    ],
)
def test_equal_images_are_perfect_with_a_finite_gradient(metric, field, perfect):
    for image in (crop("interior_window", "ref"), np.zeros((24, 20, 3))):
        score, slope = compiled_gradient(metric, field)(image, image)
        np.testing.assert_allclose(score, perfect, atol=1e-4)
        assert np.all(np.isfinite(slope))


@pytest.mark.slow
def test_gradient_descent_raises_the_quality():
    gradient = compiled_gradient(v2.hdr_vdp2, "quality")
    test, reference = crop("interior_window", "blur"), crop("interior_window", "ref")
    logs = np.log(test)
    qualities = []
    for _ in range(21):
        quality, slope = gradient(np.exp(logs), reference)
        qualities.append(float(quality))
        step = np.asarray(slope) * np.exp(logs)
        logs = logs + 0.01 * step / np.abs(step).max()
    assert qualities[-1] > qualities[0] + 0.3
    assert np.mean(np.diff(qualities) > 0) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("metric", [v2.hdr_vdp2, v3.hdr_vdp3])
def test_images_under_vmap_score_as_each_alone(metric):
    names = ("noise", "scale")
    tests = np.stack([crop("interior_window", name) for name in names])
    references = np.stack([crop("interior_window", "ref")] * 2)
    alone = compiled(metric)
    mapped = quickly(jax.vmap(functools.partial(metric, pixels_per_degree=30.0)))
    together = mapped(tests, references)
    for index in range(len(names)):
        expected = alone(tests[index], references[index])
        for found, field in zip(together, expected, strict=True):
            np.testing.assert_allclose(found[index], field, rtol=1e-9)


@pytest.mark.slow
def test_more_noise_is_worse():
    reference = crop("interior_window", "ref")
    noise = np.random.default_rng(0).normal(size=reference.shape)
    strengths = np.array([0.0, 0.003, 0.01, 0.03, 0.1, 0.3])
    tests = reference * np.exp(strengths[:, None, None, None] * noise)
    references = np.broadcast_to(reference, tests.shape)
    visible = compiled(v2.hdr_vdp2)(tests, references)
    assert np.all(np.diff(visible.quality) < 0)
    assert np.all(np.diff(visible.largest_contrast) > 0)
    assert np.all(np.diff(visible.detection) >= 0)
    quality = compiled(v3.hdr_vdp3)(tests, references)
    assert np.all(np.diff(quality.quality) < 0)


@pytest.mark.slow
def test_hostile_images_have_scores():
    reference = crop("interior_window", "ref")
    broken = reference.copy()
    broken[3, 4] = np.nan
    dark = reference.copy()
    dark[3, 4] = 1e-5  # the value that replaces NaN in the original
    tests = np.stack([broken, dark, np.zeros_like(dark), np.full_like(dark, 1e9)])
    references = np.broadcast_to(reference, tests.shape)
    for metric in (v2.hdr_vdp2, v3.hdr_vdp3):
        found = compiled(metric)(tests, references).quality
        assert np.all(np.isfinite(found))
        assert found[0] == found[1]
        assert max(found[2:]) < found[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "metric, smallest",
    [(v2.hdr_vdp2, v2.SMALLEST), (v3.hdr_vdp3, v3.SMALLEST)],
)
def test_images_too_small_for_the_pyramid_have_no_score(metric, smallest):
    size = (smallest, smallest)
    image = crop("interior_window", "ref", size)
    assert np.isfinite(compiled(metric)(0.5 * image, image).quality)
    score = compiled(metric)(0.5 * image[1:], image[1:])
    assert all(np.all(np.isnan(field)) for field in score)


@pytest.mark.parametrize("size", [(9, 14), (30, 23), (61, 5)])
def test_bicubic_resizing_equals_pillow_off_the_edges(size):
    image = golden_scenes.version("interior_window", "ref")[:30, :23, 0]
    found = bicubic.resize(jnp.asarray(image), size)
    expected = PIL.Image.fromarray(image.astype(np.float32)).resize(
        size[::-1], PIL.Image.Resampling.BICUBIC
    )
    # Beyond the edges MATLAB mirrors the image, and Pillow uses nothing.
    rows, columns = (
        slice(reach, after - reach)
        for after, reach in zip(size, (5 if size[0] > 30 else 2, 2), strict=True)
    )
    np.testing.assert_allclose(
        found[rows, columns], np.asarray(expected)[rows, columns], rtol=1e-4, atol=0.5
    )
    constant = bicubic.resize(jnp.ones((30, 23)), size)
    np.testing.assert_allclose(constant, np.ones(size), rtol=1e-12)


def test_pyramid_correlates_as_scipy_with_mirrored_edges():
    image = golden_scenes.version("interior_window", "ref")[..., 1]
    build = functools.partial(pyramid.build, filters="sp3", height=1)
    high, first, *_ = quickly(build)(image)

    def correlated(values, name):
        taps = spectra.load_table(f"sp3_{name}")
        return scipy.ndimage.correlate(values, taps, mode="mirror")

    np.testing.assert_allclose(high[0], correlated(image, "hi0filt"), atol=1e-8)
    low = correlated(image, "lo0filt")
    for orientation, band in enumerate(first, start=1):
        expected = correlated(low, f"bfilt_o{orientation}")
        np.testing.assert_allclose(band, expected, atol=1e-8)
