import numpy as np
import pytest
from grain.sharding import ShardOptions

from jaxhdr import data
from jaxhdr.data.drawn_views import ViewRanges
from jaxhdr.errors import UserError

NAMES = ["field.exr", "hall.exr", "noon_puresky_1k.exr"]
RANGES = ViewRanges(size=32)


def batches(count=1, **options):
    fields = {"batch_size": 6, "ranges": RANGES, "seed": 3, **options}
    views = data.view_batches(NAMES, **fields)
    return [next(views) for _ in range(count)]


def joined(batches, name):
    return np.concatenate([batch[name] for batch in batches])


def test_batches_have_a_panorama_and_four_angles_a_view():
    (batch,) = batches()
    assert batch["panorama"].shape == (6,) and batch["panorama"].dtype == np.int32
    assert batch["angles"].shape == (6, 4) and batch["angles"].dtype == np.float32


@pytest.mark.slow
def test_views_depend_on_the_seed_alone_and_never_repeat():
    first, again = (joined(batches(12), "angles") for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first[:, 0])) == len(first)
    assert not np.isin(joined(batches(12, seed=4), "angles"), first).any()


def test_every_panorama_is_seen_before_one_is_seen_twice():
    seen = joined(batches(20), "panorama").reshape(-1, len(NAMES))
    assert (np.sort(seen, axis=1) == np.arange(len(NAMES))).all()


def test_a_saved_state_continues_the_sequence():
    views = data.view_batches(NAMES, batch_size=4, ranges=RANGES, seed=1)
    for _ in range(7):
        next(views)
    state = views.get_state()
    expected = [next(views) for _ in range(3)]
    resumed = data.view_batches(NAMES, batch_size=4, ranges=RANGES, seed=1)
    resumed.set_state(state)
    for batch in expected:
        np.testing.assert_array_equal(next(resumed)["angles"], batch["angles"])


@pytest.mark.slow
def test_angles_stay_in_their_ranges_and_fill_them():
    ranges = ViewRanges(32, field_of_view=(30, 90), pitch=(-20, 10), roll=4)
    views = batches(60, ranges=ranges)
    is_sky = joined(views, "panorama") == 2
    yaw, pitch, roll, opening = joined(views, "angles").T
    for values, low, high in (
        (yaw, 0, 360),
        (pitch[~is_sky], -20, 10),
        (roll, -4, 4),
        (opening, 30, 90),
    ):
        assert low <= values.min() and values.max() <= high
        assert values.min() < low + 0.1 * (high - low)
        assert values.max() > high - 0.1 * (high - low)
    assert (pitch[is_sky] >= opening[is_sky] / 2 - 1e-3).all()  # above the horizon


def test_hosts_share_the_views():
    parts = [
        joined(batches(4, shard=ShardOptions(n, 2), batch_size=3), "angles")
        for n in range(2)
    ]
    whole = joined(batches(4), "angles")
    np.testing.assert_array_equal(parts[0], whole[::2])
    np.testing.assert_array_equal(parts[1], whole[1::2])


@pytest.mark.parametrize(
    "fields",
    [
        {"pitch": (10, -10)},
        {"pitch": (-91, 0)},
        {"field_of_view": (0, 90)},
        {"field_of_view": (40, 180)},
        {"field_of_view": (float("nan"), 90)},
        {"roll": -1},
        {"size": -5},
    ],
    ids=str,
)
def test_ranges_that_mean_nothing_are_refused(fields):
    with pytest.raises(UserError, match=f"views.{next(iter(fields))} is"):
        data.create_ranges(**fields)


def test_an_unknown_field_is_refused():
    with pytest.raises(UserError, match=r"views has no option \['tilt'\]"):
        data.create_ranges(tilt=4)


def record(name, height, width=None):
    hdr = np.full((height, width or 2 * height, 3), 2.0, np.float32)
    return {"name": name.encode(), "hdr": hdr}


def test_panoramas_are_brought_to_the_commonest_size():
    source = [record("a", 8), record("b", 8), record("c", 16), record("d", 4)]
    names, images = data.panoramas_of(source)
    assert names == ["a", "b", "c", "d"]
    assert {image.shape for image in images} == {(8, 16, 3)}
    assert all((image == 2).all() for image in images)


@pytest.mark.parametrize("height, width", [(12, 24), (8, 8)])
def test_a_size_that_does_not_fit_is_refused(height, width):
    source = [record("a", 8), record("b", 8), record("odd", height, width)]
    with pytest.raises(UserError, match=f"odd has {width} x {height} pixels"):
        data.panoramas_of(source)
