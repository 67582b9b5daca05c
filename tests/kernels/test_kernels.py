import functools
import os
import pathlib
import shutil
import subprocess
import sys
import threading

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxhdr import kernels
from jaxhdr.errors import UserError
from jaxhdr.imaging import camera
from jaxhdr.kernels import library
from jaxhdr.models import create_model
from jaxhdr.training import losses
from jaxhdr.training.augmentation import Augmentation
from jaxhdr.training.recipe import Recipe, Tables
from jaxhdr.training.step import create_state, train_step
from tests.kernels.onednn import skip_without_onednn
from tests.random_models import random_pretrained, random_sparam_lstm

FLOAT32, BFLOAT16 = jnp.dtype("float32"), jnp.dtype("bfloat16")
ROOT = pathlib.Path(__file__).parents[2]
SOURCE_FILES = sorted(path.name for path in library._SOURCES.iterdir())


@pytest.fixture
def onednn(monkeypatch):
    """Makes oneDNN compute; skips the test where it is not installed."""
    skip_without_onednn()
    monkeypatch.setenv(library.VARIABLE, "onednn")
    assert library.supports(FLOAT32)
    return monkeypatch


@pytest.fixture(params=[FLOAT32, BFLOAT16], ids=str)
def dtype(request, onednn):
    if not library.supports(request.param):
        pytest.skip("this CPU does not multiply bfloat16")
    return request.param


def array(rng, *shape, dtype=FLOAT32):
    return jnp.asarray(rng.standard_normal(shape), dtype)


def kernel_of(rng, *shape):
    """A kernel that keeps the size of its inputs."""
    return array(rng, *shape) / np.sqrt(np.prod(shape[:-1]))


def assert_near(found, expected, *, dtype):
    for mine, wanted in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        assert mine.shape == wanted.shape
        mine, wanted = (np.asarray(a, np.float64) for a in (mine, wanted))
        relative = 1e-5 if dtype == FLOAT32 else 1e-2
        atol = relative * np.abs(wanted).max()
        np.testing.assert_allclose(mine, wanted, rtol=0, atol=atol)


def value_and_gradients(function, arguments, probe):
    value, pull = jax.vjp(function, *arguments)
    return value, pull(probe)


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("seed", range(24))
def test_convolutions_equal_those_of_xla(onednn, dtype, seed):
    rng = np.random.default_rng(seed)
    batch, height, width = rng.integers(1, [6, 71, 71])
    inputs, outputs = rng.integers(1, 201, 2)
    size, dilation = rng.choice([1, 3, 5, 9]), int(rng.integers(1, 5))
    reach = int((size - 1) * dilation)
    same = bool(rng.random() < 0.7 or min(height, width) <= reach)
    if size == 9:  # XLA's convolution takes long
        inputs, outputs = inputs % 20 + 1, outputs % 20 + 1
    shrunk = (0 if same else reach) * np.ones(2, int)
    arguments = [
        array(rng, batch, height, width, inputs, dtype=dtype),
        kernel_of(rng, size, size, inputs, outputs),
        array(rng, outputs) if rng.random() < 0.5 else None,
    ]
    probe = array(rng, batch, *((height, width) - shrunk), outputs, dtype=dtype)

    def convolve(x, kernel, bias):
        return kernels.convolve(x, kernel, bias=bias, dilation=dilation, same=same)

    found = value_and_gradients(convolve, arguments, probe)
    onednn.setenv(library.VARIABLE, "xla")
    exact = [arguments[0].astype(FLOAT32), *arguments[1:]]
    expected = value_and_gradients(convolve, exact, probe.astype(FLOAT32))
    assert found[0].dtype == found[1][0].dtype == dtype
    assert_near(found, expected, dtype=dtype)


@pytest.mark.parametrize("backend", ["onednn", "xla"])
def test_sum_and_relu_are_applied_to_the_convolution(onednn, backend):
    onednn.setenv(library.VARIABLE, backend)
    rng = np.random.default_rng(1)
    x, add = array(rng, 2, 9, 8, 3), array(rng, 2, 9, 8, 5)
    kernel, bias, probe = array(rng, 3, 3, 3, 5), array(rng, 5), array(rng, 2, 9, 8, 5)

    def fused(x, kernel, bias, add):
        return kernels.convolve(x, kernel, bias=bias, add=add, relu=True)

    def apart(x, kernel, bias, add):
        y = jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jax.nn.relu(y + bias[None, None, None] + add)

    arguments = (x, kernel, bias, add)
    found = value_and_gradients(fused, arguments, probe)
    expected = value_and_gradients(apart, arguments, probe)
    assert_near(found, expected, dtype=FLOAT32)


