"""Builds a data set from the shell: `python -m jaxhdr.data build NAME`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from jaxhdr import data
from jaxhdr.errors import UserError

_FAILED = 2
_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0 when built, 2 after a user's mistake."""
    options = _parser().parse_args(arguments)
    try:
        data.prepare(
            options.name,
            data_dir=options.data_dir,
            manual_dir=options.manual_dir,
            processes=options.processes,
            broken=options.broken,
            beam_runner=options.beam_runner,
            beam_options=options.beam_options,
        )
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return _FAILED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on\n")
        return _INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jaxhdr.data", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="build")
    build = commands.add_parser(
        "build", help="build a data set; killed, the same command goes on"
    )
    build.add_argument(
        "name",
        metavar="NAME",
        help="DATA_SET or DATA_SET/CONFIGURATION, several with + between, of: "
        + ", ".join(data.available()),
    )
    build.add_argument(
        "--manual_dir",
        metavar="FOLDER",
        help="of the source files; of several sets, the folder that has a folder of "
        "each set's name",
    )
    build.add_argument(
        "--data_dir", metavar="FOLDER", help="where prepared data live (default: TFDS')"
    )
    build.add_argument("--processes", type=int, metavar="N", help="default: one a core")
    build.add_argument(
        "--broken",
        choices=data.BROKEN,
        default=data.BROKEN[0],
        help="what to do about broken source files, all of which are named "
        "(default: refuse)",
    )
    build.add_argument(
        "--beam_runner",
        metavar="RUNNER",
        help="build on an Apache Beam runner, e.g. DirectRunner or FlinkRunner, whose "
        "machines all see both folders (pip install 'jaxhdr[beam]')",
    )
    build.add_argument(
        "--beam_options",
        default="",
        metavar="OPTIONS",
        help="of the runner, with commas between: direct_num_workers=2",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
