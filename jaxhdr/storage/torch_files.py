"""Reads PyTorch state dicts as NumPy arrays, without PyTorch.

A PyTorch file holds a pickle, which can call any function. This reader knows only the
names that rebuild tensors, so no code in the file is run. It reads both layouts: the
zip archive (PyTorch >= 1.6) and the older pickle stream (torch/serialization.py).
"""

import dataclasses
import functools
import math
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np
from numpy.lib.stride_tricks import as_strided

from jaxhdr.errors import UserError, check_not_endless

# MAGIC_NUMBER and PROTOCOL_VERSION of torch/serialization.py.
_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL_VERSION = 1001

_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_STORAGE_DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
_STATE_NAMES = ("state_dict", "model_state_dict", "model")

# Elements by which a tensor may exceed its storage. With stride 0, a few bytes can
# claim a tensor of any size.
_LARGEST_EXPANSION = 2**24

_FORMAT_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,  # the pickle claims more memory than there is
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


def read_torch(
    path: str | os.PathLike[str], *, strip_prefix: str = "module."
) -> dict[str, np.ndarray]:
    """Returns the tensors of a PyTorch state dict by name.

    The state dict may be an entry of a checkpoint ("state_dict", "model_state_dict" or
    "model"). Entries that are not tensors are left out, and bfloat16 becomes float32.

    Args:
      path: the file.
      strip_prefix: prefix to remove if all names have it; DataParallel adds "module.".

    Raises:
      UserError: the file cannot be read, is truncated, is not a PyTorch file, holds no
        tensors, or refers to a name that does not rebuild a tensor.
    """
    check_not_endless(path)
    try:
        with open(path, "rb") as file:
            read = _read_zip if file.read(4) == b"PK\x03\x04" else _read_stream
            file.seek(0)
            state = {name: t.array() for name, t in _state(read(file)).items()}
    except UserError as error:
        raise UserError(f"cannot read {path}: {error}") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except _FORMAT_ERRORS as error:
        raise UserError(
            f"cannot read {path}: it is damaged or not a PyTorch state dict "
            f"({type(error).__name__}: {error})"
        ) from error
    if all(name.startswith(strip_prefix) for name in state):
        return {name.removeprefix(strip_prefix): a for name, a in state.items()}
    return state


@dataclasses.dataclass(slots=True)
class _Storage:
    """A block of numbers in the file, which tensors may share."""

    array: np.ndarray


