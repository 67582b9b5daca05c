"""Prepares a data set from the shell: `python -m data_builders.prepare NAME`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from jaxhdr import data
from jaxhdr.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 when prepared, 2 after a user's mistake."""
    parser = argparse.ArgumentParser(prog="data_builders.prepare", description=__doc__)
    parser.add_argument(
        "name", help=f"DATA_SET or DATA_SET/CONFIGURATION of {data.available()}"
    )
    parser.add_argument("--manual_dir", help="the folder of source files, if needed")
    parser.add_argument("--data_dir", help="where prepared data live")
    options = parser.parse_args(arguments)
    try:
        data.prepare(
            options.name, data_dir=options.data_dir, manual_dir=options.manual_dir
        )
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
