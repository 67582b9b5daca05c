import collections
import importlib.metadata
import os
import tempfile

# The workers of a test run, and the programs that tests start, compile many programs
# twice. They share a cache, which is made before JAX is imported and lasts for one run.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _CACHE = tempfile.TemporaryDirectory(prefix="jaxhdr-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _CACHE.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"

# Compiling takes most of the time of the fast tests, and each program computes a small
# image once or twice. So LLVM does not optimise, and the CPU backend of JAX 0.10 emits
# loops in its older way, which compiles twice as fast. XLA's passes over whole programs
# run as for users. `XLA_FLAGS= python -m pytest` compiles what users run; the
# continuous integration does so for the slow tests. XLA stops at flags that it does
# not know, so versions of JAX that were not tried get none.
_UNOPTIMISED = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_parallel_codegen_split_count=1"
)
_FLAGS = {
    "0.10": f"{_UNOPTIMISED} --xla_cpu_use_fusion_emitters=false",
    "0.12": _UNOPTIMISED,
}
_JAX = ".".join(importlib.metadata.version("jaxlib").split(".")[:2])
if _JAX in _FLAGS:
    os.environ.setdefault("XLA_FLAGS", _FLAGS[_JAX])

import jax
import pytest

from data_builders.shared.prepare import prepare

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out the slow ones
def pytest_collection_modifyitems(items):
    """Marks as slow the cases of a test beyond those of its marker `fast_cases`."""
    seen = collections.Counter()
    for item in items:
        if marker := item.get_closest_marker("fast_cases"):
            test = item.nodeid.partition("[")[0]
            seen[test] += 1
            if seen[test] > marker.args[0]:
                item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def synthetic_small(tmp_path_factory):
    """A folder with `synthetic_hdr/small`, prepared by the real builder."""
    folder = str(tmp_path_factory.mktemp("prepared"))
    prepare("synthetic_hdr/small", data_dir=folder)
    return folder


@pytest.fixture
def key() -> jax.Array:
    return jax.random.key(0)
