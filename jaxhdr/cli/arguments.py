"""What the subcommands of `jaxhdr` have in common. Imports no library at once.

Mistakes are reported in one line; models and exposures are named alike everywhere.
"""

import argparse
import math
import pathlib
import sys
from typing import Any, Final, NoReturn

from jaxhdr import options
from jaxhdr.errors import UserError

_MAX_STOPS: Final = 64


class Parser(argparse.ArgumentParser):
    """Reports mistakes in one line, without the usage before it."""

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args=None, namespace=None
    ):
        """Parses arguments; `--data_dir` is accepted for `--data-dir`."""
        # Earlier versions spelled some flags with underscores.
        given = sys.argv[1:] if args is None else args
        end = given.index("--") if "--" in given else len(given)
        spelled = [*map(_with_dashes, given[:end]), *given[end:]]
        return super().parse_known_args(spelled, namespace)

    def error(self, message: str) -> NoReturn:
        """Raises the mistake as one of the user's."""
        raise UserError(f"{message}; see {self.prog} --help")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds `--model`, `--tile`, `--precision` and `--response`."""
    names = ", ".join(options.shipped_names()) or "there is none"
    parser.add_argument(
        "--model",
        default="fhdr",
        help=f"shipped model ({names}), classical operator (aky, kov, ...), training "
        "workdir or .safetensors file (default: fhdr)",
    )
    parser.add_argument(
        "--tile",
        type=_tile,
        metavar="PIXELS",
        help="largest side of a tile, bounds memory; 0: the whole image at once",
    )
    parser.add_argument(
        "--precision",
        choices=options.PRECISIONS,
        default=options.PRECISIONS[0],
        help="what the model computes in (default: auto, which is bfloat16 on a CPU "
        "that multiplies it, where oneDNN is used, else float32)",
    )
    parser.add_argument(
        "--response",
        choices=options.RESPONSES,
        default=options.RESPONSES[0],
        help="how the camera encoded radiance: as the model estimates, or known to be "
        "as sRGB, such as a rendered image (default: estimated)",
    )


def open_reconstructor(chosen: argparse.Namespace) -> Any:
    """Returns the `Reconstructor` that the choices of `add_model` ask for."""
    from jaxhdr import inference  # and JAX, which only work is worth waiting for

    tile = "auto" if chosen.tile is None else chosen.tile or None
    return inference.Reconstructor(
        chosen.model,
        tile=tile,
        precision=chosen.precision,
        response=chosen.response,
        progress=not chosen.quiet,
    )


def stops(text: str) -> float:
    """Returns an exposure of `--stops`.

    Raises:
      ArgumentTypeError: the text is no number, or too large a one.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= _MAX_STOPS:  # NaN too
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an exposure between -{_MAX_STOPS} and {_MAX_STOPS}; "
            "name the photographs before --stops"
        )
    return value


def text_of(path: str | pathlib.Path) -> str:
    """Returns the last part of a path as text."""
    # A name may hold bytes that are none.
    return pathlib.Path(path).name.encode(errors="replace").decode()


def _with_dashes(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value if name[:2] == "--" else argument


def _tile(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of pixels")
    return int(text)
