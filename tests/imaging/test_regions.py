import itertools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr.errors import UserError
from jaxhdr.imaging import color, regions

OPTIONS = list(itertools.product(regions.TIES, regions.CLOSED))
RNG = np.random.default_rng(3)
SHAPE = (12, 10, 3)
IMAGES = {
    "random": RNG.integers(0, 256, SHAPE),
    "few codes": RNG.choice([0, 3, 4, 128, 255], SHAPE),
    "mostly clipped": np.where(RNG.random(SHAPE) < 0.7, 255, 17),
    "constant": np.full(SHAPE, 90),
    "two-valued": np.where(np.indices(SHAPE).sum(axis=0) % 2, [255, 1, 10], 0),
    "all clipped": np.full(SHAPE, 255),
    "all black": np.zeros(SHAPE, int),
    "each code once": np.arange(120).reshape(12, 10, 1) * np.array([1, 2, 2]),
}
RANDOM = IMAGES["random"]
CODES = {
    "images": np.stack(list(IMAGES.values())),
    "one pixel": np.array([[[0, 7, 255]]]),
    "one row": RNG.integers(0, 256, (1, 40, 1)),
}


def encoded_of(codes):
    return jnp.asarray(codes / 255, jnp.float32)


def index_of(values, **options):
    return regions.region_index(values, regions.histogram_edges(values, **options))


def region_by_definition(share: Fraction, count: int, closed: str) -> int:
    """Eq. 1, in fractions; shares outside all half-open intervals join the nearest."""
    for n in range(1, count + 1):
        low, high = 1 - Fraction(n, count), 1 - Fraction(n - 1, count)
        if low < share <= high if closed == "upper" else low <= share < high:
            return n - 1
    return 0 if share == 1 else count - 1


def reference_index(codes, num_regions=5, ties="brighter", closed="upper"):
    if codes.ndim > 3:
        return np.stack([reference_index(x, num_regions, ties, closed) for x in codes])
    index = np.zeros_like(codes)
    for channel in range(codes.shape[-1]):
        plane = codes[..., channel]
        for code in np.unique(plane):
            below, upto = int((plane < code).sum()), int((plane <= code).sum())
            count = {"brighter": upto, "darker": below}.get(
                ties, Fraction(below + upto, 2)
            )
            region = region_by_definition(
                Fraction(count) / plane.size, num_regions, closed
            )
            index[..., channel][plane == code] = region
    return index


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("name", CODES)
def test_regions_are_those_of_the_definition_in_exact_fractions(name):
    codes = CODES[name]
    for ties, closed in OPTIONS:
        options = {"num_regions": 5, "ties": ties, "closed": closed}
        index = index_of(encoded_of(codes), **options)
        np.testing.assert_array_equal(index, reference_index(codes, **options))


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("num_regions", range(1, 10))
def test_maps_sum_to_the_image_and_hold_equal_shares_up_to_the_largest_tie(
    num_regions,
):
    codes = CODES["images"]
    encoded = encoded_of(codes)
    largest_tie = np.array(
        [[np.bincount(x[..., c].ravel()).max() for c in range(3)] for x in codes]
    )
    for ties, closed in OPTIONS:
        options = {"num_regions": num_regions, "ties": ties, "closed": closed}
        edges = regions.histogram_edges(encoded, **options)
        maps = np.asarray(regions.region_maps(encoded, edges))
        assert maps.shape == (num_regions, *encoded.shape)
        np.testing.assert_array_equal(maps.sum(axis=0), encoded)
        index = np.asarray(regions.region_index(encoded, edges))
        assert index.min() >= 0
        assert index.max() < num_regions
        for n in range(num_regions):
            held = (index == n).sum(axis=(1, 2))
            assert (np.abs(held - 120 / num_regions) <= largest_tie).all()
            np.testing.assert_array_equal(maps[n] > 0, (index == n) & (codes > 0))
        if (ties, closed) == OPTIONS[0]:
            np.testing.assert_array_equal(index, reference_index(codes, num_regions))


@pytest.mark.parametrize(
    ("ties", "region"), [("brighter", 0), ("darker", 4), ("middle", 2)]
)
def test_ties_say_where_a_constant_image_goes(ties, region):
    assert (index_of(jnp.full(SHAPE, 0.5), ties=ties) == region).all()


def test_clipped_pixels_are_in_the_brightest_region_whatever_their_number():
    for clipped in (1, 30, 99):
        codes = np.r_[np.full(clipped, 255), np.arange(100 - clipped)]
        index = index_of(encoded_of(codes.reshape(10, 10, 1)))
        assert (index.reshape(-1)[:clipped] == 0).all()


def test_closed_says_which_region_holds_a_share_that_meets_a_limit():
    encoded = encoded_of(np.arange(10).reshape(2, 5, 1))
    upper, lower = (index_of(encoded, closed=closed) for closed in regions.CLOSED)
    np.testing.assert_array_equal(upper.reshape(-1), np.repeat([4, 3, 2, 1, 0], 2))
    np.testing.assert_array_equal(lower.reshape(-1), [4, 3, 3, 2, 2, 1, 1, 0, 0, 0])


