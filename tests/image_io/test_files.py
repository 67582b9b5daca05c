"""Hostile input and output give one sentence each, and never leave a broken file."""

import contextlib
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import zlib

import numpy as np
import OpenImageIO as oiio
import pytest
from PIL import Image

from jaxhdr import image_io
from jaxhdr.atomic import atomic_path
from jaxhdr.errors import UserError
from jaxhdr.image_io import formats
from jaxhdr.imaging import camera
from jaxhdr.options import WRITTEN_SUFFIXES
from jaxhdr.storage import torch_files, weight_files

_READERS = [image_io.read_encoded, image_io.read_hdr]


@pytest.fixture
def hdr() -> np.ndarray:
    return np.random.default_rng(0).lognormal(0, 2.5, (40, 60, 3)).astype(np.float32)


def _assert_one_sentence(error: pytest.ExceptionInfo, name: str) -> None:
    text = str(error.value)
    assert name in text and not text.endswith(".") and "\n" not in text
    assert "Traceback" not in text and len(text) < 500


def _write(path, hdr: np.ndarray) -> None:
    if path.suffix in (".exr", ".hdr", ".npy", ".pfm", ".tif"):
        image_io.write_hdr(path, hdr)
    elif path.suffix == ".tiff":  # 16-bit
        spec = oiio.ImageSpec(60, 40, 3, "uint16")
        output = oiio.ImageOutput.create(str(path))
        assert output.open(str(path), spec) and output.write_image(hdr / hdr.max())
        output.close()
    else:
        Image.fromarray((hdr.clip(0, 1) * 255).astype(np.uint8)).save(path)


@pytest.mark.parametrize("read", _READERS)
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.jpg", None, "the file does not exist"),
        ("empty.jpg", b"", "empty"),
        ("empty.exr", b"", "empty"),
        ("text.jpg", b"<html>not an image</html>" * 20, "its format is unknown"),
        ("text.hdr", b"hello", "its format is unknown"),
        ("zeros.png", bytes(5000), "its format is unknown"),
        ("nul\0.png", None, "null"),
        ("a" * 300 + ".png", None, "too long"),
    ],
)
def test_what_is_no_image_is_one_sentence(tmp_path, read, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read(str(tmp_path / name))
    _assert_one_sentence(error, name)


@pytest.mark.parametrize("read", _READERS)
def test_folders_and_files_taken_for_folders_are_one_sentence(tmp_path, read):
    with pytest.raises(UserError, match="is a folder") as error:
        read(tmp_path)
    _assert_one_sentence(error, tmp_path.name)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"Not a directory") as error:
        read(tmp_path / "file" / "photo.jpg")
    _assert_one_sentence(error, "photo.jpg")


@pytest.mark.parametrize(
    "suffix",
    "jpg png tiff webp bmp gif avif ppm exr hdr npy pfm tif".split(),
)
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.99])
def test_truncated_files_are_one_sentence(tmp_path, hdr, suffix, share):
    path = tmp_path / f"x.{suffix}"
    _write(path, hdr)
    data = path.read_bytes()
    path.write_bytes(data[: max(5, int(len(data) * share))])
    read = image_io.read_hdr if suffix in ("exr", "hdr", "npy", "pfm", "tif") else (
        image_io.read_encoded
    )  # fmt: skip
    with pytest.raises(UserError, match=f"x.{suffix}") as error:
        read(path)
    _assert_one_sentence(error, f"x.{suffix}")


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "exr", "hdr", "npy", "pfm"])
def test_flipped_bytes_give_an_image_or_one_sentence(tmp_path, hdr, suffix):
    path = tmp_path / f"x.{suffix}"
    _write(path, hdr)
    data, rng = path.read_bytes(), np.random.default_rng(3)
    read = image_io.read_hdr if image_io.is_hdr_suffix(path) else image_io.read_encoded
    read = image_io.read_encoded if suffix == "tiff" else read
    for _ in range(25):
        broken = bytearray(data)
        # Half of the changes are in the header, which declares the sizes.
        for at in (
            *rng.integers(0, min(200, len(data)), 2),
            *rng.integers(0, len(data), 2),
        ):
            broken[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        try:
            image = read(path)
        except UserError as error:
            assert "\n" not in str(error)
        else:
            assert np.isfinite(image).all() and (image >= 0).all()


def _huge_png(width: int, height: int, bits: int = 8) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 99))):
        checksum = zlib.crc32(name + body)
        data += struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)
    return data


