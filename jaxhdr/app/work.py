"""What the worker does with a photograph: it reads, computes, packs and writes.

The folder of a photograph has `source`, and afterwards `hdr.npy`, the header's words in
`notes.json`, `thumbnail.png` and `view.html`.
"""

import json
import pathlib
from collections.abc import Callable
from typing import Any, Final

from jaxhdr import image_io
from jaxhdr.app.downloads import DOWNLOADS, PAGE
from jaxhdr.app.photographs import State
from jaxhdr.errors import UserError
from jaxhdr.image_io import Photograph
from jaxhdr.inference import Details, Reconstructor, results
from jaxhdr.inference.results import FileOptions, Result
from jaxhdr.pictures import previews
from jaxhdr.viewer import page, view

SOURCE, THUMBNAIL, VIEW = "source", "thumbnail.png", "view.html"
"""Names of files in the folder of a photograph."""

_HDR, _NOTES = "hdr.npy", "notes.json"
_THUMBNAIL_SIDE: Final = 160

MOST_STAGED_PIXELS: Final = 2**24
"""Of larger photographs the viewer has no stages, because each takes as much memory as
the result."""


def compute(
    folder: pathlib.Path,
    name: str,
    reconstructor: Reconstructor,
    *,
    most_pixels: int,
    enter: Callable[[str], None],
) -> dict[str, Any]:
    """Reconstructs the photograph in a folder, and returns facts about it.

    Args:
      folder: the folder of the photograph.
      name: what it is called.
      reconstructor: the model.
      most_pixels: most pixels that it may have.
      enter: called with each state that begins.

    Raises:
      UserError: the file is no photograph, it is too large, or the disk is full.
    """
    enter(State.READING)
    with image_io.pixel_limit(most_pixels):
        photograph = image_io.read_photograph(folder / SOURCE)
    small = previews.shrink(photograph.encoded, _THUMBNAIL_SIDE)
    image_io.write_png(folder / THUMBNAIL, small)
    enter(State.COMPUTING)
    details = _details(photograph, reconstructor)
    stages = details.stages
    if photograph.measured is not None:
        stages[-1] = results.with_measured(photograph, stages[-1])
    enter(State.PACKING)
    image_io.write_hdr(folder / _HDR, stages[-1])
    notes = json.dumps(results.notes_of(reconstructor, photograph, details))
    (folder / _NOTES).write_text(notes, encoding="utf-8")
    sentences = view.notes_about(
        label=reconstructor.label,
        precision=reconstructor.precision,
        response=reconstructor.response_of(photograph.origin),
        alignment=reconstructor.alignment,
    )
    packed = view.packed_view(
        photograph.encoded, view.radiance_of(stages), title=name, notes=sentences
    )
    page.write_page(folder / VIEW, packed)
    height, width = photograph.encoded.shape[:2]
    return {"width": width, "height": height, "brightest": float(stages[-1].max())}


def write(folder: pathlib.Path, name: str, key: str) -> str:
    """Writes a result that was computed, and returns the name of the file.

    Args:
      folder: the folder of the photograph.
      name: what the photograph is called.
      key: one of `downloads.DOWNLOADS`.

    Raises:
      UserError: the extra of the format is missing, or the disk is full.
    """
    if key == PAGE:
        return VIEW
    download = DOWNLOADS[key]
    target = folder / f"{key}{download.suffix}"
    if not target.exists():
        source = folder / SOURCE
        notes = json.loads((folder / _NOTES).read_text(encoding="utf-8"))
        hdr = image_io.read_hdr(folder / _HDR)
        result = Result(hdr, notes, image_io.read_exif(source))
        options = FileOptions(transfer=download.transfer)
        results.write_result(target, result, source, name=name, options=options)
    return target.name


def missing() -> dict[str, str]:
    """Returns why formats cannot be written here, by their keys."""
    sentences = {}
    for key, download in DOWNLOADS.items():
        if download.transfer is None:
            continue
        try:
            image_io.check_writing(f"a{download.suffix}", transfer=download.transfer)
        except UserError as error:
            sentences[key] = str(error).removeprefix(
                f"cannot write a{download.suffix}: "
            )
    return sentences


def sentence_of(error: Exception, folder: pathlib.Path, name: str) -> str:
    """Returns why a photograph failed, for the person who chose it.

    Args:
      error: what was raised.
      folder: the folder of the photograph, whose path nobody needs to see.
      name: what the photograph is called.
    """
    if isinstance(error, image_io.AlreadyHdrError):
        return f"{name} is HDR already; choose a photograph that is not"
    if isinstance(error, MemoryError):
        return f"not enough memory for {name}; choose a smaller photograph"
    if isinstance(error, UserError):
        return hide_paths(str(error), folder, name)
    return f"{name} made the program fail ({type(error).__name__}); this is a bug"


def hide_paths(text: str, folder: pathlib.Path, name: str) -> str:
    """Returns a text with the name of a photograph in place of paths in its folder."""
    named = text.replace(str(folder / SOURCE), name)
    return " ".join(named.replace(f"{folder}/", "").split())


def _details(photograph: Photograph, reconstructor: Reconstructor) -> Details:
    """Returns the stages that the viewer shows; the last is the result."""
    height, width, _ = photograph.encoded.shape
    return reconstructor.details(
        photograph.encoded,
        only_last=height * width > MOST_STAGED_PIXELS,
        origin=photograph.origin,
    )
