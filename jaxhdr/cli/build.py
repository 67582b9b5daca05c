"""`jaxhdr data build`: builds a data set from its source files."""

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any, Final

from jaxhdr.cli.arguments import Parser, count_of
from jaxhdr.errors import UserError

NAME: Final = "data build"
_INTERRUPTED: Final = 130


def run(arguments: Sequence[str]) -> int:
    """Returns the exit status of the subcommand.

    Raises:
      UserError: the command line is wrong, the builders are not installed, or a source
        file is missing or broken.
    """
    builders = _load_builders()
    options = _parser(builders).parse_args(arguments)
    try:
        builders.prepare(
            options.name,
            data_dir=options.data_dir,
            manual_dir=options.manual_dir,
            processes=options.processes,
            broken=options.broken,
            beam_runner=options.beam_runner,
            beam_options=options.beam_options,
        )
    except KeyboardInterrupt:
        sys.stderr.write("jaxhdr: interrupted; the same command continues the build\n")
        return _INTERRUPTED
    return 0


def _load_builders() -> Any:
    """Returns `data_builders.shared.prepare`, which only a checkout has."""
    if importlib.util.find_spec("data_builders") is None:
        raise UserError(
            "the data builders are not installed; run `pip install -e '.[train]'` in "
            "a checkout of jaxhdr, which has them in data_builders/"
        )
    return importlib.import_module("data_builders.shared.prepare")


def _parser(builders: Any) -> argparse.ArgumentParser:
    parser = Parser(
        prog=f"jaxhdr {NAME}",
        description="Builds a data set. If the command is killed, the same command "
        "continues the build.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "name",
        metavar="NAME",
        help="DATA_SET or DATA_SET/CONFIGURATION, or several with + between them; one "
        f"of {', '.join(builders.available())}",
    )
    parser.add_argument(
        "--manual-dir",
        metavar="FOLDER",
        help="folder of the source files; for several data sets, a folder with one "
        "subfolder per data set, named after it",
    )
    parser.add_argument(
        "--data-dir",
        metavar="FOLDER",
        help="folder for the prepared data (default: that of TFDS)",
    )
    parser.add_argument(
        "--processes",
        type=count_of("processes"),
        metavar="N",
        help="number of parallel processes (default: one per core)",
    )
    parser.add_argument(
        "--broken",
        choices=builders.BROKEN,
        default=builders.BROKEN[0],
        help="what to do with broken source files (default: refuse); both list them",
    )
    parser.add_argument(
        "--beam-runner",
        metavar="RUNNER",
        help="Apache Beam runner, for example DirectRunner or FlinkRunner, to build "
        "on; all of its machines must see both folders (pip install 'jaxhdr[beam]')",
    )
    parser.add_argument(
        "--beam-options",
        default="",
        metavar="OPTIONS",
        help="options of the runner, separated by commas, for example "
        "direct_num_workers=2",
    )
    return parser
