"""Parallel, killed and resumed builds all give the same bytes."""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from data_builders.hdr_images import hdr_images_dataset_builder as hdr_images
from data_builders.shared import shards
from data_builders.shared.prepare import prepare
from jaxhdr import data, image_io
from jaxhdr.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]
NAME = "hdr_images/panorama_views"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hdr")
    rng = np.random.default_rng(0)
    for number in range(8):
        hdr = rng.lognormal(0, 2, (32, 64, 3)).astype(np.float32)
        image_io.write_hdr(folder / f"series{number}_x.exr", hdr)
    return folder


@pytest.fixture(scope="module")
def expected(tmp_path_factory, folder):
    """Names and bytes of the set, built without a break by one process."""
    data_dir = tmp_path_factory.mktemp("data")
    build(folder, data_dir)
    return contents(data_dir)


def build(folder, data_dir, **options):
    options = {"processes": 1} | options
    prepare(NAME, manual_dir=str(folder), data_dir=str(data_dir), **options)


def contents(data_dir):
    root = pathlib.Path(data_dir) / "hdr_images"
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def leftovers(data_dir):
    paths = pathlib.Path(data_dir).rglob("*")
    return [path for path in paths if path.is_dir() and "building/" in str(path)] + [
        path for path in pathlib.Path(data_dir).rglob("incomplete*")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [1, 3, 7])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_build_resumes_where_it_stopped(
    tmp_path, folder, expected, monkeypatch, stop_after, error
):
    original, written = shards.write, []

    def write(shard):
        if len(written) == stop_after:
            raise error
        written.append(shard.path)
        original(shard)

    monkeypatch.setattr(shards, "write", write)
    with pytest.raises(error):
        build(folder, tmp_path)
    assert not list(tmp_path.rglob("incomplete*"))
    with pytest.raises(UserError, match="not prepared"):
        data.data_source(NAME, "train", data_dir=str(tmp_path))
    stop_after = len(written) - 1
    build(folder, tmp_path)
    assert len(written) == len(set(written)) == 8
    assert contents(tmp_path) == expected
    assert not leftovers(tmp_path)


@pytest.mark.slow
def test_a_partly_written_shard_is_not_used(tmp_path, folder, expected, monkeypatch):
    def examples(*arguments):
        yield from original(*arguments)
        raise KeyboardInterrupt

    original = hdr_images._examples
    monkeypatch.setattr(hdr_images, "_examples", examples)
    with pytest.raises(KeyboardInterrupt):
        build(folder, tmp_path)
    monkeypatch.undo()
    build(folder, tmp_path)
    assert contents(tmp_path) == expected


@pytest.mark.slow
def test_sources_that_changed_between_two_builds_are_read_again(
    tmp_path, folder, monkeypatch
):
    copy = tmp_path / "hdr"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    original = shards.write

    def stop_at_the_last(shard):
        if shard.path.endswith("00006-of-00007"):
            raise KeyboardInterrupt
        original(shard)

    with monkeypatch.context() as patch:
        patch.setattr(shards, "write", stop_at_the_last)
        with pytest.raises(KeyboardInterrupt):
            build(copy, tmp_path / "a")
    image_io.write_hdr(copy / "series0_x.exr", np.ones((32, 64, 3), np.float32))
    build(copy, tmp_path / "a")
    build(copy, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.slow
def test_files_of_a_killed_build_are_removed(tmp_path, folder, expected):
    version = hdr_images.Builder.VERSION
    left = tmp_path / f"hdr_images/panorama_views/incomplete.ABCDEF_{version}"
    left.mkdir(parents=True)
    (left / "part").write_bytes(b"x")
    build(folder, tmp_path)
    assert not left.exists() and not leftovers(tmp_path)


@pytest.mark.slow
def test_all_broken_sources_are_named_and_repaired_ones_are_read_again(
    tmp_path, folder, expected
):
    copy = tmp_path / "hdr"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    for number in (2, 5):
        (copy / f"series{number}_x.exr").write_bytes(b"no image")
    with pytest.raises(
        UserError, match=r"broken sources of hdr_images: 2(.|\n)*series2(.|\n)*series5"
    ):
        build(copy, tmp_path / "data")
    for number in (2, 5):
        path = folder / f"series{number}_x.exr"
        (copy / path.name).write_bytes(path.read_bytes())
    build(copy, tmp_path / "data")
    assert contents(tmp_path / "data") == expected


def test_a_set_without_intact_sources_is_refused(tmp_path):
    for number in range(2):
        (tmp_path / f"series{number}_x.exr").write_bytes(b"no image")
    with pytest.raises(UserError, match="no source is left"):
        build(tmp_path, tmp_path / "data", broken="skip")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"processes": 0}, "processes is 0"),
        ({"broken": "ignore"}, "broken is 'ignore'"),
    ],
)
def test_wrong_options_are_refused(tmp_path, folder, options, message):
    with pytest.raises(UserError, match=message):
        build(folder, tmp_path, **options)


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 1000])
def test_every_job_is_in_one_shard_in_order(tmp_path, count):
    jobs = [shards.Job(str(number), iter, ((),)) for number in range(count)]
    parts = shards.partition(jobs, tmp_path, split="train", is_paired=False)
    assert [job for part in parts for job in part.jobs] == jobs
    sizes = {len(part.jobs) for part in parts}
    assert max(sizes) - min(sizes) <= 1 and len(parts) <= 64


def command(folder, data_dir, *options):
    return [
        sys.executable,
        "-m",
        "jaxhdr.cli",
        "data",
        "build",
        NAME,
        f"--manual-dir={folder}",
        f"--data-dir={data_dir}",
        *options,
    ]


def start(*arguments):
    return subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def is_running(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_a_build_killed_at_random_points_gives_the_same_bytes(
    tmp_path, folder, expected
):
    rng = random.Random(0)
    for _ in range(4):
        process = start(folder, tmp_path, "--processes", "2")
        seen = len(list(tmp_path.rglob("*.json")))
        end = time.monotonic() + 300
        while len(list(tmp_path.rglob("*.json"))) <= seen and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        # The workers notice that their parent ended, and end too.
        while is_running(process.pid):
            assert time.monotonic() < end, "a worker outlived its parent"
            time.sleep(0.05)
    process = start(folder, tmp_path, "--processes", "2")
    assert process.wait() == 0
    assert contents(tmp_path) == expected
    assert not leftovers(tmp_path)


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_and_keeps_finished_shards(
    tmp_path, folder, expected
):
    process = start(folder, tmp_path, "--processes", "2")
    end = time.monotonic() + 300
    while not list(tmp_path.rglob("*.json")):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it
    assert process.wait() in (0, 130)
    while is_running(process.pid):  # Python's helper processes end later
        assert time.monotonic() < end
        time.sleep(0.01)
    assert not list(tmp_path.rglob("incomplete*"))
    assert not list(tmp_path.rglob(".jaxhdr-*"))
    build(folder, tmp_path)
    assert contents(tmp_path) == expected


@pytest.mark.slow
def test_a_beam_runner_gives_the_same_bytes(tmp_path, folder, expected):
    pytest.importorskip("apache_beam")
    build(folder, tmp_path, beam_runner="DirectRunner")
    assert contents(tmp_path) == expected


def test_a_beam_runner_without_beam_says_what_to_install(tmp_path, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.setitem(sys.modules, "apache_beam.options.pipeline_options", None)
    with pytest.raises(UserError, match=r"jaxhdr\[beam\]"):
        build(folder, tmp_path, beam_runner="DirectRunner")
