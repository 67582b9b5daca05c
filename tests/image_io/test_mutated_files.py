"""Damaged files of every format: an image or one sentence, never a crash or a hang.

Each format has its own process, whose memory is limited, so that a crash of a decoder
is seen. The damage of file number n follows from the seed n.
"""

import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.damaged_files import damaged
from tests.made_photos import (
    GAMMA_22,
    HEIC,
    P3,
    iccp,
    make_matrix_profile,
    write_png16,
)

NUM_FILES = 160  # of each format
MAX_SECONDS = 10.0  # for one file
MAX_MEMORY = 6 * 2**30
CODES = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
PROFILE = make_matrix_profile(P3, GAMMA_22)
PILLOW = {
    "jpg": {"quality": 90, "icc_profile": PROFILE},
    "progressive.jpg": {"progressive": True},
    "png": {"icc_profile": PROFILE},
    "tif": {"icc_profile": PROFILE},
    "lzw.tif": {"compression": "tiff_lzw"},
    "deflate.tif": {"compression": "tiff_adobe_deflate"},
    "webp": {"icc_profile": PROFILE},
    "bmp": {},
    "gif": {},
    "ppm": {},
    "avif": {"icc_profile": PROFILE},
}


def written_by_pillow(path, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    options = dict(PILLOW[name])
    if not name.endswith(("bmp", "gif", "ppm")):
        options["exif"] = exif
    Image.fromarray(CODES).save(path, **options)


def written_hdr(path, _) -> None:
    from jaxhdr import image_io

    hdr = np.exp(np.random.default_rng(1).standard_normal(CODES.shape))
    image_io.write_hdr(path, hdr.astype(np.float32), metadata={"model": "test"})


def written_jxl(path, _) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    path.write_bytes(imagecodecs.jpegxl_encode(CODES, lossless=True))


FORMATS = {
    **dict.fromkeys(PILLOW, written_by_pillow),
    "16.png": lambda path, _: write_png16(
        path,
        CODES.astype(int) * 257,
        (b"cICP", bytes([9, 16, 0, 1])),
        (b"gAMA", b"\0\0\xb1\x8f"),
        iccp(PROFILE),
    ),
    "16.tif": lambda path, _: tifffile.imwrite(
        path, CODES.astype(np.uint16) * 257, photometric="rgb"
    ),
    "heic": lambda path, _: path.write_bytes(HEIC),
    "jxl": written_jxl,
    **dict.fromkeys(("exr", "hdr", "pfm", "npy", "float.tif"), written_hdr),
}

CHILD = """
import pathlib, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
from jaxhdr import image_io
from jaxhdr.errors import UserError
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    for read in (image_io.read_encoded, image_io.read_hdr):
        print(path.name, read.__name__, end=" ", flush=True)
        start = time.perf_counter()
        try:
            image = read(path)
            assert image.ndim == 3 and image.shape[2] == 3
        except UserError as error:
            assert str(error) and "\\n" not in str(error) and len(str(error)) < 600
        print(time.perf_counter() - start, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_give_an_image_or_one_sentence(tmp_path, name):
    source = tmp_path / f"source.{name}"
    FORMATS[name](source, name)
    folder = tmp_path / "damaged"
    folder.mkdir()
    for seed in range(NUM_FILES):
        (folder / f"{seed:04d}.{name}").write_bytes(damaged(source.read_bytes(), seed))
    start = time.perf_counter()
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), str(MAX_MEMORY)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    lines = child.stdout.splitlines()
    assert child.returncode == 0, f"{lines[-1:]} {child.stderr[-2000:]}"
    assert len(lines) == 2 * NUM_FILES
    slowest = max(lines, key=lambda line: float(line.split()[-1]))
    assert float(slowest.split()[-1]) < MAX_SECONDS, slowest
    assert time.perf_counter() - start < 600