@dataclasses.dataclass(slots=True)
class _Tensor:
    """The place of a tensor in a storage, in elements."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def __setstate__(self, state: object) -> None:
        """Ignores what early versions stored with a parameter (requires_grad)."""

    def array(self) -> np.ndarray:
        values = self.storage.array
        if min((self.offset, *self.size, *self.stride)) < 0:
            raise UserError("it holds a tensor with a negative size, stride or offset")
        steps = zip(self.size, self.stride, strict=True)
        last = self.offset + sum((n - 1) * step for n, step in steps)
        count = math.prod(self.size)
        if (count and last >= values.size) or count > values.size + _LARGEST_EXPANSION:
            raise UserError("it holds a tensor that is larger than its storage")
        strides = [values.itemsize * step for step in self.stride]
        view = as_strided(values[self.offset :], self.size, strides)
        array = np.asarray(view, order="C")
        return array.astype(np.float32) if array.dtype == _BFLOAT16 else array


def _rebuild_tensor(
    storage: _Storage, offset: int, size: Any, stride: Any, *_: object
) -> _Tensor:
    return _Tensor(storage, offset, tuple(size), tuple(stride))


def _rebuild_parameter(data: _Tensor, *_: object) -> _Tensor:
    return data


_ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch.nn.parameter", "Parameter"): _rebuild_parameter,
}


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows only tensors and plain containers."""

    def __init__(self, file: Any, storage: Callable[..., _Storage] | None = None):
        super().__init__(file, encoding="utf-8")
        self._storage = storage

    def find_class(self, module_name: str, global_name: str) -> Any:
        if module_name == "torch" and global_name in _STORAGE_DTYPES:
            return global_name
        if (module_name, global_name) in _ALLOWED:
            # Each call returns a new object, because a pickle can set its attributes.
            return functools.partial(_ALLOWED[module_name, global_name])
        raise UserError(
            f"it refers to {module_name}.{global_name}, which was not run because a "
            "state dict does not need it; save the file with "
            "torch.save(model.state_dict(), path)"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        kind, *fields = pid
        if kind != "storage" or self._storage is None:
            raise UserError(f"it refers to a {kind!r}; expected a storage")
        return self._storage(*fields)


def _read_zip(file: BinaryIO) -> object:
    with zipfile.ZipFile(file) as archive:
        records = {record.filename: record for record in archive.infolist()}
        names = [name for name in records if name.split("/")[1:] == ["data.pkl"]]
        if len(names) != 1 or any(r.compress_type for r in records.values()):
            raise UserError("it is a zip archive, but not of a PyTorch state dict")
        folder = names[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in records:
            _require_little_endian(archive.read(f"{folder}byteorder") == b"little")

        @functools.cache
        def storage(kind: str, key: str, _location: str, count: int) -> _Storage:
            record = records[f"{folder}data/{key}"]
            dtype = _STORAGE_DTYPES[kind]
            if record.file_size != count * dtype.itemsize:
                raise UserError("it is damaged: a storage has the wrong size")
            with archive.open(record) as numbers:
                return _Storage(_filled(numbers, np.empty(count, dtype)))

        with archive.open(names[0]) as pickled:
            return _Unpickler(pickled, storage).load()


def _read_stream(file: BinaryIO) -> object:
    if _Unpickler(file).load() != _MAGIC_NUMBER:
        raise UserError("it is not a PyTorch file")
    if (version := _Unpickler(file).load()) != _PROTOCOL_VERSION:
        raise UserError(f"its protocol is {version}; expected {_PROTOCOL_VERSION}")
    _require_little_endian(_Unpickler(file).load()["little_endian"])
    largest = os.fstat(file.fileno()).st_size
    storages: dict[str, _Storage] = {}

    def storage(kind: str, key: str, _location: str, count: int, view: Any) -> _Storage:
        dtype = _STORAGE_DTYPES[kind]
        if not 0 <= count * dtype.itemsize <= largest:
            raise UserError(f"it is damaged: a storage claims {count} numbers")
        whole = storages.setdefault(key, _Storage(np.empty(count, dtype)))
        if view is None:
            return whole
        _, start, length = view
        return _Storage(whole.array[start : start + length])

    root = _Unpickler(file, storage).load()
    keys = _Unpickler(file).load()
    if set(keys) != set(storages):
        raise UserError("it is damaged: its tensors and storages do not agree")
    for key in keys:
        array = storages[key].array
        if int.from_bytes(file.read(8), "little") != array.size:
            raise UserError("it is truncated or damaged")
        _filled(file, array)
    return root


def _filled(file: Any, array: np.ndarray) -> np.ndarray:
    if file.readinto(array.view(np.uint8)) != array.nbytes:
        raise UserError("it is truncated")
    return array


def _require_little_endian(is_little: bool) -> None:
    if not is_little:
        raise UserError("it was written on a big-endian machine, which is unsupported")


def _state(root: object) -> dict[str, _Tensor]:
    if not isinstance(root, Mapping):
        raise UserError(f"it holds a {type(root).__name__}; expected a state dict")
    for found in (*(root.get(name) for name in _STATE_NAMES), root):
        if not isinstance(found, Mapping):
            continue
        tensors = {k: v for k, v in found.items() if isinstance(v, _Tensor)}
        if tensors:
            return {str(name): tensor for name, tensor in tensors.items()}
    raise UserError(
        f"it holds no tensors, but {list(root)[:10]}; expected a state dict"
    )
