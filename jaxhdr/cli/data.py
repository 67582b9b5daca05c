"""`jaxhdr data`: prints a summary of a prepared data set."""

import argparse
import dataclasses
import importlib.util
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from jaxhdr.cli import build
from jaxhdr.cli.arguments import Parser, count_of
from jaxhdr.errors import UserError

if TYPE_CHECKING:
    from jaxhdr.data import SplitSummary, Summary

NAME: Final = "data"
_MOST_NAMED: Final = 10
_SHEET_IMAGES: Final = 24


def run(arguments: Sequence[str]) -> int:
    """Returns the exit status of the subcommand.

    Raises:
      UserError: the command line is wrong, a package is missing, the data set is not
        prepared, or the sheet cannot be written.
    """
    if arguments[:1] == ["build"]:
        return build.run(arguments[1:])
    options = _parser().parse_args(arguments)
    if importlib.util.find_spec("tensorflow_datasets") is None:
        raise UserError(
            f"jaxhdr {NAME} needs tensorflow-datasets, which is not installed; run "
            "`pip install 'jaxhdr[train]'`"
        )
    from jaxhdr import data

    summary = data.summarise(
        options.name, data_dir=options.data_dir, num_images=options.num_images
    )
    text = _as_json(summary) if options.json else _table(options.name, summary)
    sys.stdout.write(text + "\n")
    if options.output is not None:
        _write_sheet(options, summary)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog=f"jaxhdr {NAME}",
        description="Prints counts, sizes and dynamic range of a prepared data set, "
        "and writes a contact sheet of its images. `jaxhdr data build NAME` prepares "
        "a data set.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "name", metavar="NAME", help="DATA_SET or DATA_SET/CONFIGURATION"
    )
    parser.add_argument(
        "-o", "--output", metavar="SHEET.png", help="write a contact sheet"
    )
    parser.add_argument(
        "--data-dir",
        metavar="FOLDER",
        help="folder of prepared data (default: that of TFDS)",
    )
    parser.add_argument(
        "--num-images",
        type=count_of("images"),
        metavar="N",
        help="number of images to examine per split (default: all)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _as_json(summary: "Summary") -> str:
    return json.dumps(dataclasses.asdict(summary), indent=2)


def _table(name: str, summary: "Summary") -> str:
    lines = [f"{name} in {summary.folder}"]
    for split in summary.splits:
        lines += ["", *_lines(split)]
    if summary.problems:
        lines += ["", f"source files left out by the build: {len(summary.problems)}"]
        named = list(summary.problems.items())[:_MOST_NAMED]
        lines += [f"  {source}: {reason}" for source, reason in named]
        if len(summary.problems) > _MOST_NAMED:
            lines.append("  ... (--json lists all)")
    return "\n".join(lines)


def _lines(split: "SplitSummary") -> list[str]:
    heights, widths = (
        f"{low}" if low == high else f"{low} to {high}"
        for low, high in (split.heights, split.widths)
    )
    part = f" in the {split.looked_at} images examined"
    part = part if split.looked_at < split.records else ""
    rows = [
        ("images", f"{split.records}, {split.bytes / 2**20:.1f} MiB"),
        ("scenes", f"{split.scenes}{part}"),
        ("height x width", f"{heights} x {widths} pixels"),
        ("dynamic range", _stops(split.range_stops)),
        ("peak over median", _stops(split.peak_stops)),
    ]
    if split.clipped is not None and split.above_white is not None:
        rows += [
            ("clipped", f"{split.clipped:.1%} of the photographs' pixels"),
            ("above white", f"{split.above_white:.1%} of the radiance's pixels"),
        ]
    return [split.split, *(f"  {label:<18}{value}" for label, value in rows)]


def _stops(quartiles: tuple[float, float, float]) -> str:
    low, middle, high = quartiles
    return f"{middle:.1f} stops (quartiles {low:.1f} and {high:.1f})"


def _write_sheet(options: argparse.Namespace, summary: "Summary") -> None:
    from jaxhdr import data, image_io
    from jaxhdr.pictures import previews

    each = max(1, _SHEET_IMAGES // len(summary.splits))
    entries = []
    for split in summary.splits:
        source = data.data_source(options.name, split.split, data_dir=options.data_dir)
        for record in data.validation_images(source, limit=each):
            pictures = [previews.tone_map(record["hdr"])]
            if "ldr" in record:
                pictures.insert(0, record["ldr"].astype("float32") / 255)
            entries.append((f"{split.split}\n{record['name']}", pictures))
    image_io.write_png(options.output, previews.contact_sheet(entries))
