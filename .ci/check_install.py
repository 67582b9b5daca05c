"""Checks jaxhdr as a user installs it, without the extras.

Run outside the checkout: `python check_install.py`. The command must convert the
shipped photograph into a valid OpenEXR file, and the import must stay fast.
"""

import pathlib
import statistics
import subprocess
import sys
import sysconfig
import tempfile

BASE = "import jax, flax.linen"
FORBIDDEN = ("tensorflow", "tensorflow_datasets", "grain", "ml_collections")
ROUNDS = 5
TARGET_SECONDS = 0.3
# Timings on shared machines vary, so only a large regression fails.
LIMIT_SECONDS = 1.0


def run(code: str) -> str:
    """Returns what a fresh interpreter prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, text=True, stdout=-1).stdout.strip()


def check_command() -> None:
    """Checks the `jaxhdr` command on the shipped photograph, with every model."""
    import numpy as np

    import jaxhdr
    from jaxhdr import image_io
    from jaxhdr.options import shipped_names

    package = pathlib.Path(jaxhdr.__file__).parent
    assert "site-packages" in package.parts, f"{package} is not an installed package"
    photograph = next((package / "samples").glob("*.jpg"))
    command = pathlib.Path(sysconfig.get_path("scripts"), "jaxhdr")
    encoded = image_io.read_encoded(photograph)
    for model in shipped_names():
        with tempfile.TemporaryDirectory() as folder:
            target = pathlib.Path(folder, "photo.exr")
            arguments = [command, photograph, "-o", target, "--model", model]
            subprocess.run(arguments, check=True)
            hdr = image_io.read_hdr(target)
        assert hdr.shape == encoded.shape, f"{hdr.shape} from {encoded.shape}"
        assert hdr.dtype == np.float32
        assert np.isfinite(hdr).all()
        assert hdr.min() >= 0
        assert hdr.max() > 1, "nothing is brighter than the white of the photograph"
        print(
            f"{photograph.name}, {model}: {hdr.shape}, radiance {hdr.min():.4f} to "
            f"{hdr.max():.2f}"
        )


def check_import() -> None:
    """Checks the import times of the package and of `reconstruct`, less JAX's."""
    timed = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
    for statement in ("import jaxhdr", "from jaxhdr import reconstruct"):
        cost = statistics.median(
            float(run(timed.format(f"{BASE}; {statement}")))
            - float(run(timed.format(BASE)))
            for _ in range(ROUNDS)
        )
        verdict = "within" if cost <= TARGET_SECONDS else "OVER"
        print(f"{statement}: {cost:.2f} s over JAX, {verdict} {TARGET_SECONDS} s")
        assert cost <= LIMIT_SECONDS
    loaded = run("import sys; from jaxhdr import reconstruct; print(*sys.modules)")
    assert not (found := sorted(set(FORBIDDEN) & set(loaded.split()))), found


if __name__ == "__main__":
    check_command()
    check_import()
