"""Scores methods on images whose radiance is known.

    python eval.py --workdir=RUN                               a training run
    python eval.py --config=CONFIG --model=NAMES --output=DIR  models, on prepared data
    python eval.py --pairs=PHOTOS,TRUTHS --model=NAMES --output=DIR    on two folders

Prints a Markdown table of means and writes report.html, per_image.csv, report.json and
report.md. A stopped evaluation goes on where it was.
"""

import sys
from typing import NoReturn

from absl import app, flags, logging
from ml_collections import config_flags

from jaxhdr import metrics, options
from jaxhdr.errors import UserError
from jaxhdr.evaluation import image_sets, reports
from jaxhdr.evaluation.methods import open_methods
from jaxhdr.evaluation.runs import open_run
from jaxhdr.evaluation.scoring import Scoring
from jaxhdr.evaluation.writing import About, write_evaluation

FLAGS = flags.FLAGS
DISPLAY = metrics.Display()

flags.DEFINE_string("workdir", None, "Folder of a training run to score.")
config_flags.DEFINE_config_file(
    "config", None, "Whose validation images to score on, without a run."
)
flags.DEFINE_list(
    "pairs", None, "Two folders to score on: photographs, HDR images of their names."
)
flags.DEFINE_bool(
    "truth_alignment",
    True,
    "Bring the truth of --pairs to the photograph's scale; without, 1.0 must be what "
    "just clips it.",
)
flags.DEFINE_integer("step", None, "Checkpoint; default the newest.")
flags.DEFINE_integer("num_images", None, "Default all.", lower_bound=1)
flags.DEFINE_string("data_dir", None, "Default as in training.")
flags.DEFINE_list("model", [], "Models and classical operators (aky, ...) to score.")
flags.DEFINE_string("size", "auto", "Size at which networks compute, as in jaxhdr.")
flags.DEFINE_list("predictions", [], "Folders of other methods' HDR files to score.")
flags.DEFINE_string(
    "photographs", None, "Write the photographs to this folder instead, as PNG."
)
flags.DEFINE_list("metrics", None, "Names of the columns; default all.")
flags.DEFINE_enum(
    "alignment", "none", list(metrics.ALIGNMENTS), "Of estimates to the truth."
)
flags.DEFINE_bool(
    "response_correction", False, "Correct the camera's response (Hanji et al. 2022)."
)
flags.DEFINE_float("white", DISPLAY.white, "cd/m^2 of the photograph's white.")
flags.DEFINE_float("peak", DISPLAY.peak, "cd/m^2 of the display's brightest pixel.")
flags.DEFINE_float("black", DISPLAY.black, "cd/m^2 of the display's darkest pixel.")
flags.DEFINE_float(
    "pixels_per_degree", DISPLAY.pixels_per_degree, "Of the viewer's visual angle."
)
flags.DEFINE_string(
    "baseline", "", "Row that the others are compared with; default the first."
)
flags.DEFINE_bool("pictures", True, "Show each image in report.html.")
flags.DEFINE_integer(
    "viewer_side",
    None,
    "Pixels of the images in the viewer of report.html; default few, for few images.",
    lower_bound=0,
)
flags.DEFINE_string("output", None, "Default WORKDIR/evaluation/STEP.")


def main(argv: list[str]) -> None:
    """Evaluates what the flags name."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    logging.set_verbosity(logging.WARNING)
    try:
        sys.stdout.write(_run())
    except UserError as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.stderr.write("eval.py: interrupted; the same command goes on\n")
        sys.exit(130)


def _parse(argv: list[str]) -> list[str]:
    try:
        return FLAGS(argv)
    except flags.Error as error:
        _fail(options.one_sentence(error))


def _fail(error: object) -> NoReturn:
    sys.stderr.write(f"eval.py: error: {error}\n")
    sys.exit(2)


def _run() -> str:
    if sum(map(bool, (FLAGS.workdir, FLAGS.config, FLAGS.pairs))) != 1:
        raise UserError("give exactly one of --workdir, --config and --pairs")
    if not (FLAGS.workdir or FLAGS.output or FLAGS.photographs):
        raise UserError("--output is missing: give the folder of the report")
    scoring = Scoring(
        metrics.select(metrics.METRICS if FLAGS.metrics is None else FLAGS.metrics),
        metrics.Protocol(FLAGS.alignment, FLAGS.response_correction, _display()),
        with_pictures=FLAGS.pictures,
        viewer_side=FLAGS.viewer_side,
        baseline=FLAGS.baseline,
    )
    about, folder, own = About(), FLAGS.output, {}
    if FLAGS.workdir:
        run = open_run(
            FLAGS.workdir,
            step=FLAGS.step,
            num_images=FLAGS.num_images,
            data_dir=FLAGS.data_dir,
            size=options.size_of(FLAGS.size),
        )
        images, about, own = run.images, run.about, {"": run.method}
        folder = folder or run.folder
    else:
        images = _images()
    if FLAGS.photographs:
        count = image_sets.write_photographs(images, FLAGS.photographs)
        return f"{count} photographs in {FLAGS.photographs}\n"
    methods = open_methods(
        models=FLAGS.model,
        predictions=FLAGS.predictions,
        size=options.size_of(FLAGS.size),
    )
    methods |= own
    report = write_evaluation(images, methods, folder, scoring=scoring, about=about)
    return reports.markdown(report)


def _images() -> image_sets.ImageSet:
    if FLAGS.config:
        config = FLAGS.config.to_dict()
        options.check_numbers(config)
        return image_sets.from_config(
            config,
            num_images=FLAGS.num_images,
            data_dir=FLAGS.data_dir,
        )
    if len(FLAGS.pairs) != 2:
        raise UserError(
            f"--pairs is {','.join(FLAGS.pairs)}; expected two folders, of photographs "
            "and of HDR images, with a comma between"
        )
    return image_sets.from_folders(
        *FLAGS.pairs, num_images=FLAGS.num_images, is_aligned=FLAGS.truth_alignment
    )


def _display() -> metrics.Display:
    return metrics.Display(
        white=FLAGS.white,
        peak=FLAGS.peak,
        black=FLAGS.black,
        pixels_per_degree=FLAGS.pixels_per_degree,
    )


if __name__ == "__main__":
    try:
        options.check_fields(sys.argv[1:])
    except UserError as wrong_field:
        _fail(wrong_field)
    app.run(main, argv=options.as_absl_flags(sys.argv), flags_parser=_parse)
