"""Trains a model: python train.py --config=configs/fhdr.py:synthetic --workdir=DIR."""

import pathlib
import sys
from typing import NoReturn

from absl import app, flags, logging
from ml_collections import config_flags

from data_builders.shared.prepare import prepare_for_training
from jaxhdr import options
from jaxhdr.errors import UserError
from jaxhdr.training import loop

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)


def main(argv: list[str]) -> None:
    """Trains, or continues to train, the run in --workdir."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    logging.set_verbosity(logging.WARNING)
    try:
        options.check_numbers(_CONFIG.value.to_dict())
        prepare_for_training(_CONFIG.value.data)
        loop.train_and_evaluate(_CONFIG.value, pathlib.Path(_WORKDIR.value))
    except (UserError, FloatingPointError) as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.stderr.write("train.py: interrupted; the same command continues the run\n")
        sys.exit(130)


def _parse(argv: list[str]) -> list[str]:
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        _fail(options.one_sentence(error))


def _fail(error: object) -> NoReturn:
    sys.stderr.write(f"train.py: error: {error}\n")
    sys.exit(2)


if __name__ == "__main__":
    flags.mark_flags_as_required(["config"])
    try:
        options.check_fields(sys.argv[1:])
    except UserError as wrong_field:
        _fail(wrong_field)
    app.run(main, argv=options.as_absl_flags(sys.argv), flags_parser=_parse)
