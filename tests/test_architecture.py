"""The table of allowed imports, and its tests. A new package needs a row here."""

import ast
import graphlib
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
LIBRARY = ROOT / "jaxhdr"

# The folders of `jaxhdr` and the modules beside them, lowest first, and which of the
# others each of them may import. Everything may import `errors` and `_version`.
ALLOWED = {
    "_version": set(),
    "errors": set(),
    "fields": set(),
    "atomic": set(),
    "options": set(),
    "image_io": {"atomic", "options"},  # files <-> NumPy, without JAX
    "imaging": {"fields"},
    "kernels": {"atomic"},
    "models": {"imaging", "kernels", "options"},
    "metrics": {"imaging", "options"},
    "storage": {"atomic", "image_io", "imaging", "models", "options"},
    "data": {"fields"},
    "inference": {
        "image_io",
        "imaging",
        "kernels",
        "models",
        "options",
        "storage",
    },
    "pictures": {"atomic", "image_io", "imaging", "inference", "models", "options"},
    "viewer": {"atomic", "image_io", "imaging", "pictures"},
    "evaluation": {
        "atomic",
        "data",
        "image_io",
        "imaging",
        "inference",
        "metrics",
        "pictures",
        "storage",
        "viewer",
    },
    "training": {
        "data",
        "evaluation",
        "fields",
        "imaging",
        "metrics",
        "models",
        "pictures",
        "storage",
    },
    "app": {
        "image_io",
        "inference",
        "options",
        "pictures",
        "viewer",
    },
    "cli": {
        "app",
        "data",
        "evaluation",
        "image_io",
        "inference",
        "metrics",
        "options",
        "pictures",
        "storage",
        "viewer",
    },
}
OPEN_TO_ALL = {"errors", "_version"}

# The same for the folders of `image_io` and the modules beside them.
ALLOWED_IN_IMAGE_IO = {
    "formats": set(),
    "orientation": set(),
    "folders": {"formats"},
    "containers": {"formats"},
    "jpeg": set(),
    "colour": {"containers"},
    "metadata": {"containers", "formats", "jpeg", "orientation"},
    "gain_maps": {"containers", "jpeg", "metadata", "orientation"},
    "photos": {
        "colour",
        "containers",
        "formats",
        "gain_maps",
        "metadata",
        "orientation",
    },
    "radiance": {
        "colour",
        "containers",
        "formats",
        "metadata",
        "orientation",
        "photos",
    },
    "display": {"colour", "containers", "metadata", "radiance"},
    "write_options": {"display"},
    "radiance_files": {
        "display",
        "formats",
        "metadata",
        "photos",
        "radiance",
        "write_options",
    },
    "ultra_hdr": {
        "colour",
        "formats",
        "gain_maps",
        "jpeg",
        "metadata",
        "orientation",
        "photos",
        "radiance_files",
    },
    "plugin": {"formats", "radiance_files"},
}

# The packages that may import each library. Of those that import Flax, only `models`
# may define layers; the others use the type of a model (see below).
OWNERS = {
    "absl": set(),
    "dm_pix": {"training"},
    "flax": {"inference", "models", "storage", "training"},
    "grain": {"data"},
    "imagecodecs": {"image_io"},
    "imageio": {"image_io"},
    "matplotlib": {"pictures"},
    "ml_collections": set(),
    "OpenImageIO": {"image_io"},
    "optax": {"training"},
    "orbax": {"storage"},
    "pi_heif": {"image_io"},
    "PIL": {"evaluation", "imaging", "image_io", "pictures"},
    "rawpy": {"image_io"},
    "safetensors": {"storage"},
    "scipy": {"imaging", "metrics"},
    "skimage": set(),
    "starlette": {"app"},
    "tensorboardX": {"storage"},
    "tensorflow": set(),
    "tensorflow_datasets": {"data"},
    "torch": set(),
    "uvicorn": {"app"},
}
WITHOUT_JAX = {
    "_version",
    "atomic",
    "cli",
    "data",
    "errors",
    "image_io",
    "options",
}
FOR_TRAINING_ONLY = ("grain", "ml_collections", "tensorflow", "tensorflow_datasets")

# The parts of the library that the programs around it may import.
PROGRAMS = {
    "train.py": {"options", "training"},
    "eval.py": {"evaluation", "metrics", "options"},
    "configs": set(),
    "data_builders": {"atomic", "data", "image_io", "imaging"},
}
# Only programs may import these; the library takes a configuration as a mapping.
PROGRAM_LIBRARIES = {"absl", "ml_collections", "tensorflow_datasets"}

