"""The `jaxhdr` command.

Its exit status is 0 if all went well, 2 if an input failed or the command line is
wrong, and 130 if it was interrupted. JAX is imported only when a command needs
it.
"""

import argparse
import contextlib
import logging
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from jaxhdr._version import __version__
from jaxhdr.cli import compare, convert, data, inspect, serve, view
from jaxhdr.cli.arguments import (
    Parser,
    add_format,
    add_gain_map,
    add_model,
    stops,
)
from jaxhdr.cli.plan import FORMATS, plan
from jaxhdr.cli.processing import PREVIEW_SIDE, processed
from jaxhdr.errors import UserError
from jaxhdr.options import ULTRA_HDR_SUFFIXES

_FAILED: Final = 2
_INTERRUPTED: Final = 130

_COMMANDS: Final = {
    compare.NAME: compare.run,
    convert.NAME: convert.run,
    data.NAME: data.run,
    inspect.NAME: inspect.run,
    serve.NAME: serve.run,
    view.NAME: view.run,
}
_EPILOG: Final = f"""\
examples:
  jaxhdr photo.jpg -o photo.exr
  jaxhdr photo.jpg -o phone.jpg
  jaxhdr *.jpg -o folder/ --format hdr --no-preview
  jaxhdr photo.jpg -o photo.exr --stops 0 -2 -4
  jaxhdr photo.jpg -o photo.avif
  jaxhdr {view.NAME} photo.jpg -o view.html
  jaxhdr {inspect.NAME} photo.jpg -o sheet.png
  jaxhdr {compare.NAME} estimate.exr truth.exr
  jaxhdr {convert.NAME} WORKDIR -o mine.safetensors

other commands:
  jaxhdr {serve.NAME} --help: do all this on a web page of this machine
  jaxhdr {view.NAME} --help: write a web page to look at HDR
  jaxhdr {inspect.NAME} --help: draw what a model saw and did
  jaxhdr {compare.NAME} --help: score an estimate against the truth
  jaxhdr {convert.NAME} --help: convert your own weights
  jaxhdr {data.NAME} --help: summarise or build a data set
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status of the command; `arguments` default to `sys.argv`."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with _warnings_on_stderr():
            if arguments and arguments[0] in _COMMANDS:
                return _COMMANDS[arguments[0]](arguments[1:])
            return _reconstruct(_parser().parse_args(arguments))
    except UserError as error:
        _say_error(error)
        return _FAILED
    except KeyboardInterrupt:
        sys.stderr.write("jaxhdr: interrupted\n")
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="jaxhdr",
        description="Turns photographs into linear HDR images. "
        "In the output, 1.0 is the radiance that just clips the photograph.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("inputs", nargs="+", metavar="PHOTO", help="photographs")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="PATH",
        help="file or existing folder to write to; existing files are replaced",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="format of the files if PATH is a folder (default: exr); ultrahdr is the "
        "photograph itself as .jpg, with a gain map for HDR displays",
    )
    add_format(parser)
    add_model(parser)
    add_gain_map(parser)
    parser.add_argument(
        "--preview",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write NAME.preview.png, at most "
        f"{PREVIEW_SIDE} pixels wide or high, beside each output (default: yes)",
    )
    parser.add_argument(
        "--stops",
        nargs="+",
        type=stops,
        metavar="EV",
        help="show these exposures side by side in the preview instead of one "
        "tone-mapped picture",
    )
    parser.add_argument("--quiet", action="store_true", help="print only errors")
    parser.add_argument("--version", action="version", version=f"jaxhdr {__version__}")
    return parser


def _reconstruct(options: argparse.Namespace) -> int:
    if options.stops and not options.preview:
        raise UserError(
            "--stops sets the exposures of the preview; leave out --no-preview"
        )
    jobs = plan(
        options.inputs,
        options.output,
        file_format=options.format,
        preview=options.preview,
    )
    _check_format(jobs[0].output, options)
    failed = []
    for job, error in processed(jobs, options):
        if error is None:
            if not options.quiet:
                sys.stderr.write(f"{job.source} -> {job.output}\n")
            continue
        if isinstance(error, MemoryError):
            error = f"not enough memory for {job.source}; use a smaller --tile or image"
        _say_error(error)
        failed.append(job.source)
    if failed and len(jobs) > 1:
        _say_error(
            f"{len(failed)} of {len(jobs)} failed: {', '.join(map(str, failed))}"
        )
    return _FAILED if failed else 0


def _check_format(output: pathlib.Path, options: argparse.Namespace) -> None:
    """Checks that the format of the outputs can keep what the options want.

    Raises:
      UserError: it cannot.
    """
    from jaxhdr import image_io

    suffix = output.suffix.lower()
    for name in ("gain_map_channels", "gain_map_divisor"):
        if getattr(options, name) is not None and suffix not in ULTRA_HDR_SUFFIXES:
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} is for .jpg; leave it out for other formats")
    is_linear_jxl = suffix == ".jxl" and options.transfer in (None, "linear")
    if options.float and suffix != ".exr" and not is_linear_jxl:
        raise UserError(
            "--float is for .exr and linear .jxl; leave it out for other formats"
        )
    if options.exr is not None and suffix != ".exr":
        raise UserError("--exr is for .exr; leave it out for other formats")
    if suffix in ULTRA_HDR_SUFFIXES:
        for name in ("transfer", "white_nits", "primaries"):
            if getattr(options, name) is not None:
                flag = name.replace("_", "-")
                raise UserError(f"--{flag} is not for .jpg; leave it out")
        return
    image_io.check_writing(
        output,
        transfer=options.transfer,
        white_nits=options.white_nits,
        primaries=options.primaries,
    )


def _say_error(error: object) -> None:
    sentence = " ".join(str(error).split())
    sys.stderr.write(f"jaxhdr: error: {sentence}\n")


@contextlib.contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    """Shows warnings of the library, for example about an ignored colour profile."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("jaxhdr: warning: %(message)s"))
    logger = logging.getLogger("jaxhdr")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
