"""Measures the gain maps of Ultra HDR files: bytes, errors and time, as a table.

Run     python benchmarks/ultra_hdr.py
It writes the sample photograph with its reconstruction, as it is and enlarged to 4000
x 3000 pixels in sRGB, and renders of procedural scenes of 512 x 512 pixels with their
truth, which a virtual camera photographed (JPEG, quality 92). Errors
are relative to the radiance, or to 1/256 where it is darker; radiance counts up to
10,000 / 203, and the columns are the median and the 95th percentile over all pixels:
of R, G and B, of luminance, and of luminance where the radiance is above 1.0. The last
is the median of luminance as libultrahdr decodes it (of those that are sRGB).
`--variants` changes one number of the writer after the other, for gain maps of one
channel and of the full size. `--seconds` times photographs of 12 megapixels instead:
the median and the largest of `--rounds`, in seconds.
"""

import argparse
import itertools
import pathlib
import statistics
import tempfile
import time
from typing import NamedTuple
from unittest import mock

import imagecodecs
import jax
import numpy as np
from PIL import Image

import jaxhdr
from data_builders.synthetic_hdr import layouts, rendering
from jaxhdr import image_io
from jaxhdr.image_io.ultra_hdr import gain_encoding, ultra_hdr_files
from jaxhdr.image_io.ultra_hdr.gain_encoding import MOST_LIGHT
from jaxhdr.imaging import camera
from jaxhdr.options import GAIN_MAP_CHANNELS, GAIN_MAP_DIVISORS

SAMPLE = pathlib.Path(image_io.__file__).parents[1] / "samples" / "rocket.jpg"
KINDS, PER_KIND, SIZE = ("day", "night", "room"), 2, 512
VARIANTS = {
    "as it is": (gain_encoding, "OFFSET", gain_encoding.OFFSET),
    "offset 1/16": (gain_encoding, "OFFSET", 1 / 16),
    "offset 1/256": (gain_encoding, "OFFSET", 1 / 256),
    "percentiles 0, 100": (gain_encoding, "PERCENTILES", (0, 100)),
    "percentiles 0.1, 99.9": (gain_encoding, "PERCENTILES", (0.1, 99.9)),
    "percentiles 1, 99": (gain_encoding, "PERCENTILES", (1, 99)),
    "quality 85": (ultra_hdr_files, "QUALITY", 85),
    "quality 95": (ultra_hdr_files, "QUALITY", 95),
}
LARGE = (4000, 3000)
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # ITU-R BT.709-6
COLUMNS = (
    *("gain map (kB)", "of the base (%)"),
    *("RGB (%)", "luminance (%)", "above 1.0 (%)", "libultrahdr (%)"),
)


class Shown(NamedTuple):
    """A photograph and its radiance in units of its white."""

    path: pathlib.Path
    hdr: np.ndarray
    is_srgb: bool


def scenes(folder: pathlib.Path) -> list[Shown]:
    """Returns photographs of procedural scenes, written into a folder."""
    simulate = jax.jit(camera.simulate, static_argnames="camera")
    shown = []
    for number in range(len(KINDS) * PER_KIND):
        kind = KINDS[number % len(KINDS)]
        scene = layouts.draw_scene(np.random.default_rng(number), kind)
        hdr = rendering.render(scene, size=SIZE).astype(np.float32)
        levels = camera.clipping_levels(hdr)
        pair = simulate(
            jax.random.key(number),
            hdr[None],
            levels[None],
            camera=camera.Camera(jpeg_share=0.0),
        )
        encoded, light = (np.asarray(image[0]) for image in pair)
        path = folder / f"{number}.jpg"
        codes = np.rint(encoded * 255).astype(np.uint8)
        Image.fromarray(codes).save(path, quality=92)
        shown.append(Shown(path, light, True))
    return shown


def enlarged(path: pathlib.Path) -> pathlib.Path:
    """Writes the sample with 12 megapixels, in the format of the suffix."""
    codes = np.rint(255 * image_io.read_encoded(SAMPLE)).astype(np.uint8)
    image = Image.fromarray(codes).resize(LARGE, Image.Resampling.LANCZOS)
    image.save(path, quality=92)
    return path


