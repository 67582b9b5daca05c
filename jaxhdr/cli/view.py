"""`jaxhdr view`: writes a web page to look at HDR images."""

import argparse
import collections
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from jaxhdr.cli.arguments import (
    Parser,
    add_model,
    count_of,
    open_reconstructor,
    text_of,
)
from jaxhdr.cli.plan import plan_file
from jaxhdr.errors import UserError
from jaxhdr.options import PAGE_SUFFIXES

if TYPE_CHECKING:
    import numpy as np

    from jaxhdr.image_io import Origin
    from jaxhdr.viewer.view import PackedView, Radiance

NAME: Final = "view"


def run(arguments: Sequence[str]) -> int:
    """Returns the exit status of the subcommand.

    Raises:
      UserError: the command line is wrong, or a file cannot be read, compared or
        written.
    """
    options = _parser().parse_args(arguments)
    output = plan_file(options.inputs, options.output, suffixes=PAGE_SUFFIXES)
    try:
        size = _write(options, output)
    except MemoryError:
        raise UserError(
            f"not enough memory for {options.inputs[0]}; use a smaller --tile or image"
        ) from None
    if not options.quiet:
        sources = ", ".join(options.inputs)
        sys.stderr.write(f"{sources} -> {output} ({size / 1e6:.1f} MB)\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog=f"jaxhdr {NAME}",
        description="Writes one web page to look at HDR images at every exposure: a "
        "photograph, all stages of its reconstruction, and other HDR images of the "
        "same pixels. The page holds all that it needs and loads nothing.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="FILE",
        help="photograph to reconstruct, then HDR images to compare with; or only HDR "
        "images",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="PAGE",
        help=f"file to write ({', '.join(PAGE_SUFFIXES)}); replaced if it exists",
    )
    parser.add_argument(
        "--side",
        type=count_of("pixels"),
        metavar="PIXELS",
        help="longest side of the images on the page; larger ones are averaged down; 0 "
        "keeps every pixel (default: 2048)",
    )
    add_model(parser)
    parser.add_argument("--quiet", action="store_true", help="print only errors")
    return parser


def _write(options: argparse.Namespace, output: pathlib.Path) -> int:
    """Returns the size of the page in bytes, after writing it."""
    from jaxhdr.viewer import page

    return page.write_page(output, _view(options))


def _view(options: argparse.Namespace) -> "PackedView":
    from jaxhdr import image_io
    from jaxhdr.viewer import view
    from jaxhdr.viewer.view import Radiance

    # All files are read before the model runs, which takes much longer.
    first, *others = options.inputs
    try:
        encoded = image_io.read_encoded(first)
    except image_io.AlreadyHdrError:
        encoded, others = None, options.inputs
    names = _names(others)
    images = [image_io.read_hdr(path) for path in others]
    radiance = [Radiance(*each) for each in zip(names, images, strict=True)]
    view.check_sizes(encoded, radiance)
    notes = []
    if encoded is not None:
        origin = image_io.origin_of(first)
        radiance, notes = _reconstructed(encoded, radiance, options, origin)
    side = view.DEFAULT_SIDE if options.side is None else options.side
    return view.packed_view(
        encoded,
        radiance,
        title=text_of(first) if encoded is not None else ", ".join(names),
        notes=notes,
        longest_side=side or None,
    )


def _names(paths: Sequence[str]) -> list[str]:
    """Returns the last parts of paths, or whole paths where those are equal."""
    counts = collections.Counter(text_of(path) for path in paths)
    return [
        text_of(path)
        if counts[text_of(path)] == 1
        else path.encode(errors="replace").decode()
        for path in paths
    ]


def _reconstructed(
    encoded: "np.ndarray",
    others: Sequence["Radiance"],
    options: argparse.Namespace,
    origin: "Origin | None",
) -> tuple[list["Radiance"], list[str]]:
    """Returns the stages of the model and the other images, and notes about them."""
    from jaxhdr.viewer import view

    aligned = [view.aligned(image, encoded) for image in others]
    reconstructor = open_reconstructor(options)
    details = reconstructor.details(encoded, origin=origin)
    notes = view.notes_about(
        label=reconstructor.label,
        precision=reconstructor.precision,
        response=reconstructor.response_of(origin),
        alignment=reconstructor.alignment,
    )
    notes += [
        f"The scale of {image.name} is multiplied by {image.factor:.4g}, which fits it "
        "to the unclipped pixels of the photograph."
        for image in aligned
    ]
    return [*view.radiance_of(details.stages), *aligned], notes
