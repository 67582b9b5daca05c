import json
import re

import numpy as np
import pytest
from PIL import Image

from jaxhdr import image_io
from jaxhdr.cli.main import main
from jaxhdr.inference import reconstructor
from jaxhdr.storage import pretrained
from tests.inference.test_reconstructor import BLUR


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with a photograph and HDR files; the model is a stub."""
    load = pretrained.load_pretrained
    monkeypatch.setattr(
        reconstructor, "load_pretrained", lambda m: BLUR if m == "fhdr" else load(m)
    )
    monkeypatch.chdir(tmp_path)
    ramp = np.linspace(0, 255, 30 * 40 * 3).reshape(30, 40, 3).astype(np.uint8)
    Image.fromarray(ramp).save("photo.png")
    truth = 8 * (ramp / 255) ** 2.2
    image_io.write_hdr("truth.exr", truth.astype(np.float32))
    image_io.write_hdr("small.exr", np.ones((3, 4, 3), np.float32))
    (tmp_path / "other").mkdir()
    image_io.write_hdr("other/truth.exr", np.ones((30, 40, 3), np.float32))
    return tmp_path


def facts(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="view">(.*?)</script>', text, re.S)[1])


def test_a_photograph_its_stages_and_the_truth(folder, capsys):
    assert main(["view", "photo.png", "truth.exr", "-o", "view.html"]) == 0
    shown = facts(folder / "view.html")
    names = [image["name"] for image in shown["images"]]
    assert names == ["photograph", "stage 1", "reconstruction", "truth.exr"]
    # The truth is eight times as bright as the photograph.
    assert 0.1 < shown["images"][3]["factor"] < 0.15
    assert any("blur" in note for note in shown["notes"])
    said = capsys.readouterr().err
    assert re.fullmatch(r"photo.png, truth.exr -> view.html \(\d+\.\d MB\)\n", said)


def test_hdr_files_alone_and_a_limit(folder, capsys):
    arguments = ["truth.exr", "other/truth.exr", "--side", "10", "-o", "a.HTM"]
    assert main(["view", *arguments, "--quiet"]) == 0
    shown = facts(folder / "a.HTM")
    names = [image["name"] for image in shown["images"]]
    assert names == ["truth.exr", "other/truth.exr"]
    assert (shown["width"], shown["height"]) == (10, 8)
    assert (shown["left"], shown["right"]) == (0, 1)
    assert capsys.readouterr().err == ""


def test_every_pixel_is_kept_if_asked(folder):
    assert main(["view", "truth.exr", "--side", "0", "-o", "a.html"]) == 0
    assert facts(folder / "a.html")["width"] == 40


BAD_ARGUMENTS = {
    "nothing": [],
    "no output": ["photo.png"],
    "an unknown suffix": ["photo.png", "-o", "view.png"],
    "a folder": ["photo.png", "-o", "other"],
    "no such folder": ["photo.png", "-o", "no/view.html"],
    "an input as output": ["page.html", "-o", "page.html"],
    "a missing file": ["no.jpg", "-o", "view.html"],
    "a missing truth": ["photo.png", "no.exr", "-o", "view.html"],
    "a text": ["page.html", "-o", "view.html"],
    "a photograph as truth": ["photo.png", "photo.png", "-o", "view.html"],
    "another size": ["photo.png", "small.exr", "-o", "view.html"],
    "two sizes": ["truth.exr", "small.exr", "-o", "view.html"],
    "a side in words": ["photo.png", "-o", "view.html", "--side", "large"],
    "a negative side": ["photo.png", "-o", "view.html", "--side", "-5"],
    "an unknown model": ["photo.png", "-o", "view.html", "--model", "none"],
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_mistakes_have_one_sentence_and_leave_no_file(folder, capsys, name):
    (folder / "page.html").write_text("no image")
    before = sorted(folder.rglob("*"))
    assert main(["view", *BAD_ARGUMENTS[name]]) == 2
    said = capsys.readouterr().err
    assert said.startswith("jaxhdr: error: ") and said.count("\n") == 1
    assert not said.strip().endswith(".") and "Traceback" not in said
    assert sorted(folder.rglob("*")) == before
