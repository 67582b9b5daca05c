"""Compares reading a photograph of 12 megapixels with Pillow, as JSON lines.

Run     python benchmarks/reading.py
Pillow decodes to floats in [0, 1], as `read_encoded` does. The readers take turns; each
number is the median over rounds, and the ratio is that of the medians.
"""

import argparse
import json
import pathlib
import statistics
import tempfile
import time

import numpy as np
from PIL import Image

from jaxhdr import image_io

SAMPLE = pathlib.Path(__file__).parents[1] / "jaxhdr" / "samples" / "rocket.jpg"
FORMATS = {"jpg": {"quality": 92}, "png": {}, "webp": {"quality": 90}}


def by_pillow(path: pathlib.Path) -> np.ndarray:
    """Returns the photograph as floats in [0, 1]."""
    codes = np.asarray(Image.open(path).convert("RGB"))
    return codes.astype(np.float32) / np.float32(255)


def main() -> None:
    """Prints a row for each format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    image = Image.open(SAMPLE).resize((4000, 3000), Image.Resampling.LANCZOS)
    image.info.pop("icc_profile", None)  # Pillow alone would not convert the colours
    readers = {"pillow": by_pillow, "jaxhdr": image_io.read_encoded}
    with tempfile.TemporaryDirectory() as folder:
        for suffix, options in FORMATS.items():
            path = pathlib.Path(folder) / f"photo.{suffix}"
            image.save(path, **options)
            seconds: dict[str, list[float]] = {name: [] for name in readers}
            for _ in range(rounds):
                for name, read in readers.items():
                    start = time.perf_counter()
                    read(path)
                    seconds[name].append(time.perf_counter() - start)
            medians = {name: statistics.median(x) for name, x in seconds.items()}
            row = {f"{name}_ms": round(1000 * x) for name, x in medians.items()}
            ratio = round(medians["jaxhdr"] / medians["pillow"], 2)
            print(json.dumps({"format": suffix, **row, "ratio": ratio}), flush=True)


if __name__ == "__main__":
    main()