@pytest.mark.slow
def test_one_pixel_among_25_million_decides():
    # More than float32 can count: 2**24 + 1 is no float32.
    dark = np.full((5000, 5000, 1), 100 / 255, np.float32)
    dark.reshape(-1)[: dark.size // 5] = 200 / 255
    edges = jax.jit(regions.histogram_edges)(jnp.asarray(dark))
    assert 100 / 255 < edges[0, 0] < 200 / 255
    dark.reshape(-1)[0] = 100 / 255
    assert jax.jit(regions.histogram_edges)(jnp.asarray(dark))[0, 0] < 100 / 255


def test_masks_of_one_scene_do_not_depend_on_its_exposure():
    # Oh et al. (2021), Fig. 3: EV -2, 0 and +2; here no two radiances share a code.
    radiance = RNG.choice(np.geomspace(0.02, 0.24, 30), (40, 50, 3))
    masks = []
    for stops in (-2, 0, 2):
        encoded = color.srgb_encode(jnp.asarray(radiance * 2.0**stops, jnp.float32))
        codes = np.round(np.asarray(encoded) * 255)
        assert np.unique(codes).size == 30
        assert codes.max() < 255
        masks.append(index_of(encoded_of(codes)))
    np.testing.assert_array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(masks[2], masks[1])


@pytest.mark.slow
def test_masks_differ_only_where_quantisation_merges_codes():
    bright = RNG.integers(0, 256, (64, 64, 1))
    dark = bright // 6
    once = index_of(encoded_of(bright))
    again = index_of(encoded_of(dark))
    # Eq. 1 counts merged codes as the brightest of them.
    first_of_merged = index_of(encoded_of(np.minimum(dark * 6 + 5, 255)))
    np.testing.assert_array_equal(again, first_of_merged)
    moved = np.asarray(once != again)
    assert moved.any()
    assert (again <= once).all()
    for code in np.unique(dark[moved]):
        assert np.unique(bright[dark == code]).size > 1
        assert np.unique(once[dark == code]).size > 1


@pytest.mark.slow
def test_jit_vmap_and_a_batch_equal_image_by_image():
    make = regions.histogram_edges
    batch = encoded_of(RNG.integers(0, 256, (2, 2, *SHAPE)))
    edges = make(batch, num_regions=4)
    maps = regions.region_maps(batch, edges)
    mapped = jax.jit(jax.vmap(jax.vmap(lambda image: make(image, num_regions=4))))
    np.testing.assert_array_equal(mapped(batch), edges)
    for place in np.ndindex(2, 2):
        alone = make(batch[place], num_regions=4)
        np.testing.assert_array_equal(alone, edges[place])
        alone_maps = jax.jit(regions.region_maps)(batch[place], alone)
        np.testing.assert_array_equal(alone_maps, maps[:, *place])


def test_a_tile_with_the_edges_of_the_image_is_a_crop_of_its_maps():
    image = encoded_of(np.sort(RANDOM, axis=0))
    edges = regions.histogram_edges(image)
    tile = (slice(3, 11), slice(2, 9))
    maps = regions.region_maps(image, edges)
    np.testing.assert_array_equal(
        regions.region_maps(image[tile], edges), maps[:, *tile]
    )
    own = regions.region_maps(image[tile], regions.histogram_edges(image[tile]))
    assert (own != maps[:, *tile]).any()


def test_values_between_codes_count_by_the_nearest():
    codes = RANDOM
    noise = RNG.uniform(-0.49, 0.49, codes.shape)
    noisy = jnp.clip(encoded_of(codes + noise), 0, 1)
    np.testing.assert_array_equal(index_of(noisy), index_of(encoded_of(codes)))


def test_edges_are_found_without_sorting():
    image = jnp.zeros((4, 4, 3))
    assert " sort[" not in str(jax.make_jaxpr(regions.histogram_edges)(image))


def test_maps_pass_the_gradient_to_the_values_and_edges_carry_none():
    make = regions.histogram_edges
    encoded = encoded_of(RANDOM)
    edge_gradient = jax.grad(lambda v: make(v).sum())(encoded)
    assert (edge_gradient == 0).all()

    def energy(values):
        return (regions.region_maps(values, make(values)) ** 2).sum()

    np.testing.assert_allclose(jax.jit(jax.grad(energy))(encoded), 2 * encoded)


@pytest.mark.parametrize(
    "wrong", [{"ties": "brightest"}, {"closed": "both"}, {"num_regions": 0}]
)
def test_a_wrong_option_is_named(wrong):
    (name, value), *_ = wrong.items()
    with pytest.raises(UserError, match=f"{name} is {value!r}; expected"):
        regions.histogram_edges(jnp.zeros((2, 2, 3)), **wrong)
