"""The server's side of the process that reads, computes and writes."""

import asyncio
import contextlib
import itertools
import json
import pathlib
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from jaxhdr.errors import UserError

_MOST_LINE: Final = 2**20  # bytes of an answer


class Computed(NamedTuple):
    """What came of a task.

    Attributes:
      value: what the task returned.
      warnings: what the library warned of, as sentences.
    """

    value: Any
    warnings: list[str]


@runtime_checkable
class Worker(Protocol):
    """Whoever computes photographs and writes results."""

    async def compute(
        self, folder: pathlib.Path, name: str, enter: Callable[[str], None]
    ) -> Computed:
        """Computes the photograph in a folder; see `work.compute`."""
        ...

    async def write(self, folder: pathlib.Path, name: str, key: str) -> Computed:
        """Writes a result in a format; see `work.write`."""
        ...

    async def interrupt(self) -> None:
        """Ends the photograph that is computed."""
        ...


class Greeting(NamedTuple):
    """What a process says when it is ready.

    Attributes:
      label: which model it loaded.
      missing: why formats cannot be written, by their keys.
    """

    label: str
    missing: dict[str, str]


class ProcessWorker:
    """A process that is started again when it ended."""

    def __init__(self, model: Mapping[str, Any], *, folder: pathlib.Path, pixels: int):
        """Does not start the process yet.

        Args:
          model: arguments of `Reconstructor`.
          folder: the private folder, which the process removes if the server is killed.
          pixels: most pixels of a photograph.
        """
        self._settings = {
            "model": dict(model),
            "folder": str(folder),
            "most_pixels": pixels,
        }
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._numbers = itertools.count()
        self._open: dict[int, tuple[asyncio.Future[Computed], Callable]] = {}

    async def start(self) -> Greeting:
        """Starts the process and waits until the model is loaded.

        Raises:
          UserError: the model cannot be loaded.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the folder that the user is in may hold other modules
            "-m",
            "jaxhdr.app.process",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_MOST_LINE,
            start_new_session=True,  # Ctrl-C is for the server, which ends it
        )
        self._process = process
        await self._send(self._settings)
        line = await _pipe(process.stdout).readline()
        answer: dict[str, Any] = {"failed": "the process that computes did not start"}
        if line:
            answer = json.loads(line)
        if "failed" in answer:
            await self.close()
            raise UserError(answer["failed"])
        self._reading = asyncio.create_task(self._read(process))
        return Greeting(answer["label"], answer["missing"])

    async def compute(
        self, folder: pathlib.Path, name: str, enter: Callable[[str], None]
    ) -> Computed:
        """Computes the photograph in a folder; see `work.compute`.

        Args:
          folder: the folder of the photograph.
          name: what it is called.
          enter: called with each state that begins.

        Raises:
          UserError: the photograph cannot be computed.
        """
        return await self._ask({"kind": "compute"}, folder, name, enter)

    async def write(self, folder: pathlib.Path, name: str, key: str) -> Computed:
        """Returns the name of the file in a format, after writing it.

        Args:
          folder: the folder of the photograph.
          name: what it is called.
          key: one of `downloads.DOWNLOADS`.

        Raises:
          UserError: the file cannot be written.
        """
        task = {"kind": "write", "format": key}
        return await self._ask(task, folder, name, lambda state: None)

    async def interrupt(self) -> None:
        """Ends the process; the next task starts another one."""
        await self.close()

    async def close(self) -> None:
        """Ends the process, and waits until it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if self._reading is not None:
            await self._reading
            self._reading = None

    async def _ask(
        self,
        task: dict[str, str],
        folder: pathlib.Path,
        name: str,
        enter: Callable[[str], None],
    ) -> Computed:
        async with self._starting:
            if self._process is None:
                await self.start()
        number = next(self._numbers)
        future = asyncio.get_running_loop().create_future()
        self._open[number] = future, enter
        try:
            await self._send(
                {**task, "number": number, "folder": str(folder), "name": name}
            )
            return await future
        finally:
            del self._open[number]

    async def _send(self, message: Mapping[str, Any]) -> None:
        if self._process is None:
            raise UserError("the computation was interrupted; try again")
        stdin = _pipe(self._process.stdin)
        stdin.write(json.dumps(message).encode() + b"\n")
        with contextlib.suppress(ConnectionError):  # `_read` notices the end
            await stdin.drain()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Gives answers to those who wait for them, until the process ends."""
        while line := await _pipe(process.stdout).readline():
            answer = json.loads(line)
            # Nobody waits for a photograph that was removed.
            if answer["number"] not in self._open:
                continue
            future, enter = self._open[answer["number"]]
            if "state" in answer:
                enter(answer["state"])
            elif "failed" in answer:
                future.set_exception(UserError(answer["failed"]))
            else:
                future.set_result(Computed(answer["done"], answer["warnings"]))
        await process.wait()
        reason = "the computation was interrupted; try again"
        if self._process is process:  # nobody asked for the end
            self._process = None
            reason = _reason(process.returncode)
        for future, _ in self._open.values():
            if not future.done():
                future.set_exception(UserError(reason))


def _pipe(stream: Any) -> Any:
    """Returns a pipe of a process that was started with one."""
    assert stream is not None
    return stream


def _reason(status: int | None) -> str:
    """Returns why a process ended by itself."""
    ended = f"with status {status}"
    if status is not None and status < 0:
        ended = f"by {signal.Signals(-status).name}"
    return (
        f"the process that computes was ended {ended}, perhaps because the memory did "
        "not suffice or a file is made to break programs; choose another photograph"
    )
