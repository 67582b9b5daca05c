"""Colour difference of absolute light, Delta E ITP.

ITU-R BT.2124 (2019), "Objective metric for the assessment of the potential visibility
of colour differences in television". Delta E ITP is a distance in ICtCp (ITU-R
BT.2100); a distance of 1 can just be seen under the most critical conditions.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhdr.imaging import color
from jaxhdr.metrics.precision import in_float32

__all__ = ["delta_e_itp"]

# Linear BT.709 to BT.2020: ITU-R BT.2087, section 4.
_BT709_TO_BT2020 = np.array(
    [
        [0.6274, 0.3293, 0.0433],
        [0.0691, 0.9195, 0.0114],
        [0.0164, 0.0880, 0.8956],
    ]
)
# ITU-R BT.2100-2, table 7.
_BT2020_TO_LMS = np.array([[1688, 2146, 262], [683, 2951, 462], [99, 309, 3688]]) / 4096
_LMS_TO_ICTCP = (
    np.array([[2048, 2048, 0], [6610, -13613, 7003], [17933, -17390, -543]]) / 4096
)
_DARKEST = 1e-8  # cd/m^2; the slope of the PQ code is infinite at 0

# BT.2124, equation (1), where T is half of Ct.
_SCALE = np.array([1.0, 0.5, 1.0]) * 720


@in_float32
def delta_e_itp(
    test: Float[Array, "*batch h w 3"], reference: Float[Array, "*batch h w 3"]
) -> Float[Array, "*batch"]:
    """Returns the mean Delta E ITP over the pixels of linear BT.709 light in cd/m^2."""
    square = jnp.sum((_itp(test) - _itp(reference)) ** 2, axis=-1)
    square = jnp.where(jnp.all(test == reference, axis=-1), 0, square)
    # Equal colours have distance 0, where the slope of the root would be infinite.
    distance = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
    return jnp.mean(distance, axis=(-2, -1))


def _itp(light: Float[Array, "*batch h w 3"]) -> Float[Array, "*batch h w 3"]:
    lms = _mixed(light, _BT2020_TO_LMS @ _BT709_TO_BT2020)
    codes = color.pq_code(jnp.clip(lms, _DARKEST, color.PQ_PEAK))
    return _mixed(jnp.asarray(codes), _SCALE[:, None] * _LMS_TO_ICTCP)


def _mixed(
    image: Float[Array, "*batch h w 3"], matrix: Float[np.ndarray, "3 3"]
) -> Float[Array, "*batch h w 3"]:
    return jnp.matmul(image, jnp.asarray(matrix.T, image.dtype), precision="highest")