def dense_arguments(rng, shape, *, dtype=FLOAT32):
    x, local = (array(rng, *shape, 64, dtype=dtype) for _ in range(2))
    dense = tuple(kernel_of(rng, 3, 3, 64 + 32 * i, 32) for i in range(4))
    compress, fuse = kernel_of(rng, 1, 1, 128, 64), kernel_of(rng, 1, 1, 192, 64)
    return x, local, kernels.DenseKernels(compress, array(rng, 64), dense, fuse)


@pytest.mark.fast_cases(1)
# If the number of images is a multiple of the number of threads, each thread takes
# images of its own.
@pytest.mark.parametrize(
    "shape", [(1, 40, 33), (3, 7, 5), (2, 1, 1), (4, 9, 6), (17, 3, 4)], ids=str
)
@pytest.mark.parametrize("dilation", [1, 2])
def test_the_dense_block_equals_its_convolutions(onednn, shape, dilation):
    rng = np.random.default_rng(dilation)
    arguments = dense_arguments(rng, shape)
    probe = array(rng, *shape, 64)

    def block(*arguments):
        return kernels.dense_block(*arguments, dilation=dilation)

    found = value_and_gradients(block, arguments, probe)
    onednn.setenv(library.VARIABLE, "xla")
    expected = value_and_gradients(block, arguments, probe)
    assert_near(found, expected, dtype=FLOAT32)


def test_the_dense_block_in_bfloat16_is_near(onednn):
    if not library.supports(BFLOAT16):
        pytest.skip("this CPU does not multiply bfloat16")
    rng = np.random.default_rng(3)
    arguments = dense_arguments(rng, (2, 20, 30), dtype=BFLOAT16)
    found = kernels.dense_block(*arguments, dilation=2)
    onednn.setenv(library.VARIABLE, "xla")
    exact = [a.astype(FLOAT32) for a in arguments[:2]]
    expected = kernels.dense_block(*exact, arguments[2], dilation=2)
    assert_near(found, expected, dtype=BFLOAT16)


def lstm_arguments(rng, shape, *, inputs, features, has_state=True, dtype=FLOAT32):
    x = array(rng, *shape, inputs, dtype=dtype)
    kernel = kernel_of(rng, 3, 3, inputs + features, 4 * features)
    weights = kernels.LstmWeights(kernel, array(rng, 4 * features))
    if not has_state:
        return x, None, weights
    cell, hidden = (array(rng, *shape, features) for _ in range(2))
    return x, kernels.LstmState(cell, jnp.tanh(hidden).astype(dtype)), weights


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("shape", [(2, 90, 53), (3, 7, 5), (1, 2, 2100), (2, 1, 1)])
@pytest.mark.parametrize("has_state", [True, False])
@pytest.mark.parametrize("inputs, features", [(6, 64), (64, 6)])
def test_an_lstm_step_equals_its_equations(
    onednn, dtype, shape, has_state, inputs, features
):
    rng = np.random.default_rng(5)
    sizes = {"inputs": inputs, "features": features, "has_state": has_state}
    arguments = lstm_arguments(rng, shape, **sizes, dtype=dtype)
    probes = kernels.LstmState(
        array(rng, *shape, features), array(rng, *shape, features, dtype=dtype)
    )
    found = value_and_gradients(kernels.lstm_step, arguments, probes)
    assert found[0].cell.dtype == FLOAT32 and found[0].hidden.dtype == dtype
    onednn.setenv(library.VARIABLE, "xla")
    exact = jax.tree.map(lambda a: a.astype(FLOAT32), (arguments, probes))
    expected = value_and_gradients(kernels.lstm_step, *exact)
    assert_near(found, expected, dtype=dtype)


