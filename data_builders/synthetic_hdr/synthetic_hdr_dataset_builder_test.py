from typing import Any

import numpy as np
import pytest

from data_builders.synthetic_hdr import layouts, rendering
from data_builders.synthetic_hdr import synthetic_hdr_dataset_builder as module


def build(folder, **options):
    sizes: dict[str, Any] = {"size": 24, "num_train": 6, "num_validation": 3}
    config = module.SyntheticHdrConfig(name="test", **(sizes | options))
    builder: Any = module.Builder(config=config, data_dir=folder)
    builder.download_and_prepare(file_format="array_record")
    return {
        split: list(builder.as_data_source(split=split))
        for split in builder.info.splits
    }


def draw(kind, *, count, size=64):
    for seed in range(count):
        scene = layouts.draw_scene(np.random.default_rng(seed), kind)
        yield rendering.render(scene, size=size)


def stops(hdr):
    low, high = np.quantile(hdr.max(axis=-1), [0.01, 1.0])
    return np.log2(high / low)


def test_the_splits_hold_different_valid_scenes(tmp_path):
    splits = build(tmp_path)
    assert {name: len(records) for name, records in splits.items()} == {
        "train": 6,
        "validation": 3,
    }
    pictures = [record["hdr"] for records in splits.values() for record in records]
    assert len({picture.tobytes() for picture in pictures}) == 9
    for picture in pictures:
        assert picture.shape == (24, 24, 3) and picture.dtype == np.float32
        assert np.isfinite(picture).all() and (picture >= 0).all()


def test_scenes_depend_on_seed_and_number_alone(tmp_path):
    first = build(tmp_path / "a")["train"]
    fewer = build(tmp_path / "b", num_train=2)["train"]
    other = build(tmp_path / "c", seed=1)["train"]
    np.testing.assert_array_equal(first[1]["hdr"], fewer[1]["hdr"])
    assert not np.array_equal(first[1]["hdr"], other[1]["hdr"])


@pytest.mark.parametrize("kind", layouts.KINDS)
def test_scenes_are_pictures_and_not_noise(kind):
    for hdr in draw(kind, count=4):
        code = np.log2(hdr.mean(axis=-1) + 1e-4)
        steps = np.abs(np.diff(code, axis=1))
        assert code.std() > 0.3
        assert np.median(steps) < 0.2 * code.std()


def test_nights_and_rooms_span_the_range_of_real_ones():
    spans = [stops(hdr) for kind in ("night", "room") for hdr in draw(kind, count=8)]
    assert 8 < np.median(spans) < 22


def test_the_sun_is_seen_by_day_and_outshines_the_sky():
    peaks = [hdr.max() for hdr in draw("day", count=16)]
    assert sum(peak > 1e3 for peak in peaks) >= 3


def test_renders_of_two_sizes_show_the_same_scene():
    scene = layouts.draw_scene(np.random.default_rng(3), "room")
    large = rendering.render(scene, size=128).reshape(32, 4, 32, 4, 3).mean(axis=(1, 3))
    small = rendering.render(scene, size=64).reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    difference = np.abs(np.log2(large + 1e-3) - np.log2(small + 1e-3))
    assert np.median(difference) < 0.1
