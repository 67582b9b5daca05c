import concurrent.futures
import json
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from grain.sharding import ShardOptions

from data_builders.shared.prepare import prepare
from data_builders.synthetic_hdr import synthetic_hdr_dataset_builder as synthetic
from jaxhdr import data, image_io
from jaxhdr.cli.main import main
from jaxhdr.errors import UserError

SMALL = "synthetic_hdr/small"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    config = next(c for c in synthetic.Builder.BUILDER_CONFIGS if c.name == "small")
    sizes = (config.size, config.num_train, config.num_validation)
    config.size, config.num_train, config.num_validation = 48, 9, 6
    prepare(SMALL, data_dir=str(folder))
    yield str(folder)
    config.size, config.num_train, config.num_validation = sizes


def gradient_records(count=3, size=64):
    """Records whose pixels encode image, row and column, with one bright corner."""
    for number in range(count):
        hdr = np.empty((size, size, 3), np.float32)
        hdr[..., 0] = number
        hdr[..., 1], hdr[..., 2] = np.indices((size, size)) / size
        hdr[:8, -8:, 0] = 1000.0
        levels = np.array([1000.0, float(number)], np.float32)
        ldr = (np.indices((size, size)).sum(axis=0) % 256).astype(np.uint8)
        ldr = np.repeat(ldr[..., None], 3, axis=-1)
        yield {"hdr": hdr, "ldr": ldr, "clipping_levels": levels, "name": b"x"}


def modified(folder):
    return {path: path.stat().st_mtime_ns for path in pathlib.Path(folder).rglob("*")}


def take(count, source, **options):
    options = {"batch_size": 4, "patch_size": 16, "seed": 0} | options
    iterator = data.train_batches(source, **options)
    try:
        return [next(iterator) for _ in range(count)]
    finally:
        iterator.close()


def assert_same(first, second):
    for one, two in zip(first, second, strict=True):
        assert one.keys() == two.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], two[key])


def test_batches_have_the_promised_shapes(data_dir):
    source = data.data_source(SMALL, "train", data_dir=data_dir)
    (batch,) = take(1, source)
    assert batch["hdr"].shape == (4, 16, 16, 3) and batch["hdr"].dtype == np.float32
    assert batch["clipping_levels"].shape == (4, 11)
    assert batch["clipping_levels"].dtype == np.float32


def test_batches_depend_on_the_seed_and_not_on_threads(data_dir):
    source = data.data_source(SMALL, "train", data_dir=data_dir)
    first = take(8, source, num_threads=4)
    assert_same(first, take(8, source, num_threads=0))
    other = take(8, source, seed=1)
    assert not np.array_equal(first[0]["hdr"], other[0]["hdr"])


def test_a_saved_state_continues_with_the_same_batches(data_dir):
    source = data.data_source(SMALL, "train", data_dir=data_dir)
    expected = take(9, source)[5:]
    iterator = data.train_batches(source, batch_size=4, patch_size=16, seed=0)
    for _ in range(5):
        next(iterator)
    state = json.loads(json.dumps(iterator.get_state()))
    iterator.close()
    iterator = data.train_batches(source, batch_size=4, patch_size=16, seed=0)
    iterator.set_state(state)
    assert_same([next(iterator) for _ in range(4)], expected)
    iterator.close()


def single_records(count=3):
    for record in gradient_records(count):
        yield {key: value for key, value in record.items() if key != "ldr"}


def mixed(count, *sources, **options):
    options = {"batch_size": 8, "patch_size": 16, "seed": 0} | options
    iterator = data.train_batches(*sources, **options)
    try:
        return [next(iterator) for _ in range(count)]
    finally:
        iterator.close()


