"""Reads, computes and writes photographs, one behind the other.

JAX is imported only when the first photograph is computed.
"""

import argparse
import concurrent.futures
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from jaxhdr.cli.arguments import open_reconstructor, text_of
from jaxhdr.cli.plan import Job
from jaxhdr.errors import UserError
from jaxhdr.options import EXR_LAYOUTS, GAIN_MAP_CHANNELS, ULTRA_HDR_SUFFIXES

if TYPE_CHECKING:
    from jaxhdr.image_io import CameraExif, Photograph
    from jaxhdr.inference import Reconstructor
    from jaxhdr.inference.results import Result

PREVIEW_SIDE: Final = 2048
"""Longest side of a preview in pixels."""


def processed(
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
        read = reader.submit(_read, jobs[0], options.gain_map)
        reconstructor = open_reconstructor(options)
        written = None
        for job, following in zip(jobs, [*jobs[1:], None], strict=True):
            photograph = read
            if following is not None:
                read = reader.submit(_read, following, options.gain_map)
            try:
                result = _computed(*photograph.result(), reconstructor)
            except (UserError, MemoryError) as error:
                end = error
            else:
                end = writer.submit(_write, job, result, options)
                del result
            del photograph
            if written is not None:
                yield _ended(*written)
            written = job, end
        if written is not None:
            yield _ended(*written)


def _read(job: Job, gain_map: str) -> tuple["Photograph", "CameraExif"]:
    from jaxhdr import image_io

    photograph = image_io.read_photograph(job.source, gain_map=gain_map)
    if job.output.suffix.lower() in ULTRA_HDR_SUFFIXES:
        image_io.check_in_place(job.output, job.source)
    return photograph, image_io.read_exif(job.source)


def _computed(
    photograph: "Photograph", exif: "CameraExif", reconstructor: "Reconstructor"
) -> "Result":
    from jaxhdr.inference import results

    details = reconstructor.details(
        photograph.encoded,
        only_last=True,
        may_overwrite=True,
        origin=photograph.origin,
    )
    hdr = results.with_measured(photograph, details.stages[0])
    notes = results.notes_of(reconstructor, photograph, details)
    return results.Result(hdr, notes, exif)


def _ended(
    job: Job, end: "concurrent.futures.Future[None] | Exception"
) -> tuple[Job, Exception | None]:
    if isinstance(end, Exception):
        return job, end
    try:
        end.result()
    except (UserError, MemoryError) as error:
        return job, error
    return job, None


def _write(job: Job, result: "Result", options: argparse.Namespace) -> None:
    from jaxhdr import image_io
    from jaxhdr.inference import results
    from jaxhdr.pictures import previews

    chosen = results.FileOptions(
        half=not options.float,
        transfer=options.transfer,
        white_nits=options.white_nits,
        primaries=options.primaries,
        exr_layout=options.exr or EXR_LAYOUTS[0],
        gain_map_channels=options.gain_map_channels or GAIN_MAP_CHANNELS[0],
        gain_map_divisor=options.gain_map_divisor,
    )
    name = text_of(job.source)
    results.write_result(job.output, result, job.source, name=name, options=chosen)
    if job.preview is not None:
        small = previews.shrink(result.hdr, PREVIEW_SIDE)
        picture = (
            previews.exposure_strip(small, options.stops)
            if options.stops
            else previews.tone_map(small)
        )
        image_io.write_png(job.preview, picture)