def _huge_npy(shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode()


_HUGE = {
    "huge.png": _huge_png(60000, 60000),
    "deep.png": _huge_png(60000, 60000, bits=16),
    "wide.png": _huge_png(2**31 - 1, 1),
    "zero.png": _huge_png(0, 5),
    "huge.bmp": b"BM"
    + struct.pack("<IIIIiiHHII", 0, 0, 54, 40, 60000, 60000, 1, 24, 0, 0),
    "huge.gif": b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(20),
    "huge.ppm": b"P6 60000 60000 255\n" + bytes(99),
    "huge.hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 60000 +X 60000\n"
    + bytes(99),
    "zero.hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 0 +X 8\n" + bytes(99),
    "huge.pfm": b"PF\n60000 60000\n-1.0\n" + bytes(99),
    "short.pfm": b"PF\n6000 6000\n-1.0\n" + bytes(99),
    "zero.pfm": b"PF\n0 5\n-1.0\n",
    "minus.pfm": b"PF\n-5 5\n-1.0\n" + bytes(99),
    "scale.pfm": b"PF\n1 1\n0.0\n" + bytes(12),
    "huge.npy": _huge_npy((60000, 60000, 3)),
    "pickle.npy": _huge_npy((2, 2)).replace(b"<f4", b"|O "),
}


@pytest.mark.parametrize("name", _HUGE)
def test_lying_headers_are_refused_before_memory_is_taken(tmp_path, name):
    (tmp_path / name).write_bytes(_HUGE[name])
    read = image_io.read_hdr if image_io.is_hdr_suffix(name) else image_io.read_encoded
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError) as error:
        read(tmp_path / name)
    _assert_one_sentence(error, name)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300e3  # kB


def test_the_size_limit_lets_large_panoramas_pass(tmp_path):
    path = tmp_path / "panorama.jpg"
    path.write_bytes(bytes(1_000_000))
    formats.check_size(path, 20000, 10000)
    formats.check_size(path, 32768, 16384)
    with pytest.raises(UserError, match="32769 x 16384"):
        formats.check_size(path, 32769, 16384)


