"""Measures the page of `jaxhdr view` for a photograph of 12 megapixels, as JSON lines.

Run     python benchmarks/view.py
The photograph is the shipped sample, enlarged, with noise of two codes, because noise
does not pack. `first_seconds` is the time from the start of the page to its first
picture, `all_seconds` to the end of unpacking, `frame_seconds` the time of a change of
exposure; Chromium draws without a graphics card. Without Chromium only the sizes are
measured.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

SAMPLE = pathlib.Path(__file__).parents[1] / "jaxhdr" / "samples" / "rocket.jpg"
SIZE = (4000, 3000)

# Notes when the page draws for the first time and when its message disappears.
MARKS = """
window.marks = {};
const draw = WebGL2RenderingContext.prototype.drawArrays;
WebGL2RenderingContext.prototype.drawArrays = function (...of) {
  draw.apply(this, of);
  marks.first_seconds ??= performance.now() / 1000;
};
"""
CHANGES = """
async () => {
  const slider = document.getElementById("viewer-exposure");
  const gl = document.getElementById("viewer-canvas").getContext("webgl2");
  const start = performance.now();
  for (let i = 0; i < 10; i++) {
    slider.value = i / 4;
    slider.dispatchEvent(new Event("input"));
    for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
    gl.finish();
  }
  return (performance.now() - start) / 10_000;
}
"""


def make(path: pathlib.Path) -> None:
    """Writes the photograph."""
    enlarged = Image.open(SAMPLE).resize(SIZE, Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).normal(0, 2, (SIZE[1], SIZE[0], 3))
    noisy = np.clip(np.asarray(enlarged) + noise, 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(path, quality=92)


def opened(page_path: pathlib.Path) -> dict[str, float]:
    """Returns the times of a page in Chromium; {} without it."""
    executable = shutil.which("chromium") or shutil.which("chrome")
    if executable is None:
        return {}
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable,
            args=["--no-sandbox", "--enable-unsafe-swiftshader"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(MARKS)
        start = time.perf_counter()
        page.goto(page_path.as_uri())
        page.wait_for_selector("#viewer-message:empty", state="attached")
        unpacked = time.perf_counter() - start
        times = page.evaluate("marks") | {"all_seconds": unpacked}
        times["frame_seconds"] = page.evaluate(CHANGES)
        browser.close()
    return times


def main() -> None:
    """Measures the page with its default side and with every pixel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        photograph, page = pathlib.Path(name, "photo.jpg"), pathlib.Path(name, "a.html")
        make(photograph)
        for side in ("2048", "0"):
            start = time.perf_counter()
            command = [sys.executable, "-m", "jaxhdr.cli", "view", str(photograph)]
            subprocess.run(
                [*command, "-o", str(page), "--side", side, "--quiet"], check=True
            )
            seconds = time.perf_counter() - start
            row = {"side": side, "command_seconds": seconds}
            row |= {"megabytes": page.stat().st_size / 1e6, **opened(page)}
            print(
                json.dumps(
                    {k: v if k == "side" else round(v, 2) for k, v in row.items()}
                )
            )


if __name__ == "__main__":
    main()
