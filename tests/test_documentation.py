"""The commands and files that the README and the guides show must work."""

import importlib
import pathlib
import re
import shlex
import sys
import types

import pytest

from jaxhdr import models
from jaxhdr.cli.main import main

ROOT = pathlib.Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
CARDS = sorted(ROOT.glob("jaxhdr/weights/*.md"))
GUIDE = (ROOT / "docs" / "add_a_model.md").read_text(encoding="utf-8")

SUBCOMMANDS = ("compare", "convert-weights", "data", "inspect", "serve", "view")


def commands(path):
    """Yields the commands of a page's code blocks, without comments, as words."""
    text = path.read_text(encoding="utf-8")
    for block in re.findall(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            for command in re.split(r"&&|\|\|", line.partition(" #")[0]):
                yield shlex.split(command, comments=True)


def guide_file(path):
    """The complete file that the guide "Add a model" shows under a path."""
    found = re.search(f'```python title="{path}"\n(.*?)```', GUIDE, re.DOTALL)
    assert found, f"docs/add_a_model.md has no {path}"
    return found[1]


def module_from(source, name):
    module = types.ModuleType(name)
    exec(compile(source, f"{name} in docs/add_a_model.md", "exec"), module.__dict__)
    return module


def config_of(words):
    """Returns the configuration that a command names with `--config`, or None."""
    for word in words:
        if found := re.fullmatch(r"--config=configs/(\w+)\.py(?::(\S+))?", word):
            file, argument = found.groups()
            if file == "gain":  # of the guide "Add a model"
                module = module_from(guide_file("configs/gain.py"), "configs.gain")
            else:
                module = importlib.import_module(f"configs.{file}")
            return module.get_config(*([argument] if argument else []))
    return None


def defined_flags(script):
    source = (ROOT / script).read_text(encoding="utf-8")
    names = re.findall(r"DEFINE_\w+\(\s*\"(\w+)\"", source)
    return {name.replace("_", "-") for name in names}


def test_the_readme_has_the_two_commands_that_the_integration_runs():
    lines = README.read_text(encoding="utf-8").splitlines()
    install = "python3 -m venv .venv && .venv/bin/pip install "
    first = next(line for line in lines if "-o photo.exr" in line)
    assert first == (
        f"{install}'.[cpu]' && .venv/bin/jaxhdr jaxhdr/samples/rocket.jpg -o photo.exr"
    )
    first = next(line for line in lines if "-m pytest" in line)
    assert first == f"{install}-e '.[test]' && .venv/bin/python -m pytest"


def test_the_readme_is_short_and_every_page_is_wrapped():
    assert len(README.read_text(encoding="utf-8").splitlines()) < 200
    for path in PAGES + CARDS:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            free = line.startswith(("|", "python3 -m venv"))
            assert len(line) <= 100 or free, f"{path.name}:{number}"


@pytest.mark.parametrize("path", PAGES + CARDS, ids=lambda path: path.stem)
def test_links_lead_to_files_of_the_repository(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    generated = {"data_sets.md"}  # by docs/hooks.py
    for target in re.findall(r"\]\(([^)#\s:]+)(?:#[\w-]*)?\)", text):
        assert target in generated or (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES + CARDS, ids=lambda path: path.stem)
def test_commands_name_configurations_and_fields_that_exist(path):
    for words in commands(path):
        config = config_of(words)
        if config is None or path in CARDS:  # a card has the options of its time
            continue
        for word in words:
            if word.startswith("--config."):
                field = word.removeprefix("--config.").partition("=")[0]
                section, _, name = field.partition(".")
                assert name in config[section], f"{words}: no field {field}"


@pytest.mark.parametrize("script", ["train.py", "eval.py"])
def test_commands_have_flags_that_the_programs_define(script):
    defined = defined_flags(script)
    for path in PAGES + CARDS:
        for words in commands(path):
            if script not in words:
                continue
            given = [word[2:].partition("=")[0] for word in words if word[:2] == "--"]
            flags = {flag for flag in given if not flag.startswith("config.")}
            assert {flag.removeprefix("no-") for flag in flags} <= defined, words


def test_the_guide_explains_every_flag_of_eval():
    guide = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf-8")
    rows = "".join(re.findall(r"^\| (`--.*?) \|", guide, re.MULTILINE))
    explained = {flag.removeprefix("no-") for flag in re.findall(r"`--([\w-]+)`", rows)}
    assert explained == defined_flags("eval.py")


def test_commands_have_options_that_jaxhdr_has(capsys):
    for path in PAGES + CARDS:
        for words in commands(path):
            if not words or not words[0].endswith("jaxhdr"):
                continue
            sub = [words[1]] if words[1] in SUBCOMMANDS else []
            if words[1:3] == ["data", "build"]:
                sub.append("build")
            with pytest.raises(SystemExit):
                main([*sub, "--help"])
            described = capsys.readouterr().out
            for word in words:
                if word.startswith("--"):
                    assert word in described, words


@pytest.fixture
def model_of_the_guide(monkeypatch):
    module = module_from(guide_file("jaxhdr/models/gain.py"), "jaxhdr.models.gain")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(models.MODELS, "gain", module.Gain)


def test_the_configuration_of_the_guide_makes_its_model(model_of_the_guide):
    config = module_from(guide_file("configs/gain.py"), "configs.gain").get_config()
    model = models.create_model(**config.model)
    assert model.receptive_radius == 3


@pytest.mark.slow
def test_the_model_of_the_guide_passes_its_tests(model_of_the_guide):
    tests = module_from(guide_file("tests/models/test_gain.py"), "test_gain")
    functions = [value for name, value in vars(tests).items() if name[:5] == "test_"]
    assert len(functions) == 5
    for function in functions:
        for arguments in parametrised(function):
            function(**arguments)


def parametrised(function):
    marks = getattr(function, "pytestmark", [])
    if not marks:
        return [{}]
    name, values = marks[0].args
    return [{name: value} for value in values]
