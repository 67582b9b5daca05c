import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr.errors import UserError
from jaxhdr.imaging import camera, color, jpeg

# Without noise and compression, only the exposure and the response are random.
CLEAN = camera.Camera(
    clipped_fraction=(0.02, 0.3), read_noise=0.0, shot_noise=0.0, jpeg_share=0.0
)
COARSE = dataclasses.replace(CLEAN, jpeg_share=1.0, jpeg_quality=(20.0, 20.0))
ANY = camera.Camera(clipped_fraction=(0.0, 0.5))
FAMILIES = {
    "srgb": (1.0, 0.0, 0.0),
    "sigmoid": (0.0, 1.0, 0.0),
    "gamma": (0.0, 0.0, 1.0),
}
SIDE = 32
BATCH = 6


def scene(seed=0, side=SIDE):
    """Radiance over twelve stops with a bright corner, in an arbitrary unit."""
    random = np.random.default_rng(seed)
    hdr = 7.0 * 2 ** random.normal(0, 2, (side, side, 3))
    hdr[:5, :5] *= 300
    return hdr.astype(np.float32)


def flat(value):
    return np.full((SIDE, SIDE, 3), value, np.float32)


def one_bright_pixel():
    hdr = flat(0.0)
    hdr[3, 4] = 1e6
    return hdr


HOSTILE = {
    "black": flat(0.0),
    "grey": flat(0.3),
    "dim": flat(1e-30),
    "bright": flat(1e30),
    "one bright pixel": one_bright_pixel(),
    "huge range": np.geomspace(1e-30, 1e8, SIDE * SIDE * 3, dtype=np.float32).reshape(
        SIDE, SIDE, 3
    ),
}


@functools.partial(jax.jit, static_argnames="virtual_camera")
def simulate(key, hdr, levels, virtual_camera):
    return camera.simulate(key, hdr, levels, camera=virtual_camera)


def photographs(key, hdr, virtual_camera, levels=None):
    """Pairs of a whole batch; all have one shape, so that each camera compiles once."""
    if levels is None:
        levels = np.stack([camera.clipping_levels(image) for image in hdr])
    return camera.Pair(*map(np.asarray, simulate(key, hdr, levels, virtual_camera)))


def test_the_same_key_takes_the_same_photographs_and_another_key_others(key):
    hdr = np.stack([scene()] * BATCH)
    first = photographs(key, hdr, ANY).encoded
    again = photographs(key, hdr, ANY).encoded
    other = photographs(jax.random.key(1), hdr, ANY).encoded
    np.testing.assert_array_equal(first, again)
    assert (np.abs(first - other).mean(axis=(1, 2, 3)) > 1e-3).all()


def test_each_image_of_a_batch_is_taken_by_its_own_camera(key):
    encoded = photographs(key, np.stack([scene()] * BATCH), ANY).encoded
    for a, b in itertools.combinations(encoded, 2):
        assert np.abs(a - b).mean() > 1e-3


