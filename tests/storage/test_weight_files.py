import io
import os
import pickle
import stat
import zipfile
from pathlib import Path

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from jaxhdr.errors import UserError
from jaxhdr.storage import weight_files

_GOLDEN = Path(__file__).parents[1] / "golden"
_TORCH_FILES = [_GOLDEN / "state_zip.pth", _GOLDEN / "state_stream.pth"]

# What PyTorch 2.13.0 was given to write both files; tests/golden/README.md.
_STATE = {
    "whole": np.arange(12, dtype=np.float32).reshape(3, 4),
    "transposed": np.arange(12, dtype=np.float32).reshape(3, 4).T,
    "slice": np.float32([[4, 6], [8, 10]]),
    "half": np.float16([0.5, -2.0]),
    "double": np.float64([[1e-300]]),
    "bfloat16": np.float32([1.5, -2.0]),
    "scalar": np.int64(7),
    "parameter": np.float32([3.0]),
    "empty": np.zeros((0, 3), np.float32),
    "expanded": np.float32([4.0, 4.0, 4.0]),
}


def _assert_same(got, expected):
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert got[name].dtype == array.dtype and got[name].shape == array.shape, name
        np.testing.assert_array_equal(got[name], array)


@pytest.mark.parametrize("path", _TORCH_FILES, ids=lambda path: path.stem)
def test_files_of_pytorch_are_read(path):
    # The zip holds {"state_dict": {"module.whole": ...}, "epoch": 3}.
    got = weight_files.read_torch(path)
    _assert_same(got, _STATE)
    assert all(array.flags.c_contiguous for array in got.values())
    _assert_same(weight_files.read(path), _STATE)


def test_the_prefix_of_data_parallel_can_be_kept():
    got = weight_files.read_torch(_TORCH_FILES[0], strip_prefix="")
    assert got.keys() == {f"module.{name}" for name in _STATE}


@pytest.mark.parametrize("path", _TORCH_FILES, ids=lambda path: path.stem)
def test_truncated_files_are_refused(path, tmp_path):
    content = path.read_bytes()
    damaged = tmp_path / "damaged.pth"
    for length in range(0, len(content), 31):
        damaged.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"damaged\.pth"):
            weight_files.read_torch(damaged)


class _Dangerous:
    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return os.system, (f"touch {self.witness}",)


def _stream(root: object) -> bytes:
    magic = 0x1950A86A20F9469CFC6C
    parts = (magic, 1001, {"little_endian": True}, root, [])
    return b"".join(pickle.dumps(part, protocol=2) for part in parts)


def _archive(pickled: bytes, storages: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content)
    return file.getvalue()


def _tensor(offset: int, size: int, stride: int, *, kind: str = "FloatStorage"):
    """A pickle of {"a": tensor} in storage "0" of 4 numbers, in text opcodes."""
    return (
        b"(dVa\nctorch._utils\n_rebuild_tensor_v2\n((Vstorage\n"
        + f"ctorch\n{kind}\n".encode()
        + b"V0\nVcpu\nI4\ntQ"
        + f"I{offset}\n(I{size}\nt(I{stride}\nt".encode()
        + b"I00\nNtRs."
    )


def test_parameters_and_storage_views_of_early_versions_are_read(tmp_path):
    # Before 0.4, parameters were pickled as such, with a state, and a storage could
    # be a view (name, start, length) of another.
    root = (
        b"(dVa\nctorch.nn.parameter\nParameter\n(ctorch._utils\n_rebuild_tensor\n"
        b"((Vstorage\nctorch\nFloatStorage\nVk\nVcpu\nI4\n(Vv\nI1\nI3\nttQ"
        b"I1\n(I2\nt(I1\nttRtR(I01\nI00\nNtbs."
    )
    numbers = (4).to_bytes(8, "little") + np.float32([1, 2, 3, 4]).tobytes()
    path = tmp_path / "early.pth"
    empty = pickle.dumps({}, protocol=2)
    start = _stream({})[: -len(empty + pickle.dumps([], protocol=2))]
    path.write_bytes(start + root + pickle.dumps(["k"], protocol=2) + numbers)
    _assert_same(weight_files.read_torch(path), {"a": np.float32([3, 4])})


@pytest.mark.parametrize("layout", ["stream", "magic", "zip"])
def test_code_in_a_file_is_refused_by_name_and_not_run(tmp_path, layout):
    witness, path = tmp_path / "witness", tmp_path / "evil.pth"
    pickled = pickle.dumps({"a": _Dangerous(witness)}, protocol=2)
    content = {
        "stream": _stream({"a": _Dangerous(witness)}),
        "magic": pickled,
        "zip": _archive(pickled, {}),
    }
    path.write_bytes(content[layout])
    with pytest.raises(UserError, match=r"(posix|nt)\.system"):
        weight_files.read_torch(path)
    assert not witness.exists()


@pytest.mark.parametrize(
    "name", ["torch.hub\nload", "builtins\neval", "torch\nload", "torch._utils\nos"]
)
def test_names_beside_the_known_ones_are_refused(tmp_path, name):
    path = tmp_path / "evil.pth"
    path.write_bytes(_archive(f"c{name}\n.".encode(), {}))
    with pytest.raises(UserError, match=name.replace("\n", r"\.")):
        weight_files.read_torch(path)


