"""Every option of every command line that is a number refuses what is no number."""

import argparse
import importlib
import subprocess
import sys

import numpy as np
import pytest

from jaxhdr import image_io
from jaxhdr.cli import build, compare, convert, data, inspect, serve, view
from jaxhdr.cli import main as command
from jaxhdr.inference import reconstructor
from tests.inference.test_reconstructor import BLUR

# Each parser with a command line that is right but for the option.
PARSERS = {
    "jaxhdr": (command._parser(), ["photo.png", "-o", "out.exr"]),
    compare.NAME: (compare._parser(), ["truth.exr", "truth.exr"]),
    convert.NAME: (convert._parser(), ["w.pth", "-o", "w.safetensors"]),
    data.NAME: (data._parser(), ["synthetic_hdr"]),
    build.NAME: (
        build._parser(importlib.import_module("data_builders.shared.prepare")),
        ["synthetic_hdr/small", "--data-dir", "built"],
    ),
    inspect.NAME: (inspect._parser(), ["photo.png", "-o", "sheet.png"]),
    serve.NAME: (serve._parser(), []),
    view.NAME: (view._parser(), ["photo.png", "-o", "page.html"]),
}
NO_NUMBERS = ["nan", "inf", "-inf", "1e999", "NaN", "9" * 5000]


def numeric(parser: argparse.ArgumentParser) -> list[str]:
    return [action.option_strings[0] for action in parser._actions if action.type]


OPTIONS = [
    (name, option)
    for name, (parser, _) in PARSERS.items()
    for option in numeric(parser)
]


def test_every_command_and_every_number_is_tried():
    words = ["jaxhdr", *command._COMMANDS, build.NAME]
    assert set(PARSERS) == set(words)
    assert len(OPTIONS) >= 20


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reconstructor, "load_pretrained", lambda model: BLUR)
    image_io.write_png("photo.png", np.full((16, 16, 3), 0.5, np.float32))
    image_io.write_hdr("truth.exr", np.ones((16, 16, 3), np.float32))
    return tmp_path


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: value[:5])
@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_what_is_no_number_is_refused_in_one_sentence(
    folder, capsys, name, option, value
):
    before = sorted(folder.iterdir())
    words = [] if name == "jaxhdr" else name.split()
    assert command.main([*words, *PARSERS[name][1], f"{option}={value}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("jaxhdr: error: ") and error.count("\n") == 1
    assert f"{value!r}" in error and option.strip("-") in error
    assert "invalid" not in error
    assert sorted(folder.iterdir()) == before


EVAL = """
import eval as program
from absl import flags
from jaxhdr.errors import UserError

FLAGS = flags.FLAGS
found = [
    flag.name
    for flag in FLAGS.get_key_flags_for_module(program)
    if isinstance(flag.parser, flags.FloatParser | flags.IntegerParser)
]
assert len(found) >= 7, found
for name in found:
    for value in ("nan", "inf", "-inf"):
        before = FLAGS[name].value
        try:
            FLAGS(["eval.py", "--pairs=a,b", "--output=c", f"--{name}={value}"])
            program._run()
        except (UserError, flags.IllegalFlagValueError) as error:
            assert name in str(error) and value in str(error), error
        else:
            raise AssertionError((name, value))
        FLAGS[name].value = before
"""


@pytest.mark.slow
def test_every_number_of_the_evaluation_is_refused():
    subprocess.run([sys.executable, "-c", EVAL], check=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["eval.py", "--step=nan", "--workdir=x"],
        ["eval.py", "--white=nan", "--pairs=a,b", "--output=c"],
        ["eval.py", "--config=configs/fhdr.py:synthetic", "--config.camera.gamma=nan",
         "--output=c"],
        ["train.py", "--config=configs/fhdr.py:synthetic", "--workdir={0}/run",
         "--config.loss.peak=nan"],
        ["train.py", "--config=configs/fhdr.py:synthetic", "--workdir={0}/run",
         "--config.data.weights=(1e999,)"],
        ["train.py", "--config=configs/fhdr.py:synthetic", "--workdir={0}/run",
         "--config.seed=nan"],
        ["train.py", "--config=configs/fhdr.py:synthetic"],
    ],
)  # fmt: skip
def test_the_programs_refuse_wrong_flags_in_one_sentence(tmp_path, arguments):
    arguments = [argument.format(tmp_path) for argument in arguments]
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{arguments[0]}: error: ")
    assert done.stderr.count("\n") == 1 and not done.stderr.endswith(".\n")
    assert not any(tmp_path.iterdir())


# Run without the type checks of the tests, which would refuse a float before us.
LIBRARY = """
import math, numpy as np
from jaxhdr import Reconstructor, data, metrics
from jaxhdr.data import prepared
from jaxhdr.errors import UserError
from jaxhdr.evaluation import image_sets
from jaxhdr.pictures import previews

image = np.ones((4, 4, 3), np.float32)
for value in (math.nan, math.inf, -math.inf):
    for call in (
        lambda: Reconstructor("fhdr", size=value),
        lambda: Reconstructor("fhdr", iterations=value),
        lambda: Reconstructor("fhdr", tile=value),
        lambda: Reconstructor("aky", size=value),
        lambda: Reconstructor("aky", tile=value),
        lambda: previews.expose(image, value),
        lambda: previews.exposure_strip(image, [0, value]),
        lambda: previews.shrink(image, value),
        lambda: previews.contact_sheet([("a", [image])], columns=value),
        lambda: list(data.validation_images([], limit=value)),
        lambda: image_sets.from_folders("a", "b", num_images=value),
        lambda: image_sets.from_config({}, num_images=value),
        lambda: metrics.Display(white=value),
    ):
        try:
            call()
        except UserError as error:
            assert f"is {value}; expected " in str(error), error
        else:
            raise AssertionError(value)
"""


@pytest.mark.slow
def test_numbers_of_the_library_are_checked():
    subprocess.run([sys.executable, "-c", LIBRARY], check=True)
