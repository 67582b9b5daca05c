import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr.errors import UserError
from jaxhdr.training.augmentation import Augmentation, augment, create_augmentation

BATCH, SIDE = 64, 6


@pytest.fixture(scope="module")
def batch():
    """Pairs whose every pixel tells its image, row and column, in both images."""
    number, row, column = np.indices((BATCH, SIDE, SIDE))
    place = np.stack([number, row, column], axis=-1)
    return {
        "hdr": jnp.asarray(place, jnp.float32),
        "ldr": jnp.asarray(place, jnp.uint8),
        "clipping_levels": jnp.arange(BATCH, dtype=jnp.float32)[:, None],
    }


def changed(batch, *, seed=0, **fields):
    augmentation = Augmentation(**({"flip_left_right": 0.0} | fields))
    return jax.jit(
        lambda b: augment(jax.random.key(seed), b, augmentation=augmentation)
    )(batch)


def shares(images, references):
    """How many of the images equal their reference, for each kind of reference."""
    images = np.asarray(images)
    equal = [(images == np.asarray(each)).all(axis=(1, 2, 3)) for each in references]
    assert (np.sum(equal, axis=0) == 1).all(), "an image is none of the references"
    return np.mean(equal, axis=1)


def test_without_a_probability_nothing_changes(batch):
    for name, values in changed(batch).items():
        np.testing.assert_array_equal(values, batch[name])


@pytest.mark.parametrize(
    ("field", "axis"), [("flip_left_right", 2), ("flip_up_down", 1)]
)
def test_images_are_flipped_as_often_as_wanted(batch, field, axis):
    hdr = batch["hdr"]
    for probability in (0.25, 0.5, 1.0):
        flipped = changed(batch, **{field: probability})["hdr"]
        _, share = shares(flipped, [hdr, jnp.flip(hdr, axis)])
        assert share == pytest.approx(probability, abs=0.15 * (probability < 1))


def test_every_quarter_turn_is_as_likely(batch):
    hdr = np.asarray(batch["hdr"])
    turned = changed(batch, quarter_turns=True)["hdr"]
    found = shares(turned, [np.rot90(hdr, k, axes=(1, 2)) for k in range(4)])
    np.testing.assert_allclose(found, 0.25, atol=0.15)


def test_both_images_of_a_pair_change_alike_and_the_rest_is_kept(batch):
    every = {"flip_left_right": 0.5, "flip_up_down": 0.5, "quarter_turns": True}
    found = changed(batch, **every)
    assert found["ldr"].dtype == jnp.uint8
    np.testing.assert_array_equal(found["ldr"], found["hdr"])
    assert not np.array_equal(found["hdr"], batch["hdr"])
    np.testing.assert_array_equal(found["clipping_levels"], batch["clipping_levels"])


def test_changes_depend_on_the_key_alone(batch):
    first, again, other = (
        changed(batch, seed=seed, flip_left_right=0.5)["hdr"] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_wrong_options_are_refused_with_a_remedy(batch):
    with pytest.raises(UserError, match=r"flip_up_down is 1\.5; expected a probab"):
        create_augmentation(flip_up_down=1.5)
    with pytest.raises(UserError, match=r"no option \['hue'\]; available: .*flip_left"):
        create_augmentation(hue=0.1)
    oblong = {"hdr": batch["hdr"][:, :4]}
    with pytest.raises(UserError, match=r"square images, these have 4 x 6"):
        changed(oblong, quarter_turns=True)