# The modules that import by a name that is only known when the program runs.
LOADS_BY_COMPUTED_NAME = {
    "jaxhdr": "the public names, on first use",
    "data_builders.shared.prepare": "the builder that the user names",
}

FILES = sorted(LIBRARY.rglob("*.py"))
BUILDERS = sorted((ROOT / "data_builders").rglob("*.py"))


def name_of(path):
    """`jaxhdr.image_io.formats` for its file, `jaxhdr.image_io` for the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


IMAGE_IO = [path for path in FILES if name_of(path).startswith("jaxhdr.image_io.")]
MODULES = {name_of(path) for path in FILES + BUILDERS}


def unit_of(name):
    """The row of `ALLOWED` for a module; "" for the package itself."""
    return name.split(".")[1] if "." in name else ""


def imports_of(path):
    """Full names of all that a file imports, also inside functions."""
    found = set()
    for node in without_type_checking(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else node.module)
        elif isinstance(node, ast.Call) and is_lazy_import(node):
            name = node.args[0]
            if isinstance(name, ast.Constant):
                found.add(name.value)
            else:
                assert name_of(path) in LOADS_BY_COMPUTED_NAME, ast.unparse(node)
    return found


def is_lazy_import(call):
    function = ast.unparse(call.func)
    return function.endswith("import_module") or function == "__import__"


def without_type_checking(tree):
    """Walks a tree without `if TYPE_CHECKING:` blocks, which never run."""
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


def test_the_top_of_the_package_is_easy_to_survey():
    assert len(list(LIBRARY.glob("*.py"))) <= 8


# The loop of training is read from top to bottom.
LONG = {"train_and_evaluate"}


@pytest.mark.parametrize("path", FILES + BUILDERS, ids=name_of)
def test_functions_are_short_and_take_few_arguments(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name not in LONG:
            arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            taken = [a for a in arguments if a.arg not in ("self", "cls")]
            assert node.end_lineno - node.lineno < 60, node.name
            assert len(taken) <= 8, node.name


def test_every_module_has_its_row():
    assert {unit_of(name_of(path)) for path in FILES} - {""} == set(ALLOWED)


def test_the_table_itself_points_one_way():
    order = list(graphlib.TopologicalSorter(ALLOWED).static_order())
    assert set(order) == set(ALLOWED)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_follow_the_table(path):
    unit = unit_of(name_of(path))
    allowed = ALLOWED.get(unit, set()) | OPEN_TO_ALL | {unit}
    assert internal_units(path) <= allowed


def test_the_table_of_image_io_points_one_way():
    order = list(graphlib.TopologicalSorter(ALLOWED_IN_IMAGE_IO).static_order())
    assert set(order) == set(ALLOWED_IN_IMAGE_IO)
    assert {name_of(path).split(".")[2] for path in IMAGE_IO} == set(order)


@pytest.mark.parametrize("path", IMAGE_IO, ids=name_of)
def test_imports_within_image_io_follow_its_table(path):
    unit = name_of(path).split(".")[2]
    imported = {
        name.split(".")[2]
        for name in imports_of(path)
        if name.startswith("jaxhdr.image_io.")
    }
    assert imported <= ALLOWED_IN_IMAGE_IO[unit] | {unit}


def test_no_module_imports_itself_through_others():
    graph = {
        name_of(path): imports_of(path) & MODULES - {"jaxhdr", name_of(path)}
        for path in FILES + BUILDERS
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


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_import_what_they_need_and_the_library_none_of_them(program):
    for path in files_of(program):
        if path.stem.endswith("_test"):
            continue
        assert internal_units(path) <= PROGRAMS[program] | OPEN_TO_ALL
        assert libraries(path) & set(OWNERS) <= PROGRAM_LIBRARIES
    package = pathlib.Path(program).stem
    importers = {name_of(path) for path in FILES if package in libraries(path)}
    # The command imports the builders only when it builds.
    assert importers <= ({"jaxhdr.cli.build"} if package == "data_builders" else set())


@pytest.mark.parametrize("path", BUILDERS, ids=name_of)
def test_no_data_set_imports_another(path):
    _, *folders = name_of(path).split(".")
    imported = {
        name.split(".")[1]
        for name in imports_of(path)
        if name.startswith("data_builders.")
    }
    assert imported <= {"shared", *folders[:1]}


def test_reconstructing_imports_nothing_that_only_training_needs():
    code = "import sys, jaxhdr.cli.main; jaxhdr.reconstruct; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True
    )
    loaded = set(done.stdout.decode().split())
    assert "jaxhdr.inference" in loaded
    assert not loaded & set(FOR_TRAINING_ONLY)
