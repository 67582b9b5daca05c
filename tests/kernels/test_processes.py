"""Tests of the kernels in many kinds of process; all are slow, as each starts one."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from jaxhdr.kernels import library
from tests.kernels.onednn import skip_without_onednn

ROOT = pathlib.Path(__file__).parents[2]
SECONDS = 300  # a process that takes longer counts as hanging

pytestmark = pytest.mark.slow

# `check()` is true if the results equal the first ones bit by bit.
SETUP = """
import concurrent.futures, multiprocessing, os, sys
import jax, jax.numpy as jnp, numpy as np
from jaxhdr import kernels
rng = np.random.default_rng(0)
x, kernel, cell, hidden = (jnp.asarray(rng.random(s), jnp.float32)
    for s in ((2, 40, 50, 8), (3, 3, 8, 16), (2, 40, 50, 4), (2, 40, 50, 4)))
bias = jnp.zeros(16)
# This uses the kernels only: what XLA computes itself hangs in a forked process.
def value_and_gradients(x, kernel):
    y, pull = jax.vjp(kernels.convolve, x, kernel)
    state, weights = kernels.LstmState(cell, hidden), kernels.LstmWeights(kernel, bias)
    return y, *pull(y), *kernels.lstm_step(hidden, state, weights)
function = jax.jit(value_and_gradients)
def check():
    return all(np.array_equal(a, b) for a, b in zip(function(x, kernel), expected))
def near(a, b):
    return np.allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())
"""

AGAINST_XLA = """
expected = function(x, kernel)
os.environ["JAXHDR_CONV"] = "xla"
by_xla = jax.jit(lambda *a: value_and_gradients(*a))(x, kernel)
assert all(map(near, expected, by_xla))
assert all(check() for _ in range(50))
"""

# The child of a fork inherits none of its parent's threads, and must still compute.
IN_A_FORK = """
expected = function(x, kernel)
child = multiprocessing.get_context("fork").Process(
    target=lambda: sys.exit(0 if check() and check() else 3))
child.start()
child.join(120)
if child.exitcode is None:
    child.kill()
    sys.exit("the child hangs")
assert child.exitcode == 0, child.exitcode
assert check()
"""

IN_THREADS = """
expected = function(x, kernel)
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert all(pool.map(lambda _: check(), range(80)))
"""

# A data loader starts its workers like this: as fresh processes that import a function.
IN_A_WORKER = """
from concurrent.futures import ProcessPoolExecutor
from tests.kernels.test_processes import run_in_threads
if __name__ == "__main__":
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(run_in_threads).result()
"""


def run_in_threads() -> None:
    exec(SETUP + IN_THREADS, {})


@pytest.fixture
def environment(monkeypatch):
    """The variables of a process that must use oneDNN; skips where it cannot."""
    skip_without_onednn()
    return os.environ | {library.VARIABLE: "onednn", "PYTHONPATH": str(ROOT)}


def start(program, environment, *, before=()):
    return subprocess.Popen(
        [*before, sys.executable, "-c", SETUP + program],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def assert_ends_well(process):
    try:
        said, _ = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, said


def test_one_core_suffices(environment):
    if shutil.which("taskset") is None:
        pytest.skip("needs taskset")
    core = str(min(os.sched_getaffinity(0)))
    command = ("taskset", "-c", core)
    assert_ends_well(start(AGAINST_XLA, environment, before=command))


def test_two_processes_compile_and_compute_at_once(environment, tmp_path):
    environment["XDG_CACHE_HOME"] = str(tmp_path)
    processes = [start(AGAINST_XLA, environment) for _ in range(2)]
    for process in processes:
        assert_ends_well(process)
    assert len(list((tmp_path / "jaxhdr").iterdir())) == 1


@pytest.mark.parametrize(
    "program", [IN_A_FORK, IN_THREADS, IN_A_WORKER], ids=["fork", "threads", "worker"]
)
def test_a_process_of_any_kind_computes(environment, program):
    assert_ends_well(start(program, environment))