def test_photographs_lie_on_the_8_bit_grid_in_the_unit_interval(key):
    encoded = photographs(key, np.stack([scene()] * BATCH), ANY).encoded
    assert encoded.min() >= 0
    assert encoded.max() <= 1
    np.testing.assert_allclose(encoded * 255, np.round(encoded * 255), atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_hostile_images_give_finite_pairs(seed):
    hostile = np.stack(list(HOSTILE.values()))
    encoded, hdr = photographs(jax.random.key(seed), hostile, ANY)
    assert np.isfinite(encoded).all()
    assert np.isfinite(hdr).all()
    assert (hdr >= 0).all()
    assert encoded.min() >= 0
    assert encoded.max() <= 1


@pytest.mark.parametrize("seed", range(3))
def test_radiance_at_or_above_one_clips_and_no_other_does(seed):
    scenes = np.stack([scene(i) for i in range(BATCH)])
    encoded, hdr = photographs(jax.random.key(seed), scenes, CLEAN)
    assert (encoded[hdr >= 1] == 1).all()
    # The flattest response, a gamma of 2.4, is more than a code under white at 0.98.
    assert (encoded[hdr < 0.98] < 1).all()


def test_the_shares_of_clipped_pixels_fill_their_range():
    scenes = np.stack([scene()] * BATCH)
    shares = []
    for seed in range(8):
        hdr = photographs(jax.random.key(seed), scenes, CLEAN).hdr
        shares.extend((hdr.max(axis=-1) > 1).mean(axis=(1, 2)))
    assert 0.015 < min(shares) < 0.06
    assert 0.26 < max(shares) < 0.305


@pytest.mark.slow
def test_a_share_of_the_images_is_exposed_so_that_nothing_clips():
    scenes = np.stack([scene()] * BATCH)
    mixed = dataclasses.replace(CLEAN, unclipped_share=0.5)
    clips = [
        (photographs(jax.random.key(seed), scenes, mixed).hdr > 1.01).any(
            axis=(1, 2, 3)
        )
        for seed in range(8)
    ]
    assert 0.25 < np.mean(clips) < 0.75
    every = dataclasses.replace(CLEAN, unclipped_share=1.0)
    brightest = photographs(jax.random.key(0), scenes, every).hdr.max(axis=(1, 2, 3))
    np.testing.assert_allclose(brightest, 1, rtol=1e-5)


def test_a_black_image_stays_black(key):
    encoded, hdr = photographs(key, np.stack([flat(0.0)] * BATCH), CLEAN)
    assert (encoded == 0).all()
    assert (hdr == 0).all()


@pytest.mark.parametrize("brightest", [0.0, 1e-45, 1e-38, 2e-38, 1e-36])
def test_the_white_of_a_nearly_black_image_is_a_number_to_divide_by(brightest):
    levels = jnp.full(len(camera.CLIPPED_FRACTIONS), brightest, jnp.float32)
    white = jax.jit(jax.vmap(camera.white_level, (None, 0)))
    white = white(levels, jnp.linspace(0.0, 0.5, 7))
    assert (white > jnp.finfo(jnp.float32).tiny).all()
    assert jnp.isfinite(1 / white).all()


def test_patches_are_exposed_as_the_image_they_were_cut_from(key):
    image = scene(side=2 * SIDE)
    levels = np.stack([camera.clipping_levels(image)] * BATCH)
    left = np.stack([image[:SIDE, :SIDE]] * BATCH)
    right = np.stack([image[:SIDE, 10 : SIDE + 10]] * BATCH)
    of_left = photographs(key, left, CLEAN, levels)
    of_right = photographs(key, right, CLEAN, levels)
    for a, b in zip(of_left, of_right, strict=True):
        np.testing.assert_array_equal(a[:, :, 10:], b[:, :, :-10])


def test_the_unit_of_the_radiance_does_not_matter(key):
    hdr = np.stack([scene()] * BATCH)
    nits = photographs(key, hdr, CLEAN)
    kilonits = photographs(key, hdr / 1000, CLEAN)
    np.testing.assert_allclose(kilonits.hdr, nits.hdr, rtol=1e-5)
    assert np.abs(kilonits.encoded - nits.encoded).max() <= 1.01 / 255


@pytest.mark.slow
def test_a_cast_colours_photograph_and_radiance_alike(key):
    hdr = np.stack([scene()] * BATCH)
    srgb = dataclasses.replace(CLEAN, curve_shares=FAMILIES["srgb"])
    plain = photographs(key, hdr, srgb)
    cast = photographs(key, hdr, dataclasses.replace(srgb, color_cast=0.5))
    gains = np.log2(cast.hdr / plain.hdr)
    lit = plain.hdr > 1e-3
    for image, counted in zip(gains, lit, strict=True):
        channels = [image[..., c][counted[..., c]] for c in range(3)]
        assert max(np.ptp(channel) for channel in channels) < 1e-3  # one gain each
        found = np.array([np.median(channel) for channel in channels])
        assert found.max() == pytest.approx(0.0, abs=1e-4)  # nothing more clips
        assert found.min() < -0.01
        assert found.min() > -2.0  # two deviations to each side
    # The photograph is of the coloured scene.
    linear = np.asarray(color.srgb_decode(jnp.asarray(cast.encoded)))
    visible = (cast.hdr > 0.01) & (cast.hdr < 0.95)
    ratio = linear[visible] / cast.hdr[visible]
    assert np.median(np.abs(np.log2(ratio))) < 0.05


@pytest.mark.slow
def test_compression_follows_the_response_and_leaves_the_radiance_alone(key):
    hdr = np.stack([scene()] * BATCH)
    plain = photographs(key, hdr, CLEAN)
    compressed = photographs(key, hdr, COARSE)
    np.testing.assert_array_equal(compressed.hdr, plain.hdr)
    expected = jpeg.degrade(jnp.asarray(plain.encoded[0]), 20.0)
    np.testing.assert_allclose(compressed.encoded[0], expected, atol=0.51 / 255)
    assert np.abs(compressed.encoded - plain.encoded).mean() > 0.01


def test_white_level_hits_the_recorded_levels_and_falls_between_them():
    levels = jnp.asarray(camera.clipping_levels(scene()))
    white_level = jax.jit(jax.vmap(camera.white_level, (None, 0)))
    recorded = white_level(levels, jnp.array(camera.CLIPPED_FRACTIONS))
    np.testing.assert_allclose(recorded, levels, rtol=1e-5)
    between = white_level(levels, jnp.linspace(0.0, 0.5, 201))
    assert (jnp.diff(between) <= 0).all()


@pytest.mark.parametrize("fraction", [0.0, 0.007, 0.05, 0.12, 0.4])
def test_the_fraction_of_pixels_above_the_white_level_is_the_one_asked_for(fraction):
    hdr = scene(side=100)
    levels = jnp.asarray(camera.clipping_levels(hdr))
    white = camera.white_level(levels, jnp.float32(fraction))
    # Between recorded fractions the level is interpolated, hence the tolerance.
    share = (hdr.max(axis=-1) > white * (1 + 1e-5)).mean()
    assert share == pytest.approx(fraction, abs=0.01)


def test_clipping_levels_are_exceeded_by_their_fractions_of_pixels():
    hdr = scene(side=100)
    levels = camera.clipping_levels(hdr)
    brightest = hdr.max(axis=-1)
    for fraction, level in zip(camera.CLIPPED_FRACTIONS, levels, strict=True):
        assert (brightest > level).mean() == pytest.approx(fraction, abs=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_response_rises_from_zero_to_one(family):
    ramp = jnp.repeat(jnp.linspace(0, 1, 1025)[:, None, None], 3, axis=-1)
    one = camera.Camera(curve_shares=FAMILIES[family])
    respond = jax.vmap(lambda key: camera.respond(key, ramp, camera=one))
    responses = jax.jit(respond)(jax.random.split(jax.random.key(2), 16))
    assert (responses[:, 0] == 0).all()
    np.testing.assert_allclose(responses[:, -1], 1, atol=1e-6)
    assert (jnp.diff(responses, axis=1) > 0).all()


def test_the_srgb_response_is_srgb(key):
    x = jnp.linspace(0, 1, 27).reshape(3, 3, 3)
    only = camera.Camera(curve_shares=FAMILIES["srgb"])
    response = camera.respond(key, x, camera=only)
    np.testing.assert_allclose(response, color.srgb_encode(x), rtol=1e-6)


def test_the_mean_sigmoid_is_that_of_hdrcnn(key):
    # Eilertsen et al. (2017), section 5.1: f(x) = (1 + s) x^n / (x^n + s) with the
    # means n = 0.9 and s = 0.6; at x = 0.18 in double precision.
    only = camera.Camera(
        curve_shares=FAMILIES["sigmoid"],
        sigmoid_exponent=(0.9, 0.0),
        sigmoid_offset=(0.6, 0.0),
    )
    response = camera.respond(key, jnp.full((1, 1, 3), 0.18), camera=only)
    expected = 1.6 * 0.18**0.9 / (0.18**0.9 + 0.6)
    np.testing.assert_allclose(response, expected, rtol=1e-5)


def test_measured_curves_take_the_place_of_the_sigmoids(key):
    curves = jnp.linspace(0, 1, 1001)[None] ** 2
    only = camera.Camera(curve_shares=FAMILIES["sigmoid"])
    x = jnp.full((1, 1, 3), 0.3)
    response = camera.respond(key, x, camera=only, curves=curves)
    np.testing.assert_allclose(response, 0.09, rtol=1e-3)


def test_noise_has_the_stated_strength_and_no_bias():
    hdr = jnp.full((SIDE, SIDE, 3), 0.25)
    only_shot = camera.Camera(read_noise=0.0, shot_noise=0.01)
    add_noise = jax.vmap(lambda key: camera.add_noise(key, hdr, camera=only_shot))
    noisy = jax.jit(add_noise)(jax.random.split(jax.random.key(3), 32))
    deviations = noisy.std(axis=(1, 2, 3))
    # At a quarter of white, shot noise is half of what it is at white.
    assert deviations.max() < 0.005 * 1.05
    assert deviations.max() > 0.0035
    assert deviations.min() < 0.0015
    assert abs(noisy.mean() - 0.25) < 1e-4


def test_a_pixel_is_clipped_if_any_channel_is_within_a_code_of_white():
    codes = jnp.array([[[255, 0, 0], [254, 9, 9], [253, 253, 253]]]) / 255
    assert camera.is_clipped(codes)[0, :, 0].tolist() == [True, True, False]


def write_curves(path, *curves):
    text = ""
    for radiance, response in curves:
        text += "name\ngraphs\nI =\n" + " ".join(map(str, radiance))
        text += "\nB =\n" + " ".join(map(str, response)) + "\n"
    path.write_text(text)
    return str(path)


def test_measured_curves_are_resampled_at_equal_steps(tmp_path):
    square = np.linspace(0, 1, 200)
    path = write_curves(
        tmp_path / "dorf.txt", (square, square**2), ([0.0, 0.25, 1.0], [0.0, 0.5, 1.0])
    )
    curves = camera.read_curves(path, samples=5)
    assert curves.dtype == np.float32
    expected = [[0, 1 / 16, 1 / 4, 9 / 16, 1], [0, 0.5, 2 / 3, 5 / 6, 1]]
    np.testing.assert_allclose(curves, expected, atol=1e-4)


WRONG_CURVES = {
    "empty": "",
    "cut after I": "I =\n",
    "no response": "name\ntype\nI =\n0 1\n",
    "unequal": "name\ntype\nI =\n0 0.5 1\nB =\n0 1\n",
    "cut after B": "name\ntype\nI =\n0 0.5 1\nB =",
    "word": "name\ntype\nI =\n0 one\nB =\n0 1\n",
    "radiance twice": "name\ntype\nI =\n0 1\nI =\n0 1\n",
    "nan": "name\ntype\nI =\n0 nan\nB =\n0 1\n",
    "8-bit codes": "name\ntype\nI =\n0 1\nB =\n0 255\n",
    "falling radiance": "name\ntype\nI =\n1 0\nB =\n0 1\n",
    "second curve cut": "a\nb\nI =\n0 1\nB =\n0 1\nc\nd\nI =\n0 1\n",
}


@pytest.mark.parametrize("text", WRONG_CURVES.values(), ids=WRONG_CURVES)
def test_a_file_that_is_no_table_of_curves_is_refused(text, tmp_path):
    path = tmp_path / "curves.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=r"curves\.txt holds no response curves"):
        camera.read_curves(str(path))


def test_a_missing_curves_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.txt"):
        camera.read_curves(str(tmp_path / "nowhere.txt"))
    with pytest.raises(UserError, match="cannot read"):
        camera.read_curves(str(tmp_path))


def test_lists_of_a_stored_config_become_ranges():
    made = camera.create_camera(clipped_fraction=[0.0, 0.1], read_noise=0.01)
    assert made == camera.Camera(clipped_fraction=(0.0, 0.1), read_noise=0.01)
    hash(made)


def test_an_unknown_camera_option_is_named_with_those_that_exist():
    with pytest.raises(UserError, match=r"'iso'.*read_noise"):
        camera.create_camera(iso=100)
