"""Draws parts of over-exposed photographs, with the truth beside the results.

Run     python -m docs.overexposed FOLDER --output docs/overexposed.jpg
FOLDER has the panoramas of `benchmarks/sizes.py`. The camera clips 20 to 40 % of the
pixels. Each row shows 200 x 200 pixels at their own size: the photograph, and at -2,
-3 and -4 stops the result of `--size full` (whose detail is not made coarser where all
channels clip), that of the default, and the truth.
"""

import argparse
import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import jaxhdr
from benchmarks import sizes
from jaxhdr.pictures import previews

# Names of panoramas, and the left and the upper end of the part.
PARTS = (
    ("aristea_wreck_puresky_1k", 400, 0),
    ("photo_studio_01_1k", 230, 60),
    ("potsdamer_platz_1k", 240, 20),
    ("christmas_photo_studio_03_1k", 0, 0),
)
STOPS = (-2, -3, -4)
METHODS = ("full", "auto", "truth")
SIDE, GAP, CAPTION = 200, 4, 16
CLIPPED = (0.2, 0.4)


def row(path: pathlib.Path, left: int, top: int, models: list) -> np.ndarray:
    """Returns the pictures of one photograph side by side."""
    encoded, pair = sizes.of_panorama(path, [sizes.WIDTH], CLIPPED)[sizes.WIDTH]
    part = slice(top, top + SIDE), slice(left, left + SIDE)
    shown = [*(model(encoded)[part] for model in models), pair.hdr[part]]
    exposed = [previews.expose(hdr, stops) for stops in STOPS for hdr in shown]
    gap = np.ones((SIDE, GAP, 3), np.float32)
    parts = [part for image in (encoded[part], *exposed) for part in (image, gap)]
    return np.concatenate(parts[:-1], axis=1)


def main() -> None:
    """Writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--model", default="fhdr")
    parser.add_argument("--output", type=pathlib.Path, required=True)
    options = parser.parse_args()
    models = [
        jaxhdr.Reconstructor(options.model, size=method) for method in METHODS[:2]
    ]
    rows = [
        row(options.folder / f"{name}.exr", left, top, models)
        for name, left, top in PARTS
    ]
    width, height = rows[0].shape[1], len(rows) * (SIDE + GAP)
    page = Image.new("RGB", (width, CAPTION + height), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(11)
    captions = [f"{method}, {stops} EV" for stops in STOPS for method in METHODS]
    for column, caption in enumerate(["photograph", *captions]):
        draw.text((column * (SIDE + GAP), 1), caption, "black", font)
    for number, pictures in enumerate(rows):
        codes = np.round(pictures * 255).astype(np.uint8)
        page.paste(Image.fromarray(codes), (0, CAPTION + number * (SIDE + GAP)))
    page.save(options.output, quality=80)


if __name__ == "__main__":
    main()
