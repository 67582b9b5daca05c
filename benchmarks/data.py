"""Measures speed and memory of building and reading data, as JSON lines.

    python benchmarks/data.py --manual-dir=FOLDER             builds, then reads
    python benchmarks/data.py --name=NAME --data-dir=FOLDER   reads a prepared set

Every case runs in its own process, so that its memory is measured alone. On a shared
machine, compare the rates per processor second, and their ratio to the rate of copying
the bytes of a record, which is the limit that memory sets.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

CASES = [
    {"case": "records"},
    {"case": "patches", "patch": 64, "threads": 0},
    {"case": "patches", "patch": 64, "threads": 4},
    {"case": "patches", "patch": 256, "threads": 4},
    {"case": "epoch", "patch": 64, "threads": 4},
]
_BATCH = 16
_SECONDS = 5.0  # shortest time of reading


def build(name: str, manual_dir: str, data_dir: str, processes: int) -> dict:
    """Returns the wall time of a build, and the time of all its processors."""
    command = [sys.executable, "-m", "jaxhdr.cli", "data", "build", name]
    command += [f"--manual-dir={manual_dir}", f"--data-dir={data_dir}"]
    before, start = os.times(), time.perf_counter()
    subprocess.run(
        [*command, f"--processes={processes}"], check=True, stderr=subprocess.DEVNULL
    )
    after = os.times()
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    return {
        "case": "build",
        "processes": processes,
        "seconds": round(time.perf_counter() - start, 1),
        "processor_seconds": round(used, 1),
        **load(),
    }


def read(case: dict, name: str, data_dir: str) -> dict:
    """Returns the records or patches per second of a case, and the peak memory."""
    from jaxhdr import data

    source = data.data_source(name, "train", data_dir=data_dir)
    size = source[0]["hdr"].nbytes
    if case["case"] == "records":
        steps = (source[index % len(source)] for index in range(10**9))
        per_step = 1
    else:
        steps = data.train_batches(
            source,
            batch_size=_BATCH,
            patch_size=case["patch"],
            seed=0,
            num_threads=case["threads"],
        )
        per_step = _BATCH
    next(iter(steps))
    if case["case"] == "epoch":
        return epoch(steps, len(source))
    rates = measure(lambda: next(steps), per_step)
    copies = measure(np.ones(size, np.uint8).copy, 1)
    return {
        "per_second": round(rates[0], 1),
        "per_processor_second": round(rates[1], 1),
        "ratio_to_copying": round(rates[1] / copies[1], 4),
        "peak_mib": peak(),
        **load(),
    }


def epoch(steps, count: int) -> dict:
    """Returns resident memory after each quarter of an epoch, in MiB."""
    sizes = []
    for _ in range(4):
        for _ in range(max(1, count // _BATCH // 4)):
            next(steps)
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        sizes.append(round(pages * resource.getpagesize() / 2**20))
    return {"resident_mib": sizes, "peak_mib": peak(), **load()}


def measure(step, per_step: int) -> tuple[float, float]:
    """Returns the rates per second and per processor second, over `_SECONDS`."""
    start, start_used, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < _SECONDS:
        step()
        count += per_step
    used = time.process_time() - start_used
    return count / (time.perf_counter() - start), count / used


def peak() -> int:
    """Returns the peak memory of this process in MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def load() -> dict:
    """Returns the load of the machine: the number of runnable processes."""
    return {"load": round(os.getloadavg()[0], 1)}


def main() -> None:
    """Builds the set if a source folder is given, and reads all cases in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="hdr_images/panorama_views")
    parser.add_argument("--manual-dir", "--manual_dir", help="folder of source files")
    parser.add_argument("--data-dir", help="folder of prepared data")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        found = read(options.case, options.name, options.data_dir)
        print(json.dumps(options.case | found), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        data_dir = options.data_dir or folder
        for processes in options.processes if options.manual_dir else ():
            data_dir = f"{folder}/{processes}"
            row = build(options.name, options.manual_dir, data_dir, processes)
            print(json.dumps(row), flush=True)
        for case in CASES * options.rounds:
            command = [sys.executable, __file__, "--case", json.dumps(case)]
            command += [f"--name={options.name}", f"--data-dir={data_dir}"]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
