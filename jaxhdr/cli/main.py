"""The `jaxhdr` command.

Its exit status is 0 if all went well, 2 if an input failed or the command line is
wrong, and 130 if it was interrupted. JAX is imported only when a command needs
it.
"""

import argparse
import concurrent.futures
import contextlib
import logging
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from jaxhdr._version import __version__
from jaxhdr.cli import compare, convert, data, inspect
from jaxhdr.cli.arguments import (
    Parser,
    add_format,
    add_model,
    open_reconstructor,
    stops,
    text_of,
)
from jaxhdr.cli.plan import FORMATS, Job, plan
from jaxhdr.errors import UserError

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
  jaxhdr *.jpg -o folder/ --format hdr --no-preview
  jaxhdr photo.jpg -o photo.exr --stops 0 -2 -4
  jaxhdr photo.jpg -o photo.avif
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
        help="format of the files if PATH is a folder (default: exr)",
    )
    add_format(parser)
    add_model(parser)
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
    _check_format(jobs[0].output, options)
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


def _check_format(output: pathlib.Path, options: argparse.Namespace) -> None:
    """Checks that the format of the outputs can keep what the options want.

    Raises:
      UserError: it cannot.
    """
    from jaxhdr import image_io

    suffix = output.suffix.lower()
    is_linear_jxl = suffix == ".jxl" and options.transfer in (None, "linear")
    if options.float and suffix != ".exr" and not is_linear_jxl:
        raise UserError(
            "--float is for .exr and linear .jxl; leave it out for other formats"
        )
    if options.exr is not None and suffix != ".exr":
        raise UserError("--exr is for .exr; leave it out for other formats")
    image_io.check_writing(
        output,
        transfer=options.transfer,
        white_nits=options.white_nits,
        primaries=options.primaries,
    )


def _processed(
    jobs: Sequence[Job], options: argparse.Namespace
) -> Iterator[tuple[Job, Exception | None]]:
    """Yields each job when it is done, with the error that ended it, or None.

    The photograph after the one that is computed is read, and the result before it is
    written, in threads of their own. Only these three are in memory.
    """
    with (
        concurrent.futures.ThreadPoolExecutor(1) as reader,
        concurrent.futures.ThreadPoolExecutor(1) as writer,
    ):
        # Reading begins before the model is loaded.
        read = reader.submit(_read, jobs[0].source)
        reconstructor = open_reconstructor(options)
        written = None
        for job, following in zip(jobs, [*jobs[1:], None], strict=True):
            photograph = read
            if following is not None:
                read = reader.submit(_read, following.source)
            try:
                hdr, known, exif = _computed(photograph, reconstructor)
            except (UserError, MemoryError) as error:
                result = error
            else:
                metadata = _metadata(job, reconstructor, known)
                result = writer.submit(_write, job, hdr, options, metadata, exif)
                del hdr
            del photograph
            if written is not None:
                yield _ended(*written)
            written = job, result
        if written is not None:
            yield _ended(*written)


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


def _computed(
    photograph: "concurrent.futures.Future[tuple[Any, str | None, Any]]",
    reconstructor: Any,
) -> tuple[Any, str | None, Any]:
    encoded, known, exif = photograph.result()
    hdr = reconstructor(encoded, may_overwrite=True, known_response=known)
    return hdr, known, exif


def _read(source: pathlib.Path) -> tuple[Any, str | None, Any]:
    """Returns a photograph, its response if the file says what it is, and its EXIF."""
    from jaxhdr import image_io

    encoded = image_io.read_encoded(source)
    return encoded, image_io.known_response(source), image_io.read_exif(source)


def _metadata(job: Job, reconstructor: Any, known: str | None) -> dict[str, str]:
    metadata = {
        "scale": reconstructor.scale,
        "model": reconstructor.label,
        "precision": reconstructor.precision,
        "response": reconstructor.response_of(known),
        "software": f"jaxhdr {__version__}",
        "source": text_of(job.source),
    }
    if known is not None:
        metadata["photograph"] = "camera raw"
    if reconstructor.size is not None:
        metadata["size"] = str(reconstructor.size)
    if reconstructor.alignment:
        metadata["alignment"] = reconstructor.alignment
    return metadata


def _write(
    job: Job,
    hdr: Any,
    options: argparse.Namespace,
    metadata: dict[str, str],
    exif: Any,
) -> None:
    from jaxhdr import image_io
    from jaxhdr.pictures import previews

    kept = {
        "half": not options.float,
        "metadata": metadata,
        "primaries": options.primaries,
        "exif": exif,
    }
    if options.exr in (None, "scanlines"):
        kept |= {"transfer": options.transfer, "white_nits": options.white_nits}
        image_io.write_hdr(job.output, hdr, **kept)
    else:
        is_mipmap = options.exr == "mipmap"
        image_io.write_tiled_exr(job.output, hdr, mipmap=is_mipmap, **kept)
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
