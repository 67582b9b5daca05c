"""Detail that an estimate has where the photograph tells nothing.

Where all channels of a photograph are clipped, detail can only be guessed. These scores
say how much of it an estimate has (blobs and waves that are not in the scene), and how
well it agrees with the scene. Detail is what a Gaussian of 4 pixels smooths away from
the logarithm of luminance. It is counted at least 4 pixels inside the clipped area, so
that the edges of lamps do not count. `test` is the estimate and `reference` the truth,
linear BT.709 radiance in the scale `ldr_white`. A factor of an image does not matter.
"""

import functools
from typing import Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxhdr.imaging import color
from jaxhdr.metrics.pixelwise import STOPS_FLOOR
from jaxhdr.metrics.precision import in_float32

__all__ = ["clipped_detail_correlation", "clipped_detail_invented"]

_DEVIATION: Final = 4  # of the Gaussian, in pixels
_INSIDE: Final = 4  # distance to the border of the clipped area, in pixels
_RADIUS: Final = 3 * _DEVIATION
_TAPS: Final = np.exp(-0.5 * (np.arange(-_RADIUS, _RADIUS + 1) / _DEVIATION) ** 2)
_PIXELS: Final = (-3, -2, -1)

# Less than this is rounding of float32, and has no correlation with anything.
_SMALLEST_DETAIL: Final = 1e-4  # stops


@in_float32
def clipped_detail_invented(
    test: Float[Array, "*batch h w 3"],
    reference: Float[Array, "*batch h w 3"],
    *,
    mask: Bool[Array, "*batch h w 1"] | None = None,
) -> Float[Array, "*batch"]:
    """Returns the size in stops of the detail that the truth does not have.

    It is the standard deviation of what is left of the estimate's detail after the
    truth's detail, times the factor that fits best and is not negative, was
    subtracted. It is 0 for an estimate without detail and for the truth. It is NaN if
    no pixel counts.

    Args:
      test: the estimate.
      reference: the truth.
      mask: pixels whose channels are all clipped; by default, all pixels.
    """
    moments = _moments(test, reference, mask)
    common = jnp.maximum(moments.covariance, 0) ** 2
    common /= jnp.where(moments.of_reference > 0, moments.of_reference, 1)
    rest = jnp.maximum(moments.of_test - common, 0)
    # The slope of the root is infinite at 0.
    size = jnp.where(rest > 0, jnp.sqrt(jnp.where(rest > 0, rest, 1)), 0)
    return jnp.where(moments.has_pixels, size, jnp.nan)


@in_float32
def clipped_detail_correlation(
    test: Float[Array, "*batch h w 3"],
    reference: Float[Array, "*batch h w 3"],
    *,
    mask: Bool[Array, "*batch h w 1"] | None = None,
) -> Float[Array, "*batch"]:
    """Returns the correlation of both images' detail, in [-1, 1].

    It is NaN if no pixel counts or one of the images has no detail.

    Args:
      test: the estimate.
      reference: the truth.
      mask: pixels whose channels are all clipped; by default, all pixels.
    """
    moments = _moments(test, reference, mask)
    least = jnp.minimum(moments.of_test, moments.of_reference)
    has_detail = moments.has_pixels & (least > _SMALLEST_DETAIL**2)
    product = jnp.where(has_detail, moments.of_test * moments.of_reference, 1)
    return jnp.where(has_detail, moments.covariance / jnp.sqrt(product), jnp.nan)


class _Moments(NamedTuple):
    """Variances and covariance of the detail of two images."""

    of_test: Float[Array, "*batch"]
    of_reference: Float[Array, "*batch"]
    covariance: Float[Array, "*batch"]
    has_pixels: Bool[Array, "*batch"]


def _moments(test: Array, reference: Array, mask: Array | None) -> _Moments:
    if mask is None:
        mask = jnp.ones((*test.shape[:-1], 1), bool)
    inside = _eroded(mask)
    count = inside.sum(_PIXELS, keepdims=True)

    def mean(values: Array) -> Array:
        total = jnp.where(inside, values, 0).sum(_PIXELS, keepdims=True)
        return total / jnp.maximum(count, 1)

    of_test, of_reference = (_detail(image, mask) for image in (test, reference))
    of_test -= mean(of_test)
    of_reference -= mean(of_reference)
    products = of_test**2, of_reference**2, of_test * of_reference
    test_variance, reference_variance, covariance = (
        mean(product)[..., 0, 0, 0] for product in products
    )
    has_pixels = count[..., 0, 0, 0] > 0
    return _Moments(test_variance, reference_variance, covariance, has_pixels)


def _detail(
    hdr: Float[Array, "*batch h w 3"], mask: Bool[Array, "*batch h w 1"]
) -> Float[Array, "*batch h w 1"]:
    """Returns what a mean over near pixels of the mask takes away, in stops."""
    luminance = color.luminance(jnp.maximum(hdr, 0))[..., None]
    stops = jnp.log2(luminance + STOPS_FLOOR)
    # Radiance far from 1 would leave few digits for the difference.
    stops -= jnp.mean(stops, axis=_PIXELS, keepdims=True)
    weight = mask.astype(stops.dtype)
    share = _blurred(weight)
    mean = _blurred(stops * weight) / jnp.where(share > 0, share, 1)
    return stops - mean


def _blurred(image: Float[Array, "*batch h w 1"]) -> Float[Array, "*batch h w 1"]:
    """Returns the Gaussian mean; pixels outside the image count as 0."""
    taps = jnp.asarray(_TAPS / _TAPS.sum(), image.dtype)
    planes = image.reshape(-1, *image.shape[-3:])
    convolve = functools.partial(
        jax.lax.conv_general_dilated,
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    planes = convolve(planes, taps[:, None, None, None])
    return convolve(planes, taps[None, :, None, None]).reshape(image.shape)


def _eroded(mask: Bool[Array, "*batch h w 1"]) -> Bool[Array, "*batch h w 1"]:
    """Returns pixels whose neighbours up to `_INSIDE` away are in the mask, too."""
    size = 2 * _INSIDE + 1
    window = (*(1 for _ in mask.shape[:-3]), size, size, 1)
    ones = (1,) * mask.ndim
    return jax.lax.reduce_window(mask, True, jax.lax.bitwise_and, window, ones, "SAME")
