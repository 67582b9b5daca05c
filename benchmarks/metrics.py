"""Measures time and memory of the metrics.

Run     python benchmarks/metrics.py [--size 512 384] [--names hdr_vdp2_q ...]
Prints  one row per metric: milliseconds per image alone and in a batch, the ratio of
        both, and the seconds that compiling took. The peak memory is that of the whole
        process, so name a single metric to measure its memory.
Times are medians of interleaved runs. On a busy machine, trust only the ratios.
"""

import argparse
import functools
import resource
import statistics
import time

import jax
import numpy as np

from jaxhdr.metrics import METRICS, select


def main() -> None:
    """Measures the metrics and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs=2, default=(512, 384))
    parser.add_argument("--names", nargs="+", default=list(METRICS))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    width, height = options.size
    print(f"{width} x {height}, {jax.device_count()} device(s)")
    print("metric               alone ms  batch ms  ratio  compiling s")
    for metric in select(options.names):
        alone, batch, compiling = _measure(
            metric, (height, width), options.batch, options.repeats
        )
        ratio = f"{batch / alone:6.2f}" if batch else "     -"
        print(
            f"{metric.name:20} {1e3 * alone:8.1f}  {1e3 * batch:8.1f} {ratio}  "
            f"{compiling:10.1f}",
            flush=True,
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GiB")


def _measure(metric, size, batch, repeats) -> tuple[float, float, float]:
    rng = np.random.default_rng(0)
    shapes = [(*size, 3)] + [(batch, *size, 3)] * (batch > 1)
    score = jax.jit(functools.partial(_score, metric=metric))
    programs = []
    start = time.perf_counter()
    for shape in shapes:
        reference = np.exp(rng.normal(size=shape)).astype(np.float32)
        test = (reference * np.exp(0.1 * rng.normal(size=shape))).astype(np.float32)
        pair = jax.device_put((test, reference))
        programs.append((score.lower(*pair).compile(), pair))
    compiling = time.perf_counter() - start
    times: list[list[float]] = [[] for _ in programs]
    for _ in range(repeats):
        for (program, pair), each in zip(programs, times, strict=True):
            begin = time.perf_counter()
            jax.block_until_ready(program(*pair))
            each.append(time.perf_counter() - begin)
    alone, *together = (statistics.median(each) for each in times)
    return alone, together[0] / batch if together else 0.0, compiling


def _score(test, reference, *, metric):
    return metric.score(test, reference, clipped=reference[..., :1] > 1)


if __name__ == "__main__":
    main()
