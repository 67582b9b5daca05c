import subprocess
import sys
import time

import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr import image_io
from jaxhdr.imaging import color


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--workdir={0}/nothing"], "nothing holds no checkpoints"),
        (["--workdir={0}", "--pairs={0},{0}"], "exactly one of --workdir, --config"),
        (["--pairs={0}", "--model=aky", "--output={0}/x"], "expected two folders"),
        (["--pairs={0},{0}", "--model=aky"], "--output is missing"),
        (["--pairs={0},{0}", "--output={0}/x"], "holds no photographs; expected files"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(tmp_path, arguments, message):
    arguments = [argument.format(tmp_path) for argument in arguments]
    done = subprocess.run(
        [sys.executable, "eval.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_evaluation_killed_at_random_ends_as_one_that_was_not(tmp_path):
    rng = np.random.default_rng()
    for folder in ("photographs", "truths"):
        (tmp_path / folder).mkdir()
    for n in range(200):
        hdr = np.exp(rng.normal(-1, 1, (24, 32, 3))).astype(np.float32)
        np.save(tmp_path / "truths" / f"{n:03}.npy", hdr)
        encoded = np.asarray(color.srgb_encode(jnp.clip(hdr, 0, 1)))
        image_io.write_png(tmp_path / "photographs" / f"{n:03}.png", encoded)

    def command(folder):
        return [
            *(sys.executable, "eval.py", "--model=kuo,aky", "--metrics=psnr_mu"),
            f"--pairs={tmp_path}/photographs,{tmp_path}/truths",
            f"--output={tmp_path / folder}",
        ]

    log = tmp_path / "killed" / "rows.jsonl"
    finished = 0
    for _ in range(3):
        finished += rng.integers(5, 60)
        process = subprocess.Popen(command("killed"), stderr=subprocess.DEVNULL)
        while not log.exists() or len(log.read_bytes().splitlines()) <= finished:
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
        process.wait()
        finished = len(log.read_bytes().splitlines())
        assert not (log.parent / "report.json").exists()
    for folder in ("killed", "whole"):
        subprocess.run(command(folder), check=True, capture_output=True)
    for name in ("per_image.csv", "report.json", "report.md", "report.html"):
        killed, whole = (tmp_path / f / name for f in ("killed", "whole"))
        assert killed.read_bytes() == whole.read_bytes()
    assert not log.exists()
