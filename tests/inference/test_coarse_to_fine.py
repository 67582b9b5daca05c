import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxhdr.errors import UserError
from jaxhdr.imaging import color
from jaxhdr.inference import Reconstructor
from jaxhdr.inference.coarse_to_fine import copy_size
from jaxhdr.models import create_model
from jaxhdr.storage.pretrained import Pretrained
from tests.random_models import random_pretrained, random_sparam_lstm

FHDR = random_pretrained()
SIZES = [(1, 1), (1, 500), (500, 1), (33, 65), (200, 70)]


class Doubled(nn.Module):
    """Two stages: half and twice the linearised photograph, whatever is around."""

    receptive_radius: int = 8

    def context(self, encoded):
        return None

    def __call__(self, encoded, context=None):
        linear = color.srgb_decode(encoded)
        return jnp.stack([linear / 2, 2 * linear])


class Lamps(Doubled):
    """Eight times white where the copy clips, else the linearised photograph."""

    def __call__(self, encoded, context=None):
        linear = color.srgb_decode(encoded)
        return jnp.where(encoded >= 0.999, 8.0, linear)[None]


DOUBLED = Pretrained(Doubled(), {}, "doubled")
LAMPS = Pretrained(Lamps(), {}, "lamps")


def photograph(*size: int, largest: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(0).random((*size, 3)) * largest).astype(np.float32)


def linear(encoded: np.ndarray) -> np.ndarray:
    return np.asarray(color.srgb_decode(jnp.asarray(encoded)))


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("long_side", [16, 64, "best"])
@pytest.mark.parametrize("model", [FHDR, random_sparam_lstm()], ids=["fhdr", "sparam"])
def test_any_photograph_becomes_finite_radiance_of_its_size(model, long_side, size):
    for image in (photograph(*size), np.zeros((*size, 3)), np.ones((*size, 3))):
        hdr = Reconstructor(model, size=long_side)(image.astype(np.float32))
        assert hdr.shape == image.shape
        assert hdr.dtype == np.float32
        assert np.isfinite(hdr).all() and (hdr >= 0).all()


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("size", [(70, 200), (513, 30), (600, 1030)])
def test_every_pixel_of_every_stage_gets_the_gain(size):
    encoded = photograph(*size, largest=0.9)
    stages = Reconstructor(DOUBLED, size=32).stages(encoded)
    # The gain of the darkest pixels is damped by what is added before logarithms.
    np.testing.assert_allclose(stages[0], linear(encoded) / 2, rtol=0.05, atol=2e-3)
    np.testing.assert_allclose(stages[1], linear(encoded) * 2, rtol=0.05, atol=2e-3)


class Dim(Doubled):
    """The same, in a unit that is ten thousand times as large."""

    def __call__(self, encoded, context=None):
        return super().__call__(encoded) * 1e-4


@pytest.mark.parametrize("size", [32, 300])
def test_a_network_of_another_scale_gives_the_same_radiance(size):
    encoded = photograph(60, 200)
    dim = Pretrained(Dim(), {}, "dim", "max_one")
    bright = Pretrained(Doubled(), {}, "bright", "max_one")
    stages = [Reconstructor(x, size=size).stages(encoded) for x in (dim, bright)]
    np.testing.assert_allclose(*stages, rtol=1e-3, atol=1e-6)


def test_a_photograph_that_is_not_large_is_computed_as_it_is():
    encoded = photograph(40, 50, largest=0.9)
    by_copy = Reconstructor(FHDR, size=50, precision="float32")(encoded)
    in_full = Reconstructor(FHDR, size="full", precision="float32")(encoded)
    np.testing.assert_array_equal(by_copy, in_full)


def test_a_lamp_is_bright_up_to_its_edge_and_the_wall_beside_it_is_untouched():
    encoded = np.full((400, 400, 3), 0.3, np.float32)
    encoded[103:297, 103:297] = 1
    hdr = Reconstructor(LAMPS, size=100)(encoded)
    assert hdr[103:297, 103:297].min() > 6
    wall = np.ones((400, 400), bool)
    wall[103:297, 103:297] = False
    np.testing.assert_allclose(hdr[wall], linear(encoded)[wall], rtol=0.02)


