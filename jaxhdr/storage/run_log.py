"""The log of a training run: JSON lines, TensorBoard events and a progress line.

Each line of `WORKDIR/log.jsonl` is one object with its `step`. A resumed run removes
the lines after the step from which it resumes, because it will write them again.
"""

import contextlib
import json
import math
import os
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping

import numpy as np
import tensorboardX
import tqdm
from jaxtyping import Float

from jaxhdr import image_io
from jaxhdr.atomic import atomic_path

VALIDATION = "validation"
"""First part of the names of validation scores, `validation/METHOD/METRIC`."""

_LOG = "log.jsonl"


class RunLog:
    """Writes the scalars and pictures of a run; `open_log` makes it."""

    def __init__(self, workdir: pathlib.Path, num_steps: int):
        self._workdir = workdir
        self._path = workdir / _LOG
        self._num_steps = num_steps
        self._events: tensorboardX.SummaryWriter | None = None
        self._progress = tqdm.tqdm(total=num_steps, unit="step", disable=None)
        self._last_step = 0
        self._last_time = time.monotonic()

    def start(self, step: int) -> None:
        """Starts the log, and continues an existing one after `step`."""
        if self._path.exists():
            lines = self._path.read_text().splitlines(keepends=True)
            with atomic_path(self._path) as path:
                path.write_text("".join(line for line in lines if _is_kept(line, step)))
        # TensorBoard hides what a killed run wrote after its last checkpoint.
        self._events = tensorboardX.SummaryWriter(
            str(self._workdir / "tensorboard"), purge_step=step + 1
        )
        self._progress.update(step)
        self._last_step, self._last_time = step, time.monotonic()

    def write(self, step: int, scalars: Mapping[str, float], *, images: int) -> None:
        """Writes the scalars of a training step of `images` patches."""
        now = time.monotonic()
        steps = step - self._last_step
        seconds = (now - self._last_time) / max(steps, 1)
        rate = images / max(seconds, 1e-9)
        self.write_scalars(step, {**scalars, "images_per_second": rate})
        self._last_step, self._last_time = step, now
        self._progress.update(steps)
        self._progress.set_postfix(
            loss=f"{scalars['loss']:.4f}", images_s=f"{rate:.1f}"
        )
        if self._progress.disable:
            left = (self._num_steps - step) * seconds / 60
            self.say(
                f"step {step}/{self._num_steps}  loss {scalars['loss']:.4f}  "
                f"{rate:.1f} images/s  {left:.0f} min left"
            )

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes scalars of any kind."""
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, **scalars}) + "\n")
        assert self._events is not None, "call start first"
        for name, value in scalars.items():
            self._events.add_scalar(name, value, step)

    def write_sheet(self, step: int, sheet: Float[np.ndarray, "h w 3"]) -> None:
        """Writes a display-encoded sample sheet as PNG and as TensorBoard image."""
        folder = self._workdir / "samples"
        folder.mkdir(exist_ok=True)
        image_io.write_png(folder / f"{step:08d}.png", sheet)
        assert self._events is not None, "call start first"
        self._events.add_image("samples", sheet, step, dataformats="HWC")

    def say(self, line: str) -> None:
        """Prints a line on standard error without breaking the progress bar."""
        tqdm.tqdm.write(line, file=sys.stderr)

    def close(self) -> None:
        """Closes the log."""
        self._progress.close()
        if self._events is not None:
            self._events.close()


def _is_kept(line: str, step: int) -> bool:
    """Returns whether a line is complete and not after `step`."""
    try:
        return json.loads(line)["step"] <= step
    except ValueError:
        return False


def read_scores(
    workdir: str | os.PathLike,
) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Returns the validation scores of a run, (step, score), by metric and method.

    The result is indexed `[metric][method]`. Scores that are not finite are left out.
    The result is empty if there are none.
    """
    path = pathlib.Path(workdir) / _LOG
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        if not _is_kept(line, sys.maxsize):
            continue
        scalars = json.loads(line)
        for name, value in scalars.items():
            if name.startswith(f"{VALIDATION}/") and math.isfinite(value):
                _, method, metric = name.split("/")
                by_method = found.setdefault(metric, {})
                by_method.setdefault(method, []).append((scalars["step"], value))
    return found


@contextlib.contextmanager
def open_log(workdir: str | os.PathLike, *, num_steps: int) -> Iterator[RunLog]:
    """Yields the log of the run in `workdir`, and creates the folder if needed."""
    folder = pathlib.Path(workdir)
    folder.mkdir(parents=True, exist_ok=True)
    log = RunLog(folder, num_steps)
    try:
        yield log
    finally:
        log.close()