def test_an_lstm_step_takes_any_sums(onednn):
    x = jnp.asarray([0, 1e3, -1e3, 1e30, -1e30, np.inf, -np.inf, np.nan], FLOAT32)
    weights = kernels.LstmWeights(jnp.zeros((3, 3, 9, 32)), jnp.tile(x, 4))
    state = kernels.LstmState(jnp.full((1, 2, 2, 8), 0.5), jnp.zeros((1, 2, 2, 8)))
    cell, hidden = kernels.lstm_step(jnp.zeros((1, 2, 2, 1)), state, weights)
    onednn.setenv(library.VARIABLE, "xla")
    expected = kernels.lstm_step(jnp.zeros((1, 2, 2, 1)), state, weights)
    np.testing.assert_allclose(cell, expected.cell, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(hidden, expected.hidden, rtol=1e-6, atol=1e-6)


def test_calls_from_many_threads_do_not_mix(onednn):
    rng = np.random.default_rng(4)
    cases = [
        (array(rng, 1, 8 + i, 9, 16), array(rng, 3, 3, 16, 4 + i)) for i in range(8)
    ]
    function = jax.jit(kernels.convolve)
    expected = [np.asarray(function(*case)) for case in cases]
    wrong = []

    def work(index):
        for _ in range(20):
            if not np.array_equal(function(*cases[index]), expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.slow
def test_memory_is_flat_over_ten_thousand_calls_with_changing_shapes(onednn):
    function = jax.jit(kernels.convolve)
    kernel = jnp.ones((3, 3, 4, 4))
    images = [jnp.ones((1, 8 + i % 10, 8 + i // 10, 4)) for i in range(100)]
    for image in images:
        function(image, kernel)
    before = kernels.held_bytes(), resident_bytes()
    for _ in range(100):
        for image in images:
            jax.block_until_ready(function(image, kernel))
    assert kernels.held_bytes() == before[0]
    assert resident_bytes() < before[1] + 20 * 2**20


def resident_bytes():
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, fields",
    [
        ("fhdr", {"num_iterations": 2}),
        ("sparam_lstm", {"sparam": {"backbone": "compact", "num_regions": 2}}),
    ],
)
@pytest.mark.parametrize("platform", ["cuda", "cpu"])
def test_an_export_holds_standard_convolutions_only(name, fields, platform):
    model = create_model(name, **fields)
    image = jnp.zeros((1, 16, 16, 3))
    params = jax.eval_shape(model.init, jax.random.key(0), image)

    def loss(params, image):
        return model.apply(params, image).mean()

    step = jax.jit(jax.value_and_grad(loss))
    exported = jax.export.export(step, platforms=[platform])(params, image)
    text = exported.mlir_module()
    assert "jaxhdr" not in text.split("loc(")[0]
    assert "custom_call @jaxhdr" not in text
    assert text.count("stablehlo.convolution") > 10


@pytest.mark.slow
@pytest.mark.parametrize(
    "trained",
    [random_pretrained(num_iterations=2), random_sparam_lstm(num_regions=3)],
    ids=["fhdr", "sparam_lstm"],
)
def test_a_step_of_training_is_that_of_xla(onednn, trained):
    """The loss agrees to 1e-5, each parameter's change to 1e-3 of the largest change.

    One step of SGD changes a parameter in proportion to its gradient.
    """
    rng = np.random.default_rng(6)
    hdr = np.exp(rng.normal(size=(2, 24, 20, 3))).astype(np.float32)
    levels = np.stack([camera.clipping_levels(image) for image in hdr])
    batch = {"hdr": jnp.asarray(hdr), "clipping_levels": jnp.asarray(levels)}
    optimizer = optax.sgd(1e4)  # large, so that rounding loses no change

    def run(backend):
        onednn.setenv(library.VARIABLE, backend)
        step = functools.partial(
            train_step.__wrapped__,  # compiled anew for each backend
            recipe=Recipe(
                model=trained.model,
                optimizer=optimizer,
                loss=losses.Loss(error=losses.L1(clipped_pixel_weight=5.0)),
                # Images without near ties, at which the two would pool another pixel.
                augmentation=Augmentation(flip_left_right=0.0),
                ema_decay=0.5,
            ),
            tables=Tables(),
        )
        before = create_state(trained.params, optimizer)
        after, terms = jax.jit(step)(before, batch, jax.random.key(7))
        return terms, jax.tree.map(jnp.subtract, after.params, before.params)

    (terms, changes), (expected_terms, expected) = run("onednn"), run("xla")
    assert terms.keys() == expected_terms.keys()
    np.testing.assert_allclose(terms["loss"], expected_terms["loss"], rtol=1e-5)
    mine, theirs = (jax.tree_util.tree_leaves_with_path(x) for x in (changes, expected))
    for (path, change), (_, wanted) in zip(mine, theirs, strict=True):
        wanted = np.asarray(wanted)
        assert np.any(wanted), path
        atol = 1e-3 * np.abs(wanted).max()
        np.testing.assert_allclose(change, wanted, rtol=0, atol=atol, err_msg=str(path))


@pytest.mark.parametrize("value, dtype", [("xla", FLOAT32), ("auto", "float16")])
def test_xla_is_taken_where_it_must_be(monkeypatch, value, dtype):
    monkeypatch.setenv(library.VARIABLE, value)
    assert not library.supports(jnp.dtype(dtype))


def test_a_wrong_choice_is_refused(monkeypatch):
    monkeypatch.setenv(library.VARIABLE, "mkl")
    with pytest.raises(UserError, match="JAXHDR_CONV is 'mkl'; expected one of"):
        kernels.convolve(jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 2)))


PROGRAM = """
import jax.numpy as jnp
from jaxhdr import kernels
for side in (4, 5):
    kernels.convolve(jnp.ones((1, side, 4, 2)), jnp.ones((3, 3, 2, 2)))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment, said",
    [
        ({"PATH": "/nowhere"}, "there is no C++ compiler (apt-get install g++)"),
        ({"CXX": "/bin/false"}, "/bin/false failed and said: nothing"),
        ({"CXX": "/nowhere/g++"}, "/nowhere/g++ cannot be run"),
    ],
)
def test_without_a_compiler_it_works_and_says_so_once(
    onednn, tmp_path, environment, said
):
    def run(choice):
        return subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=ROOT,
            env=os.environ
            | {"XDG_CACHE_HOME": str(tmp_path), library.VARIABLE: choice}
            | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    done = run("auto")
    assert done.returncode == 0 and done.stderr.count("XLA's convolutions") == 1
    assert said in done.stderr
    assert list((tmp_path / "jaxhdr").iterdir()) == []
    refused = run("onednn")
    assert refused.returncode == 1 and "JAXHDR_CONV is onednn, but" in refused.stderr


def test_without_the_package_the_reason_says_what_to_install(monkeypatch):
    monkeypatch.setattr(library.importlib.metadata, "files", lambda _: None)
    with pytest.raises(library._Unavailable, match="onednn-cpu-gomp is not installed"):
        library._find_onednn()


def test_what_was_compiled_is_kept_and_nothing_else(onednn, tmp_path):
    onednn.setenv("XDG_CACHE_HOME", str(tmp_path))
    onednn.setattr(library, "_compile", lambda path, *_: path.write_bytes(b"made"))
    onednn.setattr(library, "_temporary", lambda: pytest.fail("a folder was made"))
    first, again = (library._compiled(*library._find_onednn()) for _ in range(2))
    assert first == again and list(tmp_path.rglob("*")) == [first.parent, first]


@pytest.mark.parametrize("name", SOURCE_FILES)
def test_a_change_of_any_source_file_compiles_the_library_again(onednn, tmp_path, name):
    onednn.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    onednn.setattr(library, "_compile", lambda path, *_: path.write_bytes(b"made"))
    copy = tmp_path / "src"
    shutil.copytree(library._SOURCES, copy)
    onednn.setattr(library, "_SOURCES", copy)
    before = library._compiled(*library._find_onednn())
    with open(copy / name, "a") as file:
        file.write("// changed\n")
    after = library._compiled(*library._find_onednn())
    assert after != before and set(before.parent.iterdir()) == {before, after}


@pytest.mark.slow
def test_the_library_is_compiled_from_a_copy_of_the_package_folder(onednn, tmp_path):
    """As from an installed package: nothing outside the folder `src` is included."""
    copy = tmp_path / "src"
    shutil.copytree(library._SOURCES, copy)
    onednn.setattr(library, "_SOURCES", copy)
    library._compile(tmp_path / "kernels.so", *library._find_onednn())
    assert (tmp_path / "kernels.so").stat().st_size > 0


def test_a_folder_that_cannot_be_written_to_is_passed_over(onednn, tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    onednn.setenv("XDG_CACHE_HOME", str(blocked))
    onednn.setattr(library, "_compile", lambda path, *_: path.write_bytes(b"made"))
    onednn.setattr(library, "_own_folder", lambda: tmp_path / "own")
    made = library._compiled(*library._find_onednn())
    assert made.parent == tmp_path / "own" and made.read_bytes() == b"made"
