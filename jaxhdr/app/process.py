"""The process that reads, computes and writes: the program that runs in it.

It is started as `python -m jaxhdr.app.process`. It reads one task a line from its
standard input, as JSON, and writes one answer a line to what was its standard output. A
result is computed in one thread and a file is written in another, so nobody waits for
the photograph of another to get a download.

When the input ends, the server has gone, even if it was killed. Then the process
removes the private folder and ends, so nothing is left on the disk.
"""

import concurrent.futures
import json
import logging
import os
import pathlib
import shutil
import sys
import threading
import traceback
from typing import Any

from jaxhdr.app import work
from jaxhdr.errors import UserError
from jaxhdr.inference import Reconstructor, keep_compiled_programs


def main() -> None:
    """Runs until the standard input ends."""
    lines = iter(sys.stdin.buffer.readline, b"")
    settings = json.loads(next(lines))
    answers = _Answers()
    try:
        keep_compiled_programs()
        reconstructor = Reconstructor(**settings["model"])
    except UserError as error:
        answers.say({"failed": str(error)})
        return
    answers.say({"label": reconstructor.label, "missing": work.missing()})
    tasks = _Tasks(reconstructor, settings["most_pixels"], answers)
    for line in lines:
        tasks.begin(json.loads(line))
    shutil.rmtree(settings["folder"], ignore_errors=True)
    os._exit(0)  # a computation that runs would keep the process for minutes


class _Answers:
    """Lines to the server, from any thread."""

    def __init__(self):
        # Libraries that print must not be taken for us.
        self._file = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def say(self, answer: dict[str, Any]) -> None:
        with self._lock:
            self._file.write(json.dumps(answer) + "\n")
            self._file.flush()


class _Tasks:
    """Two threads, one for each kind of task."""

    def __init__(
        self, reconstructor: Reconstructor, most_pixels: int, answers: _Answers
    ):
        self._reconstructor = reconstructor
        self._most_pixels = most_pixels
        self._answers = answers
        self._threads = {
            kind: concurrent.futures.ThreadPoolExecutor(1, kind)
            for kind in ("compute", "write")
        }

    def begin(self, task: dict[str, Any]) -> None:
        """Puts a task into the queue of its kind."""
        self._threads[task["kind"]].submit(self._answer, task)

    def _answer(self, task: dict[str, Any]) -> None:
        folder, name = pathlib.Path(task["folder"]), task["name"]
        number = task["number"]
        try:
            with _Warnings() as warnings:
                done = self._done(task, folder, name)
            shown = [work.hide_paths(text, folder, name) for text in warnings.texts]
            self._answers.say({"number": number, "done": done, "warnings": shown})
        except Exception as error:
            if not isinstance(error, UserError | MemoryError):
                traceback.print_exc()
            sentence = work.sentence_of(error, folder, name)
            self._answers.say({"number": number, "failed": sentence})

    def _done(self, task: dict[str, Any], folder: pathlib.Path, name: str) -> Any:
        if task["kind"] == "write":
            return work.write(folder, name, task["format"])

        def enter(state: str) -> None:
            self._answers.say({"number": task["number"], "state": state})

        return work.compute(
            folder,
            name,
            self._reconstructor,
            most_pixels=self._most_pixels,
            enter=enter,
        )


class _Warnings(logging.Handler):
    """Collects what the library warns of in this thread while a block runs."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.texts.append(record.getMessage())

    def __enter__(self) -> "_Warnings":
        logging.getLogger("jaxhdr").addHandler(self)
        return self

    def __exit__(self, *raised: object) -> None:
        logging.getLogger("jaxhdr").removeHandler(self)


if __name__ == "__main__":
    main()
