import importlib
import inspect
import pathlib
import pkgutil
import subprocess
import sys
import tomllib

import pytest

import jaxhdr

ROOT = pathlib.Path(jaxhdr.__file__).parents[1]
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(jaxhdr.__path__, "jaxhdr.")
)
# Only training needs these; an installation for inference lacks them.
TRAINING_ONLY = {
    "grain",
    "ml_collections",
    "tensorboardX",
    "tensorflow",
    "tensorflow_datasets",
}
MOST_POSITIONAL = 4


def modules_after(code: str) -> set[str]:
    report = f"import sys; {code}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def public_functions():
    for name in MODULES:
        for attribute, value in vars(importlib.import_module(name)).items():
            if attribute.startswith("_") or getattr(value, "__module__", "") != name:
                continue
            if inspect.isfunction(value):
                yield f"{name}.{attribute}", inspect.unwrap(value)
            if inspect.isclass(value):
                for method, function in public_methods(value):
                    yield f"{name}.{attribute}.{method}", inspect.unwrap(function)


def public_methods(owner: type):
    """Yields public methods, without those that a library defines or generates."""
    for name, function in vars(owner).items():
        is_inherited = any(hasattr(base, name) for base in owner.__mro__[1:])
        is_ours = getattr(function, "__module__", "") == owner.__module__
        if inspect.isfunction(function) and is_ours and not is_inherited:
            if not name.startswith("_"):
                yield name, function


def is_method(name: str) -> bool:
    return name.split(".")[-2][:1].isupper()


# Names only: functions kept here until the interpreter ends would keep OpenImageIO's
# types, which it reports on the terminal as leaked.
NAMES = [name for name, _ in public_functions()]


@pytest.fixture(scope="module")
def functions():
    return dict(public_functions())


def test_inference_imports_nothing_of_training():
    loaded = modules_after("import jaxhdr; jaxhdr.reconstruct")
    assert not {name.split(".")[0] for name in loaded} & TRAINING_ONLY


@pytest.mark.slow
def test_inference_leaves_the_slow_orbax_to_training_runs():
    loaded = modules_after("import jaxhdr; jaxhdr.reconstruct")
    assert "jaxhdr.storage.checkpoints" not in loaded


def test_help_waits_for_no_library():
    loaded = modules_after("import jaxhdr.cli.main")
    assert not {"jax", "numpy", "PIL", "OpenImageIO"} & loaded


def test_every_public_name_exists_and_is_listed():
    for name in jaxhdr.__all__:
        assert getattr(jaxhdr, name).__doc__
        assert name in dir(jaxhdr)
    with pytest.raises(AttributeError, match="reconstrukt"):
        jaxhdr.__getattr__("reconstrukt")


def test_the_version_is_that_of_the_distribution():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert jaxhdr.__version__ == project["version"]


def test_every_module_says_what_it_is():
    for name in MODULES:
        assert importlib.import_module(name).__doc__, name


@pytest.mark.parametrize("name", NAMES)
def test_public_functions_are_documented_and_annotated(functions, name):
    function = functions[name]
    assert function.__doc__, "has no docstring"
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[is_method(name) :]
    assert signature.return_annotation is not signature.empty
    for parameter in parameters:
        assert parameter.annotation is not parameter.empty, parameter.name


@pytest.mark.parametrize("name", NAMES)
def test_options_of_public_functions_are_keywords(functions, name):
    if name == "jaxhdr.cli.main.main":
        pytest.skip("called without arguments by the installed command")
    parameters = list(inspect.signature(functions[name]).parameters.values())
    positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert len(positional) - is_method(name) <= MOST_POSITIONAL
    assert all(p.default is p.empty for p in positional)
