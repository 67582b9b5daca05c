import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxhdr import metrics
from jaxhdr.errors import UserError
from jaxhdr.evaluation import methods, scoring
from jaxhdr.imaging import color
from jaxhdr.inference import Reconstructor
from jaxhdr.storage.pretrained import Pretrained
from tests.random_models import random_pretrained, random_sparam_lstm
from tests.scored_images import example


class Gain(nn.Module):
    """The linearised photograph times a learned factor."""

    receptive_radius = 0

    def context(self, encoded):
        return None

    @nn.compact
    def __call__(self, encoded, context=None):
        gain = self.param("gain", nn.initializers.ones, (), jnp.float32)
        return (gain * color.srgb_decode(encoded))[None]


def gain(factor, *, model=Gain, scale="ldr_white"):
    return Pretrained(model(), {"gain": jnp.float32(factor)}, f"gain {factor}", scale)


def test_a_model_is_scored_as_it_reconstructs():
    trained = random_sparam_lstm()
    image = example("a")
    image = image._replace(encoded=image.encoded[:60, :40], hdr=image.hdr[:60, :40])
    stages = methods.open_method(trained)(image)
    assert stages.shape == (2, 60, 40, 3)
    theirs = Reconstructor(trained, tile=40, precision="float32").stages(
        np.asarray(image.encoded)
    )
    np.testing.assert_allclose(stages, theirs, rtol=2e-5, atol=2e-5)


def test_only_a_model_without_absolute_scale_is_aligned():
    image = example("a")
    linear = color.srgb_decode(image.encoded)
    absolute = methods.open_method(gain(7))(image)
    np.testing.assert_allclose(absolute[0], 7 * linear, rtol=1e-6)
    aligned = methods.open_method(gain(7, scale="mean_half"))(image)
    np.testing.assert_allclose(aligned[0], linear, rtol=1e-5)


def test_a_model_is_scored_in_float32_whatever_it_was_trained_in():
    image = example("a")
    exact, trained_in_half = (
        methods.open_method(random_pretrained(dtype=dtype))(image)
        for dtype in ("float32", "bfloat16")
    )
    np.testing.assert_array_equal(exact, trained_in_half)


def test_new_parameters_do_not_compile_anew():
    traced = []

    class Traced(Gain):
        @nn.compact
        def __call__(self, encoded, context=None):
            traced.append(encoded.shape)
            return super().__call__(encoded, context)

    image = example("a")
    for factor in (1, 2, 3):
        opened = methods.open_method(gain(factor, model=Traced))
        expected = factor * np.asarray(color.srgb_decode(image.encoded))
        np.testing.assert_allclose(opened(image)[0], expected, rtol=1e-6)
    assert traced == [(1, *image.encoded.shape)]


def test_methods_are_opened_by_name_in_order(tmp_path):
    (tmp_path / "theirs").mkdir()
    opened = methods.open_methods(
        models=["kuo", "aky"], predictions=[tmp_path / "theirs"]
    )
    assert list(opened) == ["kuo", "aky", "theirs"]
    assert opened["kuo"].label == "kuo, Kuo et al. (2012)"
    assert opened["theirs"].label == "files"
    assert methods.open_methods() == {}
    with pytest.raises(UserError, match="unknown model 'nobody'"):
        methods.open_methods(models=["nobody"])


def test_a_run_brought_to_the_photograph_scores_as_the_linearised_one():
    names = ("psnr_mu", "ssim_mu", "log2_rmse", "log2_rmse_clipped")
    evaluated = next(
        scoring.evaluate(
            {"gain": methods.open_method(gain(9, scale="mean_half"))},
            [example("a")],
            metrics.select(names),
        )
    )
    baseline, aligned = evaluated.rows
    for name in names:
        assert aligned[name] == pytest.approx(baseline[name], rel=1e-3)