@pytest.mark.parametrize("suffix", ["exr", "hdr", "npy", "pfm", "tif"])
def test_hdr_given_as_a_photograph_says_so(tmp_path, hdr, suffix):
    path = tmp_path / f"x.{suffix}"
    _write(path, hdr)
    path = path.rename(tmp_path / "photo.jpg")
    with pytest.raises(UserError, match="already linear HDR"):
        image_io.read_encoded(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff"])
def test_a_photograph_given_as_hdr_says_so(tmp_path, hdr, suffix):
    path = tmp_path / f"x.{suffix}"
    _write(path, hdr)
    path = path.rename(tmp_path / "x.exr")
    with pytest.raises(UserError, match="photograph"):
        image_io.read_hdr(path)


@pytest.mark.parametrize("suffix", ["", ".jpg", ".exr2", ".txt"])
def test_unknown_suffixes_are_refused_with_the_list(tmp_path, hdr, suffix):
    with pytest.raises(UserError, match=r"\.exr, \.hdr, \.npy, \.pfm, \.tif, \.tiff"):
        image_io.write_hdr(tmp_path / f"x{suffix}", hdr)
    assert not image_io.is_hdr_suffix(f"x{suffix}") and image_io.is_hdr_suffix("X.EXR")


def _write_everything(folder, hdr):
    """Yields (name, write) for every kind of file."""
    for suffix in WRITTEN_SUFFIXES:
        yield f"x{suffix}", lambda path: image_io.write_hdr(path, hdr)
    yield "y.png", lambda path: image_io.write_png(path, hdr.clip(0, 1))


def test_places_that_cannot_be_written_are_one_sentence(tmp_path, hdr):
    (tmp_path / "file").write_text("keep")
    for name, write in _write_everything(tmp_path, hdr):
        (tmp_path / "folder" / name).mkdir(parents=True)
        for place, message in (
            (tmp_path / "missing" / name, "missing does not exist; create it"),
            (tmp_path / "file" / name, "file is a file; expected a folder"),
            (tmp_path / "folder" / name, "it is a folder"),
            (tmp_path / ("a" * 300 + name), "too long"),
        ):
            with pytest.raises(UserError, match=message) as error:
                write(place)
            _assert_one_sentence(error, name)
    assert {p.name for p in tmp_path.iterdir()} == {"file", "folder"}


def test_a_refused_rename_leaves_the_old_file_alone(tmp_path, hdr, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    for name, write in _write_everything(tmp_path, hdr):
        (tmp_path / name).write_text("old")
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", refuse)
            with pytest.raises(UserError, match="permission denied"):
                write(tmp_path / name)
        assert (tmp_path / name).read_text() == "old"
    assert len(list(tmp_path.iterdir())) == len(WRITTEN_SUFFIXES) + 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_FSIZE")
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    """A limit on the file size makes the writers fail, as a full disk does."""
    code = """
        import resource, sys
        import numpy as np
        from jaxhdr import errors, image_io
        noise = np.random.default_rng(0).random((200, 300, 3), np.float32)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        from jaxhdr.options import WRITTEN_SUFFIXES
        names = ["x" + suffix for suffix in WRITTEN_SUFFIXES] + ["y.png"]
        for name in names:
            write = image_io.write_png if name == "y.png" else image_io.write_hdr
            try:
                write(sys.argv[1] + "/" + name, noise)
            except errors.UserError as error:
                assert "cannot write" in str(error) and "\\n" not in str(error), error
            else:
                raise AssertionError(name)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_write_leaves_nothing(tmp_path, failure):
    with pytest.raises(failure), atomic_path(tmp_path / "x.txt") as temporary:
        temporary.write_text("half")
        assert temporary.parent == tmp_path and temporary.suffix == ".txt"
        raise failure
    assert list(tmp_path.iterdir()) == []


def test_links_and_permissions_survive_a_rewrite(tmp_path):
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    with atomic_path(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink() and target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_new_file_has_the_usual_permissions(tmp_path, hdr):
    (tmp_path / "plain").write_text("")
    for name, write in _write_everything(tmp_path, hdr):
        write(tmp_path / name)
        assert (tmp_path / name).stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_devices_are_never_replaced():
    with pytest.raises(UserError, match="not a regular file"):
        with atomic_path("/dev/null"):
            raise AssertionError("not reached")


def test_a_librarys_own_words_name_the_users_file(tmp_path):
    target = tmp_path / "x.exr"
    with pytest.raises(UserError) as caught, atomic_path(target) as temporary:
        raise OSError(f'failed to write "{temporary}". Output failed..')
    expected = f'cannot write {target}: failed to write "{target}". Output failed'
    assert str(caught.value) == expected


@contextlib.contextmanager
def _no_waiting(seconds: int = 10):
    """Ends a read that waits for ever."""

    def fail(*_):
        raise AssertionError("it waits")

    previous = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def _make_pipe(path):
    os.mkfifo(path)
    return contextlib.nullcontext(path)


def _make_socket(path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    return contextlib.closing(server)


def _make_link_to_zeros(path):
    path.symlink_to("/dev/zero")
    return contextlib.nullcontext(path)


def _read_curves(path):
    return camera.read_curves(str(path))


@pytest.mark.skipif(sys.platform == "win32", reason="such files are of POSIX")
@pytest.mark.parametrize(
    "read",
    [
        image_io.read_encoded,
        image_io.read_hdr,
        image_io.read_metadata,
        weight_files.read,
        weight_files.read_safetensors,
        weight_files.read_metadata,
        torch_files.read_torch,
        _read_curves,
    ],
)
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_make_pipe, "it is a pipe, not a regular file"),
        (_make_socket, "it is a socket, not a regular file"),
        (_make_link_to_zeros, "it is a device, not a regular file"),
    ],
)
def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path, read, make, message):
    path = tmp_path / "x"
    with make(path), _no_waiting(), pytest.raises(UserError, match=message) as error:
        read(path)
    _assert_one_sentence(error, str(path))


_NO_TEXT = os.fsdecode(b"bad\xff")


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
@pytest.mark.parametrize("suffix", image_io.HDR_SUFFIXES)
@pytest.mark.parametrize("place", ["file", "folder", "both"])
def test_hdr_files_whose_name_is_no_text_are_read_and_written(
    tmp_path, hdr, suffix, place
):
    folder = tmp_path / ("folder" if place == "file" else _NO_TEXT)
    folder.mkdir()
    path = folder / (f"x{suffix}" if place == "folder" else f"{_NO_TEXT}{suffix}")
    image_io.write_hdr(path, hdr)
    image_io.write_hdr(tmp_path / f"x{suffix}", hdr)
    assert path.read_bytes() == (tmp_path / f"x{suffix}").read_bytes()
    expected = image_io.read_hdr(tmp_path / f"x{suffix}")
    np.testing.assert_array_equal(image_io.read_hdr(path), expected)
    assert image_io.read_metadata(path) == image_io.read_metadata(
        tmp_path / f"x{suffix}"
    )
    assert os.listdir(folder) == [path.name]


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "ppm", "webp"])
@pytest.mark.parametrize("bits", [8, 16])
def test_photographs_whose_name_is_no_text_are_read(tmp_path, suffix, bits):
    codes = np.random.default_rng(0).integers(0, 2**bits, (9, 8, 3))
    path = tmp_path / f"x.{suffix}"
    if bits == 8:
        Image.fromarray(codes.astype(np.uint8)).save(path)
    elif suffix in ("png", "tiff"):
        output = oiio.ImageOutput.create(str(path))
        output.open(str(path), oiio.ImageSpec(8, 9, 3, "uint16"))
        output.write_image(codes.astype(np.uint16))
        output.close()
    else:
        pytest.skip("it has no 16 bits")
    expected = image_io.read_encoded(path)
    renamed = path.rename(tmp_path / f"{_NO_TEXT}.{suffix}")
    np.testing.assert_array_equal(image_io.read_encoded(renamed), expected)
    # A link has another name, but a relative path still means the same file.
    relative = os.path.relpath(renamed)
    np.testing.assert_array_equal(image_io.read_encoded(relative), expected)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
@pytest.mark.parametrize("suffix", ["png", "exr", "hdr"])
def test_a_damaged_file_whose_name_is_no_text_is_one_sentence(tmp_path, hdr, suffix):
    path = tmp_path / f"{_NO_TEXT}.{suffix}"
    if suffix == "png":
        path.write_bytes(_huge_png(9, 9, bits=16))
        read = image_io.read_encoded
    else:
        image_io.write_hdr(path, hdr)
        path.write_bytes(path.read_bytes()[:400])
        read = image_io.read_hdr
    with pytest.raises(UserError, match="damaged") as error:
        read(path)
    _assert_one_sentence(error, _NO_TEXT)
    assert str(error.value).count("/") == str(path).count("/")


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_without_links_a_name_that_is_no_text_asks_to_rename(
    tmp_path, hdr, monkeypatch
):
    def refuse(*_):
        raise OSError(1, "Operation not permitted")

    path = tmp_path / f"{_NO_TEXT}.exr"
    image_io.write_hdr(path, hdr)
    monkeypatch.setattr(os, "symlink", refuse)
    with pytest.raises(UserError, match="its name is not UTF-8; rename it") as error:
        image_io.read_hdr(path)
    _assert_one_sentence(error, _NO_TEXT)