def errors(estimate: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns the median and the 95th percentile of relative errors in percent."""
    if not truth.size:
        return np.full(2, np.nan)
    relative = np.abs(estimate - truth) / np.maximum(truth, 1 / 256)
    return 100 * np.percentile(relative, (50, 95))


def measured(shown: Shown, path: pathlib.Path, channels: int, divisor: int) -> list:
    """Returns the numbers of a row for one photograph."""
    image_io.write_ultra_hdr(
        path, shown.hdr, shown.path, channels=channels, divisor=divisor
    )
    truth = np.minimum(shown.hdr.astype(np.float64), MOST_LIGHT)
    estimate = image_io.read_hdr(path).astype(np.float64)
    bright = truth.max(axis=2) > 1
    theirs = np.nan
    if shown.is_srgb:
        decoded = imagecodecs.ultrahdr_decode(path.read_bytes())[..., :3]
        decoded = np.asarray(decoded, np.float64)
        theirs = errors(decoded @ LUMINANCE, truth @ LUMINANCE)[0]
    length = shown.path.stat().st_size
    added = path.stat().st_size - length
    return [
        added / 1000,
        100 * added / length,
        *errors(estimate, truth),
        *errors(estimate @ LUMINANCE, truth @ LUMINANCE),
        *errors(estimate[bright] @ LUMINANCE, truth[bright] @ LUMINANCE),
        theirs,
    ]


def size_of(divisor: int) -> str:
    """Returns the size of a gain map for a table."""
    return "1" if divisor == 1 else f"1/{divisor}"


def print_row(
    first: list,
    shown: list[Shown],
    *,
    folder: pathlib.Path,
    channels: int,
    divisor: int,
) -> None:
    """Prints the means of the numbers of some photographs."""
    rows = [measured(one, folder / "out.jpg", channels, divisor) for one in shown]
    kilobytes, share, *pairs, theirs = np.mean(rows, axis=0)
    cells = [f"{a:.2f}, {b:.1f}" for a, b in np.reshape(pairs, (-1, 2))]
    last = f"{theirs:.2f}" if theirs == theirs else ""
    row = [*first, f"{kilobytes:.1f}", f"{share:.0f}", *cells, last]
    print(f"| {' | '.join(map(str, row))} |", flush=True)


def print_head(*first: str) -> None:
    """Prints the head of a table."""
    columns = [*first, *COLUMNS]
    print(f"| {' | '.join(columns)} |\n|---|{'---:|' * (len(columns) - 1)}")


def report_errors(folder: pathlib.Path) -> None:
    """Prints the table of bytes and errors."""
    large = enlarged(folder / "large.jpg")
    images = {
        "sample": [Shown(SAMPLE, jaxhdr.reconstruct(SAMPLE), False)],
        "scenes": scenes(folder),
        "12 megapixels": [Shown(large, jaxhdr.reconstruct(large), True)],
    }
    print_head("photograph", "channels", "size")
    for name, shown in images.items():
        for channels, divisor in itertools.product(
            GAIN_MAP_CHANNELS, GAIN_MAP_DIVISORS
        ):
            first = [name, channels, size_of(divisor)]
            print_row(first, shown, folder=folder, channels=channels, divisor=divisor)


def report_variants(folder: pathlib.Path) -> None:
    """Prints the table of bytes and errors with other numbers in the writer."""
    images = {
        "sample": [Shown(SAMPLE, jaxhdr.reconstruct(SAMPLE), False)],
        "scenes": scenes(folder),
    }
    print_head("photograph", "variant")
    for name, shown in images.items():
        for label, (module, constant, value) in VARIANTS.items():
            with mock.patch.object(module, constant, value):
                first = [name, label]
                print_row(first, shown, folder=folder, channels=1, divisor=1)


def report_seconds(folder: pathlib.Path, *, rounds: int) -> None:
    """Prints the seconds that writing 12 megapixels takes."""
    photos = [enlarged(folder / f"photo.{suffix}") for suffix in ("jpg", "png")]
    hdr = jaxhdr.reconstruct(photos[0])
    print("| photograph | channels | size | median (s) | largest (s) |")
    print("|---|---:|---:|---:|---:|")
    for photo in photos:
        for count in GAIN_MAP_CHANNELS:
            for divisor in GAIN_MAP_DIVISORS:
                seconds = []
                for _ in range(rounds):
                    start = time.perf_counter()
                    image_io.write_ultra_hdr(
                        folder / "out.jpg", hdr, photo, channels=count, divisor=divisor
                    )
                    seconds.append(time.perf_counter() - start)
                median, largest = statistics.median(seconds), max(seconds)
                row = [photo.suffix, count, size_of(divisor)]
                times = f"{median:.2f} | {largest:.2f}"
                print(f"| {' | '.join(map(str, row))} | {times} |", flush=True)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", action="store_true")
    parser.add_argument("--variants", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if options.seconds:
            report_seconds(folder, rounds=options.rounds)
        elif options.variants:
            report_variants(folder)
        else:
            report_errors(folder)


if __name__ == "__main__":
    main()
