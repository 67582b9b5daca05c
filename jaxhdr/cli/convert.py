"""`jaxhdr convert-weights`: writes weight files from runs and official weights."""

import argparse
import pathlib
from collections.abc import Sequence
from typing import Final

from jaxhdr.cli.arguments import Parser, count_of
from jaxhdr.errors import UserError

NAME: Final = "convert-weights"


def run(arguments: Sequence[str]) -> int:
    """Returns the exit status of the subcommand.

    Raises:
      UserError: the command line is wrong, or a file cannot be read or written.
    """
    options = _parser().parse_args(arguments)

    from jaxhdr.storage import pretrained

    if pathlib.Path(options.source).is_dir():
        if options.iterations is not None:
            raise UserError(
                "--iterations is for .pth files; leave it out for a training run"
            )
        pretrained.export_weights(options.source, options.output, half=options.half)
    else:
        pretrained.convert_torch(
            options.source,
            options.output,
            num_iterations=4 if options.iterations is None else options.iterations,
            half=options.half,
        )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog=f"jaxhdr {NAME}",
        description="Writes a weight file for --model from a training run, or from a "
        "state dict of FHDR's official PyTorch code.",
        allow_abbrev=False,
    )
    parser.add_argument("source", help="training workdir or .pth file")
    parser.add_argument("-o", "--output", required=True, metavar="FILE.safetensors")
    parser.add_argument("--half", action="store_true", help="store float16")
    parser.add_argument(
        "--iterations",
        type=count_of("iterations"),
        metavar="N",
        help="iterations of a .pth file's network (default: 4)",
    )
    return parser
