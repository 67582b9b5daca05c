"""`jaxhdr compare`: scores an HDR image against another one."""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from jaxhdr.cli.arguments import Parser, number
from jaxhdr.errors import UserError
from jaxhdr.options import (
    ALIGNMENTS,
    BLACK_NITS,
    PEAK_NITS,
    PIXELS_PER_DEGREE,
    WHITE_NITS,
)

if TYPE_CHECKING:
    import numpy as np

    from jaxhdr import metrics

NAME: Final = "compare"


def run(arguments: Sequence[str]) -> int:
    """Returns the exit status of the subcommand.

    Raises:
      UserError: the command line is wrong, a file cannot be read, or the images cannot
        be compared.
    """
    options = _parser().parse_args(arguments)

    from jaxhdr import image_io, metrics

    protocol = metrics.Protocol(
        alignment=options.alignment,
        response_correction=options.response_correction,
        display=metrics.Display(
            white=options.white,
            peak=options.peak,
            black=options.black,
            pixels_per_degree=options.pixels_per_degree,
        ),
    )
    test, reference = _read_hdr(options)
    photograph = options.photograph and image_io.read_encoded(options.photograph)
    scores = metrics.compare(
        test,
        reference,
        encoded=photograph,
        names=options.metrics,
        protocol=protocol,
    )
    text = _as_json(scores, protocol) if options.json else _table(scores, protocol)
    sys.stdout.write(text + "\n")
    return 0


def _read_hdr(options: argparse.Namespace) -> "Iterator[np.ndarray]":
    """Yields the estimate and the truth; the layer is that of files with several."""
    from jaxhdr import image_io

    paths, layer = (options.test, options.reference), options.layer
    has_several = [layer and len(image_io.layer_names(path)) > 1 for path in paths]
    if layer is not None and not any(has_several):
        raise UserError(
            f"--layer is {layer!r}, but neither {options.test} nor {options.reference} "
            "is an OpenEXR file with several layers; leave it out"
        )
    for path, is_choice in zip(paths, has_several, strict=True):
        yield image_io.read_hdr(path, layer=layer if is_choice else None)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog=f"jaxhdr {NAME}",
        description="Scores an HDR image against the truth. Negative radiance counts "
        "as 0; infinite and NaN radiance is refused.",
        allow_abbrev=False,
    )
    parser.add_argument("test", metavar="ESTIMATE", help="HDR image to score")
    parser.add_argument("reference", metavar="TRUTH", help="HDR image of the same size")
    parser.add_argument(
        "--photograph",
        metavar="PHOTO",
        help="photograph that the estimate was made from; scores of clipped pixels "
        "need it",
    )
    parser.add_argument(
        "--layer",
        metavar="NAME",
        help="layer to read from OpenEXR files that hold several (default: the "
        "finished picture)",
    )
    parser.add_argument(
        "--alignment",
        choices=ALIGNMENTS,
        default=ALIGNMENTS[0],
        help="how the scale of the estimate is fitted to the truth (default: none)",
    )
    parser.add_argument(
        "--response-correction",
        action="store_true",
        help="first fit the estimate to the truth by a smooth curve (Hanji et al. "
        "2022)",
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help="scores to compute (default: all but cvvdp_jod and pu21_lpips)",
    )
    for name, default, meaning in (
        ("white", WHITE_NITS, "cd/m^2 that the display shows for radiance 1.0"),
        ("peak", PEAK_NITS, "cd/m^2 of the brightest pixel of the display"),
        ("black", BLACK_NITS, "cd/m^2 of the darkest pixel of the display"),
        (
            "pixels-per-degree",
            PIXELS_PER_DEGREE,
            "pixels of the display in one degree of visual angle",
        ),
    ):
        parser.add_argument(
            f"--{name}",
            type=number,
            default=default,
            metavar="NUMBER",
            help=f"{meaning} (default: {default:g})",
        )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _table(scores: Mapping[str, float], protocol: "metrics.Protocol") -> str:
    from jaxhdr.metrics import select

    width = max(len(name) for name in scores)
    lines = []
    for metric, score in zip(select(scores), scores.values(), strict=True):
        number = "absent" if math.isnan(score) else f"{score:.4f}"
        better = "higher" if metric.higher_is_better else "lower"
        lines.append(
            f"{metric.name:{width}}  {number:>12} {metric.unit:5}  {better} is better"
        )
    described = "; ".join(
        f"{key} {json.dumps(value)}" for key, value in protocol.describe().items()
    )
    return "\n".join([*lines, "", f"protocol: {described}"])


def _as_json(scores: Mapping[str, float], protocol: "metrics.Protocol") -> str:
    from jaxhdr.evaluation.reports import json_number

    numbers = {name: json_number(score) for name, score in scores.items()}
    return json.dumps({"protocol": protocol.describe(), "scores": numbers}, indent=2)
