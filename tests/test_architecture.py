"""Who may import whom, as data. A new module gets a row here."""

import ast
import graphlib
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
LIBRARY = ROOT / "jaxhdr"

# Modules and subpackages of `jaxhdr`, lowest first, and what each may import of the
# others. `errors` and the package itself (for its version) are open to all.
ALLOWED = {
    "errors": set(),
    # files <-> NumPy, knows no JAX
    "atomic": set(),
    "image_io": {"atomic"},
    "torch_files": set(),
    "weight_files": {"atomic", "torch_files"},
    "checkpoints": set(),
    "data": set(),
    "cli_plan": set(),
    "tiling": set(),
    # light
    "color": set(),
    "jpeg": set(),
    "camera": {"color", "jpeg"},
    "previews": {"color"},
    "scales": {"camera", "color"},
    "regions": set(),
    "scurve": set(),
    # what is learned, and what it is held against
    "kernels": {"atomic"},
    "models": {"color", "kernels", "regions", "scurve"},
    "bilateral": set(),
    "tone_mapping": {"bilateral", "color"},
    "metrics": {"camera", "color", "tone_mapping"},
    "losses": {"camera", "color", "metrics", "models", "weight_files"},
    # a trained model at work, and operators that nobody trained
    "expansion": {"bilateral", "color"},
    "pretrained": {"checkpoints", "expansion", "models", "scales", "weight_files"},
    "alignment": {"scales"},
    "inference": {
        *("alignment", "expansion", "image_io", "kernels", "models", "pretrained"),
        "tiling",
    },
    # reports and runs
    "reports": {"atomic", "metrics"},
    "row_log": {"atomic", "reports"},
    "run_log": {"atomic", "image_io"},
    "thumbnails": {"previews"},
    "report_page": {"atomic", "previews", "reports"},
    "examples": {"camera", "data", "image_io", "scales"},
    "evaluation": {
        *("alignment", "camera", "checkpoints", "color", "data", "examples"),
        *("image_io", "inference", "metrics", "models", "pretrained", "report_page"),
        *("reports", "row_log", "run_log", "thumbnails"),
    },
    "crops": {"camera"},
    "initialisation": {"models", "pretrained", "weight_files"},
    "train_step": {"camera", "crops", "losses", "scales"},
    "training": {
        *("camera", "checkpoints", "crops", "data", "evaluation", "examples"),
        *(
            "initialisation",
            "losses",
            "metrics",
            "models",
            "previews",
            "run_log",
            "train_step",
        ),
    },
    # what a model did, drawn
    "inspection": {
        *("camera", "color", "inference", "models", "previews", "regions", "scales"),
        "scurve",
    },
    "figures": {"atomic", "color", "inspection", "previews"},
    # the command and its subcommands
    "cli_arguments": {"inference"},
    "cli_compare": {"cli_arguments", "image_io", "metrics", "reports"},
    "cli_convert": {"cli_arguments", "pretrained"},
    "cli_data": {"cli_arguments", "data", "image_io", "previews"},
    "cli_inspect": {
        *("cli_arguments", "cli_plan", "figures", "image_io"),
        *("inspection", "previews"),
    },
    "cli": {
        *("cli_arguments", "cli_compare", "cli_convert", "cli_data"),
        *("cli_inspect", "cli_plan", "image_io", "previews"),
    },
}
OPEN_TO_ALL = {"errors", ""}

# The only modules that may import a library; of Linen, those above `models` use the
# type of a model only (see below).
OWNERS = {
    "absl": set(),
    "flax": {
        *("evaluation", "inference", "initialisation", "models", "pretrained"),
        *("train_step", "training"),
    },
    "grain": {"data"},
    "imageio": {"image_io"},
    "matplotlib": {"figures"},
    "ml_collections": set(),
    "OpenImageIO": {"image_io"},
    "optax": {"train_step"},
    "orbax": {"checkpoints"},
    "pi_heif": {"image_io"},
    "PIL": {"image_io", "previews", "thumbnails"},
    "safetensors": {"weight_files"},
    "scipy": {"expansion", "metrics"},
    "skimage": set(),
    "tensorboardX": {"run_log"},
    "tensorflow": set(),
    "tensorflow_datasets": {"data"},
    "torch": set(),
}
WITHOUT_JAX = {
    *("atomic", "cli", "cli_arguments", "cli_compare", "cli_convert"),
    *("cli_data", "cli_inspect", "cli_plan"),
    *("data", "errors", "image_io"),
    *("torch_files", "weight_files"),
}
FOR_TRAINING_ONLY = ("grain", "ml_collections", "tensorflow", "tensorflow_datasets")

