"""Choices and defaults that the command line shares with the library.

This module imports only the standard library, so that `jaxhdr --help` is fast.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from jaxhdr.errors import UserError, check_number

PRECISIONS: Final = ("auto", "float32", "bfloat16")
"""Number formats in which a model computes; `auto` chooses the fastest."""

RESPONSES: Final = ("auto", "estimated", "srgb")
"""Camera response of a photograph: estimated by the model, or known to be sRGB; `auto`
is `srgb` for camera raw, whose response is known, and for files that name a renderer,
and `estimated` for all others."""

PRIORS: Final[Mapping[str, float]] = {"camera": 0.05, "render": 0.98}
"""Probability that a photograph is encoded as sRGB says, by the origin that its file
names (`image_io.origin_of`), for models that take a prior. They are our judgement, not
a measurement: cameras apply tone curves of their own, and renderers seldom do."""

MOST_DIGITS: Final = 18
"""Largest length of a whole number; Python refuses to convert thousands of digits."""

MOST_STOPS: Final = 64
"""Largest exposure of a picture, in stops, brighter or darker."""

SIZES: Final = ("auto", "full", "best")
"""Sizes at which a model computes a photograph, besides a number of pixels."""

GAIN_MAPS: Final = ("use", "ignore")
"""What to do with the gain map of a photograph."""

HDR_SUFFIXES: Final = (".exr", ".hdr", ".npy", ".pfm", ".tif", ".tiff")
"""Suffixes of files that hold radiance itself."""

TRANSFERS: Final[Mapping[str, tuple[str, ...]]] = {
    ".avif": ("pq", "hlg"),
    ".png": ("pq", "hlg"),
    ".jxl": ("linear", "pq", "hlg"),
}
"""Suffixes of the images for HDR displays that `write_hdr` writes, with the transfer
functions of each; the first is its default."""

WRITTEN_SUFFIXES: Final = (*HDR_SUFFIXES, *TRANSFERS)
"""Suffixes of all files that `write_hdr` writes."""

PRIMARIES: Final = ("bt709", "p3", "rec2020", "acescg", "ap0")
"""Primaries in which radiance is written, by name."""

PRIMARIES_SUFFIXES: Final = (".exr", ".tif", ".tiff")
"""Suffixes of the files that can state primaries of radiance."""

EXR_LAYOUTS: Final = ("scanlines", "tiled", "mipmap")
"""How an .exr is stored: in lines, in tiles, or in tiles with smaller copies."""

DIFFUSE_WHITE_NITS: Final = 203.0
"""cd/m^2 that PQ and HLG show for radiance 1.0 (ITU-R BT.2408-7, section 2.1)."""

ULTRA_HDR_SUFFIXES: Final = (".jpg", ".jpeg")
"""Suffixes of the photographs with a gain map that `write_ultra_hdr` writes."""

GAIN_MAP_CHANNELS: Final = (1, 3)
"""Numbers of channels that a written gain map can have."""

GAIN_MAP_DIVISORS: Final = (1, 2, 4)
"""By what the sides of a photograph can be divided for those of its gain map."""

SHEET_SUFFIXES: Final = (".png", ".pdf", ".svg")
"""Suffixes of the sheets that `jaxhdr inspect` writes."""

PAGE_SUFFIXES: Final = (".html", ".htm")
"""Suffixes of the pages that `jaxhdr view` writes."""

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

REPLACED_FIELDS: Final[Mapping[str, str]] = {
    "loss.clipped_weight": (
        "loss.clipped_pixel_weight (for l1 and rms) or "
        "loss.clipped_term_weight (for split_rms)"
    ),
    "model.linearisation": "model.front.response",
    "model.smooth_noise": "model.front.smooth_noise",
    "model.curve_input": "model.sparam.curve_of and model.sparam.front.response",
}
"""Fields that configurations had, and the fields that replaced each of them."""

WEIGHTS: Final = pathlib.Path(__file__).parent / "weights"
"""The folder of the weight files that ship with the package."""


def shipped_names() -> list[str]:
    """Returns the names of the models that ship with the package."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def size_of(text: str) -> int | str:
    """Returns the size that a word of a command line means, a number as `int`.

    `Reconstructor` checks it.
    """
    is_number = text.isdecimal() and len(text) <= MOST_DIGITS
    return int(text) if is_number else text


def as_absl_flags(arguments: Sequence[str]) -> list[str]:
    """Returns command-line arguments in the spelling of absl.

    The programs are documented with the spelling of `jaxhdr`, `--num-images=4` and
    `--no-pictures`. Absl expects `--num_images=4` and `--nopictures`, which also work.
    """
    return [_as_absl_flag(argument) for argument in arguments]


def check_fields(arguments: Sequence[str]) -> None:
    """Checks the fields of the configuration that command-line arguments set.

    Args:
      arguments: command-line arguments, such as `--config.loss.error=l1`.

    Raises:
      UserError: an argument sets a field of `REPLACED_FIELDS`, and the error names the
        fields to set instead; or it spells a field with a dash.
    """
    for argument in arguments:
        given = argument.partition("=")[0].lstrip("-")
        name = given.replace("-", "_")
        field = name.removeprefix("no").removeprefix("config.")
        if name != field and field in REPLACED_FIELDS:
            raise UserError(
                f"{argument} sets a field that has been replaced: set "
                f"{REPLACED_FIELDS[field]} instead"
            )
        if given.startswith("config.") and given != name:
            raise UserError(
                f"{argument} spells a field of the configuration with a dash: fields "
                f"have underscores, --{name}"
            )


def one_sentence(error: Exception) -> str:
    """Returns the message of another library's error in the form of a `UserError`."""
    return " ".join(str(error).split()).rstrip(".")


def check_numbers(fields: Mapping[str, Any], *, name: str = "config") -> None:
    """Checks that the numbers of a configuration are finite.

    Args:
      fields: the configuration, or a section of it.
      name: its name, for the message.

    Raises:
      UserError: a number is NaN or infinite.
    """
    for key, value in fields.items():
        _check_numbers(f"{name}.{key}", value)


def _check_numbers(name: str, value: Any) -> None:
    if isinstance(value, Mapping):
        check_numbers(value, name=name)
    elif isinstance(value, list | tuple):
        for part in value:
            _check_numbers(name, part)
    elif isinstance(value, float):
        check_number(name, value)


def _as_absl_flag(argument: str) -> str:
    if not argument.startswith("--") or argument == "--":
        return argument
    name, equals, value = argument.removeprefix("--").partition("=")
    if name.startswith("no-"):
        name = "no" + name.removeprefix("no-")
    return f"--{name.replace('-', '_')}{equals}{value}"
