"""The `jaxhdr` command.

Its exit status is 0 if all went well, 2 if an input failed or the command line is
wrong, and 130 if it was interrupted. JAX is imported only when a command needs
it.
"""

import argparse
import concurrent.futures
import contextlib
import functools
import logging
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from jaxhdr._version import __version__
from jaxhdr.cli import compare, convert, data, inspect
from jaxhdr.cli.arguments import Parser, add_model, open_reconstructor, stops, text_of
from jaxhdr.cli.plan import FORMATS, Job, plan
from jaxhdr.errors import UserError
from jaxhdr.options import GAIN_MAP_CHANNELS, GAIN_MAPS, ULTRA_HDR_SUFFIXES

_FAILED: Final = 2
_INTERRUPTED: Final = 130

_PREVIEW_SIDE: Final = 2048

_COMMANDS: Final = {
    compare.NAME: compare.run,
    convert.NAME: convert.run,
    data.NAME: data.run,
    inspect.NAME: inspect.run,
}
_EPILOG: Final = f"""\
examples:
  jaxhdr photo.jpg -o photo.exr
  jaxhdr photo.jpg -o phone.jpg
  jaxhdr *.jpg -o folder/ --format hdr --no-preview
  jaxhdr photo.jpg -o photo.exr --stops 0 -2 -4
  jaxhdr {inspect.NAME} photo.jpg -o sheet.png
  jaxhdr {compare.NAME} estimate.exr truth.exr
  jaxhdr {convert.NAME} WORKDIR -o mine.safetensors

other commands:
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
    parser.add_argument(
        "--float", action="store_true", help="write 32-bit EXR (default: 16-bit)"
    )
    add_model(parser)
    parser.add_argument(
        "--gain-map",
        choices=GAIN_MAPS,
        default=GAIN_MAPS[0],
        help="gain map of a phone's photograph: use (default) keeps the HDR image that "
        "it gives and reconstructs only what is clipped there, too; ignore "
        "reconstructs the photograph alone",
    )
    parser.add_argument(
        "--gain-map-channels",
        type=int,
        choices=GAIN_MAP_CHANNELS,
        help="channels of the gain map that is written in a .jpg: 1 (default) keeps "
        "the colours of the photograph, 3 has those of the reconstruction",
    )
    parser.add_argument(
        "--preview",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write NAME.preview.png, at most "
        f"{_PREVIEW_SIDE} pixels wide or high, beside each output (default: yes)",
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
    suffix = jobs[0].output.suffix.lower()
    if options.float and suffix != ".exr":
        raise UserError("--float is for .exr; leave it out for other formats")
    if options.gain_map_channels and suffix not in ULTRA_HDR_SUFFIXES:
        raise UserError(
            "--gain-map-channels is for .jpg; leave it out for other formats"
        )

    failed = []
    for job, error in _processed(jobs, options):
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


def _processed(
    jobs: Sequence[Job], options: argparse.Namespace
) -> Iterator[tuple[Job, Exception | None]]:
    """Yields each job when it is done, with the error that ended it, or None.

    The photograph after the one that is computed is read, and the result before it is
    written, in threads of their own. Only these three are in memory.
    """
    from jaxhdr import image_io

    read_photograph = functools.partial(
        image_io.read_photograph, gain_map=options.gain_map
    )
    with (
        concurrent.futures.ThreadPoolExecutor(1) as reader,
        concurrent.futures.ThreadPoolExecutor(1) as writer,
    ):
        # Reading begins before the model is loaded.
        read = reader.submit(read_photograph, jobs[0].source)
        reconstructor = open_reconstructor(options)
        written = None
        for job, following in zip(jobs, [*jobs[1:], None], strict=True):
            photograph = read
            if following is not None:
                read = reader.submit(read_photograph, following.source)
            try:
                hdr, notes = _hdr_of(photograph.result(), reconstructor)
            except (UserError, MemoryError) as error:
                result = error
            else:
                result = writer.submit(_write, job, hdr, notes, options)
                del hdr
            del photograph
            if written is not None:
                yield _ended(*written)
            written = job, result
        if written is not None:
            yield _ended(*written)


def _hdr_of(photograph, reconstructor) -> tuple[Any, dict[str, str]]:
    """Returns the HDR image of a photograph, and what its header says."""
    from jaxhdr.inference.measured import combine

    known = photograph.known_response
    hdr = reconstructor(photograph.encoded, may_overwrite=True, known_response=known)
    if photograph.measured is not None:
        hdr = combine(photograph.measured, hdr)
    notes = {
        "scale": reconstructor.scale,
        "model": reconstructor.label,
        "precision": reconstructor.precision,
        "response": reconstructor.response_of(known),
    }
    if reconstructor.size is not None:
        notes["size"] = str(reconstructor.size)
    if reconstructor.alignment:
        notes["alignment"] = reconstructor.alignment
    if known is not None:
        notes["photograph"] = "camera raw"
    if photograph.gain_map:
        notes["gain_map"] = photograph.gain_map
    return hdr, notes


def _ended(
    job: Job, result: "concurrent.futures.Future[None] | Exception"
) -> tuple[Job, Exception | None]:
    if isinstance(result, Exception):
        return job, result
    try:
        result.result()
    except (UserError, MemoryError) as error:
        return job, error
    return job, None


def _write(job: Job, hdr, notes: dict[str, str], options: argparse.Namespace) -> None:
    from jaxhdr import image_io
    from jaxhdr.pictures import previews

    if job.output.suffix.lower() in ULTRA_HDR_SUFFIXES:
        channels = options.gain_map_channels or GAIN_MAP_CHANNELS[0]
        image_io.write_ultra_hdr(job.output, hdr, job.source, channels=channels)
    else:
        metadata = {
            **notes,
            "software": f"jaxhdr {__version__}",
            "source": text_of(job.source),
        }
        image_io.write_hdr(job.output, hdr, half=not options.float, metadata=metadata)
    if job.preview is not None:
        small = previews.shrink(hdr, _PREVIEW_SIDE)
        picture = (
            previews.exposure_strip(small, options.stops)
            if options.stops
            else previews.tone_map(small)
        )
        image_io.write_png(job.preview, picture)


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