# What the programs around the library may import of it.
PROGRAMS = {
    "train.py": {"training"},
    "eval.py": {"checkpoints", "evaluation", "examples", "metrics", "reports"},
    "configs": set(),
    "data_builders": {"atomic", "camera", "color", "image_io", "scales"},
}
# Theirs alone: the library takes a configuration as a mapping.
PROGRAM_LIBRARIES = {"absl", "ml_collections", "tensorflow_datasets"}

FILES = sorted(LIBRARY.rglob("*.py"))


def name_of(path):
    """`jaxhdr.image_io.photos` for its file, `jaxhdr.image_io` for the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path) for path in FILES}


def unit_of(name):
    """The row of `ALLOWED` that a module belongs to; "" for the package itself."""
    return name.split(".")[1] if "." in name else ""


def imports_of(path):
    """Full names of what a file imports, also inside functions."""
    found = set()
    for node in without_type_checking(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else node.module)
    return found


def without_type_checking(tree):
    """Walks a tree but for `if TYPE_CHECKING:`, which never runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from without_type_checking(node)


def internal_units(path):
    names = {name for name in imports_of(path) if name.split(".")[0] == "jaxhdr"}
    return {unit_of(name) for name in names}


def libraries(path):
    return {name.split(".")[0] for name in imports_of(path)} - {"jaxhdr"}


def files_of(program):
    path = ROOT / program
    return [path] if path.suffix else sorted(path.rglob("*.py"))


def test_every_module_has_its_row():
    assert {unit_of(name) for name in MODULES} - {""} == set(ALLOWED)


def test_the_table_itself_points_one_way():
    order = list(graphlib.TopologicalSorter(ALLOWED).static_order())
    assert set(order) == set(ALLOWED)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_follow_the_table(path):
    unit = unit_of(name_of(path))
    allowed = ALLOWED.get(unit, set()) | OPEN_TO_ALL | {unit}
    assert internal_units(path) <= allowed


def test_no_module_imports_itself_through_others():
    graph = {
        name_of(path): imports_of(path) & MODULES - {"jaxhdr", name_of(path)}
        for path in FILES
    }
    list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_its_owner_imports_a_library(path):
    unit = unit_of(name_of(path))
    foreign = {x for x in libraries(path) if x in OWNERS and unit not in OWNERS[x]}
    assert not foreign
    assert unit not in WITHOUT_JAX or not {"jax", "flax"} & libraries(path)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_layers_are_built_in_models_only(path):
    if unit_of(name_of(path)) == "models":
        return
    used = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "nn"
    }
    classes = [
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any("Module" in ast.unparse(base) for base in node.bases)
    ]
    assert used <= {"Module"}
    assert not classes


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_library_prints_nothing(path):
    calls = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "pprint")
    ]
    assert not calls


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_import_what_they_need_and_the_library_none_of_them(program):
    for path in files_of(program):
        if path.stem.endswith("_test"):
            continue
        assert internal_units(path) <= PROGRAMS[program] | OPEN_TO_ALL
        assert libraries(path) & set(OWNERS) <= PROGRAM_LIBRARIES
    package = pathlib.Path(program).stem
    assert not [path for path in FILES if package in libraries(path)]


def test_reconstructing_imports_nothing_that_only_training_needs():
    code = "import sys, jaxhdr.cli; jaxhdr.reconstruct; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True
    )
    loaded = set(done.stdout.decode().split())
    assert "jaxhdr.inference" in loaded
    assert not loaded & set(FOR_TRAINING_ONLY)
