"""Compiles the C++ part of this package on first use, loads it, registers it with XLA.

oneDNN and its headers come from the wheels `onednn-cpu-gomp` and
`onednn-devel-cpu-gomp` (the extra `cpu`); XLA's headers come with JAX. The compiled
library is kept in the user's cache folder. Its file name holds a hash of the C++ files,
the compiler's options and the versions of jaxlib and oneDNN, so a change of any of them
compiles it again.
"""

import ctypes
import functools
import hashlib
import importlib.metadata
import logging
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile

import jax
import numpy as np

from jaxhdr.atomic import atomic_path
from jaxhdr.errors import UserError

VARIABLE = "JAXHDR_CONV"
CHOICES = ("auto", "onednn", "xla")

_SOURCES = pathlib.Path(__file__).parent / "src"
_MAIN_SOURCE = "convolution.cc"  # includes the other files of the folder
_HANDLERS = (
    "forward",
    "backward_input",
    "backward_kernel",
    "dense_forward",
    "dense_backward",
    "lstm_forward",
    "lstm_backward",
)
_ONEDNN = "onednn-cpu-gomp"
_COMPILER_OPTIONS = ("-O2", "-std=c++17", "-fopenmp", "-shared", "-fPIC")

_logger = logging.getLogger(__name__)


class _Unavailable(Exception):
    """The library cannot be used here; the message is a clause that says why."""


def supports(dtype: np.dtype) -> bool:
    """Returns whether oneDNN computes convolutions of images of this type here.

    Args:
      dtype: type of the images.

    Raises:
      UserError: JAXHDR_CONV has an unknown value, or it is `onednn` and the library
        cannot be compiled or loaded.
    """
    choice = os.environ.get(VARIABLE, "auto")
    if choice not in CHOICES:
        raise UserError(f"{VARIABLE} is {choice!r}; expected one of {list(CHOICES)}")
    # With several virtual CPU devices, XLA would compute the whole batch on each one.
    is_one_cpu = jax.default_backend() == "cpu" and jax.device_count() == 1
    if choice == "xla" or (choice == "auto" and not is_one_cpu):
        return False
    if dtype.name not in ("float32", "bfloat16"):
        return False
    library = _load(choice == "onednn")
    if library is None:
        return False
    return dtype.name == "float32" or bool(library.jaxhdr_has_bfloat16())


def held_bytes() -> int:
    """Returns how many bytes the library keeps between calls; 0 if it is not available.

    The tests use it to check that memory does not grow from call to call.
    """
    library = _load(False)
    return 0 if library is None else library.jaxhdr_held_bytes()


def target(handler: str) -> str:
    """Returns the name under which a handler of the library is registered with XLA."""
    return f"jaxhdr_{handler}"


@functools.cache
def _load(is_required: bool) -> ctypes.CDLL | None:
    try:
        return _open()
    except _Unavailable as reason:
        if is_required:
            raise UserError(
                f"{VARIABLE} is onednn, but {reason}; unset it to use XLA's "
                "convolutions"
            ) from reason
        _logger.warning(
            "using XLA's convolutions, which are slower on a CPU: %s", reason
        )
        return None


@functools.cache
def _open() -> ctypes.CDLL:
    onednn, headers = _find_onednn()
    # OpenMP's threads may spin for a few microseconds between two parts of one call.
    # Between two calls they must sleep, because XLA needs the cores then.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    library = ctypes.CDLL(str(_compiled(onednn, headers)))
    library.jaxhdr_held_bytes.restype = ctypes.c_int64
    for handler in _HANDLERS:
        name = target(handler)
        jax.ffi.register_ffi_target(
            name, jax.ffi.pycapsule(getattr(library, name)), platform="cpu"
        )
    return library


def _find_onednn() -> tuple[pathlib.Path, pathlib.Path]:
    """Returns the path of oneDNN's library and the folder of its headers."""
    library = _file_of(_ONEDNN, "libdnnl.so.3")
    header = _file_of("onednn-devel-cpu-gomp", "dnnl.hpp", parent="dnnl")
    return library, header.parents[2]


def _file_of(distribution: str, name: str, *, parent: str = "lib") -> pathlib.Path:
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    paths = [pathlib.Path(str(f.locate())).resolve() for f in files if f.name == name]
    paths = [path for path in paths if path.parent.name == parent and path.is_file()]
    if not paths:
        hint = "pip install 'jaxhdr[cpu]'"
        if platform.system() != "Linux" or platform.machine() != "x86_64":
            hint = "it has wheels for Linux on x86-64 only"
        raise _Unavailable(f"the package {distribution} is not installed ({hint})")
    return paths[0]


def _compiled(onednn: pathlib.Path, headers: pathlib.Path) -> pathlib.Path:
    """Returns the path of the compiled library, which it compiles where it must."""
    name = f"kernels-{_digest(onednn)}.so"
    for choose in (_cache_folder, _own_folder):
        folder = choose()
        path = folder / name
        if path.is_file():
            return path
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as temporary:
                _compile(temporary, onednn, headers)
            return path
        except (OSError, UserError):
            continue
    raise _Unavailable("no folder can be written to; set XDG_CACHE_HOME to one")


def _digest(onednn: pathlib.Path) -> str:
    """Returns a hash of the C++ files, the compiler's options and the versions."""
    versions = (importlib.metadata.version(name) for name in ("jaxlib", _ONEDNN))
    facts = [*_COMPILER_OPTIONS, *versions, str(onednn)]
    for path in sorted(_SOURCES.iterdir()):
        if path.suffix in (".cc", ".h"):
            facts += [path.name, path.read_text("utf-8")]
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]


def _cache_folder() -> pathlib.Path:
    root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(root) / "jaxhdr"


def _own_folder() -> pathlib.Path:
    """Returns a folder of this process, used if the cache folder is not writable."""
    return pathlib.Path(_temporary().name)


@functools.cache
def _temporary() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="jaxhdr-")  # removed at exit


def _compile(path: pathlib.Path, onednn: pathlib.Path, headers: pathlib.Path) -> None:
    compiler = os.environ.get("CXX") or shutil.which("g++")
    if compiler is None:
        raise _Unavailable("there is no C++ compiler (apt-get install g++)")
    command = [
        compiler,
        *_COMPILER_OPTIONS,
        f"-I{jax.ffi.include_dir()}",
        f"-I{headers}",
        str(_SOURCES / _MAIN_SOURCE),
        "-o",
        str(path),
        str(onednn),
        f"-Wl,-rpath,{onednn.parent}",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise _Unavailable(f"{compiler} cannot be run: {error.strerror}") from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line]
        said = (errors or done.stderr.splitlines() or ["nothing"])[0]
        raise _Unavailable(f"{compiler} failed and said: {said}")
