"""The real command with its process, from the first line to the empty folder."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from jaxhdr import Reconstructor, image_io
from tests.app.serving import TOKEN, Client

pytestmark = pytest.mark.slow

PROGRAM = "import sys; from jaxhdr.cli.main import main; sys.exit(main())"
MEGABYTE = 10**6


def rocket():
    return (
        pathlib.Path(image_io.__file__).parents[1] / "samples/rocket.jpg"
    ).read_bytes()


@contextlib.contextmanager
def command(folder, *words):
    """Yields the running command, its client and its process; `folder` is temporary."""
    started = subprocess.Popen(
        [
            sys.executable,
            "-c",
            PROGRAM,
            "serve",
            "--port",
            "0",
            "--model",
            "aky",
            *words,
        ],
        env={**os.environ, "TMPDIR": str(folder)},
        stderr=subprocess.PIPE,
        text=True,
    )
    with started:
        try:
            line = started.stderr.readline()
            assert line.startswith("jaxhdr serves http://127.0.0.1:"), line
            yield started, Client(int(line.split("/")[2].split(":")[1]))
        finally:
            started.kill()


def child_of(started):
    path = f"/proc/{started.pid}/task/{started.pid}/children"
    (child,) = map(int, pathlib.Path(path).read_text().split())
    return child


def peak_bytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return 1024 * int(line.split()[1])


def wait_until_empty(folder, seconds=20):
    end = time.monotonic() + seconds
    while any(folder.iterdir()):
        assert time.monotonic() < end, list(folder.rglob("*"))
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_photograph_is_given_and_nothing_is_left(tmp_path, number):
    kept = tmp_path / "kept"
    kept.mkdir()
    with command(kept) as (started, client):
        assert client.upload(rocket(), "rocket.jpg")[0] == 201
        (photograph,) = client.wait_until_finished(60)
        assert photograph["state"] == "done", photograph
        (private,) = kept.iterdir()
        assert private.stat().st_mode & 0o777 == 0o700
        path = f"/photographs/{photograph['id']}/files/npy"
        _, file = client.api("POST", path)
        (tmp_path / "a.npy").write_bytes(client.raw("GET", file["address"])[2])
        started.send_signal(number)
        assert started.wait(20) == 0
        assert started.stderr.read() == ""
    assert list(kept.iterdir()) == []
    (tmp_path / "rocket.jpg").write_bytes(rocket())
    expected = Reconstructor("aky")(tmp_path / "rocket.jpg")
    np.testing.assert_array_equal(image_io.read_hdr(tmp_path / "a.npy"), expected)


def test_nothing_is_left_even_if_the_server_is_killed(tmp_path):
    with command(tmp_path) as (started, client):
        client.upload(rocket(), "rocket.jpg")
        started.kill()
        started.wait()
        wait_until_empty(tmp_path)


def test_a_process_that_dies_fails_one_photograph(tmp_path):
    with command(tmp_path, "--size", "full") as (started, client):
        os.kill(child_of(started), signal.SIGSTOP)
        client.upload(rocket(), "first.jpg")
        client.upload(rocket(), "second.jpg")
        client.wait(lambda listed: listed[0]["state"] == "reading")
        os.kill(child_of(started), signal.SIGKILL)
        first, second = client.wait_until_finished(60)
        assert first["state"] == "failed" and "ended by SIGKILL" in first["sentence"]
        assert second["state"] == "done"


def test_a_photograph_is_cancelled_while_it_is_read(tmp_path):
    with command(tmp_path) as (started, client):
        os.kill(child_of(started), signal.SIGSTOP)
        _, first = client.upload(rocket(), "first.jpg")
        client.upload(rocket(), "second.jpg")
        client.wait(lambda listed: listed[0]["state"] == "reading")
        assert client.api("DELETE", f"/photographs/{first['id']}")[0] == 200
        (second,) = client.wait_until_finished(60)
        assert second["state"] == "done"


def test_the_memory_stays_flat(tmp_path):
    piece = bytes(MEGABYTE)
    with command(tmp_path, "--max-size", "600") as (started, client):
        client.upload(rocket(), "rocket.jpg")
        client.wait_until_finished(60)
        before = peak_bytes(started.pid)
        status, _ = client.upload((piece for _ in range(500)), "large.jpg")
        assert status == 201  # within the limit, and no photograph
        client.wait(lambda listed: listed[1]["state"] == "failed", 60)
        status, answer = client.upload((piece for _ in range(601)), "larger.jpg")
        assert status == 413 and "600 MB" in answer["error"]
        headers = {TOKEN: client.settings["token"], "Content-Length": str(10**12)}
        status, _, _ = client.raw("POST", "/api/photographs", b"x", headers)
        assert status == 413
        for number in range(20):
            client.upload(rocket(), f"{number}.jpg")
        client.wait_until_finished(120)
        assert peak_bytes(started.pid) - before < 20 * MEGABYTE
