import numpy as np
import pytest

from data_builders.shared.resizing import shrink


def test_shrinking_averages_radiance():
    hdr = np.zeros((8, 12, 3), np.float32)
    hdr[0, 0] = 1600.0
    small = shrink(hdr, 3)
    assert small.shape == (2, 3, 3)
    assert small[0, 0, 0] == 100.0 and small.sum() == 300.0


@pytest.mark.parametrize("shape", [(1, 5000, 3), (7, 3, 3), (1, 1, 3)])
def test_shrinking_fits_any_shape(shape):
    small = shrink(np.ones(shape, np.float32), 4)
    assert max(small.shape[:2]) <= 4 and (small == 1).all()