def test_a_mixture_of_pairs_and_single_images_says_which_is_which():
    batches = mixed(10, list(gradient_records()), list(single_records()))
    shares = []
    for batch in batches:
        assert batch["ldr"].shape == batch["hdr"].shape
        assert batch["ldr"].dtype == np.uint8 and batch["has_ldr"].dtype == bool
        np.testing.assert_array_equal(
            batch["ldr"].any(axis=(1, 2, 3)), batch["has_ldr"]
        )
        shares.append(batch["has_ldr"].mean())
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
    ("weights", "share"), [((), 0.75), ((1, 1), 0.5), ((0.1, 0.9), 0.1)]
)
def test_weights_are_how_often_each_set_is_drawn_from(weights, share):
    sources = list(gradient_records(9)), list(single_records(3))
    batches = mixed(30, *sources, weights=weights)
    found = np.mean([batch["has_ldr"] for batch in batches])
    assert found == pytest.approx(share, abs=0.05)


def test_a_mixture_of_one_kind_needs_no_mask():
    for kind in (gradient_records, single_records):
        (batch,) = mixed(1, list(kind()), list(kind(5)))
        assert "has_ldr" not in batch
        assert ("ldr" in batch) == (kind is gradient_records)


@pytest.mark.parametrize("weights", [(1,), (1, 2, 3), (1, 0), (1, -1), (1, np.inf)])
def test_weights_that_do_not_fit_are_refused(weights):
    sources = list(gradient_records()), list(single_records())
    with pytest.raises(UserError, match="2 positive numbers"):
        mixed(1, *sources, weights=weights)


def test_a_saved_state_continues_a_mixture():
    sources = list(gradient_records(5)), list(single_records(4))
    options = {"batch_size": 4, "patch_size": 16, "seed": 3, "weights": (1, 2)}
    expected = mixed(9, *sources, **options)[5:]
    iterator = data.train_batches(*sources, **options)
    for _ in range(5):
        next(iterator)
    state = json.loads(json.dumps(iterator.get_state()))
    iterator.close()
    iterator = data.train_batches(*sources, **options)
    iterator.set_state(state)
    assert_same([next(iterator) for _ in range(4)], expected)
    iterator.close()


@pytest.mark.slow
def test_the_records_of_a_mixture_follow_each_other_under_their_sets_names(data_dir):
    prepare("synthetic_hdr/default", data_dir=data_dir)
    name = f"{SMALL}+synthetic_hdr/default"
    joined = data.data_source(name, "validation", data_dir=data_dir)
    parts = data.data_sources(name, "validation", data_dir=data_dir)
    assert len(joined) == sum(map(len, parts))
    found = [record["name"] for record in data.validation_images(joined)]
    assert len(set(found)) == len(joined)
    assert found[0].startswith(f"{SMALL}/")
    assert found[-1].startswith("synthetic_hdr/default/")


@pytest.mark.parametrize("name", ["a+", "+", "synthetic_hdr+synthetic_hdr"])
def test_what_is_no_mixture_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="does not name data sets"):
        prepare(name, data_dir=str(tmp_path))


def test_every_epoch_sees_every_record_once_in_its_own_order_with_new_crops():
    source = list(gradient_records(12))
    batches = take(2, source, batch_size=12, bright_share=0.0)
    orders = [batch["clipping_levels"][:, 1] for batch in batches]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(12))
    assert list(orders[0]) != list(orders[1])
    first, second = (
        dict(zip(batch["clipping_levels"][:, 1], batch["hdr"], strict=True))
        for batch in batches
    )
    assert sum(np.array_equal(first[i], second[i]) for i in range(12)) < 3


def test_hosts_share_the_records_without_overlap():
    source = list(gradient_records(6))
    seen = [
        {
            float(level)
            for batch in take(3, source, shard=ShardOptions(shard, 2))
            for level in batch["clipping_levels"][:, 1]
        }
        for shard in (0, 1)
    ]
    assert len(seen[0]) == len(seen[1]) == 3 and not seen[0] & seen[1]