def test_lines_that_the_copy_does_not_see_are_at_least_white():
    model = create_model("fhdr", num_iterations=1, keep_white=True)
    pretrained = FHDR._replace(model=model)
    encoded = np.full((300, 300, 3), 0.2, np.float32)
    encoded[::50] = 1
    encoded[7, 7, 0] = 1
    assert Reconstructor(pretrained, size=30)(encoded)[encoded >= 1].min() >= 1


@pytest.mark.parametrize("square", [1, 3, 16, 50])
def test_a_checkerboard_of_clipped_pixels_keeps_what_is_not_clipped(square):
    rows, columns = np.mgrid[:200, :240] // square
    is_clipped = (rows + columns) % 2 == 0
    encoded = np.where(is_clipped[..., None], 1, [0.3, 0.4, 0.5]).astype(np.float32)
    hdr = Reconstructor(LAMPS, size=60)(encoded)
    np.testing.assert_allclose(
        hdr[~is_clipped], linear(encoded)[~is_clipped], rtol=0.05
    )
    model = create_model("fhdr", num_iterations=1, keep_white=True)
    hdr = Reconstructor(FHDR._replace(model=model), size=60)(encoded)
    assert np.isfinite(hdr).all() and hdr[is_clipped].min() >= 1


@pytest.mark.slow
@pytest.mark.parametrize("size", [(300, 20_000), (20_000, 300)])
def test_a_long_strip_goes_through_the_network(size):
    encoded = photograph(*size, largest=0.5)
    lamp = (slice(100, 200), slice(100, 200))
    encoded[lamp] = 1
    model = create_model("fhdr", num_iterations=1, keep_white=True)
    hdr = Reconstructor(FHDR._replace(model=model))(encoded)
    assert hdr.shape == encoded.shape and np.isfinite(hdr).all()
    assert hdr[lamp].min() >= 1


def test_clipped_pixels_elsewhere_change_nothing_beyond_the_reach_of_the_network():
    encoded = photograph(64, 640, largest=0.9)
    other = encoded.copy()
    other[:, 600:] = 1
    model = Reconstructor(
        FHDR._replace(model=create_model("fhdr", num_iterations=1)),
        size=320,
        precision="float32",
    )
    # 29 pixels of the copy to each side, and those that the interpolation reaches.
    np.testing.assert_allclose(
        model(encoded)[:, :500], model(other)[:, :500], rtol=1e-2
    )


def test_the_array_of_the_caller_is_kept_unless_it_may_be_overwritten():
    encoded = photograph(60, 200)
    before = encoded.copy()
    kept = Reconstructor(DOUBLED, size=50)(encoded)
    np.testing.assert_array_equal(encoded, before)
    overwritten = Reconstructor(DOUBLED, size=50)(encoded, may_overwrite=True)
    np.testing.assert_array_equal(overwritten, kept)
    assert np.shares_memory(overwritten, encoded)


@pytest.mark.slow
def test_overwriting_does_not_disturb_a_front_end_that_sees_neighbours():
    front = {"response": "srgb", "smooth_noise": True}
    model = create_model("fhdr", num_iterations=1, front=front)
    reconstruct = Reconstructor(FHDR._replace(model=model), size=64)
    encoded = photograph(1200, 40, largest=0.2)
    kept = reconstruct(encoded)
    np.testing.assert_array_equal(reconstruct(encoded, may_overwrite=True), kept)


@pytest.mark.parametrize(
    ("size", "copy"),
    [
        ((3000, 4000), (480, 640)),
        ((4000, 2667), (640, 416)),
        ((640, 427), (640, 427)),
        ((2160, 3840), (352, 640)),
        ((1, 5000), (1, 5000)),
        ((300, 20000), (39, 2613)),
        ((1, 1), (1, 1)),
    ],
)
def test_copies_have_few_shapes_and_nearly_square_pixels(size, copy):
    assert copy_size(*size, 640) == copy


@pytest.mark.parametrize("size", ["half", 0, 15, -640, 10**6, True])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(UserError, match=r"size is .*; expected auto, full, best, or a"):
        Reconstructor(FHDR, size=size)


def test_fewer_iterations_give_fewer_stages_and_other_models_have_none():
    image = photograph(8, 8)
    assert len(Reconstructor(FHDR, iterations=3).stages(image)) == 3
    with pytest.raises(UserError, match="iterations is 2, but doubled has none"):
        Reconstructor(DOUBLED, iterations=2)
    with pytest.raises(UserError, match=r"^iterations is 0"):
        Reconstructor(FHDR, iterations=0)
