"""`jaxhdr inspect`: draws a sheet of what a model saw and did."""

import argparse
import importlib.util
import pathlib
import sys
from collections.abc import Sequence
from typing import Final

from jaxhdr.cli.arguments import Parser, add_model, open_reconstructor, stops, text_of
from jaxhdr.cli.plan import plan_file
from jaxhdr.errors import UserError
from jaxhdr.options import SHEET_SUFFIXES

NAME: Final = "inspect"

_MOST_STOPS: Final = 6


def run(arguments: Sequence[str]) -> int:
    """Returns the exit status of the subcommand.

    Raises:
      UserError: the command line is wrong, matplotlib is missing, or a file cannot be
        read or written.
    """
    options = _parser().parse_args(arguments)
    inputs = [path for path in (options.input, options.truth) if path]
    output = plan_file(inputs, options.output, suffixes=SHEET_SUFFIXES)
    if options.layer is not None and options.truth is None:
        raise UserError(
            f"--layer is {options.layer!r}, the layer of --truth; name the truth too"
        )
    if options.stops is not None and len(options.stops) > _MOST_STOPS:
        raise UserError(
            f"--stops has {len(options.stops)} exposures; expected at most "
            f"{_MOST_STOPS}"
        )
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError(
            f"jaxhdr {NAME} needs matplotlib, which is not installed; run `pip install "
            "'jaxhdr[inspect]'`"
        )
    try:
        _inspect(options, output)
    except MemoryError:
        raise UserError(
            f"not enough memory for {options.input}; use a smaller --tile or image"
        ) from None
    if not options.quiet:
        sys.stderr.write(f"{options.input} -> {output}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog=f"jaxhdr {NAME}",
        description="Draws what a model saw in a photograph and what it did: region "
        "maps and S-curve (sparam, sparam_lstm), radiance over encoded value, the "
        "estimates at several exposures, and what each changed.",
        allow_abbrev=False,
    )
    parser.add_argument("input", metavar="PHOTO", help="photograph")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="SHEET",
        help=f"file to write ({', '.join(SHEET_SUFFIXES)}); replaced if it exists",
    )
    parser.add_argument(
        "--truth",
        metavar="HDR",
        help="HDR image of the same pixels, in any scale, to compare with",
    )
    parser.add_argument(
        "--layer",
        metavar="NAME",
        help="layer of --truth, if it is an OpenEXR file that holds several (default: "
        "the finished picture)",
    )
    parser.add_argument(
        "--stops",
        nargs="+",
        type=stops,
        metavar="EV",
        help="exposures of the estimates (default: 0 -2 -4)",
    )
    add_model(parser)
    parser.add_argument("--quiet", action="store_true", help="print only errors")
    return parser


def _inspect(options: argparse.Namespace, output: pathlib.Path) -> None:
    from jaxhdr import image_io
    from jaxhdr.pictures import inspection, previews, sheet

    # Both files are read before the model runs, which takes much longer.
    encoded = image_io.read_encoded(options.input)
    origin = image_io.origin_of(options.input)
    truth = None
    if options.truth is not None:
        truth = image_io.read_hdr(options.truth, layer=options.layer)
        inspection.check_truth(truth, encoded)
    reconstructor = open_reconstructor(options)
    details = reconstructor.details(encoded, origin=origin)
    aligned = reconstructor.alignment
    sheet.write_sheet(
        output,
        inspection.inspect(details, truth=truth),
        stops=options.stops or previews.SHEET_STOPS,
        title=text_of(options.input),
        notes=[
            f"model: {reconstructor.label}, computed in {reconstructor.precision}, "
            f"response: {reconstructor.response_of(origin)}",
            *([f"alignment: {aligned}"] if aligned else []),
        ],
    )
