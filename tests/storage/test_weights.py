"""Tests the shipped weights on the shipped photograph."""

import pathlib

import numpy as np
import pytest
import skimage.data

import jaxhdr
from jaxhdr import options

PACKAGE = pathlib.Path(jaxhdr.__file__).parent
PHOTOGRAPH = PACKAGE / "samples" / "rocket.jpg"
NAMES = options.shipped_names()
BRIGHTEST = 8.0  # least radiance that the lamps must reach; white is 1


def srgb_decode(encoded):
    # IEC 61966-2-1.
    power = ((encoded + 0.055) / 1.055) ** 2.4
    return np.where(encoded <= 0.04045, encoded / 12.92, power)


def test_both_systems_ship():
    assert NAMES == ["fhdr", "sparam_lstm"]


@pytest.mark.parametrize("name", NAMES)
def test_weights_have_a_card_and_fit_in_a_package(name):
    assert (PACKAGE / "weights" / f"{name}.md").read_text().startswith(f"# {name}")
    assert (PACKAGE / "weights" / f"{name}.safetensors").stat().st_size < 5e6


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("name", NAMES)
def test_the_lamps_shine_beyond_white_and_the_rest_keeps_its_level(name):
    encoded = jaxhdr.read_encoded(PHOTOGRAPH)[180:, 60:380]  # the lit pad
    hdr = jaxhdr.reconstruct(encoded, model=name)
    assert np.isfinite(hdr).all()
    assert hdr.min() >= 0
    clipped = encoded.max(axis=-1) >= 254 / 255
    assert clipped.sum() > 100
    highlights = hdr.max(axis=-1)[clipped]
    assert np.median(highlights) > 1
    assert highlights.max() > BRIGHTEST
    level = np.median(hdr[~clipped] / np.maximum(srgb_decode(encoded)[~clipped], 1e-3))
    assert 0.67 < level < 1.5


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_grey_photographs_stay_grey(name):
    encoded = jaxhdr.read_encoded(PHOTOGRAPH)[180:308, 60:188]
    grey = np.repeat(encoded.mean(axis=-1, keepdims=True), 3, axis=-1)
    hdr = jaxhdr.reconstruct(grey, model=name)
    stops = np.log2(hdr + 2.0**-12)
    assert np.abs(stops - stops[..., 1:2]).mean() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_noise_in_the_dark_is_smoothed(name):
    noise = np.random.default_rng(0).normal(size=(128, 128, 3))
    encoded = np.round(np.clip(8 + 2 * noise, 0, 255)).astype(np.uint8)
    hdr, linear = jaxhdr.reconstruct(encoded, model=name), srgb_decode(encoded / 255)
    assert hdr.std() / hdr.mean() < 0.5 * linear.std() / linear.mean()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_what_clips_is_at_least_white(name):
    encoded = jaxhdr.read_encoded(PHOTOGRAPH)[180:308, 60:188]
    encoded[20:60, 20:60] = 1.0
    encoded[70:90, 70:90, 0] = 1.0
    hdr = jaxhdr.reconstruct(encoded, model=name)
    assert (hdr[encoded == 1] >= 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_camera_of_a_photograph_is_told_from_another(name):
    """Radiance through a sigmoid of HDRCNN's cameras (Eilertsen et al. 2017)."""
    photograph = skimage.data.astronaut()[::2, ::2] / 255
    radiance = 0.9 * srgb_decode(photograph)
    power = radiance**0.9
    sigmoid = np.round(255 * 1.6 * power / (power + 0.6)).astype(np.uint8)
    errors = []
    for response in ("estimated", "srgb"):
        hdr = jaxhdr.reconstruct(sigmoid, model=name, response=response)
        stops = np.log2(hdr + 2.0**-12) - np.log2(radiance + 2.0**-12)
        errors.append(np.sqrt(((stops - np.median(stops)) ** 2).mean()))
    estimated, as_srgb = errors
    assert estimated < 0.8 * as_srgb
