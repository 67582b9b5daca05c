"""Choices and defaults that the command line shares with the library.

This module imports only the standard library, so that `jaxhdr --help` is fast.
"""

import pathlib
from collections.abc import Sequence
from typing import Final

PRECISIONS: Final = ("auto", "float32", "bfloat16")
"""Number formats in which a model computes; `auto` chooses the fastest."""

RESPONSES: Final = ("estimated", "srgb")
"""Camera response of a photograph: estimated by the model, or known to be sRGB."""

HDR_SUFFIXES: Final = (".exr", ".hdr", ".npy", ".pfm", ".tif", ".tiff")
"""Suffixes of the radiance files that `write_hdr` writes."""

SHEET_SUFFIXES: Final = (".png", ".pdf", ".svg")
"""Suffixes of the sheets that `jaxhdr inspect` writes."""

ALIGNMENTS: Final = ("none", "median", "mean_half", "paper_range")
"""How metrics fit the scale of an estimate; see `jaxhdr.metrics.protocols`."""

WHITE_NITS: Final = 200.0
"""cd/m^2 that the display shows for radiance 1.0."""
PEAK_NITS: Final = 10_000.0
"""cd/m^2 of the brightest pixel of the display."""
BLACK_NITS: Final = 0.005
"""cd/m^2 of the darkest pixel of the display."""
PIXELS_PER_DEGREE: Final = 30.0
"""Pixels of the display in one degree of the viewer's visual angle."""

WEIGHTS: Final = pathlib.Path(__file__).parent / "weights"
"""The folder of the weight files that ship with the package."""


def shipped_names() -> list[str]:
    """Returns the names of the models that ship with the package."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def as_absl_flags(arguments: Sequence[str]) -> list[str]:
    """Returns command-line arguments in the spelling of absl.

    The programs are documented with the spelling of `jaxhdr`, `--num-images=4` and
    `--no-pictures`. Absl expects `--num_images=4` and `--nopictures`, which also work.
    """
    return [_as_absl_flag(argument) for argument in arguments]


def _as_absl_flag(argument: str) -> str:
    if not argument.startswith("--") or argument == "--":
        return argument
    name, equals, value = argument.removeprefix("--").partition("=")
    if name.startswith("no-"):
        name = "no" + name.removeprefix("no-")
    return f"--{name.replace('-', '_')}{equals}{value}"