def test_patches_are_contiguous_cuts():
    batches = take(20, list(gradient_records()), bright_share=0.0)
    hdr = np.concatenate([batch["hdr"] for batch in batches])
    np.testing.assert_allclose(np.diff(hdr[..., 1], axis=1), 1 / 64, rtol=1e-6)
    np.testing.assert_allclose(np.diff(hdr[..., 2], axis=2), 1 / 64, rtol=1e-6)


def test_the_photograph_is_cut_like_the_radiance():
    for batch in take(5, list(gradient_records())):
        place = np.rint(64 * batch["hdr"][..., 1:]).sum(axis=-1)
        np.testing.assert_array_equal(batch["ldr"][..., 0], place % 256)


def test_bright_patches_hold_a_bright_pixel():
    hdr = np.zeros((128, 128, 3), np.float32)
    hdr[:40, 90:] = np.random.default_rng(0).random((40, 38, 1)) + 1
    for batch in take(10, [{"hdr": hdr}], bright_share=1.0):
        assert (batch["hdr"].max(axis=(1, 2, 3)) > 1).all()
    darks = [
        (batch["hdr"].max(axis=(1, 2, 3)) == 0).sum()
        for batch in take(10, [{"hdr": hdr}], bright_share=0.0)
    ]
    assert sum(darks) > 20


@pytest.mark.parametrize("threads", [0, 2])
def test_an_image_smaller_than_the_patch_is_refused_with_its_size(threads):
    source = [{"hdr": np.ones((40, 99, 3), np.float32), "name": b"tiny"}]
    with pytest.raises(UserError, match=r"tiny has 40 x 99 .* patch size 64"):
        take(1, source, patch_size=64, num_threads=threads)


def test_a_patch_may_be_as_large_as_the_image():
    (batch,) = take(1, list(gradient_records()), patch_size=64, bright_share=1.0)
    assert batch["hdr"].shape == (4, 64, 64, 3)


def test_impossible_batches_are_refused():
    source = list(gradient_records(1))
    with pytest.raises(UserError, match="batch_size is 0"):
        take(1, source, batch_size=0)
    with pytest.raises(UserError, match="1 records cannot be shared by 2 hosts"):
        take(1, source, shard=ShardOptions(0, 2))


def test_validation_images_are_fixed_and_spread_over_the_kinds(data_dir):
    source = data.data_source(SMALL, "validation", data_dir=data_dir)
    every = [record["name"] for record in data.validation_images(source)]
    assert len(every) == len(set(every)) == 6 and isinstance(every[0], str)
    some = [record["name"] for record in data.validation_images(source, limit=2)]
    assert some == [every[0], every[3]]
    assert len(list(data.validation_images(source, limit=99))) == 6
    with pytest.raises(UserError, match="limit is 0"):
        next(data.validation_images(source, limit=0))


def test_subsplits_and_wrong_splits(data_dir):
    assert len(data.data_source(SMALL, "train[:3]", data_dir=data_dir)) == 3
    with pytest.raises(UserError, match=r"no split 'test'; it has \['train'"):
        data.data_source(SMALL, "test", data_dir=data_dir)


def test_preparing_again_leaves_the_data_alone(data_dir):
    files = modified(data_dir)
    prepare(SMALL, data_dir=data_dir)
    assert modified(data_dir) == files


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "unknown data set 'nothing'; available: .*'synthetic_hdr'"),
        ("hdr_images/nothing", "no configuration 'nothing'; available: .*'images'"),
        ("hdr_images", "needs manual_dir, a folder of HDR files"),
    ],
)
def test_what_cannot_be_prepared_is_explained(tmp_path, name, message):
    with pytest.raises(UserError, match=message):
        prepare(name, data_dir=str(tmp_path))


def test_a_missing_source_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="/absent is not a folder"):
        prepare("hdr_images", data_dir=str(tmp_path), manual_dir=f"{tmp_path}/absent")


