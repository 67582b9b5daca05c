"""Draws the pictures of the README and of the model cards.

Run     python -m docs.pictures --model fhdr --data-dir DIR --runs RUN ... --output docs
DIR has the prepared views of `configs/fhdr_release.py`. RUN ... are the folders of the
training runs in order, for the curves. The photographs come with this package and with
scikit-image (`pip install '.[test]'`). Each row shows a photograph, its linearised
pixels and the reconstruction at -3 and -6 stops, and the truth if it is known.
"""

import argparse
import io
import pathlib
from collections.abc import Mapping

import jax.numpy as jnp
import matplotlib.figure
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data as photographs

import jaxhdr
from configs import fhdr_release
from jaxhdr import inference
from jaxhdr.evaluation import image_sets, scoring
from jaxhdr.imaging import color
from jaxhdr.pictures import previews
from jaxhdr.storage import run_log

STOPS = (-3, -6)
SIDE = 176  # width of a picture in pixels
GAP = 4
CAPTION = 16

# Views from the validation split: title, scene, number of the view.
GALLERY = (
    ("city at night", "shanghai_bund_1k", 6),
    ("skylights", "empty_warehouse_01_1k", 4),
    ("lamp and window", "christmas_photo_studio_07_1k", 8),
)
FAILURES = (
    ("a disc of the sun", "shanghai_riverside_1k", 14),
    ("large clipped windows", "peppermint_powerplant_1k", 9),
    ("coloured lights", "circus_arena_1k", 4),
    ("night", "satara_night_1k", 9),
    ("clipped sky", "forest_slope_1k", 1),
)
JPEG_QUALITY = 20

CURVES = {
    "pu21_psnr": "PU21-PSNR (dB)",
    "log2_rmse_clipped": "clipped (stops)",
    "log2_rmse_unclipped": "unclipped (stops)",
}

Picture = np.ndarray
Scene = tuple[str, Picture, Picture | None]


def real() -> list[Scene]:
    """Returns real photographs: from SpaceX and NASA (public domain), and CC0."""
    sample = pathlib.Path(jaxhdr.__file__).parent / "samples/rocket.jpg"
    return [
        ("launch pad", jaxhdr.read_encoded(sample)[180:, 60:430], None),
        ("astronaut", inference.to_encoded(photographs.astronaut()), None),
        ("coffee", inference.to_encoded(photographs.coffee()), None),
    ]


def compressed() -> Scene:
    """Returns a photograph after strong JPEG compression."""
    title, encoded, _ = real()[0]
    file = io.BytesIO()
    codes = np.round(encoded * 255).astype(np.uint8)
    Image.fromarray(codes).save(file, "jpeg", quality=JPEG_QUALITY)
    return title, inference.to_encoded(np.asarray(Image.open(file))), None


class _Others:
    """Contains every name of a view except some."""

    def __init__(self, names: Mapping[str, str]):
        self._names = names

    def __contains__(self, name: object) -> bool:
        return str(name).split("/")[-1] not in self._names


def simulated(views: tuple, data_dir: str) -> list[Scene]:
    """Returns views of panoramas, photographed by the cameras of validation."""
    config = fhdr_release.get_config().to_dict()
    names = {f"{scene}.exr#view{number:03d}": title for title, scene, number in views}
    images = image_sets.from_config(config, data_dir=data_dir)
    found = {
        names[image.name.split("/")[-1]]: image for image in images.read(_Others(names))
    }
    return [
        (title, np.asarray(found[title].encoded), np.asarray(found[title].hdr))
        for title in names.values()
    ]


def row(scene: Scene, model: jaxhdr.Reconstructor) -> list[Picture]:
    """Returns the pictures of a row."""
    _, encoded, truth = scene
    shown = [encoded, *_exposed(_linearised(encoded)), *_exposed(model(encoded))]
    return shown + (_exposed(truth) if truth is not None else [])


def _linearised(encoded: Picture) -> Picture:
    return np.asarray(color.srgb_decode(jnp.asarray(encoded)))


def _exposed(hdr: Picture) -> list[Picture]:
    return [previews.expose(hdr, stops) for stops in STOPS]


def sheet(scenes: list[Scene], model: jaxhdr.Reconstructor) -> Image.Image:
    """Returns one picture of all rows, with captions."""
    methods = ("input", "reconstructed", "truth")
    captions = ["photograph"]
    captions += [f"{method}, {stops} EV" for method in methods for stops in STOPS]
    rows = [row(scene, model) for scene in scenes]
    columns = max(map(len, rows))
    heights = [round(SIDE * each[0].shape[0] / each[0].shape[1]) for each in rows]
    size = columns * (SIDE + GAP), CAPTION + sum(heights) + GAP * len(rows)
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(11)
    for column, caption in enumerate(captions[:columns]):
        draw.text((column * (SIDE + GAP), 1), caption, "black", font)
    top = CAPTION
    for pictures, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(pictures):
            codes = np.round(picture * 255).astype(np.uint8)
            small = Image.fromarray(codes).resize((SIDE, height), Image.Resampling.BOX)
            page.paste(small, (column * (SIDE + GAP), top))
        top += height + GAP
    return page


def curves(runs: list[pathlib.Path]) -> matplotlib.figure.Figure:
    """Returns curves of validation scores over the steps of consecutive runs."""
    figure = matplotlib.figure.Figure((9, 2.6), layout="constrained")
    axes = figure.subplots(1, len(CURVES))
    for axis, (metric, title) in zip(axes, CURVES.items(), strict=True):
        start, colors = 0, {}
        for run in runs:
            scores = run_log.read_scores(run)[metric]
            for method, points in scores.items():
                steps, values = np.array(points).T
                known = method in colors
                (line,) = axis.plot(
                    start + steps,
                    values,
                    "--" if method == scoring.BASELINE else "-",
                    color=colors.get(method),
                    label=None if known else method,
                )
                colors[method] = line.get_color()
            start += max(step for points in scores.values() for step, _ in points)
            if run != runs[-1]:
                axis.axvline(start, color="0.8", linewidth=1)
        axis.set(title=title, xlabel="steps")
    lines = axes[0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=len(lines[0]), fontsize=7)
    return figure


def main() -> None:
    """Writes a model's gallery, its failures, and its training curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="fhdr")
    parser.add_argument("--data-dir", required=True, help="folder of prepared data")
    parser.add_argument("--runs", nargs="*", type=pathlib.Path, default=[])
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("docs"))
    options = parser.parse_args()
    model = jaxhdr.Reconstructor(options.model)
    name = pathlib.Path(options.model).name
    scenes = real() + simulated(GALLERY, options.data_dir)
    sheet(scenes, model).save(options.output / f"{name}_gallery.jpg", quality=88)
    failures = sheet([*simulated(FAILURES, options.data_dir), compressed()], model)
    failures.save(options.output / f"{name}_failures.jpg", quality=85)
    if options.runs:
        curves(options.runs).savefig(options.output / f"{name}_curves.png", dpi=110)


if __name__ == "__main__":
    main()
