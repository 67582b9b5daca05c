"""Keeps the programs that XLA compiles on disk, so that a command starts faster.

This is JAX's own persistent cache, in the user's cache folder. It holds at most half a
gigabyte, the programs that were used last; several processes may use it at once.
"""

import os
from typing import Final

import jax
import platformdirs

VARIABLE: Final = "JAXHDR_COMPILE_CACHE"
"""Environment variable; the value 0 turns the cache off."""

_MOST_BYTES: Final = 2**29
_SHORTEST_SECONDS: Final = 0.0


def keep_compiled_programs() -> None:
    """Makes JAX keep compiled programs, unless a cache is set already.

    It changes a setting of the whole process, so only programs call it, not the
    library. A folder that cannot be written to turns the cache off.
    """
    chosen = jax.config.values["jax_compilation_cache_dir"]
    if chosen or os.environ.get(VARIABLE) == "0":
        return
    folder = platformdirs.user_cache_path("jaxhdr") / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        return
    jax.config.update("jax_compilation_cache_max_size", _MOST_BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _SHORTEST_SECONDS)
    jax.config.update("jax_compilation_cache_dir", str(folder))
