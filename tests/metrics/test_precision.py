import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr import metrics
from jaxhdr.errors import UserError
from tests import golden_scenes

# A scene whose codes and squares leave the range or the precision of float16.
REFERENCE = golden_scenes.version("interior_window", "ref").astype(np.float16)
TEST = golden_scenes.version("interior_window", "noise").astype(np.float16)
OPTIONS = {
    "hdr_vdp2": {"pixels_per_degree": 30.0},
    "hdr_vdp3": {"pixels_per_degree": 30.0},
    "multi_scale_ssim": {"peak": 300.0},
    "psnr": {"peak": 300.0},
    "structural_similarity": {"peak": 300.0},
}
SLOW = ("hdr_vdp2", "hdr_vdp3", "tone_mapped_psnr", "tone_mapped_ssim")
OF_PAIRS = [
    name
    for name in metrics.__all__
    if callable(getattr(metrics, name))
    and name[0].islower()
    and name not in ("color_video_vdp", "compare", "pu21_code", "pu21_lpips", "select")
]
FUNCTIONS = [
    pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
    for name in OF_PAIRS
]


def score(name, test, reference):
    return getattr(metrics, name)(test, reference, **OPTIONS.get(name, {}))


def test_the_list_of_functions_is_complete():
    assert len(OF_PAIRS) == 19 and set(SLOW) | OPTIONS.keys() <= set(OF_PAIRS)


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_gives_the_numbers_of_float32(name, dtype):
    images = [jnp.asarray(image, dtype) for image in (TEST, REFERENCE)]
    found = score(name, *images)
    expected = score(name, *(image.astype(jnp.float32) for image in images))
    scores = zip(*map(jax.tree.leaves, (found, expected)), strict=True)
    for ours, theirs in scores:
        assert ours.dtype == jnp.float32
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", OF_PAIRS)
@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool", "complex64"])
def test_what_holds_no_floats_is_refused_by_every_function(name, dtype):
    real = np.ones((4, 4, 3), np.float32)
    with pytest.raises(UserError, match=f"`test` holds {dtype}; expected floating"):
        score(name, real.astype(dtype), real)
    with pytest.raises(UserError, match=f"`reference` holds {dtype}; expected"):
        score(name, real, real.astype(dtype))


@pytest.mark.parametrize("name", metrics.METRICS)
def test_every_metric_of_a_report_refuses_integers(name):
    real = np.ones((4, 4, 3), np.float32)
    with pytest.raises(UserError, match="`test` holds uint8"):
        metrics.METRICS[name].score(real.astype(np.uint8), real)


def test_light_of_a_display_and_its_code_are_not_rounded_to_half_precision():
    radiance = jnp.linspace(0, 40, 999).astype(jnp.float16)
    exact = radiance.astype(jnp.float32)
    light = metrics.Display().emitted(radiance)
    np.testing.assert_array_equal(light, metrics.Display().emitted(exact))
    code = metrics.pu21_code(exact)
    np.testing.assert_array_equal(metrics.pu21_code(radiance), code)
    for function in (metrics.Display().emitted, metrics.pu21_code):
        with pytest.raises(UserError, match="holds int32"):
            function(jnp.arange(4))


def test_comparing_half_precision_is_comparing_float32():
    names = ("pu21_psnr", "delta_e_itp", "psnr_mu")
    found = metrics.compare(TEST, REFERENCE, names=names)
    exact = (image.astype(np.float32) for image in (TEST, REFERENCE))
    assert found == metrics.compare(*exact, names=names)
    assert math.isfinite(found["pu21_psnr"])


@pytest.mark.parametrize("spoilt", ["test", "reference", "encoded"])
def test_comparing_integers_is_refused(spoilt):
    images = dict.fromkeys(
        ("test", "reference", "encoded"), np.ones((4, 4, 3), np.float32)
    )
    images[spoilt] = np.ones((4, 4, 3), np.uint8)
    with pytest.raises(UserError, match=rf"`{spoilt}` holds uint8; .* by 255"):
        metrics.compare(**images)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0])
@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("hdr_vdp2", "pixels_per_degree"),
        ("hdr_vdp2", "surround"),
        ("hdr_vdp3", "pixels_per_degree"),
        ("log2_rmse", "floor"),
        ("mu_law_psnr", "mu"),
        ("mu_law_ssim", "mu"),
        ("multi_scale_ssim", "peak"),
        ("psnr", "peak"),
        ("structural_similarity", "peak"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(name, option, value):
    image = jnp.ones((32, 32, 3))
    options = OPTIONS.get(name, {}) | {option: value}
    with pytest.raises(UserError, match=f"{option} is {value}; expected a finite"):
        getattr(metrics, name)(image, image, **options)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, -1.0])
@pytest.mark.parametrize("field", ["white", "peak", "black", "pixels_per_degree"])
def test_a_display_of_no_number_is_refused(field, value):
    with pytest.raises(UserError, match=f"{field} is {value}; expected a finite"):
        metrics.Display(**{field: value})
