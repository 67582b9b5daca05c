import shutil
import zipfile
from typing import Any

import numpy as np
import pytest

from data_builders.hdr_images import hdr_images_dataset_builder as module
from data_builders.hdr_images import panorama
from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.imaging.camera import CLIPPED_FRACTIONS

NAMES = ("alley_day", "alley_night", "beach_puresky", "cave_a", "dune_x", "elm_1")


def directions(height=64):
    """A panorama of 2 + the unit vector (right, up, ahead) of each direction."""
    width = 2 * height
    elevation = (0.5 - (np.arange(height) + 0.5) / height)[:, None] * np.pi
    azimuth = ((np.arange(width) + 0.5) / width)[None, :] * 2 * np.pi
    vectors = np.broadcast_arrays(
        np.cos(elevation) * np.sin(azimuth),
        np.sin(elevation),
        np.cos(elevation) * np.cos(azimuth),
    )
    return np.stack(vectors, axis=-1).astype(np.float32) + 2


def expected_vectors(view, size):
    """The pinhole camera by rotation matrices: pitch about x, then yaw about y."""
    focal = max(size) / 2 / np.tan(np.radians(view.field_of_view / 2))
    x = (np.arange(size[1]) - (size[1] - 1) / 2) / focal
    y = -(np.arange(size[0]) - (size[0] - 1) / 2) / focal
    rays = np.stack([*np.meshgrid(x, y), np.ones(size)], axis=-1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    p, w = np.radians([view.pitch, view.yaw])
    pitch = [[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]]
    yaw = [[np.cos(w), 0, np.sin(w)], [0, 1, 0], [-np.sin(w), 0, np.cos(w)]]
    return rays @ (np.array(yaw) @ np.array(pitch)).T


def build(tmp_path, folder, **options):
    config = module.HdrImagesConfig(name="test", **options)
    builder: Any = module.Builder(config=config, data_dir=tmp_path / "prepared")
    download = module.tfds.download.DownloadConfig(manual_dir=folder)
    builder.download_and_prepare(download_config=download, file_format="array_record")
    return {
        split: list(builder.as_data_source(split=split))
        for split in builder.info.splits
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hdr")
    rng = np.random.default_rng(0)
    for name in NAMES:
        hdr = rng.lognormal(0, 2, (32, 64, 3)).astype(np.float32)
        image_io.write_hdr(folder / f"{name}.exr", hdr)
    return folder


@pytest.mark.parametrize("yaw", [0.0, 3.0, 90.0, 181.0, 357.0])
@pytest.mark.parametrize("pitch", [0.0, 35.0, -60.0, 80.0])
@pytest.mark.parametrize("size", [(48, 48), (30, 50)])
def test_each_pixel_of_a_view_sees_its_own_direction(yaw, pitch, size):
    view = panorama.View(yaw=yaw, pitch=pitch, field_of_view=70.0)
    seen = panorama.render_view(directions(256), view, size=size) - 2
    # The poles' rows are wide averages: the tolerance is about one panorama pixel.
    np.testing.assert_allclose(seen, expected_vectors(view, size), atol=0.012)


def test_turning_the_panorama_or_the_camera_is_the_same():
    rng = np.random.default_rng(1)
    source = rng.lognormal(0, 2, (32, 64, 3)).astype(np.float32)
    turned = panorama.View(yaw=90.0, pitch=40.0, field_of_view=80.0)
    ahead = panorama.View(yaw=0.0, pitch=40.0, field_of_view=80.0)
    np.testing.assert_allclose(
        panorama.render_view(source, turned, size=(24, 24)),
        panorama.render_view(np.roll(source, -16, axis=1), ahead, size=(24, 24)),
        rtol=1e-3,
    )


@pytest.mark.parametrize("pitch", [-90.0, 0.0, 60.0, 90.0])
def test_an_even_panorama_gives_even_views(pitch):
    source = np.full((64, 128, 3), 5e4, np.float32)
    view = panorama.View(yaw=10.0, pitch=pitch, field_of_view=90.0)
    seen = panorama.render_view(source, view, size=(8, 8))
    np.testing.assert_allclose(seen, 5e4, rtol=1e-5)


def test_detail_finer_than_the_view_is_averaged():
    source = np.indices((256, 512)).sum(axis=0) % 2
    source = np.repeat(source[..., None], 3, axis=-1).astype(np.float32)
    view = panorama.View(yaw=10.0, pitch=30.0, field_of_view=60.0)
    seen = panorama.render_view(source, view, size=(8, 8))
    np.testing.assert_allclose(seen, 0.5, atol=0.1)


def test_views_above_the_horizon_never_look_below_it():
    rng = np.random.default_rng(0)
    for _ in range(50):
        view = panorama.draw_view(
            rng, field_of_view=(50, 90), pitch=(-30, 40), above_horizon=True
        )
        assert expected_vectors(view, (20, 20))[..., 1].min() >= 0


def test_records_are_complete_and_scenes_are_on_one_side(tmp_path, folder):
    splits = build(tmp_path, folder, views_per_image=3, view_size=(16, 24))
    names = [record["name"] for records in splits.values() for record in records]
    assert len(names) == len(set(names)) == 3 * len(NAMES)
    series = {
        split: {record["scene"].decode().split("_")[0] for record in records}
        for split, records in splits.items()
    }
    assert series["train"] and series["validation"]
    assert not series["train"] & series["validation"]
    for record in splits["train"] + splits["validation"]:
        hdr, levels = record["hdr"], record["clipping_levels"]
        assert hdr.dtype == np.float32 and hdr.shape == (16, 24, 3)
        assert np.isfinite(hdr).all() and (hdr >= 0).all()
        brightest = hdr.max(axis=-1)
        shares = [(brightest > level).mean() for level in levels]
        np.testing.assert_allclose(shares, CLIPPED_FRACTIONS, atol=1.5 / brightest.size)


def test_building_again_gives_the_same_bits(tmp_path, folder):
    options = {"views_per_image": 2, "view_size": (8, 8)}
    first = build(tmp_path / "a", folder, **options)
    again = build(tmp_path / "b", folder, **options)
    other = build(tmp_path / "c", folder, seed=1, **options)
    for one, two in zip(first["train"], again["train"], strict=True):
        assert one["name"] == two["name"]
        np.testing.assert_array_equal(one["hdr"], two["hdr"])
    assert not np.array_equal(first["train"][0]["hdr"], other["train"][0]["hdr"])


def test_a_view_does_not_depend_on_the_other_files(folder):
    config = module.HdrImagesConfig(name="test", views_per_image=2, view_size=(8, 8))
    hdr = module.read_radiance(folder / "cave_a.exr")
    both = [picture for _, picture in module.pictures(hdr, "cave_a.exr", config=config)]
    config.views_per_image = 1
    one = [picture for _, picture in module.pictures(hdr, "cave_a.exr", config=config)]
    np.testing.assert_array_equal(both[0], one[0])
    assert not np.array_equal(both[0], both[1])


def test_whole_images_keep_every_radiance(tmp_path, folder):
    records = build(tmp_path, folder)["train"]
    original = image_io.read_hdr(folder / records[0]["name"].decode())
    np.testing.assert_array_equal(records[0]["hdr"], original)


def test_black_views_are_left_out(tmp_path, folder):
    for name in ("a_1", "b_1", "c_1"):
        black = np.zeros((32, 64, 3), np.float32)
        black[0, 0] = 0.0 if name == "a_1" else 1.0
        black[16:] = name != "a_1"
        image_io.write_hdr(tmp_path / f"{name}.exr", black)
    splits = build(tmp_path, tmp_path, views_per_image=2, view_size=(8, 8))
    assert b"a_1" not in {r["scene"] for records in splits.values() for r in records}


def write_text(path):
    path.write_text("this is no image")


def write_infinite(path):
    image_io.write_hdr(path, np.ones((4, 8, 3), np.float32))
    hdr = np.full((4, 8, 3), np.inf, np.float32)
    np.save(path.with_suffix(".npy"), hdr)


def write_narrow(path):
    image_io.write_hdr(path, np.ones((8, 8, 3), np.float32))


@pytest.mark.parametrize("spoil", [write_text, write_infinite, write_narrow])
def test_a_bad_file_is_named_and_leaves_nothing(tmp_path, spoil):
    for name in ("a_1.exr", "b_1.exr"):
        image_io.write_hdr(tmp_path / name, np.ones((8, 16, 3), np.float32))
    spoil(tmp_path / "bad_1.exr")
    with pytest.raises(UserError, match="bad_1"):
        build(tmp_path, tmp_path, views_per_image=1, view_size=(4, 4))
    assert not list((tmp_path / "prepared").rglob("*.array_record*"))


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no HDR files"):
        build(tmp_path, tmp_path)


def test_zips_and_what_systems_leave_make_no_difference(tmp_path, folder):
    options = {"views_per_image": 2, "view_size": (8, 8)}
    expected = build(tmp_path / "a", folder, **options)
    mixed = tmp_path / "mixed"
    (mixed / "__MACOSX").mkdir(parents=True)
    with zipfile.ZipFile(mixed / "part.ZIP", "w") as archive:
        for name in NAMES[1:]:
            archive.write(folder / f"{name}.exr", f"{name}.exr")
        archive.writestr(f"__MACOSX/._{NAMES[1]}.exr", b"no image")
        archive.writestr("README.txt", b"no image")
    shutil.copy(folder / f"{NAMES[0]}.exr", mixed / f"{NAMES[0]}.EXR")
    for name in ("._elm_1.exr", "__MACOSX/elm_1.exr", "Thumbs.db", ".DS_Store"):
        (mixed / name).write_bytes(b"no image")
    found = build(tmp_path / "b", mixed, **options)
    assert {s: len(found[s]) for s in found} == {s: len(expected[s]) for s in expected}
    scenes = [
        {record["scene"] for records in splits.values() for record in records}
        for splits in (found, expected)
    ]
    assert scenes[0] == scenes[1]


def test_whole_images_of_a_zip_keep_every_radiance(tmp_path, folder):
    (tmp_path / "zips").mkdir()
    with zipfile.ZipFile(tmp_path / "zips" / "all.zip", "w") as archive:
        for name in NAMES:
            archive.write(folder / f"{name}.exr", f"{name}.exr")
    for records in build(tmp_path, tmp_path / "zips").values():
        for record in records:
            original = folder / record["name"].decode().removeprefix("all/")
            expected = image_io.read_hdr(original)
            np.testing.assert_array_equal(record["hdr"], expected)


def test_a_broken_member_of_a_zip_is_named(tmp_path, folder):
    (tmp_path / "zips").mkdir()
    with zipfile.ZipFile(tmp_path / "zips" / "all.zip", "w") as archive:
        for name in NAMES:
            archive.write(folder / f"{name}.exr", f"{name}.exr")
        archive.writestr("bad_1.exr", b"no image")
    with pytest.raises(UserError, match=r"all/bad_1.exr: cannot read all/bad_1.exr"):
        build(tmp_path, tmp_path / "zips")
