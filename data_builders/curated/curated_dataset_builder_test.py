from typing import Any

import numpy as np
import pytest

from data_builders.curated import curated_dataset_builder as module
from jaxhdr import image_io
from jaxhdr.errors import UserError

SIZES: dict[str, Any] = {
    "train_size": 16,
    "test_size": 32,
    "train_cuts": 5,
    "test_cuts": 2,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hdr")
    rng = np.random.default_rng(0)
    for name in ("alley_1", "alley_2", "beach_1", "cave_1", "dune_1"):
        hdr = rng.lognormal(0, 1.5, (40, 70, 3)).astype(np.float32)
        image_io.write_hdr(folder / f"{name}.exr", hdr)
    return folder


def build(tmp_path, folder, **options):
    config = module.CuratedConfig(name="test", **(SIZES | options))
    builder: Any = module.Builder(config=config, data_dir=tmp_path)
    download = module.tfds.download.DownloadConfig(manual_dir=folder)
    builder.download_and_prepare(download_config=download, file_format="array_record")
    return {
        split: list(builder.as_data_source(split=split))
        for split in builder.info.splits
    }


def test_pairs_have_the_recipes_sizes_and_scenes_are_on_one_side(tmp_path, folder):
    records = build(tmp_path, folder)
    scenes = {s: {r["scene"] for r in found} for s, found in records.items()}
    assert len(records["train"]) == 5 * len(scenes["train"])
    assert len(records["test"]) == 2 * len(scenes["test"])
    assert not scenes["train"] & scenes["test"]
    for split, size in (("train", 16), ("test", 32)):
        for record in records[split]:
            assert record["hdr"].shape == record["ldr"].shape == (size, size, 3)
            assert record["ldr"].dtype == np.uint8
            assert record["scale"] == b"ldr_white"


def test_photographs_clip_where_radiance_is_above_white(tmp_path, folder):
    clipped = 0
    for record in build(tmp_path, folder)["train"]:
        np.testing.assert_array_equal(record["ldr"][record["hdr"] >= 1], 255)
        assert (record["ldr"][record["hdr"] < 0.9] < 255).all()
        clipped += (record["hdr"] > 1).mean()
    assert clipped > 0


def test_cameras_and_cuts_depend_on_the_seed_and_the_file_alone(tmp_path, folder):
    first = build(tmp_path / "a", folder)["train"]
    again = build(tmp_path / "b", folder, train_cuts=2)["train"]
    by_name = {record["name"]: record for record in first}
    for record in again:
        np.testing.assert_array_equal(record["ldr"], by_name[record["name"]]["ldr"])
    assert len({record["ldr"].tobytes() for record in first}) == len(first)


def test_a_cut_averages_radiance():
    hdr = np.full((64, 64, 3), 2.0, np.float32)
    sums = set()
    for seed in range(20):
        part = module.cut(hdr, 16, np.random.default_rng(seed))
        assert part.shape == (16, 16, 3)
        sums.add(float(part.mean()))
    assert sums == {2.0}


def test_a_small_image_is_named(tmp_path, folder):
    with pytest.raises(UserError, match="has 40 x 70 pixels, fewer than 48"):
        build(tmp_path, folder, test_size=48)


def test_a_folder_without_hdr_images_is_refused(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").touch()
    with pytest.raises(UserError, match="holds no HDR files"):
        build(tmp_path / "data", tmp_path / "files")
