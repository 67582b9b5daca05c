"""Scores methods on images whose radiance is known.

    python eval.py --workdir=RUN                               a training run
    python eval.py --config=CONFIG --model=NAMES --output=DIR  models, on prepared data
    python eval.py --pairs=PHOTOS,TRUTHS --model=NAMES --output=DIR    on two folders

Prints a Markdown table of means and writes report.html, per_image.csv, report.json and
report.md. A stopped evaluation goes on where it was.
"""

import sys

from absl import app, flags, logging
from ml_collections import config_flags

from jaxhdr import metrics, options
from jaxhdr.errors import UserError
from jaxhdr.evaluation import image_sets, reports, scoring
from jaxhdr.storage import checkpoints

_DISPLAY = metrics.Display()

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a training run to score.")
_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Whose validation images to score on, without a run."
)
_PAIRS = flags.DEFINE_list(
    "pairs", None, "Two folders to score on: photographs, HDR images of their names."
)
_TRUTH_ALIGNMENT = flags.DEFINE_bool(
    "truth_alignment",
    True,
    "Bring the truth of --pairs to the photograph's scale; without, 1.0 must be what "
    "just clips it.",
)
_STEP = flags.DEFINE_integer("step", None, "Checkpoint; default the newest.")
_NUM_IMAGES = flags.DEFINE_integer("num_images", None, "Default all.", lower_bound=1)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Default as in training.")
_MODEL = flags.DEFINE_list(
    "model", [], "Models and classical operators (aky, kov, ...) to score."
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
_PICTURES = flags.DEFINE_bool("pictures", True, "Show each image in report.html.")
_OUTPUT = flags.DEFINE_string("output", None, "Default WORKDIR/evaluation/STEP.")


def main(argv: list[str]) -> None:
    """Evaluates what the flags name."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    logging.set_verbosity(logging.WARNING)
    try:
        sys.stdout.write(_run())
    except UserError as error:
        sys.stderr.write(f"eval.py: error: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("eval.py: interrupted; the same command goes on\n")
        sys.exit(130)


def _run() -> str:
    sources = (_WORKDIR.value, _CONFIG.value, _PAIRS.value)
    if sum(source is not None for source in sources) != 1:
        raise UserError("give exactly one of --workdir, --config and --pairs")
    if _PHOTOGRAPHS.value:
        count = image_sets.write_photographs(_images(), _PHOTOGRAPHS.value)
        return f"{count} photographs in {_PHOTOGRAPHS.value}\n"
    scoring_options = {
        "metrics": _METRICS.value,
        "protocol": _protocol(),
        "predictions": _PREDICTIONS.value,
        "with_pictures": _PICTURES.value,
    }
    if _WORKDIR.value:
        report = scoring.evaluate_workdir(
            _WORKDIR.value,
            step=_STEP.value,
            num_images=_NUM_IMAGES.value,
            data_dir=_DATA_DIR.value,
            output=_OUTPUT.value,
            others=_MODEL.value,
            **scoring_options,
        )
        return reports.markdown(report)
    if not _OUTPUT.value:
        raise UserError("--output is missing: give the folder of the report")
    report = scoring.evaluate_methods(
        _images(), _OUTPUT.value, models=_MODEL.value, **scoring_options
    )
    return reports.markdown(report)


def _images() -> image_sets.ImageSet:
    if _PAIRS.value:
        if len(_PAIRS.value) != 2:
            raise UserError(
                f"--pairs is {','.join(_PAIRS.value)}; expected two folders, of "
                "photographs and of HDR images, with a comma between"
            )
        return image_sets.from_folders(
            *_PAIRS.value,
            num_images=_NUM_IMAGES.value,
            is_aligned=_TRUTH_ALIGNMENT.value,
        )
    if _WORKDIR.value:
        config = checkpoints.load_trained(_WORKDIR.value).config
    else:
        config = _CONFIG.value.to_dict()
    return image_sets.from_config(
        config, num_images=_NUM_IMAGES.value, data_dir=_DATA_DIR.value
    )


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
    app.run(main, argv=options.as_absl_flags(sys.argv))
