import os
import subprocess
import sys

import pytest

PROGRAM = """
import jax
from jaxhdr.inference import keep_compiled_programs
keep_compiled_programs()
jax.jit(lambda x: x + 1)(1.0)
print(jax.config.jax_compilation_cache_dir)
"""


def run(tmp_path, **variables) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), **variables}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not result.stderr
    return result.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="the folder is that of Linux")
def test_programs_are_kept_in_the_cache_folder_of_the_user(tmp_path):
    assert run(tmp_path) == str(tmp_path / "jaxhdr" / "compiled")
    kept = {path.name for path in (tmp_path / "jaxhdr" / "compiled").iterdir()}
    assert any("cache" in name for name in kept)
    run(tmp_path)
    again = {path.name for path in (tmp_path / "jaxhdr" / "compiled").iterdir()}
    assert again == kept


@pytest.mark.slow
def test_one_variable_turns_it_off(tmp_path):
    assert run(tmp_path, JAXHDR_COMPILE_CACHE="0") == "None"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_cache_that_the_user_chose_stays(tmp_path):
    chosen = str(tmp_path / "mine")
    assert run(tmp_path, JAX_COMPILATION_CACHE_DIR=chosen) == chosen


@pytest.mark.slow
def test_a_folder_that_cannot_be_made_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    assert run(tmp_path, XDG_CACHE_HOME=str(tmp_path / "file")) == "None"
