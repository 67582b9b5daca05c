import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from PIL import Image, ImageCms

from jaxhdr import kernels
from jaxhdr.errors import UserError
from jaxhdr.image_io import read_encoded, write_png
from jaxhdr.imaging import color
from jaxhdr.inference import TILES, Reconstructor, reconstruct, to_encoded
from jaxhdr.models import CameraResponse, Response
from jaxhdr.models.front import Front
from jaxhdr.options import PRIORS
from jaxhdr.storage.pretrained import Pretrained
from tests.random_models import random_pretrained, random_sparam_lstm
from tests.raw_photos import write_dng

PRETRAINED = random_pretrained()
RADIUS = 29  # of one iteration


def photograph(height: int, width: int, *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def box_mean(x):
    """The mean over 5 x 5 pixels with zeros around, as a chain of convolutions."""
    kernel = jnp.full((5, 5, 1, 1), 1 / 25)
    kernel = jnp.tile(kernel, (1, 1, 1, 3))
    dimensions = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=dimensions, feature_group_count=3
    )


class Blur(nn.Module):
    """A cheap model without parameters, whose result shows a wrong halo."""

    receptive_radius: int = 4

    def context(self, encoded):
        return None

    def __call__(self, encoded, context=None):
        once = box_mean(encoded)
        return jnp.stack([once, box_mean(once)])


class Relative(Blur):
    """A blur of the values above the mean of the whole image."""

    def context(self, encoded):
        return {"mean": encoded.mean((1, 2, 3))}

    def __call__(self, encoded, context=None):
        mean = (context or self.context(encoded))["mean"][:, None, None, None]
        return super().__call__(jnp.maximum(encoded - mean, 0.0))


class Gains(Blur):
    """The linearised photograph in three units, one for each stage."""

    receptive_radius: int = 0

    def __call__(self, encoded, context=None):
        linear = color.srgb_decode(encoded)
        return jnp.stack([0.02 * linear, linear, 300 * linear])


BLUR = Pretrained(Blur(), {}, "blur")
RELATIVE = Pretrained(Relative(), {}, "relative")
GAINS = Pretrained(Gains(), {}, "gains", "mean_half")
SPARAM_LSTM = random_sparam_lstm(num_regions=3, loop="rolled")

# For comparisons within rounding errors of float32; the default depends on the CPU.
exact_reconstructor = functools.partial(Reconstructor, precision="float32")


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize("tile", [16, 9, 40])
@pytest.mark.parametrize("shape", [(37, 70), (16, 17), (1, 50), (50, 1), (41, 3)])
@pytest.mark.parametrize("model", [BLUR, RELATIVE], ids=["blur", "relative"])
def test_tiled_equals_whole(shape, tile, model):
    image = photograph(*shape)
    whole = Reconstructor(model, tile=None)
    tiled = Reconstructor(model, tile=tile)
    np.testing.assert_allclose(tiled(image), whole(image), atol=1e-6)
    np.testing.assert_allclose(tiled.stages(image), whole.stages(image), atol=1e-6)


def test_a_halo_one_pixel_short_would_be_seen():
    image = photograph(37, 70)
    short = BLUR._replace(model=Blur(receptive_radius=3))
    difference = Reconstructor(short, tile=16)(image) - Reconstructor(BLUR)(image)
    assert np.abs(difference).max() > 1e-4


