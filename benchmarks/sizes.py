"""Scores a model on photographs of one scene at several sizes, as a Markdown table.

Run     python benchmarks/sizes.py FOLDER
FOLDER holds panoramas of 1024 x 512 pixels (.exr or .hdr) that the model was not
trained on. From each, one crop of 640 x 384 pixels is photographed by the virtual
camera; the photograph is given as it is and enlarged 2 and 4 times (cubic, 8 bits), and
the result is averaged back. So all rows of the table have the same truth. The last two
columns are the mean difference in stops from the result at 640 pixels.
"""

import argparse
import pathlib
import zlib

import jax
import numpy as np

import jaxhdr
from jaxhdr import image_io, metrics
from jaxhdr.imaging import camera
from jaxhdr.imaging.gain import DARK
from jaxhdr.imaging.resampling import resized
from jaxhdr.options import size_of

HEIGHT, WIDTH = 384, 640
SCORES = ("pu21_psnr", "log2_rmse_clipped", "log2_rmse_unclipped")
# The camera of the shipped weights.
CAMERA = camera.Camera(
    clipped_fraction=(0.0, 0.2), jpeg_quality=(70.0, 100.0), color_cast=0.25
)


def photograph(path: pathlib.Path) -> camera.Pair:
    """Returns the photograph of a panorama's middle, and its radiance."""
    hdr = image_io.read_hdr(path)[64 : 64 + HEIGHT, :WIDTH]
    key = jax.random.fold_in(jax.random.key(7), zlib.crc32(path.name.encode()))
    levels = camera.clipping_levels(hdr)
    simulate = jax.jit(camera.simulate, static_argnames="camera")
    pair = simulate(key, hdr[None], levels[None], camera=CAMERA)
    return camera.Pair(*(np.asarray(image[0]) for image in pair))


def enlarged(encoded: np.ndarray, factor: int) -> np.ndarray:
    """Returns the photograph at a larger size, with 8 bits again."""
    large = resized(encoded, (HEIGHT * factor, WIDTH * factor))
    return (np.round(np.clip(large, 0, 1) * 255) / 255).astype(np.float32)


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


def main() -> None:
    """Prints one row for each size of the photograph and each choice of --size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--model", default="fhdr")
    parser.add_argument("--sizes", nargs="+", default=["auto"])
    parser.add_argument("--factors", nargs="+", type=int, default=[1, 2, 4])
    options = parser.parse_args()
    paths = image_io.list_folder(options.folder, (".exr", ".hdr"))
    pairs = [photograph(path) for path in paths]
    print(
        "| size | photograph | PU21-PSNR | clipped | unclipped | differs: clipped "
        "| unclipped |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    for word in options.sizes:
        size = size_of(word)
        model = jaxhdr.Reconstructor(options.model, size=size)
        reference = [model(pair.encoded) for pair in pairs]
        for factor in options.factors:
            rows = []
            for pair, expected in zip(pairs, reference, strict=True):
                hdr = expected
                if factor > 1:
                    large = model(enlarged(pair.encoded, factor))
                    hdr = resized(large, (HEIGHT, WIDTH))
                rows.append(
                    [*scores(pair, hdr), *difference(hdr, expected, pair.encoded)]
                )
            means = " | ".join(f"{x:.3f}" for x in np.nanmean(rows, axis=0))
            print(
                f"| {size} | {WIDTH * factor} x {HEIGHT * factor} | {means} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
