import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr import image_io
from jaxhdr.inference import Reconstructor, reconstruct
from jaxhdr.inference.measured import combine
from jaxhdr.storage.pretrained import Pretrained
from tests import gain_map_files as files

_FIELDS = {"GainMapMax": "2", "HDRCapacityMax": "2"}


class Bright(nn.Module):
    """A model whose results are eight times the encoded photograph."""

    receptive_radius: int = 0

    def context(self, encoded):
        return None

    def __call__(self, encoded, context=None):
        return jnp.stack([encoded, 8 * encoded])


BRIGHT = Pretrained(Bright(), {}, "bright")


def ultra_hdr(*, gain_code: int = 255) -> bytes:
    """A ramp with a clipped right half; the gain grows with it to four times."""
    ramp = np.clip(np.linspace(0, 510, 64), 0, 255)
    base = np.repeat(np.broadcast_to(ramp[None, :, None], (32, 64, 1)), 3, 2)
    gain = np.broadcast_to(np.minimum(ramp, gain_code)[None], (32, 64))
    return files.ultra_hdr(files.jpeg(base), files.jpeg(gain), **_FIELDS)


def random_measured(seed=0):
    rng = np.random.default_rng(seed)
    hdr = rng.uniform(0, 4, (9, 13, 3)).astype(np.float32)
    return image_io.Measured(hdr, rng.random(hdr.shape) < 0.3)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 3.0, 100.0])
def test_what_was_measured_stays_and_nothing_gets_darker(factor):
    measured = random_measured()
    before = measured.hdr.copy()
    estimate = np.random.default_rng(1).uniform(0, 4, (9, 13, 3)).astype(np.float32)
    hdr = combine(measured, factor * estimate)
    assert hdr.dtype == np.float32
    assert (hdr >= before).all()
    kept = ~measured.is_clipped
    np.testing.assert_array_equal(hdr[kept], before[kept])
    brighter = np.maximum(before, factor * estimate)[measured.is_clipped]
    np.testing.assert_array_equal(hdr[measured.is_clipped], brighter)
    np.testing.assert_array_equal(measured.hdr, before)


def test_a_continuous_estimate_leaves_no_dark_seam():
    ramp = np.linspace(0, 2, 400, dtype=np.float32)
    measured_light = np.minimum(4 * ramp, 4.0).astype(np.float32)  # clips at 4
    estimate = np.where(ramp < 1, ramp, 1 + 20 * (ramp - 1)).astype(np.float32)
    hdr, clipped, estimate = (
        np.repeat(row[None, :, None], 3, 2)
        for row in (measured_light, measured_light >= 4, estimate)
    )
    combined = combine(image_io.Measured(hdr, clipped), estimate)[0, :, 0]
    assert (np.diff(combined) >= 0).all() and np.diff(combined).max() < 0.11
    assert combined[-1] == 21


def test_a_file_with_a_gain_map_keeps_what_the_phone_measured(tmp_path):
    path = tmp_path / "phone.jpg"
    path.write_bytes(ultra_hdr())
    phone = image_io.read_hdr(path)
    model = Reconstructor(BRIGHT, precision="float32")
    hdr = model(path)
    assert (hdr >= phone).all()
    np.testing.assert_array_equal(hdr[:, :24], phone[:, :24])
    np.testing.assert_allclose(hdr[:, 40:], 8, rtol=0.01)
    np.testing.assert_array_equal(reconstruct(path, model=BRIGHT), hdr)
    # An array has no gain map, and the stages are those of the model.
    alone = model(image_io.read_encoded(path))
    np.testing.assert_allclose(alone[:, 0], 0, atol=0.05)
    np.testing.assert_array_equal(model.stages(path)[-1], alone)


def test_a_phone_that_does_not_clip_is_all_that_counts(tmp_path):
    path = tmp_path / "phone.jpg"
    path.write_bytes(ultra_hdr(gain_code=200))
    np.testing.assert_array_equal(Reconstructor(BRIGHT)(path), image_io.read_hdr(path))
