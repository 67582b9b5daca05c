"""Takes the photographs of the list one by one, and gives out results."""

import logging
from typing import Final

from jaxhdr.app.downloads import DOWNLOADS, PAGE
from jaxhdr.app.limits import Refused
from jaxhdr.app.names import download_name
from jaxhdr.app.photographs import Photograph, SharedFile, Shelf, State
from jaxhdr.app.worker import Worker
from jaxhdr.errors import UserError

_LOGGER: Final = logging.getLogger(__name__)

_THUMBNAIL: Final = ("thumbnail.png", "image/png")
_VIEW: Final = ("view.html", "text/html; charset=utf-8")
"""Files of a photograph that the page shows, and their types."""


async def run(shelf: Shelf, worker: Worker) -> None:
    """Computes the photographs that wait, until it is cancelled.

    Args:
      shelf: the list.
      worker: who computes.
    """
    while True:
        photograph = await shelf.next_waiting()
        try:
            await _compute(photograph, shelf, worker)
        except UserError as error:
            _fail(photograph, str(error), shelf)
        except Exception:  # a bug must not stop the queue
            _LOGGER.exception("computing failed")
            _fail(photograph, "the server made a mistake; this is a bug", shelf)


async def remove(photograph: Photograph, shelf: Shelf, worker: Worker) -> None:
    """Takes a photograph out of the list; if it is computed now, that ends, too.

    Args:
      photograph: which one.
      shelf: the list.
      worker: who computes.
    """
    is_computed = photograph.state in (State.READING, State.COMPUTING, State.PACKING)
    shelf.photographs.pop(photograph.id, None)
    if is_computed:
        await worker.interrupt()
    shelf.remove(photograph)


async def share(photograph: Photograph, key: str, shelf: Shelf, worker: Worker) -> str:
    """Returns the key of the file of a result in a format, after writing it.

    Args:
      photograph: which one.
      key: one of `downloads.DOWNLOADS`.
      shelf: the list.
      worker: who writes.

    Raises:
      Refused: there is no such format, no result yet, or the file cannot be written.
    """
    if key not in DOWNLOADS:
        raise Refused(404, "the format is unknown; choose one of the page")
    if photograph.state is not State.DONE:
        raise Refused(409, f"{photograph.name} is not done yet; wait for it")
    try:
        written = (await worker.write(photograph.folder, photograph.name, key)).value
    except UserError as error:
        raise Refused(500, str(error)) from error
    if photograph.id not in shelf.photographs:
        raise Refused(404, "this photograph is not in the list any more")
    download = DOWNLOADS[key]
    ending = ".view.html" if key == PAGE else download.ending
    name = download_name(photograph.name, ending)
    path = photograph.folder / written
    shelf.make_room(photograph)
    return shelf.share(photograph, key, SharedFile(path, download.media_type, name))


def _fail(photograph: Photograph, sentence: str, shelf: Shelf) -> None:
    """Ends a photograph with the reason, unless it was removed meanwhile."""
    if photograph.id in shelf.photographs:
        shelf.fail(photograph, sentence)


async def _compute(photograph: Photograph, shelf: Shelf, worker: Worker) -> None:
    shelf.enter(photograph, State.READING)

    def show(what: str, name: str, media_type: str) -> None:
        file = SharedFile(photograph.folder / name, media_type)
        shelf.share(photograph, what, file)

    def enter(state: str) -> None:
        shelf.enter(photograph, State(state))
        if photograph.state is State.COMPUTING:  # it has been read
            show("thumbnail", *_THUMBNAIL)

    done = await worker.compute(photograph.folder, photograph.name, enter)
    if photograph.id not in shelf.photographs:
        return
    photograph.facts = {**done.value, "warnings": done.warnings}
    show("view", *_VIEW)
    shelf.finish(photograph)
