"""Damaged files of every kind give an image or one sentence. The seeds are written."""

import numpy as np
import OpenImageIO as oiio
import pytest

from jaxhdr import image_io
from jaxhdr.errors import UserError
from tests.damaged_files import damaged
from tests.image_io.radiance import test_exr, test_rgbe
from tests.raw_photos import write_dng

_COMPRESSIONS = "none rle zip zips piz pxr24 b44 b44a dwaa dwab".split()
_NUM_MUTATIONS = 40


def _write_exr(path, compression: str) -> None:
    pixels = np.random.default_rng(0).lognormal(0, 2, (40, 52, 3)).astype(np.float32)
    spec = oiio.ImageSpec(52, 40, 3, "half")
    spec.channelnames = ("R", "G", "B")
    spec.attribute("compression", compression)
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec) and output.write_image(pixels)
    assert output.close()


def _write(path, name: str) -> None:
    if path.suffix == ".dng":
        noise = np.random.default_rng(0).random((48, 64, 3))
        write_dng(path, noise, with_preview=name == "preview")
    elif path.suffix == ".hdr":
        pixels = test_rgbe.noise(20, 40)
        header = "#?RADIANCE\r\nEXPOSURE=2\r\nFORMAT= 32-bit_rle_rgbe\r\n"
        header = header if name == "flat" else "#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n"
        body = getattr(test_rgbe, name)(pixels)
        test_rgbe.write(path, body, (20, 40), header=header)
    elif name == "chroma":
        test_exr.write_luminance_chroma(path, np.full((32, 48, 3), 0.5))
    elif name == "parts":
        parts = ("a.Combined", test_exr.colour(2)), ("depth", {"Z": 1.0})
        test_exr.write_parts(path, *parts)
    else:
        _write_exr(path, name)


@pytest.mark.parametrize(
    ("suffix", "name"),
    [
        *((".exr", name) for name in [*_COMPRESSIONS, "chroma", "parts"]),
        *((".hdr", name) for name in ("flat", "old_runs", "new_runs")),
        *((".dng", name) for name in ("preview", "alone")),
    ],
)
def test_a_mutated_file_is_an_image_or_one_sentence(tmp_path, suffix, name):
    path = tmp_path / f"x{suffix}"
    if suffix == ".dng":
        pytest.importorskip("rawpy")
    _write(path, name)
    data = path.read_bytes()
    read = image_io.read_encoded if suffix == ".dng" else image_io.read_hdr
    read(path)  # the sound file
    for seed in range(_NUM_MUTATIONS):
        path.write_bytes(damaged(data, seed))
        try:
            image = read(path)
        except UserError as error:
            text = str(error)
            assert text.isprintable() and not text.endswith(".") and len(text) < 900
        else:
            assert np.isfinite(image).all() and (image >= 0).all()
