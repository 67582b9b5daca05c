"""Measures time and memory of reconstruction, as JSON lines.

Run     python benchmarks/inference.py
Every case runs in its own process, so that its peak memory is measured alone. The cases
take turns, so that other load on the machine affects them all alike. Compare ratios
within one run only: absolute times depend on the machine and its load.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

CASES = [
    {"size": 256, "iterations": 1, "tile": 0},
    {"size": 256, "iterations": 4, "tile": 0},
    {"size": 1024, "iterations": 4, "tile": 768},
    {"size": 1024, "iterations": 4, "tile": 512},
]


def measure(case: dict[str, int]) -> dict[str, float]:
    """Returns the times of the first and the second image, and the peak memory."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    import jaxhdr
    from jaxhdr.models import create_model
    from jaxhdr.storage.pretrained import Pretrained

    model = create_model("fhdr", num_iterations=case["iterations"])
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))["params"]
    reconstructor = jaxhdr.Reconstructor(
        Pretrained(model, params, "random"), size="full", tile=case["tile"] or None
    )
    image = np.random.default_rng(0).random((case["size"], case["size"], 3), np.float32)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        reconstructor(image)
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "first_seconds": round(seconds[0], 3),
        "seconds_per_megapixel": round(seconds[1] / (image.size / 3e6), 3),
        "peak_gib": round(peak, 3),
    }


def main() -> None:
    """Runs all cases in turn, or one case in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(options.case | measure(options.case)))
        return
    for _ in range(options.rounds):
        for case in CASES:
            command = [sys.executable, __file__, "--case", json.dumps(case)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
