"""Measures the whole command on photographs of several sizes, as JSON lines.

Run     python benchmarks/command.py
The photograph is the shipped sample, resized. Each row is the median over rounds, which
take turns over the cases, with XLA's compiled programs kept in a folder of the
benchmark; `first_seconds` is the first run ever, which compiles them. `--full` adds the
same photographs at --size full, which takes minutes, and `--large` a panorama of 100
megapixels. Compare ratios within one run.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from PIL import Image

SAMPLE = pathlib.Path(__file__).parents[1] / "jaxhdr" / "samples" / "rocket.jpg"
SIZES = ((640, 427), (1500, 1000), (4000, 3000))
LARGE = (14_142, 7071)
MIXED = ((320, 240), (640, 480), (1024, 683), (1920, 1080), (4000, 3000))


def run(photographs: list[pathlib.Path], output: str, size: str) -> dict[str, float]:
    """Returns wall-clock seconds and peak memory of one command."""
    command = [sys.executable, "-m", "jaxhdr.cli", *map(str, photographs), "--quiet"]
    start = time.perf_counter()
    process = subprocess.Popen([*command, "-o", output, "--size", size])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the command failed with status {status}")
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak_gib": usage.ru_maxrss / 2**20}


def make(folder: pathlib.Path, sizes, *, copies: int = 1) -> list[pathlib.Path]:
    """Returns the sample at each size, as JPEG files."""
    paths = []
    for copy in range(copies):
        for width, height in sizes:
            path = folder / f"{width}x{height}_{copy}.jpg"
            sample = Image.open(SAMPLE).resize(
                (width, height), Image.Resampling.LANCZOS
            )
            sample.save(path, quality=92)
            paths.append(path)
    return paths


def main() -> None:
    """Measures all cases in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--many", type=int, default=100, help="files of one command")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--large", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        (folder / "out").mkdir()
        cases = [(path, "auto") for path in make(folder, SIZES)]
        if options.large:
            cases += [(path, "auto") for path in make(folder, (LARGE,))]
        if options.full:
            cases += [(path, "full") for path, _ in cases]
        output = str(folder / "out")
        first = {case: run([case[0]], output, case[1]) for case in cases}
        rounds = [
            {case: run([case[0]], output, case[1]) for case in cases}
            for _ in range(options.rounds)
        ]
        for case in cases:
            measured = [row[case] for row in rounds]
            print(
                json.dumps(
                    {
                        "photograph": case[0].stem.removesuffix("_0"),
                        "size": case[1],
                        "first_seconds": round(first[case]["seconds"], 2),
                        "seconds": round(
                            statistics.median(row["seconds"] for row in measured), 2
                        ),
                        "peak_gib": round(max(row["peak_gib"] for row in measured), 2),
                    }
                ),
                flush=True,
            )
        if options.many:
            copies = -(-options.many // len(MIXED))
            paths = make(folder, MIXED, copies=copies)[: options.many]
            result = run(paths, output, "auto")
            print(
                json.dumps(
                    {
                        "photographs": len(paths),
                        "seconds_each": round(result["seconds"] / len(paths), 2),
                        "peak_gib": round(result["peak_gib"], 2),
                    }
                )
            )


if __name__ == "__main__":
    main()
