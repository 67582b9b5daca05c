"""The list of photographs: their states, the queue, and what is kept.

All of it belongs to one event loop, so nothing is locked.
"""

import asyncio
import collections
import dataclasses
import enum
import itertools
import pathlib
import secrets
import shutil
import time
from typing import Any, Final, NamedTuple

from jaxhdr.app.limits import Limits, Refused, megabytes

_KEPT_NOTICES: Final = 20


class State(enum.StrEnum):
    """Where a photograph is on its way."""

    UPLOADING = "uploading"
    WAITING = "waiting"
    READING = "reading"
    COMPUTING = "computing"
    PACKING = "packing"
    DONE = "done"
    FAILED = "failed"


_FINISHED: Final = (State.DONE, State.FAILED)


@dataclasses.dataclass
class Photograph:
    """One photograph of the list.

    Attributes:
      id: random name of it in addresses.
      name: what it is called, of `names.shown_name`.
      folder: its own folder, which has a random name, too.
      state: where it is on its way.
      sentence: why it failed; "" if it did not.
      facts: what the worker found out: `width`, `height`, `warnings`.
      addresses: keys of its files, by what they are.
      started: time at which its state began, of `time.monotonic`.
      seconds: how long reading, computing and packing took.
    """

    id: str
    name: str
    folder: pathlib.Path
    state: State = State.UPLOADING
    sentence: str = ""
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    addresses: dict[str, str] = dataclasses.field(default_factory=dict)
    started: float = dataclasses.field(default_factory=time.monotonic)
    seconds: float = 0.0

    @property
    def source(self) -> pathlib.Path:
        """The file that was uploaded."""
        return self.folder / "source"


class Notice(NamedTuple):
    """What the page says once.

    Attributes:
      number: its number; the first is 1.
      sentence: what it says.
    """

    number: int
    sentence: str


class SharedFile(NamedTuple):
    """A file that a key opens.

    Attributes:
      path: where it is, in the private folder.
      media_type: type of its content.
      name: file name that is proposed for it; None to show it in the browser.
    """

    path: pathlib.Path
    media_type: str
    name: str | None = None


