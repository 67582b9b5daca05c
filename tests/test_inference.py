import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from random_models import random_pretrained

from jaxhdr.errors import UserError
from jaxhdr.image_io import write_png
from jaxhdr.inference import Reconstructor, reconstruct, tile_layout, to_encoded
from jaxhdr.pretrained import Pretrained

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
    """A model without parameters, cheap and easy to break by a wrong halo."""

    receptive_radius: int = 4

    def __call__(self, encoded):
        once = box_mean(encoded)
        return jnp.stack([once, box_mean(once)])


BLUR = Pretrained(Blur(), {}, "blur")


@pytest.mark.parametrize("halo", [0, 1, 29, 104])
@pytest.mark.parametrize("extra", [1, 7, 64, 300])
def test_tiles_cover_every_pixel_once_with_halo_or_border_around(halo, extra):
    tile = 2 * halo + extra
    lengths = {
        1,
        tile - 1 or 1,
        tile,
        tile + 1,
        tile + halo + 1,
        2 * tile,
        5 * tile + 3,
    }
    for length in lengths:
        spans = tile_layout(length, tile, halo)
        kept = [i for s in spans for i in range(s.keep_start, s.keep_stop)]
        assert kept == list(range(length))
        assert len({s.stop - s.start for s in spans}) == 1
        for span in spans:
            assert span.stop - span.start <= tile
            assert 0 <= span.start <= span.keep_start < span.keep_stop <= span.stop
            assert span.stop <= length
            assert span.start == 0 or span.keep_start - span.start >= halo
            assert span.stop == length or span.stop - span.keep_stop >= halo


def test_tiles_are_no_larger_than_their_number_needs():
    # Two tiles of 768 would compute 1536 pixels of the 1208 needed.
    spans = tile_layout(1000, 768, 104)
    assert len(spans) == 2
    assert spans[0].stop == 640


def test_the_number_of_tile_shapes_is_bounded():
    sizes = {tile_layout(n, 768, 104)[0].stop for n in range(769, 6000)}
    assert len(sizes) <= 768 // 64


@pytest.mark.parametrize("tile", [16, 9, 40])
@pytest.mark.parametrize("shape", [(37, 70), (16, 17), (1, 50), (50, 1), (41, 3)])
def test_tiled_equals_whole(shape, tile):
    image = photograph(*shape)
    whole = Reconstructor(BLUR, tile=None)
    tiled = Reconstructor(BLUR, tile=tile)
    np.testing.assert_allclose(tiled(image), whole(image), atol=1e-6)
    np.testing.assert_allclose(tiled.stages(image), whole.stages(image), atol=1e-6)


def test_a_halo_one_pixel_short_would_be_seen():
    image = photograph(37, 70)
    short = BLUR._replace(model=Blur(receptive_radius=3))
    difference = Reconstructor(short, tile=16)(image) - Reconstructor(BLUR)(image)
    assert np.abs(difference).max() > 1e-4


def test_tiled_fhdr_equals_whole():
    image = photograph(100, 131)
    whole = reconstruct(image, model=PRETRAINED, tile=None)
    tiled = reconstruct(image, model=PRETRAINED, tile=90)
    assert whole.std() > 0.1
    np.testing.assert_allclose(tiled, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_tiled_fhdr_of_two_iterations_equals_whole():
    model = random_pretrained(num_iterations=2)
    image = photograph(70, 260)
    whole = Reconstructor(model, tile=None).stages(image)
    tiled = Reconstructor(model, tile=160).stages(image)
    np.testing.assert_allclose(tiled, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 3), (1, 600), (600, 1), (17, 5)])
def test_every_size_works(shape):
    hdr = reconstruct(photograph(*shape), model=PRETRAINED, tile=100)
    assert hdr.shape == (*shape, 3)
    assert hdr.dtype == np.float32
    assert np.isfinite(hdr).all() and hdr.min() >= 0


def test_one_image_does_not_change_the_next():
    first, second = photograph(40, 50, seed=1), photograph(40, 50, seed=2)
    alone = Reconstructor(PRETRAINED)(second)
    reconstructor = Reconstructor(PRETRAINED)
    reconstructor(first)
    np.testing.assert_array_equal(reconstructor(second), alone)


def test_a_batch_of_images_gives_what_each_gives_alone():
    images = [photograph(20, 30, seed=n) for n in range(3)]
    batch = jnp.stack([to_encoded(image) for image in images])
    stages = PRETRAINED.model.apply({"params": PRETRAINED.params}, batch)
    singles = np.stack([reconstruct(image, model=PRETRAINED) for image in images])
    np.testing.assert_allclose(stages[-1], singles, rtol=1e-5, atol=1e-5)


def test_the_last_stage_is_the_answer():
    reconstructor = Reconstructor(BLUR)
    image = photograph(12, 9)
    stages = reconstructor.stages(image)
    assert stages.shape == (2, 12, 9, 3)
    np.testing.assert_allclose(stages[-1], reconstructor(image), atol=1e-6)


def test_large_images_of_many_sizes_compile_once():
    shapes = []

    class Traced(Blur):
        def __call__(self, encoded):
            shapes.append(encoded.shape)
            return super().__call__(encoded)

    reconstructor = Reconstructor(BLUR._replace(model=Traced()), tile=64)
    for size in (100, 101, 117, 300):
        reconstructor(photograph(size, size + 30))
    assert shapes == [(1, 64, 64, 3)]


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
    "above 1": ZEROS + 1.5,
    "below 0": ZEROS - 0.1,
    "nan": ZEROS + np.nan,
    "infinite": ZEROS + np.inf,
}


@pytest.mark.parametrize("image", BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_arrays_that_are_no_photograph_are_refused(image):
    with pytest.raises(UserError, match="expected"):
        reconstruct(image, model=BLUR)


@pytest.mark.parametrize("tile", [-1, 0, 1, 2 * RADIUS])
def test_a_tile_without_an_inside_is_refused(tile):
    with pytest.raises(UserError, match=f"more than {2 * RADIUS}"):
        Reconstructor(PRETRAINED, tile=tile)


def test_running_out_of_memory_says_what_to_do():
    class Huge(Blur):
        def __call__(self, encoded):
            message = "RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes."
            raise jax.errors.JaxRuntimeError(message)

    with pytest.raises(UserError, match="smaller tile"):
        reconstruct(photograph(9, 9), model=BLUR._replace(model=Huge()))


def test_nothing_is_written_to_the_terminal_unasked(capsys):
    reconstruct(photograph(30, 40), model=BLUR, tile=16)
    reconstruct(photograph(30, 40), model=BLUR, tile=16, progress=True)  # no terminal
    assert capsys.readouterr() == ("", "")
