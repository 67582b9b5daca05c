"""Reads and writes weight files as NumPy arrays: safetensors and PyTorch.

Arrays keep the names, the axis order (OIHW or HWIO) and the values of the file. Half
precision is only for storage: floating-point arrays read from safetensors are at least
float32.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy

from jaxhdr.atomic import atomic_path
from jaxhdr.errors import UserError, check_not_endless
from jaxhdr.storage.torch_files import read_torch

__all__ = [
    "flatten",
    "read",
    "read_metadata",
    "read_safetensors",
    "read_torch",
    "unflatten",
    "write_safetensors",
]

Arrays = dict[str, np.ndarray]
StrPath = str | os.PathLike[str]

_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def read(path: StrPath) -> Arrays:
    """Returns the arrays of a safetensors or PyTorch file by name.

    Raises:
      UserError: the file cannot be read, or is neither of them.
    """
    check_not_endless(path)
    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    # A safetensors file has 8 bytes of header length, then the header in JSON.
    return read_safetensors(path) if start[8:] == b"{" else read_torch(path)


def read_safetensors(path: StrPath) -> Arrays:
    """Returns the arrays of a safetensors file by name; half precision as float32.

    Raises:
      UserError: the file cannot be read or is damaged.
    """
    with _open_safetensors(path) as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}
    return {name: _at_least_float32(array) for name, array in arrays.items()}


def read_metadata(path: StrPath) -> dict[str, str]:
    """Returns the metadata of a safetensors file, without reading its arrays.

    Raises:
      UserError: the file cannot be read or is damaged.
    """
    with _open_safetensors(path) as file:
        return dict(file.metadata() or {})


def write_safetensors(
    path: StrPath,
    arrays: Mapping[str, np.ndarray],
    *,
    metadata: Mapping[str, str] | None = None,
    float16: bool = False,
) -> None:
    """Writes arrays by name to a safetensors file, atomically.

    Args:
      path: the file; it is replaced if it exists.
      arrays: arrays by name.
      metadata: strings for the header.
      float16: store float32 and float64 arrays as float16.

    Raises:
      UserError: a value is too large for float16, or the file cannot be written.
    """
    stored = {name: _storable(name, array, float16) for name, array in arrays.items()}
    content = safetensors.numpy.save(stored, dict(metadata or {}))
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def flatten(params: Mapping[str, Any]) -> Arrays:
    """Returns the NumPy arrays of a nested parameter tree by path ("a/b/kernel").

    Raises:
      UserError: a name is empty or contains "/".
    """
    return dict(_leaves(params, ""))


def unflatten(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns the nested parameter tree of arrays by path, the inverse of `flatten`.

    Raises:
      UserError: a path names both an array and a group of arrays.
    """
    params: dict[str, Any] = {}
    for path, array in arrays.items():
        *folders, name = path.split("/")
        node = params
        for folder in folders:
            node = node.setdefault(folder, {})
            if not isinstance(node, dict):
                raise UserError(
                    f"{path!r} needs a group {folder!r}, which is the name of an array"
                )
        if name in node:
            raise UserError(
                f"{path!r} is the name of an array and of a group of arrays"
            )
        node[name] = array
    return params


def _leaves(params: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    for name, value in params.items():
        if not name or "/" in name:
            raise UserError(
                f"parameter name is {name!r}; expected one without '/', not empty"
            )
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}/")
        else:
            yield prefix + name, np.asarray(value)


@contextlib.contextmanager
def _open_safetensors(path: StrPath) -> Iterator[Any]:
    check_not_endless(path)
    try:
        with safetensors.safe_open(path, "numpy") as file:
            yield file
    except OSError as error:
        raise UserError(f"cannot read {path}: {error}") from None
    except (safetensors.SafetensorError, TypeError) as error:
        raise UserError(
            f"cannot read {path}: it is damaged or not a safetensors file ({error})"
        ) from None


def _at_least_float32(array: np.ndarray) -> np.ndarray:
    is_small = array.dtype in (_BFLOAT16, np.float16)
    return array.astype(np.float32) if is_small else array


def _storable(name: str, array: np.ndarray, float16: bool) -> np.ndarray:
    """Returns a copy in C order; safetensors scrambles arrays in other orders."""
    # `ascontiguousarray` would add an axis to scalars.
    array = np.array(array, order="C")
    if not float16 or array.dtype not in (np.float32, np.float64):
        return array
    largest = np.max(np.abs(array), initial=0.0)
    if largest > np.finfo(np.float16).max:
        raise UserError(
            f"{name!r} holds {largest:g}, too large for float16; store it as float32"
        )
    return array.astype(np.float16)