@pytest.mark.slow
def test_tiled_fhdr_equals_whole():
    image = photograph(100, 131)
    whole = exact_reconstructor(PRETRAINED, tile=None)(image)
    tiled = exact_reconstructor(PRETRAINED, tile=90)(image)
    assert whole.std() > 0.1
    np.testing.assert_allclose(tiled, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_tiled_sparam_lstm_equals_whole():
    # One side is dark, so a tile would have another curve and other regions.
    image = photograph(50, 130) // np.linspace(1, 9, 130).astype(np.uint8)[:, None]
    whole = exact_reconstructor(SPARAM_LSTM, tile=None).details(image)
    tiled = exact_reconstructor(SPARAM_LSTM, tile=64).details(image)
    mean = whole.stages.mean(axis=(1, 2, 3))
    assert (whole.stages.std(axis=(1, 2, 3)) > 0.5 * mean).all()
    atol = 1e-5 * mean.min()
    np.testing.assert_allclose(tiled.stages, whole.stages, rtol=1e-5, atol=atol)
    np.testing.assert_allclose(tiled.factors, whole.factors, rtol=1e-5)
    part = exact_reconstructor(SPARAM_LSTM, tile=64).stages(image[:, 66:])
    difference = np.abs(part - whole.stages[:, :, 66:]).max(axis=(1, 2, 3))
    assert (difference > 0.1 * mean).all()


@pytest.mark.slow
def test_the_whole_image_at_once_is_what_the_network_gives_by_itself():
    image = photograph(40, 50)
    absolute = SPARAM_LSTM._replace(scale="ldr_white")
    apply = jax.jit(SPARAM_LSTM.model.apply)
    stages = apply({"params": SPARAM_LSTM.params}, to_encoded(image)[None])
    ours = exact_reconstructor(absolute, tile=64).stages(image)
    np.testing.assert_allclose(ours, stages[:, 0], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_tiled_fhdr_of_two_iterations_equals_whole():
    model = random_pretrained(num_iterations=2)
    image = photograph(70, 260)
    whole = exact_reconstructor(model, tile=None).stages(image)
    tiled = exact_reconstructor(model, tile=160).stages(image)
    np.testing.assert_allclose(tiled, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("model", [PRETRAINED, SPARAM_LSTM], ids=["fhdr", "sparam"])
def test_bfloat16_is_near_float32(model):
    encoded = photograph(20, 24)
    exact = exact_reconstructor(model)(encoded)
    near = Reconstructor(model, precision="bfloat16")(encoded)
    assert near.dtype == np.float32
    assert 0 < np.abs(near - exact).max() < 0.05 * exact.max()
    with pytest.raises(UserError, match=r"precision is 'half'; expected one of"):
        Reconstructor(PRETRAINED, precision="half")


@pytest.mark.parametrize("multiplies", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_bfloat16_is_the_default_where_the_cpu_multiplies_it(
    monkeypatch, multiplies, dtype
):
    monkeypatch.setattr(kernels, "supports", lambda dtype: multiplies)
    trained = PRETRAINED._replace(model=PRETRAINED.model.clone(dtype=dtype))
    reconstructor = Reconstructor(trained)
    chosen = "bfloat16" if multiplies else "float32"
    tiled = reconstructor._estimate.tiled
    assert reconstructor.precision == tiled.model.dtype == chosen
    assert tiled.tile == TILES[chosen]
    assert exact_reconstructor(trained).precision == "float32"
    with pytest.raises(UserError, match="tile is 'big'; expected a number"):
        Reconstructor(trained, tile="big")
    assert Reconstructor(BLUR).precision == "float32"  # it has no choice


def random_response():
    image = jnp.zeros((1, 8, 8, 3))
    shapes = jax.eval_shape(Response().init, jax.random.key(0), image)["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.normal(0, 0.1, leaf.shape), shapes)


OF_RADIANCE = SPARAM_LSTM._replace(
    model=SPARAM_LSTM.model.clone(
        sparam=SPARAM_LSTM.model.sparam.clone(curve_of="radiance")
    )
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "plain",
    [PRETRAINED, pytest.param(OF_RADIANCE, marks=pytest.mark.slow)],
    ids=["fhdr", "sparam"],
)
def test_a_known_response_takes_the_place_of_the_estimate(plain):
    params = dict(plain.params)
    if plain is PRETRAINED:
        model = plain.model.clone(front=Front(response="estimated"))
        params["response"] = random_response()
    else:
        sparam = plain.model.sparam.clone(front=Front(response="estimated"))
        model = plain.model.clone(sparam=sparam)
        params["sparam"] = {**params["sparam"], "response": random_response()}
    estimating = plain._replace(model=model, params=params)
    encoded = photograph(20, 24)
    estimated = exact_reconstructor(estimating)
    known = exact_reconstructor(estimating, response="srgb")
    assert (estimated.response, known.response) == ("estimated", "srgb")
    np.testing.assert_array_equal(known(encoded), exact_reconstructor(plain)(encoded))
    assert np.abs(estimated(encoded) - known(encoded)).max() > 0.01
    with pytest.raises(UserError, match=r"response is 'gamma'; expected one of"):
        Reconstructor(PRETRAINED, response="gamma")


@pytest.mark.slow
def test_the_known_response_of_camera_raw_is_used_unless_another_is_chosen(tmp_path):
    pytest.importorskip("rawpy")
    path = tmp_path / "x.dng"
    write_dng(path, np.linspace(0.1, 1.5, 40 * 48 * 3).reshape(40, 48, 3))
    encoded = read_encoded(path)
    model = PRETRAINED.model.clone(front=Front(response="estimated"))
    params = dict(PRETRAINED.params) | {"response": random_response()}
    estimating = PRETRAINED._replace(model=model, params=params)
    auto = exact_reconstructor(estimating)
    srgb = exact_reconstructor(estimating, response="srgb")
    estimated = exact_reconstructor(estimating, response="estimated")
    assert np.abs(estimated(encoded) - srgb(encoded)).max() > 0.01
    np.testing.assert_array_equal(auto(path), srgb(encoded))
    np.testing.assert_array_equal(auto(encoded), estimated(encoded))
    np.testing.assert_array_equal(auto(encoded, origin="raw"), srgb(encoded))
    np.testing.assert_array_equal(estimated(path), estimated(encoded))
    details = auto.details(encoded, origin="raw")
    np.testing.assert_array_equal(details.stages[-1], srgb(encoded))
    assert auto.response == "estimated"
    origins = ("raw", "render", "camera", None)
    responses = ["srgb", "srgb", "estimated", "estimated"]
    assert [auto.response_of(origin) for origin in origins] == responses
    assert {estimated.response_of(origin) for origin in origins} == {"estimated"}


@pytest.mark.slow
def test_what_the_file_says_is_the_prior_unless_a_response_is_chosen(tmp_path):
    model = PRETRAINED.model.clone(front=Front("estimated", "belief"))
    init = jax.jit(  # without optimisation, as it runs once
        CameraResponse().init, compiler_options={"xla_backend_optimization_level": 0}
    )
    start = init(jax.random.key(0), np.zeros((1, 8, 8, 3)))
    slopes = start["params"]["slopes"]
    slopes["bias"] = slopes["bias"] + 0.5  # any other camera is far from sRGB
    params = dict(PRETRAINED.params) | {"camera_response": start["params"]}
    believing = PRETRAINED._replace(model=model, params=params)
    auto, estimated, srgb = (
        exact_reconstructor(believing, response=response)
        for response in ("auto", "estimated", "srgb")
    )
    encoded = photograph(20, 24)
    found = {origin: auto(encoded, origin=origin) for origin in (*PRIORS, None)}
    distances = {
        origin: np.abs(hdr - srgb(encoded)).mean() for origin, hdr in found.items()
    }
    assert distances["render"] < distances[None] < distances["camera"]
    np.testing.assert_array_equal(found[None], estimated(encoded, origin="camera"))
    details = auto.details(encoded, origin="render")
    assert details.probability_of_srgb == pytest.approx(PRIORS["render"], abs=1e-5)
    assert auto.prior_of("camera") == PRIORS["camera"]
    assert (srgb.prior_of("camera"), auto.prior_of("raw")) == (None, None)
    path = tmp_path / "x.jpg"
    exif = Image.Exif()
    exif[0x010F] = "ACME"
    Image.fromarray(np.uint8(encoded * 255)).save(path, exif=exif)
    assert auto.details(path).probability_of_srgb == pytest.approx(0.05, abs=1e-5)


def test_without_onednn_the_default_is_float32(monkeypatch):
    monkeypatch.setenv("JAXHDR_CONV", "xla")
    assert Reconstructor(PRETRAINED).precision == "float32"


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 3), (1, 600), (600, 1), (17, 5)])
@pytest.mark.parametrize("model", [PRETRAINED, SPARAM_LSTM], ids=["fhdr", "sparam"])
def test_every_size_works(shape, model):
    hdr = reconstruct(photograph(*shape), model=model, tile=100)
    assert hdr.shape == (*shape, 3)
    assert hdr.dtype == np.float32
    assert np.isfinite(hdr).all() and hdr.min() >= 0


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("model", [PRETRAINED, SPARAM_LSTM], ids=["fhdr", "sparam"])
def test_one_image_does_not_change_the_next(model):
    first, second = photograph(40, 50, seed=1) // 3, photograph(40, 50, seed=2)
    alone = Reconstructor(model)(second)
    reconstructor = Reconstructor(model)
    assert not np.array_equal(reconstructor(first), alone)
    np.testing.assert_array_equal(reconstructor(second), alone)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [PRETRAINED, pytest.param(SPARAM_LSTM, marks=pytest.mark.slow)],
    ids=["fhdr", "sparam"],
)
def test_a_batch_of_images_gives_what_each_gives_alone(model):
    model = model._replace(scale="ldr_white")
    images = [photograph(20, 30, seed=n) // (n + 1) for n in range(3)]
    batch = jnp.stack([to_encoded(image) for image in images])
    stages = jax.jit(model.model.apply)({"params": model.params}, batch)
    singles = np.stack([exact_reconstructor(model)(image) for image in images])
    np.testing.assert_allclose(stages[-1], singles, rtol=1e-5, atol=1e-5)


def test_the_last_stage_is_the_answer():
    reconstructor = Reconstructor(BLUR)
    image = photograph(12, 9)
    stages = reconstructor.stages(image)
    assert stages.shape == (2, 12, 9, 3)
    np.testing.assert_allclose(stages[-1], reconstructor(image), atol=1e-6)


def test_large_images_of_many_sizes_compile_once():
    shapes, wholes = [], []

    class Traced(Relative):
        def context(self, encoded):
            wholes.append(encoded.shape[1:3])
            return super().context(encoded)

        def __call__(self, encoded, context=None):
            shapes.append(encoded.shape)
            return super().__call__(encoded, context)

    reconstructor = Reconstructor(RELATIVE._replace(model=Traced()), tile=64)
    sizes = [(size, size + 30) for size in (100, 101, 117, 300)]
    wholes.clear()
    for size in [*sizes, *sizes]:
        reconstructor(photograph(*size))
    assert shapes == [(1, 64, 64, 3)]
    assert wholes == sizes


def test_a_model_without_context_is_not_shown_the_whole_image():
    seen = []

    class Traced(Blur):
        def context(self, encoded):
            seen.append(encoded.shape)

    reconstruct(photograph(70, 90), model=BLUR._replace(model=Traced()), tile=32)
    assert max(seen, default=()) < (1, 32, 32, 3)


def test_stages_without_absolute_scale_are_aligned_each_on_its_own():
    image = photograph(30, 40)
    linear = np.asarray(color.srgb_decode(jnp.asarray(to_encoded(image))))
    reconstructor = Reconstructor(GAINS, tile=16)
    details = reconstructor.details(image)
    assert reconstructor.scale == "ldr_white"
    assert "median ratio" in reconstructor.alignment
    assert "mean_half" in reconstructor.alignment
    np.testing.assert_allclose(details.factors, [50, 1, 1 / 300], rtol=1e-4)
    for stage in (*details.stages, *reconstructor.stages(image), reconstructor(image)):
        np.testing.assert_allclose(stage, linear, rtol=1e-4)
    np.testing.assert_array_equal(details.encoded, to_encoded(image))


def test_a_model_of_absolute_scale_is_left_as_it_is():
    image = photograph(30, 40)
    reconstructor = Reconstructor(GAINS._replace(scale="ldr_white"))
    details = reconstructor.details(image)
    assert (reconstructor.scale, reconstructor.alignment) == ("ldr_white", "")
    np.testing.assert_array_equal(details.factors, 1)
    np.testing.assert_allclose(details.stages[2], 300 * details.stages[1], rtol=1e-6)


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("code", [0, 1, 255])
@pytest.mark.parametrize("model", [GAINS, SPARAM_LSTM], ids=["gains", "sparam"])
def test_flat_photographs_give_finite_results(code, model):
    image = np.full((9, 12, 3), code, np.uint8)
    details = Reconstructor(model).details(image)
    assert np.isfinite(details.stages).all() and details.stages.min() >= 0
    assert np.isfinite(details.factors).all() and details.factors.min() > 0


def test_arrays_of_every_type_mean_the_same_photograph(tmp_path):
    codes = photograph(6, 7)
    expected = codes / np.float32(255)
    write_png(tmp_path / "photo.png", expected)
    same = [
        codes,
        codes.astype(np.uint16) * 257,
        (codes.astype(np.uint16) * 257).astype(">u2"),
        expected,
        expected.astype(np.float64),
        jnp.asarray(expected),
        Image.fromarray(codes),
        tmp_path / "photo.png",
        str(tmp_path / "photo.png"),
        codes[::-1, ::-1][::-1, ::-1],
    ]
    for image in same:
        np.testing.assert_allclose(to_encoded(image), expected, atol=1e-7)
    grey = to_encoded(codes[..., 0])
    np.testing.assert_array_equal(grey, np.repeat(expected[..., :1], 3, axis=2))


ZEROS = np.zeros((4, 4, 3), np.float32)
BAD_IMAGES = {
    "alpha": np.zeros((4, 4, 4), np.uint8),
    "batch": np.zeros((1, 4, 4, 3), np.uint8),
    "one axis": np.zeros(4, np.uint8),
    "no pixels": np.zeros((0, 4, 3), np.uint8),
    "signed": np.zeros((4, 4, 3), np.int32),
    "boolean": np.zeros((4, 4, 3), bool),
    "objects": np.full((4, 4, 3), None),
    "complex": np.zeros((4, 4, 3), np.complex64),
    "text": np.full((4, 4, 3), "0"),
    "above 1 by more than rounding": ZEROS + 1.00011,
    "below 0 by more than rounding": ZEROS - 1.1e-4,
    "16 bits, above 1 by more than rounding": (ZEROS + 1.003).astype(np.float16),
    "linear light of a render": ZEROS.astype(np.float16) + np.float16(7),
    "Pillow's floats": Image.new("F", (4, 4)),
    "Pillow's integers": Image.new("I", (4, 4)),
    "Pillow's 16 bits": Image.new("I;16", (4, 4)),
    "Pillow's CIELAB": Image.new("LAB", (4, 4)),
    "Pillow without pixels": Image.new("RGB", (0, 4)),
    "above 1": ZEROS + 1.5,
    "below 0": ZEROS - 0.1,
    "nan": ZEROS + np.nan,
    "infinite": ZEROS + np.inf,
}


@pytest.mark.parametrize("image", BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_arrays_that_are_no_photograph_are_refused(image):
    with pytest.raises(UserError, match=r"expected|no pixels"):
        reconstruct(image, model=BLUR)


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (ZEROS + np.float32(1.0002), r"from 1\.0002 to 1\.0002"),
        (np.array([[0.25, 1.0001001]]), r"from 0\.25 to 1\.0001001"),
        (np.array([[-0.00010001, 1]]), r"from -0\.00010001 to 1"),
        (np.array([[0, 255.0]]), r"from 0 to 255; .* divide 8-bit codes by 255$"),
    ],
)
def test_the_message_shows_what_is_out_of_range(image, found):
    with pytest.raises(UserError, match=found):
        to_encoded(image)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_what_rounding_adds_is_clipped(dtype):
    step = max(5e-5, float(jnp.finfo(dtype).eps))
    given = np.array([[0.25, 1.0 + step], [-5e-5, 0.5]], jnp.dtype(dtype))
    found = to_encoded(given)[..., 0]
    np.testing.assert_array_equal(found, np.float32([[0.25, 1], [0, 0.5]]))
    assert given.max() > 1  # it is not changed in place


def test_an_array_in_range_is_not_copied():
    image = np.full((4, 4, 3), 0.5, np.float32)
    assert np.shares_memory(to_encoded(image), image)


def pillow_images(folder):
    """Pillow images of every mode, opened from files that say how to show them."""
    codes = photograph(6, 7)
    rgb = Image.fromarray(codes)
    exif = Image.Exif()
    exif[0x0112] = 6
    alpha = Image.fromarray(photograph(6, 7, seed=1)[..., 0])
    with_alpha = rgb.copy()
    with_alpha.putalpha(alpha)
    grey_with_alpha = rgb.convert("L")
    grey_with_alpha.putalpha(alpha)
    for name, image, options in (
        ("rgb.png", rgb, {}),
        ("grey.png", rgb.convert("L"), {}),
        ("black-and-white.png", rgb.convert("1"), {}),
        ("palette.png", rgb.quantize(9), {}),
        ("palette.gif", rgb.quantize(9), {"transparency": 3}),
        ("alpha.png", with_alpha, {}),
        ("grey-alpha.png", grey_with_alpha, {}),
        ("turned.jpg", rgb, {"exif": exif}),
        ("turned.png", with_alpha, {"exif": exif}),
        ("turned.tif", rgb, {"exif": exif}),
        ("ink.jpg", rgb.convert("CMYK"), {}),
        ("profile.png", rgb, {"icc_profile": _exchanged_primaries()}),
    ):
        image.save(folder / name, **options)
        yield folder / name


def _exchanged_primaries() -> bytes:
    """An ICC profile whose red is the green of sRGB, and the reverse."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    content = bytearray(srgb.tobytes())
    red, green = content.index(b"rXYZ"), content.index(b"gXYZ")
    content[red : red + 4], content[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(content)


def test_a_pillow_image_is_what_its_file_is(tmp_path):
    for path in pillow_images(tmp_path):
        with Image.open(path) as image:
            found = to_encoded(image)
        np.testing.assert_array_equal(found, read_encoded(path), err_msg=path.name)
    plain = to_encoded(tmp_path / "rgb.png")
    assert np.abs(to_encoded(tmp_path / "profile.png") - plain).max() > 0.1
    palette = to_encoded(Image.open(tmp_path / "palette.png"))
    assert np.abs(palette - plain).mean() < 0.2  # indices would be nearly black


def test_a_damaged_pillow_image_is_one_sentence(tmp_path):
    Image.fromarray(photograph(60, 70)).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) // 2])
    with Image.open(tmp_path / "a.jpg") as image:
        with pytest.raises(UserError, match="the Pillow image: it is damaged or trunc"):
            to_encoded(image)


@pytest.mark.parametrize("tile", [-1, 0, 1, 2 * RADIUS])
def test_a_tile_without_an_inside_is_refused(tile):
    with pytest.raises(UserError, match=f"more than {2 * RADIUS}"):
        Reconstructor(PRETRAINED, tile=tile)


def out_of_memory(*_):
    message = "RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes."
    raise jax.errors.JaxRuntimeError(message)


def test_running_out_of_memory_says_what_to_do(monkeypatch):
    reconstructor = Reconstructor(BLUR)
    monkeypatch.setattr(Blur, "__call__", out_of_memory)
    with pytest.raises(UserError, match=r"11 x 7 pixels.*smaller tile, of more than 8"):
        reconstructor(photograph(7, 11))


def test_running_out_of_memory_over_the_whole_image_asks_for_a_smaller_one(monkeypatch):
    reconstructor = Reconstructor(RELATIVE, tile=9)
    monkeypatch.setattr(Relative, "context", out_of_memory)
    with pytest.raises(UserError, match=r"13 x 7 pixels.*smaller image"):
        reconstructor(photograph(7, 13))


def test_nothing_is_written_to_the_terminal_unasked(capsys):
    reconstruct(photograph(30, 40), model=BLUR, tile=16)
    reconstruct(photograph(30, 40), model=BLUR, tile=16, progress=True)  # no terminal
    assert capsys.readouterr() == ("", "")
