"""Scores models by kind of photograph, and measures faults that users would notice.

Run     python -m benchmarks.shipped_weights --models fhdr --data-dir DIR
The output is JSON lines and Markdown tables. The images are the validation views of
`configs/fhdr_release.py`, prepared in DIR. The alignment is `median`, and white is
200 cd/m^2.
"""

import argparse
import json

import jax.numpy as jnp
import numpy as np

from configs import fhdr_release
from jaxhdr.evaluation import image_sets, scoring
from jaxhdr.evaluation.methods import by_model
from jaxhdr.evaluation.rows import mean_scores
from jaxhdr.imaging import color
from jaxhdr.inference import Reconstructor
from jaxhdr.metrics import STOPS_FLOOR, Protocol, select
from jaxhdr.options import RESPONSES

METRICS = (
    "pu21_psnr",
    "pu21_ssim",
    "hdr_vdp2_q",
    "log2_rmse_clipped",
    "log2_rmse_unclipped",
    "log2_rmse",
)
# The changes of the camera for each kind of photograph.
_SRGB = {"curve_shares": (1.0, 0.0, 0.0)}
_UNCLIPPED = {"clipped_fraction": (0.0, 0.0)}
_NO_JPEG = {"jpeg_share": 0.0}
_NO_NOISE = {"read_noise": 0.0, "shot_noise": 0.0}
KINDS = {
    "the training's cameras": {},
    "plain sRGB": _SRGB,
    "plain sRGB, nothing clips, no JPEG": {**_SRGB, **_UNCLIPPED, **_NO_JPEG},
    "plain sRGB, nothing clips, no JPEG, no noise": {
        **_SRGB,
        **_UNCLIPPED,
        **_NO_JPEG,
        **_NO_NOISE,
    },
    "nothing clips": _UNCLIPPED,
}


def image_set(kind: str, options: argparse.Namespace) -> image_sets.ImageSet:
    """Returns the views, photographed by the cameras of one kind."""
    config = fhdr_release.get_config()
    config.camera.update(KINDS[kind])
    return image_sets.from_config(
        config.to_dict(), num_images=options.num_images, data_dir=options.data_dir
    )


def scores(kind: str, methods: dict, options: argparse.Namespace) -> dict:
    """Returns the mean scores, keyed by method and metric."""
    rows = []
    images = image_set(kind, options)
    for evaluated in scoring.evaluate(
        methods,
        images.read(()),
        select(options.metrics),
        protocol=Protocol(alignment="median"),
    ):
        rows += evaluated.rows
    return mean_scores(rows)


def regressions(model: Reconstructor, options: argparse.Namespace) -> dict[str, float]:
    """Returns the share of darkened clipped values, and the colour cast on grey.

    Both are computed over all photographs of the training's cameras: clipped channels
    must not end below white, and grey versions of the photographs must stay grey.
    """
    darker, lit, cast = 0, 0, []
    for image in image_set("the training's cameras", options).read(()):
        encoded = np.asarray(image.encoded)
        clipped = encoded >= 1
        darker += int((model(encoded)[clipped] < 0.999).sum())
        lit += int(clipped.sum())
        grey = np.asarray(color.luminance(jnp.asarray(encoded)))[..., None]
        grey = np.repeat(np.round(grey * 255) / 255, 3, -1).astype(np.float32)
        red, green, blue = np.moveaxis(np.log2(model(grey) + STOPS_FLOOR), -1, 0)
        cast.append(np.abs(np.stack([red - green, blue - green])).mean())
    return {
        "clipped channels below white": darker / max(lit, 1),
        "grey photographs: mean |R/G|, |B/G| in stops": float(np.mean(cast)),
    }


def main() -> None:
    """Scores every model on every kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["fhdr"])
    parser.add_argument("--data-dir", help="folder of prepared data")
    parser.add_argument("--num-images", type=int, help="default: all images")
    parser.add_argument("--response", choices=RESPONSES, default=RESPONSES[0])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--metrics", nargs="+", default=list(METRICS))
    options = parser.parse_args()
    models = {
        name: Reconstructor(name, size="full", tile=None, response=options.response)
        for name in options.models
    }
    methods = {name: by_model(model) for name, model in models.items()}
    for kind in options.kinds:
        means = scores(kind, methods, options)
        print(json.dumps({"kind": kind, "means": means}), flush=True)
        print(f"\n| {kind} | {' | '.join(options.metrics)} |")
        print(f"|---{'|---:' * len(options.metrics)}|")
        for method, row in means.items():
            cells = " | ".join(f"{row[name]:.3f}" for name in options.metrics)
            print(f"| {method} | {cells} |", flush=True)
    for name, model in models.items():
        print(json.dumps({"model": name} | regressions(model, options)), flush=True)


if __name__ == "__main__":
    main()
