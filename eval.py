"""Scores a training run on its validation images: python eval.py --workdir=DIR.

Prints a Markdown table of means and writes per_image.csv, report.json and report.md.
"""

import sys

from absl import app, flags, logging

from jaxhdr import evaluation, reports
from jaxhdr.errors import UserError

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_STEP = flags.DEFINE_integer("step", None, "Checkpoint; default the newest.")
_NUM_IMAGES = flags.DEFINE_integer("num_images", None, "Default all of the split.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Default as in training.")
_OUTPUT = flags.DEFINE_string("output", None, "Default WORKDIR/evaluation/STEP.")


def main(argv: list[str]) -> None:
    """Evaluates one checkpoint of the run in --workdir."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    logging.set_verbosity(logging.WARNING)
    try:
        report = evaluation.evaluate_workdir(
            _WORKDIR.value,
            step=_STEP.value,
            num_images=_NUM_IMAGES.value,
            data_dir=_DATA_DIR.value,
            output=_OUTPUT.value,
        )
    except UserError as error:
        sys.stderr.write(f"eval.py: error: {error}\n")
        sys.exit(2)
    sys.stdout.write(reports.markdown(report))


if __name__ == "__main__":
    app.run(main)
