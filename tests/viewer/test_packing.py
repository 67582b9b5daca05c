import base64
import zlib

import numpy as np
import pytest

from jaxhdr.viewer import packing


def unpacked(bands, shape, dtype, base=None):
    """The image that the text of bands means, by the words of the module."""
    height, width, channels = shape
    rows, parts = packing.band_rows(width), []
    for index, text in enumerate(bands):
        content = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
        num_rows = min(rows, height - index * rows)
        folded = content.astype(np.int64)
        if np.dtype(dtype).itemsize == 2:
            high, low = folded.reshape(2, -1)
            folded = 256 * high + low
        signed = np.where(folded % 2, -(folded + 1) // 2, folded // 2)
        planes = signed.reshape(channels, num_rows, width).cumsum(axis=2)
        planes[0] += planes[1]
        planes[2] += planes[1]
        parts.append(np.moveaxis(planes, 0, 2))
    image = np.concatenate(parts)
    return (image if base is None else image + base).astype(dtype)  # modulo its size


def noise(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 5, 3), (40, 33, 4), (3, 1, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_any_integers_come_back(monkeypatch, shape, dtype):
    monkeypatch.setattr(packing, "BAND_PIXELS", 100)
    image = noise(shape, dtype)
    bands = packing.pack(image)
    assert len(bands) == -(-shape[0] // packing.band_rows(shape[1]))
    np.testing.assert_array_equal(unpacked(bands, shape, dtype), image)


def test_a_difference_comes_back_and_is_small():
    ramp = np.geomspace(1e-3, 50, 64 * 64 * 3, dtype=np.float32).reshape(64, 64, 3)
    rough = ramp * np.random.default_rng(0).uniform(0.5, 2, ramp.shape)
    bits = packing.to_halves(rough.astype(np.float32)).bits
    other = bits + np.uint16(3)
    bands = packing.pack(other, base=bits)
    np.testing.assert_array_equal(unpacked(bands, bits.shape, np.uint16, bits), other)
    assert 10 * len(bands[0]) < len(packing.pack(other)[0])


def test_a_smooth_image_is_packed_well_and_a_wide_one_has_bands_of_one_row():
    light = np.geomspace(1e-3, 50, 256, dtype=np.float32)
    smooth = np.broadcast_to(light[None, :, None], (256, 256, 3))
    text = "".join(packing.pack(packing.to_halves(smooth).bits))
    assert len(text) < smooth.size / 20
    assert packing.band_rows(2 * packing.BAND_PIXELS) == 1


def test_halves_are_finite_and_without_a_sign():
    values = [0.0, -0.0, 1.0, 65504.0, 65519.0, 1e30, np.inf, np.nan, -np.inf, -3.0]
    hdr = np.float32([*values, 6e-8, 1e-30]).reshape(2, 2, 3)
    bits, changed = packing.to_halves(hdr)
    expected = [0, 0, 1, 65504, 65504, 65504, 65504, 0, 0, 0, 2.0**-24, 0]
    assert bits.view(np.float16).ravel().tolist() == expected
    assert (bits < 0x7C00).all()  # infinity and all that is above or negative
    assert changed == 6


def test_histograms_count_every_pixel_by_quarters_of_a_stop():
    grey = np.float32([0, 0, 0.25, 0.26, 0.5, 1, 1.1, 16]).reshape(2, 4, 1)
    halves = packing.to_halves(grey.repeat(3, axis=2))
    first, counts, black = packing.histogram_of_halves(halves.bits)
    assert (first, black) == (-2, 2)
    # The weights of luminance add up to 1, but not in float32.
    assert counts[0] + counts[1] == 2 and sum(counts) == 6 and counts[-1] == 1
    assert len(counts) == 4 * 6 + 1


def test_a_black_image_has_a_histogram_too():
    black = np.zeros((3, 4, 3), np.uint8)
    assert packing.histogram_of_codes(black)[1:] == ((), 12)
    white = np.full((3, 4, 3), 255, np.uint8)
    first, counts, _ = packing.histogram_of_codes(white)
    assert abs(first) <= 0.25 and counts == (12,)
