"""Options and parsing that the subcommands of `jaxhdr` share.

Libraries are imported only when they are used, so that `--help` is fast.
"""

import argparse
import functools
import math
import pathlib
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from jaxhdr import options
from jaxhdr.errors import UserError


class Parser(argparse.ArgumentParser):
    """Reports mistakes in one line, without the usage before it."""

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args=None, namespace=None
    ):
        """Returns the parsed arguments; `--data_dir` is accepted for `--data-dir`."""
        # Earlier versions spelled some flags with underscores.
        given = sys.argv[1:] if args is None else args
        end = given.index("--") if "--" in given else len(given)
        spelled = [*map(_with_dashes, given[:end]), *given[end:]]
        return super().parse_known_args(spelled, namespace)

    def error(self, message: str) -> NoReturn:
        """Raises a `UserError` with the message."""
        raise UserError(f"{message}; see {self.prog} --help")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `Reconstructor`: the model, its size, and so on."""
    names = ", ".join(options.shipped_names()) or "none"
    parser.add_argument(
        "--model",
        default="fhdr",
        help=f"shipped model ({names}), classical operator (aky, kov, ...), training "
        "workdir or .safetensors file (default: fhdr)",
    )
    parser.add_argument(
        "--size",
        type=options.size_of,
        default=options.SIZES[0],
        metavar="SIZE",
        help="size at which the network computes: auto (default), a copy of 640 "
        "pixels, whose gain is carried to the full size; best, the mean with a copy "
        "twice as large; full, every pixel, which takes minutes for a large "
        "photograph; or the long side of the copy in pixels",
    )
    parser.add_argument(
        "--iterations",
        type=count_of("iterations"),
        metavar="N",
        help="number of iterations of FHDR; fewer are faster (default: 4)",
    )
    parser.add_argument(
        "--tile",
        type=count_of("pixels"),
        metavar="PIXELS",
        help="largest side of a tile, which bounds memory; 0 computes the whole image "
        "at once",
    )
    parser.add_argument(
        "--precision",
        choices=options.PRECISIONS,
        default=options.PRECISIONS[0],
        help="number format in which the model computes (default: auto, which is "
        "bfloat16 on CPUs with bfloat16 instructions and oneDNN, else float32)",
    )
    parser.add_argument(
        "--response",
        choices=options.RESPONSES,
        default=options.RESPONSES[0],
        help="camera response: estimated by the model, or srgb if you know that the "
        "image is sRGB-encoded, for example a render (default: auto, which is srgb for "
        "camera raw, else estimated)",
    )


def add_format(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say what the files of results hold."""
    parser.add_argument(
        "--float",
        action="store_true",
        help="write 32-bit EXR or linear JPEG XL (default: 16-bit)",
    )
    parser.add_argument(
        "--transfer",
        choices=("pq", "hlg", "linear"),
        help="transfer function of AVIF, PNG and JPEG XL; linear is for JPEG XL only "
        "(default: pq for AVIF and PNG, linear for JPEG XL)",
    )
    parser.add_argument(
        "--white-nits",
        type=number,
        metavar="N",
        help="cd/m^2 that PQ and HLG show for 1.0, the white of the photograph "
        f"(default: {options.DIFFUSE_WHITE_NITS:g})",
    )
    parser.add_argument(
        "--primaries",
        choices=options.PRIMARIES,
        help="primaries of EXR and TIFF, which state them (default: bt709)",
    )
    parser.add_argument(
        "--exr",
        choices=options.EXR_LAYOUTS,
        help="store EXR in lines, in tiles, or in tiles with smaller copies, as "
        "renderers want textures (default: scanlines)",
    )


def model_settings(chosen: argparse.Namespace) -> dict[str, Any]:
    """Returns the arguments of `Reconstructor` for the chosen options of `add_model`.

    They can be written as JSON.
    """
    return {
        "model": chosen.model,
        "size": chosen.size,
        "iterations": chosen.iterations,
        "tile": "auto" if chosen.tile is None else chosen.tile or None,
        "precision": chosen.precision,
        "response": chosen.response,
    }


def add_gain_map(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the gain maps that are read and written."""
    parser.add_argument(
        "--gain-map",
        choices=options.GAIN_MAPS,
        default=options.GAIN_MAPS[0],
        help="gain map of a phone's photograph: use (default) keeps the HDR image that "
        "it gives and reconstructs only what is clipped there, too; ignore "
        "reconstructs the photograph alone",
    )
    parser.add_argument(
        "--gain-map-channels",
        type=count_of("channels"),
        choices=options.GAIN_MAP_CHANNELS,
        help="channels of the gain map that is written in a .jpg: 1 (default) keeps "
        "the colours of the photograph, 3 has those of the reconstruction",
    )
    parser.add_argument(
        "--gain-map-divisor",
        type=count_of("parts"),
        choices=options.GAIN_MAP_DIVISORS,
        help="by what the sides of the photograph are divided for those of the gain "
        "map that is written in a .jpg: 1 keeps the edges of lamps, 2 and 4 make "
        "smaller files (default: 1 up to 16 megapixels, else 2)",
    )


def open_reconstructor(chosen: argparse.Namespace) -> Any:
    """Returns the `Reconstructor` for the chosen options of `add_model`."""
    from jaxhdr import inference  # imports JAX, which is slow

    inference.keep_compiled_programs()
    settings = model_settings(chosen)
    return inference.Reconstructor(**settings, progress=not chosen.quiet)


def number(text: str) -> float:
    """Returns the finite number that a word of a command line means.

    Raises:
      ArgumentTypeError: the text is not a finite number.
    """
    value = _float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def stops(text: str) -> float:
    """Returns the exposure in stops of a word after `--stops`.

    Raises:
      ArgumentTypeError: the text is not a number in [-64, 64].
    """
    value, most = _float(text), options.MOST_STOPS
    if not abs(value) <= most:  # NaN too
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an exposure between -{most} and {most}; name the "
            "photographs before --stops"
        )
    return value


def count_of(what: str) -> Callable[[str], int]:
    """Returns the function that reads a number of things, 0 or more, from a word.

    Args:
      what: the things, for the message.
    """
    return functools.partial(_count, what)


def text_of(path: str | pathlib.Path) -> str:
    """Returns the last part of a path as text."""
    # A file name may hold bytes that are not text.
    return pathlib.Path(path).name.encode(errors="replace").decode()


def _with_dashes(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value if name[:2] == "--" else argument


def _float(text: str) -> float:
    """Returns the number that a text means, NaN if it means none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _count(what: str, text: str) -> int:
    if not text.isdecimal() or len(text) > options.MOST_DIGITS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of {what}")
    return int(text)
