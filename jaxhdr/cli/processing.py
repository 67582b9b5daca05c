"""Reads, computes and writes photographs, one behind the other.

JAX is imported only when the first photograph is computed.
"""

import argparse
import concurrent.futures
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from jaxhdr._version import __version__
from jaxhdr.cli.arguments import open_reconstructor, text_of
from jaxhdr.cli.plan import Job
from jaxhdr.errors import UserError
from jaxhdr.options import GAIN_MAP_CHANNELS, ULTRA_HDR_SUFFIXES

if TYPE_CHECKING:
    import numpy as np

    from jaxhdr.image_io import CameraExif, Photograph
    from jaxhdr.inference import Reconstructor

PREVIEW_SIDE: Final = 2048
"""Longest side of a preview in pixels."""


class _Result(NamedTuple):
    """What is written: the HDR image, and what its header says."""

    hdr: "np.ndarray"
    notes: dict[str, str]
    exif: "CameraExif"


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
) -> _Result:
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
    return _Result(hdr, notes, exif)


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


def _write(job: Job, result: _Result, options: argparse.Namespace) -> None:
    from jaxhdr import image_io
    from jaxhdr.pictures import previews

    if job.output.suffix.lower() in ULTRA_HDR_SUFFIXES:
        image_io.write_ultra_hdr(
            job.output,
            result.hdr,
            job.source,
            channels=options.gain_map_channels or GAIN_MAP_CHANNELS[0],
            divisor=options.gain_map_divisor,
            metadata=_metadata(job, result),
        )
    else:
        _write_radiance(job, result, options)
    if job.preview is not None:
        small = previews.shrink(result.hdr, PREVIEW_SIDE)
        picture = (
            previews.exposure_strip(small, options.stops)
            if options.stops
            else previews.tone_map(small)
        )
        image_io.write_png(job.preview, picture)


def _metadata(job: Job, result: _Result) -> dict[str, str]:
    return {
        **result.notes,
        "software": f"jaxhdr {__version__}",
        "source": text_of(job.source),
    }


def _write_radiance(job: Job, result: _Result, options: argparse.Namespace) -> None:
    from jaxhdr import image_io

    kept = {
        "half": not options.float,
        "metadata": _metadata(job, result),
        "primaries": options.primaries,
        "exif": result.exif,
    }
    if options.exr in (None, "scanlines"):
        kept |= {"transfer": options.transfer, "white_nits": options.white_nits}
        image_io.write_hdr(job.output, result.hdr, **kept)
    else:
        is_mipmap = options.exr == "mipmap"
        image_io.write_tiled_exr(job.output, result.hdr, mipmap=is_mipmap, **kept)
