"""Scores a training run on its validation images: python eval.py --workdir=DIR.

Prints a Markdown table of means and writes per_image.csv, report.json and report.md.
"""

import sys

from absl import app, flags, logging

from jaxhdr import evaluation, metrics, reports
from jaxhdr.errors import UserError

_DISPLAY = metrics.Display()

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_STEP = flags.DEFINE_integer("step", None, "Checkpoint; default the newest.")
_NUM_IMAGES = flags.DEFINE_integer("num_images", None, "Default all of the split.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Default as in training.")
_MODEL = flags.DEFINE_list(
    "model", [], "Models and classical operators (aky, kov, ...) to compare with."
)
_PREDICTIONS = flags.DEFINE_list(
    "predictions", [], "Folders of other methods' HDR files to score."
)
_PHOTOGRAPHS = flags.DEFINE_string(
    "photographs", None, "Write the photographs to this folder instead, as PNG."
)
_METRICS = flags.DEFINE_list("metrics", None, "Names of the columns; default all.")
_ALIGNMENT = flags.DEFINE_enum(
    "alignment", "none", list(metrics.ALIGNMENTS), "Of estimates to the truth."
)
_RESPONSE_CORRECTION = flags.DEFINE_bool(
    "response_correction", False, "Correct the camera's response (Hanji et al. 2022)."
)
_WHITE = flags.DEFINE_float(
    "white", _DISPLAY.white, "cd/m^2 of the photograph's white."
)
_PEAK = flags.DEFINE_float(
    "peak", _DISPLAY.peak, "cd/m^2 of the display's brightest pixel."
)
_BLACK = flags.DEFINE_float(
    "black", _DISPLAY.black, "cd/m^2 of the display's darkest pixel."
)
_PIXELS_PER_DEGREE = flags.DEFINE_float(
    "pixels_per_degree", _DISPLAY.pixels_per_degree, "Of the viewer's visual angle."
)
_OUTPUT = flags.DEFINE_string("output", None, "Default WORKDIR/evaluation/STEP.")


def main(argv: list[str]) -> None:
    """Evaluates one checkpoint of the run in --workdir."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    logging.set_verbosity(logging.WARNING)
    try:
        if _PHOTOGRAPHS.value:
            count = evaluation.write_photographs(
                _WORKDIR.value,
                _PHOTOGRAPHS.value,
                num_images=_NUM_IMAGES.value,
                data_dir=_DATA_DIR.value,
            )
            sys.stdout.write(f"{count} photographs in {_PHOTOGRAPHS.value}\n")
            return
        report = evaluation.evaluate_workdir(
            _WORKDIR.value,
            step=_STEP.value,
            num_images=_NUM_IMAGES.value,
            data_dir=_DATA_DIR.value,
            output=_OUTPUT.value,
            metrics=_METRICS.value,
            protocol=_protocol(),
            others=_MODEL.value,
            predictions=_PREDICTIONS.value,
        )
    except UserError as error:
        sys.stderr.write(f"eval.py: error: {error}\n")
        sys.exit(2)
    sys.stdout.write(reports.markdown(report))


def _protocol() -> metrics.Protocol:
    return metrics.Protocol(
        alignment=_ALIGNMENT.value,
        response_correction=_RESPONSE_CORRECTION.value,
        display=metrics.Display(
            white=_WHITE.value,
            peak=_PEAK.value,
            black=_BLACK.value,
            pixels_per_degree=_PIXELS_PER_DEGREE.value,
        ),
    )


if __name__ == "__main__":
    app.run(main)
