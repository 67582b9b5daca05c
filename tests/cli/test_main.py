import errno
import os
import pathlib
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, MpoImagePlugin

import jaxhdr
from jaxhdr import image_io, inference, options
from jaxhdr.cli.main import main
from jaxhdr.cli.plan import FORMATS
from jaxhdr.inference import reconstructor
from jaxhdr.models.fhdr_torch import to_torch
from jaxhdr.options import shipped_names
from jaxhdr.storage import pretrained, weight_files
from tests.inference.test_measured import ultra_hdr
from tests.inference.test_reconstructor import BLUR
from tests.random_models import random_params, write_random_weights
from tests.raw_photos import write_dng


def write_photo(path: pathlib.Path, *, height: int = 30, width: int = 40) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 60, (height, width, 3))
    ramp = np.linspace(0, 250, width)[None, :, None]
    Image.fromarray(np.clip(ramp + noise, 0, 255).astype(np.uint8)).save(path)


def png_header(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checked = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + checked


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> pathlib.Path:
    """A working folder with `photo.jpg` and `out/`; the model `fhdr` is a stub."""
    load = pretrained.load_pretrained
    monkeypatch.setattr(
        reconstructor, "load_pretrained", lambda m: BLUR if m == "fhdr" else load(m)
    )
    monkeypatch.chdir(tmp_path)
    write_photo(tmp_path / "photo.jpg")
    (tmp_path / "out").mkdir()
    return tmp_path


def files(folder: pathlib.Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


# Contents of the file "input" that are no photographs.


def truncated(suffix: str, share: float) -> Callable[[pathlib.Path], None]:
    def write(path):
        whole = path.with_name(f"whole{suffix}")
        write_photo(whole)
        content = whole.read_bytes()
        path.write_bytes(content[: max(1, int(len(content) * share))])

    return write


def holds(content: bytes) -> Callable[[pathlib.Path], None]:
    return lambda path: path.write_bytes(content) and None


def write_nan_exr(path: pathlib.Path) -> None:
    hdr = np.ones((4, 4, 3), np.float32)
    image_io.write_hdr(path.with_name("whole.exr"), hdr)
    content = path.with_name("whole.exr").read_bytes()
    path.write_bytes(content.replace(b"\x00\x3c", b"\x00\x7e"))


def write_linear(suffix: str) -> Callable[[pathlib.Path], None]:
    def write(path):
        hdr = np.ones((9, 9, 3), np.float32)
        image_io.write_hdr(path.with_name(f"whole{suffix}"), hdr)
        path.with_name(f"whole{suffix}").rename(path)

    return write


BAD_INPUTS = {
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "missing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "empty": holds(b""),
    "one byte": holds(b"\xff"),
    "text": holds(b"not an image\n"),
    "a web page": holds(b"<!DOCTYPE html><html><body>404</body></html>"),
    "noise": holds(np.random.default_rng(0).bytes(5000)),
    "JPEG signature alone": holds(b"\xff\xd8\xff\xe0"),
    "JPEG signature, then noise": holds(
        b"\xff\xd8\xff\xe0" + np.random.default_rng(0).bytes(5000)
    ),
    **{f"JPEG cut at {s}": truncated(".jpg", s) for s in (0.01, 0.1, 0.3, 0.6, 0.9)},
    **{f"PNG cut at {s}": truncated(".png", s) for s in (0.003, 0.01, 0.5, 0.97)},
    "TIFF cut": truncated(".tiff", 0.5),
    "WebP cut": truncated(".webp", 0.5),
    "BMP cut": truncated(".bmp", 0.3),
    "PNG without data": holds(png_header(10, 10)),
    "PNG of no size": holds(png_header(0, 0)),
    "PNG of huge size": holds(png_header(2**31 - 1, 2**31 - 1)),
    "EXR with NaN": write_nan_exr,
    "EXR": write_linear(".exr"),
    "Radiance": write_linear(".hdr"),
    "NumPy": write_linear(".npy"),
    "dangling link": lambda path: path.symlink_to("nowhere.jpg"),
    "link to itself": lambda path: path.symlink_to(path),
}

# Command lines that are wrong although the photograph is valid.
BAD_ARGUMENTS = {
    "nothing": [],
    "no output": ["photo.jpg"],
    "no input": ["-o", "out"],
    "unknown option": ["photo.jpg", "-o", "out", "--fast"],
    "abbreviated option": ["photo.jpg", "-o", "out", "--form", "hdr"],
    "negative tile": ["photo.jpg", "-o", "out", "--tile", "-64"],
    "tile in words": ["photo.jpg", "-o", "out", "--tile", "large"],
    "tile without an inside": ["photo.jpg", "-o", "out", "--tile", "8"],
    "unknown format": ["photo.jpg", "-o", "out", "--format", "jpeg"],
    "contradicting format": ["photo.jpg", "-o", "out/a.hdr", "--format", "exr"],
    "float in .hdr": ["photo.jpg", "-o", "out/a.hdr", "--float"],
    "gain map in words": ["photo.jpg", "-o", "out", "--gain-map", "yes"],
    "stops without end": ["photo.jpg", "-o", "out", "--stops", "inf"],
    "stops in words": ["photo.jpg", "-o", "out", "--stops", "bright"],
    "no stops": ["photo.jpg", "-o", "out", "--stops"],
    "stops before the input": ["--stops", "0", "-2", "photo.jpg", "-o", "out"],
    "stops without preview": ["photo.jpg", "-o", "out", "--no-preview", "--stops", "0"],
    "unknown suffix": ["photo.jpg", "-o", "out/photo.xyz"],
    "photo suffix": ["photo.jpg", "-o", "out/photo.webp"],
    "float in PQ": ["photo.jpg", "-o", "out/a.jxl", "--transfer", "pq", "--float"],
    "float in PNG": ["photo.jpg", "-o", "out/a.png", "--float"],
    "linear light in PNG": ["photo.jpg", "-o", "out", "--format", "png",
                            "--transfer", "linear"],
    "PQ in EXR": ["photo.jpg", "-o", "out", "--transfer", "pq"],
    "a white for EXR": ["photo.jpg", "-o", "out", "--white-nits", "100"],
    "a white for linear light": ["photo.jpg", "-o", "out/a.jxl",
                                 "--white-nits", "100"],
    "no white": ["photo.jpg", "-o", "out/a.png", "--white-nits", "0"],
    "a white in words": ["photo.jpg", "-o", "out/a.png", "--white-nits", "paper"],
    "an infinite white": ["photo.jpg", "-o", "out/a.png", "--white-nits", "inf"],
    "primaries in AVIF": ["photo.jpg", "-o", "out/a.avif", "--primaries", "p3"],
    "tiles of a TIFF": ["photo.jpg", "-o", "out/a.tif", "--exr", "tiled"],
    "unknown tiles": ["photo.jpg", "-o", "out/a.exr", "--exr", "ripmap"],
    "unknown primaries": ["photo.jpg", "-o", "out/a.exr", "--primaries", "srgb"],
    "output PNG is the input": ["out/a.preview.png", "-o", "out/a.preview.png"],
    "a preview is an output": ["photo.jpg", "photo.preview.png", "-o", "out",
                               "--format", "png"],
    "float in .jpg": ["photo.jpg", "-o", "out/a.jpg", "--float"],
    "other suffix": ["photo.jpg", "-o", "out/a.exr", "--format", "ultrahdr"],
    "other format": ["photo.jpg", "-o", "out/a.jpg", "--format", "exr"],
    "channels in .exr": ["photo.jpg", "-o", "out", "--gain-map-channels", "1"],
    "a size in .exr": ["photo.jpg", "-o", "out", "--gain-map-divisor", "2"],
    "a third of the size": ["photo.jpg", "-o", "out/a.jpg",
                            "--gain-map-divisor", "3"],
    "two channels": ["photo.jpg", "-o", "out/a.jpg", "--gain-map-channels", "2"],
    "its gain map would be lost": ["phone.jpg", "-o", "phone.jpg"],
    "its gain map would be lost by a link": ["phone.jpg", "-o", "hard.jpg"],
    "a folder of hard links": ["phone.jpg", "-o", "links", "--format", "ultrahdr"],
    "the photograph is another input": ["photo.tif", "photo.jpg", "-o", ".",
                                        "--format", "ultrahdr"],
    "the folder of the photograph": ["photo.jpg", "-o", ".", "--format", "ultrahdr"],
    "no suffix": ["photo.jpg", "-o", "out/photo"],
    "missing folder": ["photo.jpg", "-o", "nowhere/photo.exr"],
    "missing folder with slash": ["photo.jpg", "-o", "nowhere/"],
    "folder is a file": ["photo.jpg", "-o", "photo.jpg/photo.exr"],
    "output is the input": ["photo.tif", "-o", "photo.tif"],
    "output is the input by a link": ["photo.tif", "-o", "link.tif"],
    "preview is an input": ["out/a.preview.png", "photo.jpg", "-o", "out/"],
    "output is a folder": ["photo.jpg", "-o", "out", "--format", "pfm"],
    "two inputs, one file": ["photo.jpg", "photo.tif", "-o", "photo.exr"],
    "two inputs of one name": ["photo.jpg", "photo.tif", "-o", "out"],
    "one input twice": ["photo.jpg", "photo.jpg", "-o", "out"],
    "a name too long": ["p" * 5000 + ".jpg", "-o", "out/photo.exr"],
    "an output name too long": ["photo.jpg", "-o", f"out/{'p' * 5000}.exr"],
    "unknown model": ["photo.jpg", "-o", "out", "--model", "fhdr2"],
    "empty model": ["photo.jpg", "-o", "out", "--model", ""],
    "model of a long name": ["photo.jpg", "-o", "out", "--model", "m" * 5000],
    "model is a photo": ["photo.jpg", "-o", "out", "--model", "photo.jpg"],
    "workdir without checkpoints": ["photo.jpg", "-o", "out", "--model", "out"],
    "damaged weights": ["photo.jpg", "-o", "out", "--model", "cut.safetensors"],
    "weights of no model": ["photo.jpg", "-o", "out", "--model", "bare.safetensors"],
    "convert nothing": ["convert-weights"],
    "convert a missing file": ["convert-weights", "no.pth", "-o", "w.safetensors"],
    "convert a photo": ["convert-weights", "photo.jpg", "-o", "w.safetensors"],
    "convert an empty run": ["convert-weights", "out", "-o", "w.safetensors"],
    "convert to .pth": ["convert-weights", "official.pth", "-o", "w.pth"],
    "convert to nowhere": ["convert-weights", "official.pth", "-o", "no/w.safetensors"],
    "no iterations": ["convert-weights", "official.pth", "-o", "w.safetensors",
                      "--iterations", "0"],
    "iterations of a run": ["convert-weights", "out", "-o", "w.safetensors",
                            "--iterations", "2"],
    "inspect nothing": ["inspect"],
    "inspect to nothing": ["inspect", "photo.jpg"],
    "inspect two": ["inspect", "photo.jpg", "photo.tif", "-o", "sheet.png"],
    "inspect a missing file": ["inspect", "no.jpg", "-o", "sheet.png"],
    "inspect a text": ["inspect", "official.pth", "-o", "sheet.png"],
    "sheet in a folder": ["inspect", "photo.jpg", "-o", "out"],
    "sheet of unknown suffix": ["inspect", "photo.jpg", "-o", "sheet.jpg"],
    "sheet without suffix": ["inspect", "photo.jpg", "-o", "sheet"],
    "sheet to nowhere": ["inspect", "photo.jpg", "-o", "nowhere/sheet.png"],
    "sheet is the input": ["inspect", "out/a.preview.png", "-o", "out/a.preview.png"],
    "sheet is the truth": ["inspect", "photo.jpg", "-o", "out/a.preview.png",
                           "--truth", "out/a.preview.png"],
    "missing truth": ["inspect", "photo.jpg", "-o", "sheet.png", "--truth", "no.exr"],
    "truth is a photo": ["inspect", "photo.jpg", "-o", "sheet.png",
                         "--truth", "photo.jpg"],
    "truth of another size": ["inspect", "photo.jpg", "-o", "sheet.png",
                              "--truth", "other.pfm"],
    "sheet of an unknown model": ["inspect", "photo.jpg", "-o", "sheet.png",
                                  "--model", "fhdr2"],
    "sheet of no stops": ["inspect", "photo.jpg", "-o", "sheet.png", "--stops"],
    "sheet of stops in words": ["inspect", "photo.jpg", "-o", "sheet.png",
                                "--stops", "bright"],
    "sheet of too many stops": ["inspect", "photo.jpg", "-o", "sheet.png",
                                "--stops", *"0123456"],
}  # fmt: skip


def assert_one_sentence(capsys) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("jaxhdr: error: ")
    assert captured.err.count("\n") == 1 and captured.err.endswith("\n")
    assert 30 < len(captured.err)
    return captured.err


def assert_refused(arguments: list[str], folder: pathlib.Path, capsys) -> str:
    before = files(folder)
    assert main(arguments) == 2
    assert files(folder) == before
    return assert_one_sentence(capsys)


@pytest.mark.parametrize("name", ["input.jpg", "input.png"])
@pytest.mark.parametrize("write", BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_a_bad_input_gives_one_sentence_and_no_file(folder, capsys, write, name):
    write(folder / name)
    message = assert_refused([name, "-o", "out/photo.exr"], folder, capsys)
    assert name in message


@pytest.mark.parametrize("arguments", BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
def test_a_bad_command_line_gives_one_sentence_and_no_file(folder, capsys, arguments):
    write_photo(folder / "photo.tif")
    (folder / "link.tif").symlink_to("photo.tif")
    (folder / "phone.jpg").write_bytes(ultra_hdr())
    (folder / "links").mkdir()
    os.link("phone.jpg", "hard.jpg")
    os.link("phone.jpg", "links/phone.jpg")
    write_photo(folder / "out" / "a.preview.png")
    (folder / "out" / "photo.pfm").mkdir()
    write_random_weights(folder / "whole.safetensors")
    content = (folder / "whole.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(content[:-5])
    weight_files.write_safetensors(folder / "bare.safetensors", {"a": np.zeros(3)})
    torch_state = to_torch(random_params())
    weight_files.write_safetensors(folder / "official.pth", torch_state)
    image_io.write_hdr(folder / "other.pfm", np.ones((40, 30, 3), np.float32))
    if arguments[:1] == ["out/a.preview.png"]:
        (folder / "a.jpg").symlink_to("photo.jpg")
        arguments = ["a.jpg", *arguments]
    assert_refused(arguments, folder, capsys)


def refuse(code: int) -> Callable[..., None]:
    def fail(*paths, **options):
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
def test_a_disk_that_refuses_leaves_nothing_behind(folder, capsys, monkeypatch, code):
    monkeypatch.setattr(os, "replace", refuse(code))
    assert_refused(["photo.jpg", "-o", "out"], folder, capsys)


def test_a_read_only_folder_is_found_before_any_work(folder, capsys, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    monkeypatch.setattr(inference, "Reconstructor", None)
    message = assert_refused(["photo.jpg", "-o", "out"], folder, capsys)
    assert "not writable" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
@pytest.mark.parametrize("name, mode", [("photo.jpg", 0o000), ("out", 0o500)])
def test_files_without_permission_are_refused(folder, capsys, name, mode):
    (folder / name).chmod(mode)
    try:
        assert main(["photo.jpg", "-o", "out"]) == 2
        assert_one_sentence(capsys)
    finally:
        (folder / name).chmod(0o700)


def test_memory_that_does_not_suffice_is_reported(folder, capsys, monkeypatch):
    def fail(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(inference.Reconstructor, "details", fail)
    message = assert_refused(["photo.jpg", "-o", "out"], folder, capsys)
    assert "memory" in message


def test_an_interrupt_ends_quietly_without_a_partial_file(folder, capsys, monkeypatch):
    def interrupt(*paths):
        raise KeyboardInterrupt

    before = files(folder)
    monkeypatch.setattr(os, "replace", interrupt)
    assert main(["photo.jpg", "-o", "out"]) == 130
    assert files(folder) == before
    assert capsys.readouterr().err == "jaxhdr: interrupted\n"


def test_our_own_defects_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(image_io, "write_hdr", lambda *a, **o: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["photo.jpg", "-o", "out"])


def test_a_photograph_becomes_the_image_that_the_library_returns(folder, capsys):
    assert main(["photo.jpg", "-o", "out/a.exr", "--float"]) == 0
    expected = inference.reconstruct("photo.jpg", model=BLUR)
    np.testing.assert_array_equal(image_io.read_hdr("out/a.exr"), expected)
    preview = image_io.read_encoded("out/a.preview.png")
    assert preview.shape == expected.shape and preview.std() > 0.05
    assert capsys.readouterr() == ("", "photo.jpg -> out/a.exr\n")


def test_the_header_says_what_the_file_is(folder):
    assert main(["photo.jpg", "-o", "out/a.exr", "--quiet"]) == 0
    metadata = image_io.read_metadata("out/a.exr")
    assert metadata["scale"] == "ldr_white"
    assert metadata["model"] == "blur"
    assert metadata["precision"] == "float32"
    assert metadata["response"] == "srgb"  # this model does not estimate it
    assert metadata["source"] == "photo.jpg"
    assert metadata["software"].startswith("jaxhdr 0.")
    assert "alignment" not in metadata


@pytest.mark.parametrize("suffix", ["jpg", "png", "avif", "jxl"])
def test_other_formats_say_the_same_as_the_header(folder, suffix):
    for name in ("a.exr", f"b.{suffix}"):
        assert main(["photo.jpg", "-o", f"out/{name}", "--no-preview"]) == 0
    notes = image_io.read_metadata("out/a.exr")
    assert notes["scale"] == "ldr_white" and len(notes) >= 6
    assert image_io.read_metadata(f"out/b.{suffix}") == notes


def test_the_header_says_that_a_photograph_was_camera_raw(folder):
    pytest.importorskip("rawpy")
    write_dng(folder / "raw.dng", np.full((30, 40, 3), 0.5))
    assert main(["raw.dng", "photo.jpg", "-o", "out", "--quiet"]) == 0
    metadata = image_io.read_metadata("out/raw.exr")
    assert (metadata["photograph"], metadata["response"]) == ("camera raw", "srgb")
    assert "photograph" not in image_io.read_metadata("out/photo.exr")
    assert image_io.read_hdr("out/raw.exr").shape == (30, 40, 3)


@pytest.mark.parametrize("options", [[], ["--gain-map", "use"], ["--gain-map=ignore"]])
def test_the_gain_map_of_a_phone_is_used_or_ignored(folder, capsys, options):
    (folder / "phone.jpg").write_bytes(ultra_hdr())
    arguments = ["phone.jpg", "photo.jpg", "-o", "out", "--no-preview", "--float"]
    assert main([*arguments, *options]) == 0
    assert "warning" not in capsys.readouterr().err
    hdr = image_io.read_hdr("out/phone.exr")
    used = options != ["--gain-map=ignore"]
    encoded = image_io.read_encoded("phone.jpg")
    expected = inference.reconstruct("phone.jpg" if used else encoded, model=BLUR)
    np.testing.assert_array_equal(hdr, expected)
    if used:
        np.testing.assert_array_equal(hdr, image_io.read_hdr("phone.jpg"))
    metadata = image_io.read_metadata("out/phone.exr")
    assert metadata["gain_map"] == ("used" if used else "ignored")
    assert "gain_map" not in image_io.read_metadata("out/photo.exr")


def test_a_damaged_gain_map_is_ignored_with_a_warning(folder, capsys):
    whole = ultra_hdr()
    (folder / "phone.jpg").write_bytes(whole[:-300])
    (folder / "odd.jpg").write_bytes(whole.replace(b'Max="2"', b'Max="x"'))
    assert main(["phone.jpg", "odd.jpg", "-o", "out", "--quiet"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    for line, name in zip(lines, ("phone", "odd"), strict=True):
        assert line.startswith(f"jaxhdr: warning: {name}.jpg: its gain map is ignored")
        metadata = image_io.read_metadata(f"out/{name}.exr")
        assert metadata["gain_map"] == "ignored"


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_written(folder, suffix):
    assert main(["photo.jpg", "-o", "out/", "--format", suffix]) == 0
    name = f"out/photo.{'jpg' if suffix == 'ultrahdr' else suffix}"
    assert image_io.read_hdr(name).shape == (30, 40, 3)


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG"])
@pytest.mark.parametrize("channels", [None, "1", "3"])
def test_a_photograph_gets_a_gain_map(folder, capsys, name, channels):
    options = ["--gain-map-channels", channels] if channels else []
    assert main(["photo.jpg", "-o", f"out/{name}", *options]) == 0
    assert capsys.readouterr() == ("", f"photo.jpg -> out/{name}\n")
    assert sorted(os.listdir("out")) == sorted([name, "a.preview.png"])
    whole = (folder / "photo.jpg").read_bytes()
    scan = whole[whole.index(b"\xff\xda") :]
    assert scan in (folder / "out" / name).read_bytes()
    expected = inference.reconstruct("photo.jpg", model=BLUR)
    hdr = image_io.read_hdr(f"out/{name}")
    weights = np.eye(3) if channels == "3" else np.array([[0.2126], [0.7152], [0.0722]])
    error = np.abs(hdr @ weights - expected @ weights) / (expected @ weights + 1 / 64)
    assert np.median(error) < 0.02


@pytest.mark.parametrize("divisor", [None, 1, 2, 4])
def test_the_size_of_the_gain_map_is_chosen(folder, divisor):
    command = ["photo.jpg", "-o", "out/a.jpg", "--no-preview", "--quiet"]
    chosen = [] if divisor is None else [f"--gain-map-divisor={divisor}"]
    assert main([*command, *chosen]) == 0
    with MpoImagePlugin.MpoImageFile("out/a.jpg") as image:
        image.seek(1)
        assert image.size == (-(-40 // (divisor or 1)), -(-30 // (divisor or 1)))


@pytest.mark.parametrize("output", ["photo.jpg", "./photo.jpg", "link.jpg"])
def test_a_photograph_gets_a_gain_map_where_it_is(folder, output):
    (folder / "link.jpg").symlink_to("photo.jpg")
    command = ["photo.jpg", "--no-preview", "--quiet", "-o"]
    assert main([*command, "out/a.jpg"]) == 0
    assert main([*command, output]) == 0
    written = (folder / "photo.jpg").read_bytes()
    assert written == (folder / "out" / "a.jpg").read_bytes()
    assert sorted(os.listdir()) == ["link.jpg", "out", "photo.jpg"]


def test_in_place_an_error_of_the_disk_leaves_the_photograph(
    folder, capsys, monkeypatch
):
    monkeypatch.setattr(os, "replace", refuse(errno.ENOSPC))
    assert_refused(["photo.jpg", "-o", "photo.jpg"], folder, capsys)


@pytest.mark.parametrize("gain_map", ["use", "ignore"])
def test_a_phones_photograph_gets_another_gain_map(folder, gain_map):
    (folder / "phone.jpg").write_bytes(ultra_hdr())
    options = ["--format", "ultrahdr", "--gain-map", gain_map, "--quiet"]
    assert main(["phone.jpg", "photo.jpg", "-o", "out", *options]) == 0
    peak = image_io.read_hdr("out/phone.jpg").max()
    assert 3.5 < peak < 4.5 if gain_map == "use" else peak < 1.1
    encoded = image_io.read_encoded("out/phone.jpg")
    assert np.abs(encoded - image_io.read_encoded("phone.jpg")).mean() < 0.01


def test_options_of_formats_reach_the_file(folder):
    command = ["photo.jpg", "--quiet", "--no-preview", "-o"]
    assert main([*command, "out/a.exr", "--primaries", "acescg"]) == 0
    expected = inference.reconstruct("photo.jpg", model=BLUR)
    exr = image_io.read_hdr("out/a.exr", negative="keep")
    np.testing.assert_allclose(exr, expected, rtol=5e-3, atol=2e-3)
    assert main([*command, "out/a.png", "--transfer", "hlg"]) == 0
    assert main([*command, "out/b.png", "--white-nits", "406"]) == 0
    hlg, bright = (image_io.read_hdr(f"out/{name}.png") for name in "ab")
    np.testing.assert_allclose(hlg, expected, rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(bright, 2 * expected, rtol=2e-3, atol=1e-3)
    for name in options.EXR_LAYOUTS:
        assert main([*command, f"out/{name}.exr", "--exr", name, "--float"]) == 0
        np.testing.assert_array_equal(image_io.read_hdr(f"out/{name}.exr"), expected)
        assert "model" in image_io.read_metadata(f"out/{name}.exr")
    assert len({os.path.getsize(f"out/{name}.exr") for name in options.EXR_LAYOUTS}) > 1
    assert main([*command, "out/a.jxl", "--float"]) == 0
    np.testing.assert_array_equal(image_io.read_hdr("out/a.jxl"), expected)


def test_a_clipped_result_says_so(folder, capsys):
    command = ["photo.jpg", "-o", "out/a.png", "--white-nits", "10000", "--quiet"]
    assert main([*command, "--transfer", "hlg"]) == 0
    message = capsys.readouterr().err
    assert message.startswith("jaxhdr: warning: out/a.png: ")
    assert "brighter than 1,000 cd/m^2" in message and message.count("\n") == 1


def test_an_output_and_its_preview_stand_side_by_side(folder):
    assert main(["photo.jpg", "-o", "out", "--format", "png"]) == 0
    assert sorted(os.listdir("out")) == ["photo.png", "photo.preview.png"]
    assert image_io.read_hdr("out/photo.png").shape == (30, 40, 3)
    assert image_io.read_encoded("out/photo.preview.png").shape == (30, 40, 3)


def test_a_png_is_not_replaced_by_its_own_result(folder, capsys):
    write_photo(folder / "photo.png")
    for output in (["-o", "photo.png"], ["-o", ".", "--format", "png"]):
        message = assert_refused(["photo.png", *output], folder, capsys)
        assert "it is an input" in message


def test_what_the_camera_said_is_in_the_result(folder):
    exif = Image.Exif()
    exif[0x0110], exif[0x0112] = "a camera", 6
    with Image.open("photo.jpg") as image:
        image.save("turned.jpg", exif=exif)
    assert main(["turned.jpg", "-o", "out/a.png", "--no-preview", "--quiet"]) == 0
    assert image_io.read_hdr("out/a.png").shape == (40, 30, 3)
    assert image_io.read_exif("out/a.png") == image_io.CameraExif(model="a camera")


def test_without_its_library_an_avif_is_refused_before_any_work(
    folder, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    monkeypatch.setattr(inference, "Reconstructor", None)
    message = assert_refused(["photo.jpg", "-o", "out/a.avif"], folder, capsys)
    assert "pip install 'jaxhdr[avif]'" in message


def test_a_batch_goes_on_after_a_bad_file_and_names_it_at_the_end(folder, capsys):
    write_photo(folder / "last.png")
    (folder / "bad.jpg").write_bytes(b"no")
    arguments = ["photo.jpg", "bad.jpg", "missing.jpg", "last.png", "-o", "out"]
    assert main([*arguments, "--no-preview"]) == 2
    assert sorted(os.listdir("out")) == ["last.exr", "photo.exr"]
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith("jaxhdr: error: ") for line in lines] == [0, 1, 1, 0, 1]
    assert lines[-1] == "jaxhdr: error: 2 of 4 failed: bad.jpg, missing.jpg"


def test_stops_give_a_strip_of_exposures(folder):
    assert main(["photo.jpg", "-o", "out", "--stops", "0", "-2", "-4"]) == 0
    strip = image_io.read_encoded("out/photo.preview.png")
    assert strip.shape[0] == 30 and 3 * 40 <= strip.shape[1] < 3 * 40 + 12
    assert strip[:, :40].mean() > strip[:, -40:].mean() + 0.1


def test_existing_outputs_are_replaced_and_quiet_is_quiet(folder, capsys):
    (folder / "out" / "photo.exr").write_bytes(b"old")
    assert main(["photo.jpg", "-o", "out", "--quiet"]) == 0
    assert image_io.read_hdr("out/photo.exr").shape == (30, 40, 3)
    assert capsys.readouterr() == ("", "")


def test_a_photograph_of_a_wrong_suffix_is_read(folder):
    (folder / "photo.jpg").rename("photo.png")
    assert main(["photo.png", "-o", "out"]) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_name_that_is_no_text_is_accepted(folder):
    name = os.fsdecode(b"caf\xe9.jpg")
    (folder / "photo.jpg").rename(name)
    assert main([name, "-o", "out"]) == 0
    os.rename(os.fsdecode(b"out/caf\xe9.exr"), "out/a.exr")
    assert image_io.read_metadata("out/a.exr")["source"] == "caf?.jpg"


def test_a_warning_of_the_reader_is_one_line(folder, capsys):
    Image.open("photo.jpg").save("odd.png", icc_profile=b"no profile")
    assert main(["odd.png", "-o", "out", "--quiet"]) == 0
    error = capsys.readouterr().err
    assert error.startswith("jaxhdr: warning: ") and error.count("\n") == 1


def test_weights_of_the_official_code_are_converted_and_used(folder):
    params = random_params()
    weight_files.write_safetensors("official.pth", to_torch(params))
    command = ["convert-weights", "official.pth", "-o", "w.safetensors"]
    assert main([*command, "--iterations", "1"]) == 0
    assert main(["photo.jpg", "-o", "out", "--model", "w.safetensors"]) == 0
    metadata = image_io.read_metadata("out/photo.exr")
    assert metadata["scale"] == "ldr_white"
    assert "max_one" in metadata["alignment"]
    assert metadata["model"].startswith("w ")


@pytest.mark.slow
def test_a_sheet_is_drawn_with_the_truth(folder, capsys):
    image_io.write_hdr("truth.exr", inference.reconstruct("photo.jpg", model=BLUR))
    command = ["inspect", "photo.jpg", "-o", "out/sheet.png", "--truth", "truth.exr"]
    assert main([*command, "--stops", "0", "-3"]) == 0
    assert capsys.readouterr() == ("", "photo.jpg -> out/sheet.png\n")
    sheet = image_io.read_encoded("out/sheet.png")
    assert sheet.shape[1] == 1920 and sheet.shape[0] > 1500
    assert 0.05 < sheet.std() < 0.5
    assert os.listdir("out") == ["sheet.png"]


def test_a_layer_of_no_truth_is_refused(folder, capsys):
    command = ["inspect", "photo.jpg", "-o", "out/sheet.png", "--layer", "diffuse"]
    assert "--truth" in assert_refused(command, folder, capsys)
    image_io.write_hdr("truth.hdr", np.ones((30, 40, 3), np.float32))
    message = assert_refused([*command, "--truth", "truth.hdr"], folder, capsys)
    assert "only OpenEXR has layers" in message


def test_without_matplotlib_a_sheet_is_refused_before_any_work(
    folder, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(inference, "Reconstructor", None)
    message = assert_refused(["inspect", "photo.jpg", "-o", "a.png"], folder, capsys)
    assert "pip install 'jaxhdr[inspect]'" in message


@pytest.mark.slow
def test_a_disk_that_refuses_leaves_no_part_of_a_sheet(folder, capsys, monkeypatch):
    monkeypatch.setattr(os, "replace", refuse(errno.ENOSPC))
    assert_refused(["inspect", "photo.jpg", "-o", "out/a.png"], folder, capsys)


def test_the_help_names_the_shipped_models(capsys):
    for command in ([], ["inspect"]):
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        assert ", ".join(shipped_names()) in capsys.readouterr().out


def test_the_installed_command_runs_on_its_own(folder):
    write_random_weights(folder / "w.safetensors")
    command = [sys.executable, "-c", "import sys; from jaxhdr.cli.main import main; "
               "sys.exit(main())"]  # fmt: skip
    root = pathlib.Path(jaxhdr.__file__).parents[1]
    options = ["photo.jpg", "-o", "out/a.hdr", "--model", "w.safetensors"]
    # Without oneDNN, stderr would also have a message about it.
    environment = os.environ | {"PYTHONPATH": str(root), "JAXHDR_CONV": "xla"}
    done = subprocess.run(
        [*command, *options], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "photo.jpg -> out/a.hdr\n"
    assert image_io.read_hdr("out/a.hdr").shape == (30, 40, 3)