def test_tensors_must_lie_in_their_storage(tmp_path):
    path = tmp_path / "weights.pth"
    storage = {"0": np.float32([1, 2, 3, 4]).tobytes()}
    path.write_bytes(_archive(_tensor(1, 2, 2), storage))
    np.testing.assert_array_equal(weight_files.read_torch(path)["a"], [2.0, 4.0])
    for offset, size, stride in [(1, 4, 1), (-1, 2, 1), (0, 2, -1), (0, 1 << 40, 0)]:
        path.write_bytes(_archive(_tensor(offset, size, stride), storage))
        with pytest.raises(UserError, match="it holds a tensor"):
            weight_files.read_torch(path)


@pytest.mark.parametrize(
    "content",
    [
        _archive(_tensor(0, 4, 1), {"0": b"\0" * 15}),
        _archive(_tensor(0, 4, 1), {}),
        _archive(_tensor(0, 4, 1, kind="QInt8Storage"), {"0": b"\0" * 4}),
        _archive(pickle.dumps([1, 2]), {}),
        _archive(pickle.dumps({"epoch": 3}), {}),
        _archive(b"", {}),
        _stream({"epoch": 3}),
        b"\x89PNG\r\n\x1a\n" + b"\0" * 64,
        b"",
    ],
)
def test_other_content_is_refused(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read .*weights\.pth"):
        weight_files.read_torch(path)


@pytest.mark.parametrize("name", ["missing", "."])
def test_paths_that_cannot_be_opened_are_named(tmp_path, name):
    for read in (
        weight_files.read,
        weight_files.read_torch,
        weight_files.read_safetensors,
        weight_files.read_metadata,
    ):
        with pytest.raises(UserError, match="cannot read"):
            read(tmp_path / name)


def test_arrays_of_any_layout_survive_safetensors(tmp_path):
    path = tmp_path / "weights.safetensors"
    base = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    arrays = {
        "transposed": base.transpose(2, 0, 1),
        "strided": base[:, ::2, ::-1],
        "scalar": np.array(3.5, np.float32),
        "empty": np.zeros((0, 2), np.float32),
        "big_endian": base.astype(">f4"),
        "integers": np.arange(3),
    }
    weight_files.write_safetensors(path, arrays, metadata={"scale": "ldr_white"})
    expected = arrays | {"big_endian": base}
    _assert_same(weight_files.read_safetensors(path), expected)
    _assert_same(weight_files.read(path), expected)
    _assert_same(safetensors.numpy.load_file(path), expected)
    assert weight_files.read_metadata(path) == {"scale": "ldr_white"}


def test_half_precision_is_for_storage_only(tmp_path):
    path = tmp_path / "weights.safetensors"
    values = np.float32([1 / 3, 65504, -1e-7])
    weight_files.write_safetensors(
        path, {"a": values, "steps": np.arange(3)}, float16=True
    )
    assert safetensors.numpy.load_file(path)["a"].dtype == np.float16
    got = weight_files.read_safetensors(path)
    assert got["a"].dtype == np.float32 and got["steps"].dtype == np.int64
    np.testing.assert_array_equal(got["a"], values.astype(np.float16))


def test_bfloat16_is_read_as_float32(tmp_path):
    path = tmp_path / "weights.safetensors"
    safetensors.numpy.save_file({"a": np.array([1.5, -2], ml_dtypes.bfloat16)}, path)
    _assert_same(weight_files.read_safetensors(path), {"a": np.float32([1.5, -2])})


def test_values_beyond_half_precision_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    with pytest.raises(UserError, match=r"'head' holds 70000"):
        weight_files.write_safetensors(
            path, {"head": np.float32([1, -70000])}, float16=True
        )
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_folder_as_it_was(tmp_path):
    taken = tmp_path / "taken"
    taken.mkdir()
    for path in (taken, tmp_path / "missing" / "a", Path("/dev/null/a")):
        with pytest.raises(UserError, match="cannot write"):
            weight_files.write_safetensors(path, {"a": np.zeros(2)})
    assert list(tmp_path.iterdir()) == [taken]


def test_written_files_have_the_usual_permissions(tmp_path):
    weight_files.write_safetensors(tmp_path / "ours", {"a": np.zeros(2)})
    (tmp_path / "plain").touch()
    modes = [stat.S_IMODE(p.stat().st_mode) for p in sorted(tmp_path.iterdir())]
    assert modes[0] == modes[1]


def test_truncated_safetensors_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    weight_files.write_safetensors(path, {"a": np.zeros(64)})
    content = path.read_bytes()
    for length in (0, 5, 40, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match="cannot read"):
            weight_files.read_safetensors(path)


def test_parameter_trees_survive_flattening():
    params = {"a": {"b": {"kernel": jnp.ones((2, 3))}, "bias": np.zeros(3)}}
    flat = weight_files.flatten(params)
    assert flat.keys() == {"a/b/kernel", "a/bias"}
    assert all(isinstance(array, np.ndarray) for array in flat.values())
    assert weight_files.flatten(weight_files.unflatten(flat)).keys() == flat.keys()
    np.testing.assert_array_equal(
        weight_files.unflatten(flat)["a"]["b"]["kernel"], params["a"]["b"]["kernel"]
    )


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")])
def test_a_path_cannot_be_array_and_folder(names):
    with pytest.raises(UserError, match="name of an array"):
        weight_files.unflatten({name: np.zeros(1) for name in names})


@pytest.mark.parametrize("name", ["", "a/b"])
def test_names_that_would_not_survive_are_refused(name):
    with pytest.raises(UserError, match="parameter name"):
        weight_files.flatten({"layer": {name: np.zeros(1)}})
