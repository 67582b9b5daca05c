"""Compares classical operators with their formulas, rewritten for tiny images."""

import numpy as np
import pytest

import jaxhdr
from jaxhdr import image_io
from jaxhdr.cli.main import main
from jaxhdr.imaging import expansion
from tests import golden_scenes
from tests.imaging.test_tone_mapping import brute_force

CODES = np.linspace(0, 1, 8).reshape(2, 4)


def decode(code):
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def radiance(name, encoded):
    operator = expansion.OPERATORS[name]
    return expansion.expand(np.asarray(encoded, np.float32), operator=operator)


def grey(values):
    return np.repeat(np.asarray(values)[..., None], 3, axis=2)


@pytest.mark.parametrize(
    "name, formula",
    [
        ("aky", lambda x: (x - x.min()) / (x.max() - x.min())),
        ("kuo", lambda x: x / (30 * (1 - x) + x)),
        (
            "landis",
            lambda x: np.where(
                x > 0.5, x + (10 - x) * ((x - 0.5) / (x.max() - 0.5)) ** 2, x
            ),
        ),
    ],
)
def test_operators_of_single_pixels_follow_their_formulas(name, formula):
    code = 0.2 + 0.8 * CODES
    expected = grey(formula(decode(code)))
    np.testing.assert_allclose(radiance(name, grey(code)), expected, rtol=1e-4)


def scene():
    """A photograph with a clipped window, and an edge through it."""
    rows, columns = np.mgrid[:40, :48]
    luminance = 0.1 + 0.3 * (columns > 24) + 0.02 * np.sin(rows / 3)
    luminance = np.where((rows - 20) ** 2 + (columns - 34) ** 2 < 40, 1.0, luminance)
    return luminance


def test_kovaleski_boosts_by_the_bilateral_mean_of_what_is_clipped():
    luminance = scene()
    found = expansion.kovaleski(luminance, luminance, sigma_space=12.0)
    near = brute_force(
        (luminance > 0.99).astype(float), luminance, 12.0, decode(25 / 255)
    )
    expected = (luminance * (1200 - 0.3) + 0.3) * (3 * near + 1) / 4
    assert np.mean(np.abs(found / expected - 1)) < 0.02
    # The window is boosted four times as much as distant pixels.
    assert found[20, 34] / found[20, 2] == pytest.approx(4 * 1200 / 120, rel=0.25)


def test_rempel_glows_up_to_the_edge():
    luminance = scene()
    found = expansion.rempel(luminance, luminance, sigma=8.0)
    boost = found / ((luminance + 1 / 256) * (1200 - 0.3))
    assert boost.max() == pytest.approx(4, abs=1e-3)
    assert boost[20, 34] > 3.5
    assert boost[20, 10] == pytest.approx(1, abs=1e-3)  # behind the edge


def test_banterle_expands_where_the_lights_are():
    luminance = scene()
    found = expansion.banterle(luminance, luminance, sigma=4.0, splits=6)
    white = luminance == 1
    inverse = 0.5 * 3000 * 3000 * np.sqrt(4 / 3000**2)  # equation 5 at white
    assert inverse == pytest.approx(3000)
    assert 0.5 * inverse < found[white].max() <= inverse * (1 + 1e-6)
    np.testing.assert_allclose(found[:, :8], luminance[:, :8], rtol=0.2)


def test_the_median_cut_keeps_the_energy():
    energy = np.random.default_rng(0).uniform(size=(33, 21)) ** 4
    lights = expansion._median_cut(energy, 5)
    assert lights.sum() == pytest.approx(energy.sum())
    assert np.count_nonzero(lights) == 32
    assert lights.max() < 3 * energy.sum() / 32


def test_masia_raises_to_the_gamma_of_the_regression():
    luminance = 0.05 + 0.9 * np.linspace(0, 1, 64 * 64).reshape(64, 64) ** 3
    logs = np.log(luminance)
    low, high = np.percentile(logs, (1, 99))
    key = (logs.mean() - low) / (high - low)
    clipped = 100 * np.mean(luminance > decode(254 / 255))
    gamma = 2.4379 + 0.2319 * logs.mean() - 1.1228 * key + 0.0085 * clipped
    assert gamma > 1
    found = expansion.masia(luminance, luminance)
    np.testing.assert_allclose(found, luminance**gamma, rtol=0.05)


@pytest.mark.slow
def test_huo_adapts_to_surround_and_mean():
    luminance = np.full((40, 40), 0.5)
    found = expansion.huo(luminance, luminance)
    expected = (2 * (3000 * 0.5) ** 0.86) ** (1 / 0.86)  # surround and mean are equal
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("name", expansion.OPERATORS)
def test_every_operator_is_a_model_and_takes_hostile_photographs(name):
    truth = golden_scenes.version("interior_window", "ref") / 400
    encoded = np.clip(truth, 0, 1).astype(np.float32) ** (1 / 2.2)
    hdr = jaxhdr.reconstruct(encoded, model=name)
    assert hdr.shape == encoded.shape and hdr.dtype == np.float32
    assert np.isfinite(hdr).all() and hdr.min() >= 0
    # In the photograph's own scale: the median pixel stays, clipped ones do not darken.
    linear = decode(encoded)
    unclipped = encoded.max(axis=-1) < 0.99
    ratio = hdr[unclipped].sum(axis=-1) / linear[unclipped].sum(axis=-1)
    assert np.median(ratio) == pytest.approx(1, rel=0.05)
    for hostile in (0 * encoded, 0 * encoded + 1, encoded[:1, :1], 0 * encoded + 0.3):
        assert np.isfinite(jaxhdr.reconstruct(hostile, model=name)).all()


def test_the_command_takes_an_operator(tmp_path):
    photograph, target = tmp_path / "photo.png", tmp_path / "photo.exr"
    image_io.write_png(photograph, grey(CODES).astype(np.float32))
    arguments = [str(photograph), "-o", str(target), "--model", "kuo", "--no-preview"]
    assert main(arguments) == 0
    header = image_io.read_metadata(target)
    assert header["model"] == "kuo, Kuo et al. (2012)"
    assert "own scale is display" in header["alignment"]