class Shelf:
    """All photographs, the oldest first."""

    def __init__(self, folder: pathlib.Path, limits: Limits):
        """Begins with none.

        Args:
          folder: an empty folder that nobody else may enter.
          limits: limits of the server.
        """
        self.limits = limits
        self.photographs: dict[str, Photograph] = {}
        self.notices: collections.deque[Notice] = collections.deque(
            maxlen=_KEPT_NOTICES
        )
        self._notice_numbers = itertools.count(1)
        self._folder = folder
        self._files: dict[str, SharedFile] = {}
        self._has_waiting = asyncio.Event()

    def reserve(self, name: str) -> Photograph:
        """Returns a new photograph, for an upload that begins.

        The oldest that is finished makes room for it.

        Args:
          name: its name, of `names.shown_name`.

        Raises:
          Refused: the list is full of photographs that are not finished.
        """
        if len(self.photographs) >= self.limits.photographs:
            oldest = self._oldest_finished()
            if oldest is None:
                raise Refused(
                    503,
                    f"the list is full: {self.limits.photographs} photographs are "
                    "waiting or being computed; try again when one of them is done",
                )
            self._evict(oldest, f"the list keeps {self.limits.photographs} photographs")
        chosen = secrets.token_urlsafe(16)
        photograph = Photograph(chosen, name, self._folder / secrets.token_hex(16))
        photograph.folder.mkdir(mode=0o700)
        self.photographs[chosen] = photograph
        return photograph

    def enqueue(self, photograph: Photograph) -> None:
        """Puts a photograph that was received at the end of the queue."""
        self.enter(photograph, State.WAITING)
        self._has_waiting.set()

    def enter(self, photograph: Photograph, state: State) -> None:
        """Changes the state of a photograph."""
        now = time.monotonic()
        if photograph.state in (State.READING, State.COMPUTING, State.PACKING):
            photograph.seconds += now - photograph.started
        photograph.state, photograph.started = state, now

    def fail(self, photograph: Photograph, sentence: str) -> None:
        """Ends a photograph with the reason; its files are removed."""
        self.enter(photograph, State.FAILED)
        photograph.sentence = sentence
        self._forget_files(photograph)

    def finish(self, photograph: Photograph) -> None:
        """Ends a photograph that was computed."""
        self.enter(photograph, State.DONE)
        self.make_room(photograph)

    def make_room(self, photograph: Photograph) -> None:
        """Removes the oldest results until all that is kept is within the limit.

        Args:
          photograph: one that grew, which stays.
        """
        while self.kept_bytes() > self.limits.kept_bytes:
            oldest = self._oldest_finished(besides=photograph)
            if oldest is None:
                break
            kept = megabytes(self.limits.kept_bytes)
            self._evict(oldest, f"results take up to {kept}")

    async def next_waiting(self) -> Photograph:
        """Returns the photograph that waits longest, when there is one."""
        while True:
            for photograph in self.photographs.values():
                if photograph.state is State.WAITING:
                    return photograph
            self._has_waiting.clear()
            await self._has_waiting.wait()

    def get(self, chosen: str) -> Photograph:
        """Returns a photograph by its id.

        Raises:
          Refused: there is none.
        """
        try:
            return self.photographs[chosen]
        except KeyError:
            raise Refused(404, "this photograph is not in the list any more") from None

    def remove(self, photograph: Photograph) -> None:
        """Takes a photograph out of the list and removes its files."""
        self.photographs.pop(photograph.id, None)
        self._forget_files(photograph)

    def share(self, photograph: Photograph, what: str, file: SharedFile) -> str:
        """Returns the key that opens a file, the same one each time.

        Args:
          photograph: whose file it is.
          what: what the file is for the photograph.
          file: the file.
        """
        key = photograph.addresses.setdefault(what, secrets.token_urlsafe(24))
        self._files[key] = file
        return key

    def opened(self, key: str) -> SharedFile:
        """Returns the file that a key opens.

        Raises:
          Refused: it opens none.
        """
        file = self._files.get(key)
        if file is None or not file.path.is_file():
            raise Refused(404, "this file is not kept any more")
        return file

    def kept_bytes(self) -> int:
        """Returns how many bytes the finished photographs take."""
        return sum(
            file.stat().st_size
            for photograph in self.photographs.values()
            if photograph.state is State.DONE
            for file in photograph.folder.iterdir()
        )

    def summary(self) -> dict[str, Any]:
        """Returns what the page shows, as JSON has it."""
        places = {
            photograph.id: place
            for place, photograph in enumerate(self._waiting(), start=1)
        }
        now = time.monotonic()
        return {
            "photographs": [
                {
                    "id": photograph.id,
                    "name": photograph.name,
                    "state": photograph.state,
                    "place": places.get(photograph.id),
                    "sentence": photograph.sentence,
                    "seconds": photograph.seconds
                    if photograph.state in _FINISHED
                    else now - photograph.started,
                    "facts": photograph.facts,
                    "addresses": photograph.addresses,
                }
                for photograph in self.photographs.values()
            ],
            "notices": [notice._asdict() for notice in self.notices],
        }

    def _waiting(self) -> list[Photograph]:
        everything = self.photographs.values()
        return [one for one in everything if one.state is State.WAITING]

    def _oldest_finished(self, besides: Photograph | None = None) -> Photograph | None:
        for photograph in self.photographs.values():
            if photograph.state in _FINISHED and photograph is not besides:
                return photograph
        return None

    def _evict(self, photograph: Photograph, reason: str) -> None:
        self.remove(photograph)
        sentence = f"{photograph.name} was removed to make room: {reason}."
        self.notices.append(Notice(next(self._notice_numbers), sentence))

    def _forget_files(self, photograph: Photograph) -> None:
        for key in photograph.addresses.values():
            self._files.pop(key, None)
        photograph.addresses.clear()
        # What a program still has open goes when the server ends.
        shutil.rmtree(photograph.folder, ignore_errors=True)