@pytest.mark.slow
def test_data_of_other_files_are_not_taken_for_these(tmp_path):
    for folder, size in (("one", 8), ("two", 9)):
        (tmp_path / folder).mkdir()
        for name in ("a_1.exr", "b_1.exr"):
            picture = np.full((size, 8, 3), 0.5, np.float32)
            image_io.write_hdr(tmp_path / folder / name, picture)
    options = {"data_dir": str(tmp_path / "prepared")}
    prepare("hdr_images", manual_dir=str(tmp_path / "one"), **options)
    prepare("hdr_images", manual_dir=str(tmp_path / "one"), **options)
    assert len(data.data_source("hdr_images", "train", **options)) == 1
    with pytest.raises(UserError, match="prepared from other files"):
        prepare("hdr_images", manual_dir=str(tmp_path / "two"), **options)


def test_what_is_not_prepared_says_how(tmp_path):
    with pytest.raises(UserError, match=r"jaxhdr data build synthetic"):
        data.data_source(SMALL, "train", data_dir=str(tmp_path))


def test_prepared_data_are_read_without_the_builders_code(data_dir):
    program = (
        "import sys; sys.modules['data_builders'] = None; from jaxhdr import data; "
        f"print(len(data.data_source({SMALL!r}, 'train', data_dir={data_dir!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "9\n"


def test_of_two_builds_at_once_one_waits_and_finds_it_done(
    tmp_path, data_dir, monkeypatch
):
    plan, plans = synthetic.Builder._plan, []

    def plan_slowly(builder, folder):
        plans.append(builder)
        time.sleep(0.5)
        return plan(builder, folder)

    monkeypatch.setattr(synthetic.Builder, "_plan", plan_slowly)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        both = [
            pool.submit(prepare, SMALL, data_dir=str(tmp_path), processes=1)
            for _ in range(2)
        ]
        for future in both:
            future.result()
    assert len(plans) == 1
    assert len(data.data_source(SMALL, "train", data_dir=str(tmp_path))) == 9
    assert not list(tmp_path.rglob("incomplete*"))


def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path, data_dir, monkeypatch):
    def fail(builder, folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(synthetic.Builder, "_plan", fail)
    with pytest.raises(OSError, match="No space left"):
        prepare(SMALL, data_dir=str(tmp_path))
    assert not list(tmp_path.rglob("incomplete*"))


@pytest.mark.slow
def test_a_killed_build_is_not_taken_for_a_whole_one(tmp_path, data_dir):
    arguments = ["-m", "jaxhdr.cli", "data", "build", "synthetic_hdr"]
    process = subprocess.Popen(
        [sys.executable, *arguments, f"--data_dir={tmp_path}"],
        stderr=subprocess.DEVNULL,
    )
    while not list(tmp_path.rglob("incomplete*")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(tmp_path.rglob("incomplete*"))
    for name in ("synthetic_hdr", "synthetic_hdr/default"):
        with pytest.raises(UserError, match="not prepared"):
            data.data_source(name, "train", data_dir=str(tmp_path))
    prepare(SMALL, data_dir=str(tmp_path))
    assert len(data.data_source(SMALL, "train", data_dir=str(tmp_path))) == 9


def test_the_command_prints_one_sentence_and_exits_with_2(tmp_path, capsys):
    assert main(["data", "build", "nothing", f"--data_dir={tmp_path}"]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and "unknown data set" in captured.err


@pytest.mark.slow
def test_the_former_command_says_what_replaced_it():
    command = [sys.executable, "-m", "jaxhdr.data", "build", SMALL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "jaxhdr data build NAME" in done.stderr


@pytest.mark.slow
def test_the_command_keeps_standard_output_clean(tmp_path, data_dir, capsys):
    assert main(["data", "build", SMALL, f"--data_dir={tmp_path}"]) == 0
    assert capsys.readouterr().out == ""
    assert len(data.data_source(SMALL, "train", data_dir=str(tmp_path))) == 9
