"""Scores one photograph given at several sizes, as a table.

Run     python benchmarks/sizes.py FOLDER
The folder has panoramas of 1024 x 512 pixels as .exr or .hdr that the model was not
trained on. From each, one crop of 640 x 384 pixels is photographed by the virtual
camera; the photograph is given as it is and enlarged (cubic, 8 bits). With `--rendered
N`, N procedural scenes of 2560 x 2560 pixels take its place; they are averaged to each
size before they are photographed, so the larger photographs have more detail. Results
above 640 pixels are averaged back to 640, so all their rows have the same truth; the
truth of a smaller photograph is averaged to its size. The last columns are the mean
difference in stops from the result at 640 pixels, and both scores of detail where all
channels clip.
"""

import argparse
import dataclasses
import pathlib
import zlib
from collections.abc import Iterable
from typing import NamedTuple

import jax
import numpy as np

import jaxhdr
from data_builders.shared.splits import hash_integer
from data_builders.synthetic_hdr import layouts, rendering
from jaxhdr import image_io, metrics
from jaxhdr.imaging import camera
from jaxhdr.imaging.gain import DARK
from jaxhdr.imaging.resampling import resized
from jaxhdr.options import size_of

HEIGHT, WIDTH = 384, 640
RENDERED = 2560
SCORES = (
    *("pu21_psnr", "log2_rmse_clipped", "log2_rmse_unclipped"),
    *("clipped_detail_invented", "clipped_detail_correlation"),
)
# The camera of the shipped weights.
CAMERA = camera.Camera(jpeg_quality=(70.0, 100.0), color_cast=0.25)
COLUMNS = (
    *("--size", "long side", "PU21-PSNR (dB)", "clipped (stops)", "unclipped (stops)"),
    *("invented detail (stops)", "its correlation", "differs, clipped", "unclipped"),
)


class Shown(NamedTuple):
    """A photograph at one size, and what its result is compared with."""

    encoded: np.ndarray
    pair: camera.Pair


def photographed(
    hdr: np.ndarray, name: str, clipped: tuple[float, float]
) -> camera.Pair:
    """Returns the photograph of radiance by a camera that the name draws."""
    key = jax.random.fold_in(jax.random.key(7), zlib.crc32(name.encode()))
    levels = camera.clipping_levels(hdr)
    simulate = jax.jit(camera.simulate, static_argnames="camera")
    seen_by = dataclasses.replace(CAMERA, clipped_fraction=clipped)
    pair = simulate(key, hdr[None], levels[None], camera=seen_by)
    return camera.Pair(*(np.asarray(image[0]) for image in pair))


def of_panorama(
    path: pathlib.Path, sides: Iterable[int], clipped: tuple[float, float]
) -> dict[int, Shown]:
    """Returns the photograph of a panorama's middle, resized."""
    hdr = image_io.read_hdr(path)[64 : 64 + HEIGHT, :WIDTH]
    pair = photographed(hdr, path.name, clipped)
    found = {}
    for side in sides:
        size = (round(HEIGHT * side / WIDTH), side)
        image = np.clip(resized(pair.encoded, size), 0, 1)
        encoded = (np.round(image * 255) / 255).astype(np.float32)
        small = size if side < WIDTH else (HEIGHT, WIDTH)
        truth = resized(pair.hdr, small)
        seen = encoded if side < WIDTH else pair.encoded
        found[side] = Shown(encoded, camera.Pair(seen, truth))
    return found


def of_scene(
    number: int, sides: Iterable[int], clipped: tuple[float, float]
) -> dict[int, Shown]:
    """Returns photographs of one procedural scene."""
    kind = layouts.KINDS[number % len(layouts.KINDS)]
    rng = np.random.default_rng(hash_integer(f"sizes:{kind}:{number}"))
    hdr = rendering.render(layouts.draw_scene(rng, kind), size=RENDERED)
    pairs = {
        side: photographed(resized(hdr, (side, side)), f"{kind}{number}", clipped)
        for side in {WIDTH, *sides}
    }
    return {side: Shown(pairs[side].encoded, pairs[min(side, WIDTH)]) for side in sides}


def scores(pair: camera.Pair, hdr: np.ndarray) -> list[float]:
    """Returns `SCORES` of a result."""
    protocol = metrics.Protocol("median", False, metrics.Display())
    found = metrics.compare(
        hdr, pair.hdr, encoded=pair.encoded, names=SCORES, protocol=protocol
    )
    return [found[name] for name in SCORES]


def difference(hdr, other, encoded) -> list[float]:
    """Returns the mean difference in stops over clipped and over other pixels."""
    stops = np.abs(np.log2((hdr + DARK) / (other + DARK))).mean(axis=-1)
    is_clipped = np.asarray(camera.is_clipped(encoded))[..., 0]
    return [
        stops[mask].mean() if mask.any() else np.nan
        for mask in (is_clipped, ~is_clipped)
    ]


def rows_of(model, shown: dict[int, Shown]) -> dict[int, list[float]]:
    """Returns the numbers of one photograph at each size."""
    found, expected = {}, None
    for side in sorted(shown, key=lambda side: side != WIDTH):  # 640 first
        encoded, pair = shown[side]
        hdr = resized(model(encoded), pair.hdr.shape[:2])
        if side == WIDTH:
            expected = hdr
        row = [np.nan, np.nan]
        if side > WIDTH and expected is not None:
            row = difference(hdr, expected, pair.encoded)
        found[side] = [*scores(pair, np.maximum(hdr, 0)), *row]
    return found


def main() -> None:
    """Prints one row for each choice of --size and each size of the photograph."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path, nargs="?")
    parser.add_argument("--rendered", type=int, default=0, help="number of scenes")
    parser.add_argument("--model", default="fhdr")
    parser.add_argument("--sizes", nargs="+", default=["auto"])
    parser.add_argument("--sides", nargs="+", type=int, default=[640, 1280, 2560])
    parser.add_argument(
        "--clipped",
        nargs=2,
        type=float,
        default=[0.0, 0.2],
        help="share of pixels that the camera clips; 0.2 0.4: over-exposed",
    )
    options = parser.parse_args()
    clipped = (options.clipped[0], options.clipped[1])
    if options.rendered:
        scenes = range(options.rendered)
        all_shown = [of_scene(number, options.sides, clipped) for number in scenes]
    else:
        paths = image_io.list_folder(options.folder, (".exr", ".hdr"))
        all_shown = [of_panorama(path, options.sides, clipped) for path in paths]
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---|" + "---:|" * (len(COLUMNS) - 1))
    for word in options.sizes:
        model = jaxhdr.Reconstructor(options.model, size=size_of(word))
        found = [rows_of(model, shown) for shown in all_shown]
        for side in options.sides:
            numbers = np.array([rows[side] for rows in found])
            has_number = np.isfinite(numbers).any(axis=0)
            means = [
                f"{np.nanmean(column):.3f}" if has else ""
                for column, has in zip(numbers.T, has_number, strict=True)
            ]
            print(f"| `{word}` | {side} | {' | '.join(means)} |", flush=True)


if __name__ == "__main__":
    main()
