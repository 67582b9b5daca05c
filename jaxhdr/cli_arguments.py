"""What the subcommands of `jaxhdr` have in common. Imports no library at once.

Mistakes are reported in one line; models and exposures are named alike everywhere.
"""

import argparse
import math
import pathlib
from typing import Any, Final, NoReturn

from jaxhdr.errors import UserError

_MAX_STOPS: Final = 64
_PRECISIONS: Final = ("auto", "float32", "bfloat16")
_RESPONSES: Final = ("estimated", "srgb")
_WEIGHTS: Final = pathlib.Path(__file__).parent / "weights"


class Parser(argparse.ArgumentParser):
    """Reports mistakes in one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        """Raises the mistake as one of the user's."""
        raise UserError(f"{message}; see {self.prog} --help")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds `--model`, `--tile`, `--precision` and `--response`."""
    names = ", ".join(shipped_names()) or "there is none"
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
        choices=_PRECISIONS,
        default=_PRECISIONS[0],
        help="what the model computes in (default: auto, which is bfloat16 on a CPU "
        "that multiplies it, where oneDNN is used, else float32)",
    )
    parser.add_argument(
        "--response",
        choices=_RESPONSES,
        default=_RESPONSES[0],
        help="how the camera encoded radiance: as the model estimates, or known to be "
        "as sRGB, such as a rendered image (default: estimated)",
    )


def open_reconstructor(options: argparse.Namespace) -> Any:
    """Returns the `Reconstructor` that the options of `add_model` ask for."""
    from jaxhdr import inference  # and JAX, which only work is worth waiting for

    tile = "auto" if options.tile is None else options.tile or None
    return inference.Reconstructor(
        options.model,
        tile=tile,
        precision=options.precision,
        response=options.response,
        progress=not options.quiet,
    )


def shipped_names() -> list[str]:
    """Returns those of `pretrained.shipped_names`, without waiting for JAX."""
    return sorted(path.stem for path in _WEIGHTS.glob("*.safetensors"))


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


def _tile(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of pixels")
    return int(text)
