"""Training runs small enough for tests, in this process or in a new one."""

import os
import pathlib
import signal
import subprocess
import sys
import time

from configs import fhdr

ROOT = pathlib.Path(__file__).parents[1]

FIELDS = {
    "data.batch_size": 4,
    "data.patch_size": 16,
    "optimizer.warmup_steps": 2,
    "train.num_steps": 12,
    "train.log_every": 1,
    "train.evaluate_every": 0,
    "train.checkpoint_every": 2,
    "eval.num_images": 1,
}


FHDR_FIELDS = {"model.num_iterations": 1}


def config(data_dir, **fields):
    """A configuration of FHDR on prepared data; `a__b=c` sets the field a.b."""
    made = fhdr.get_config("synthetic_small")
    made.data.data_dir = data_dir
    made.update_from_flattened_dict(FIELDS | FHDR_FIELDS | _dotted(fields))
    return made


def command(workdir, data_dir, **fields):
    """The command line that trains the same run."""
    fields = FHDR_FIELDS | _dotted(fields)
    return command_of("fhdr.py:synthetic_small", workdir, data_dir, **fields)


def command_of(config_argument, workdir, data_dir, **fields):
    """The command line that trains a small run with a file of `configs/`."""
    flags = {"data.data_dir": data_dir} | FIELDS | _dotted(fields)
    return [
        *(sys.executable, "train.py", f"--config=configs/{config_argument}"),
        f"--workdir={workdir}",
        *(f"--config.{name}={value}" for name, value in flags.items()),
    ]


def _dotted(fields):
    return {name.replace("__", "."): value for name, value in fields.items()}


def run(arguments, *, devices=1):
    """Runs a command of the project and returns the finished process."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    return subprocess.run(
        arguments,
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )


def kill_when(condition, arguments, *, seconds=300):
    """Starts a command and kills it, without warning, once `condition()` holds."""
    with subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        end = time.monotonic() + seconds
        while not condition():
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < end, "the run did not come far enough"
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
