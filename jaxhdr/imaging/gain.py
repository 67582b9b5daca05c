"""Carries the gain that a network found in a small copy to the whole photograph.

The gain is log2(hdr / linearised photograph), in stops. Inside a clipped area it says
how bright the light is, outside it corrects the response of the camera. At the edge of
a lamp the two have nothing in common, so they are carried apart, each from the pixels
of the copy that it belongs to. All arrays are NumPy arrays at the size of the copy,
float32, channels last.
"""

from typing import Final, NamedTuple

import numpy as np
import scipy.ndimage
from jaxtyping import Bool, Float

from jaxhdr.imaging.resampling import resized

DARK: Final = 2.0**-12
"""Radiance that is added before logarithms, in units of white: a 12-bit code."""

# A pixel of the copy that is half clipped tells little of either side. Its weight is a
# high power of its share. The second term lets a thin wire, whose share is small in
# every pixel, count more than a lamp that is far away.
_POWER: Final = 8
_THIN: Final = 0.002

# Weight of a pixel's surround beside its own, if both are of one kind only.
_SURROUND: Final = 0.05

# The widest mean has a standard deviation of about 2**6 pixels of the copy.
_MOST_OCTAVES: Final = 6

_SMALLEST: Final = 1e-12

Stops = Float[np.ndarray, "h w 3"]


class Gains(NamedTuple):
    """The gain of each pixel of the copy in each channel, for either kind of value."""

    clipped: Stops
    """The gain of the values that the photograph clips."""
    unclipped: Stops
    """The gain of all others."""


def gain(hdr: Stops, radiance: Stops) -> Stops:
    """Returns the gain in stops, log2((hdr + `DARK`) / (radiance + `DARK`))."""
    return np.log2((np.maximum(hdr, 0) + DARK) / (radiance + DARK))


def apart(stops: Stops, clipped_share: Float[np.ndarray, "h w 3"]) -> Gains:
    """Returns the gain of clipped and of unclipped values, for every pixel.

    Where a pixel of the copy has no value of a kind, the gain of that kind is the mean
    over its surround, as narrow as there is one: a pull-push pyramid (Gortler et al.
    1996, "The Lumigraph", section 3.4).

    Args:
      stops: gain of the copy.
      clipped_share: share of the photograph's values in each pixel of the copy that
        are clipped, in [0, 1].
    """
    share = np.clip(clipped_share, 0, 1)
    return Gains(*(_filled(stops, _weight(kind)) for kind in (share, 1 - share)))


def coarser_with_distance(
    stops: Stops, has_clipped_all: Bool[np.ndarray, "h w"]
) -> Stops:
    """Returns the gain without the detail that the photograph cannot have told.

    Where all channels clip, the gain is a mean over other such pixels. Its width is the
    distance to the nearest pixel with an unclipped channel: the farther from
    information, the coarser the gain. Other pixels keep theirs.

    Args:
      stops: gain, or the logarithm of radiance.
      has_clipped_all: whether all channels of a pixel are clipped.
    """
    distance = _distance_to_information(has_clipped_all)
    if distance.max() <= 1:
        return stops
    octave = np.clip(np.log2(np.maximum(distance, 1)), 0, _MOST_OCTAVES)
    weight = has_clipped_all[..., None].astype(np.float32)
    weighted = np.concatenate([stops * weight, weight], axis=-1)
    narrower, result = stops, stops.copy()
    for i in range(int(np.ceil(octave.max()))):
        wider = _mean(weighted, octave=i + 1, otherwise=stops)
        share = np.clip(octave - i, 0, 1)[..., None]
        between = narrower + (wider - narrower) * share
        result = np.where(octave[..., None] > i, between, result)
        narrower = wider
    return np.where(has_clipped_all[..., None], result, stops).astype(np.float32)


def _distance_to_information(
    has_clipped_all: Bool[np.ndarray, "h w"],
) -> Float[np.ndarray, "h w"]:
    if has_clipped_all.all():
        return np.full(has_clipped_all.shape, 2.0**_MOST_OCTAVES)
    return scipy.ndimage.distance_transform_edt(has_clipped_all)  # pyright: ignore


def _mean(
    weighted: Float[np.ndarray, "h w 4"], *, octave: int, otherwise: Stops
) -> Stops:
    """Returns a Gaussian mean of about 2**octave pixels over the pixels with a weight.

    Args:
      weighted: gain times weight, and the weight.
      octave: the mean is taken in a copy that is smaller by this power of two.
      otherwise: the result where no pixel with a weight is near.
    """
    size = weighted.shape[0], weighted.shape[1]
    small = resized(weighted, (_halved(size[0], octave), _halved(size[1], octave)))
    blurred = scipy.ndimage.gaussian_filter(small, (1, 1, 0), mode="nearest")
    wide = resized(blurred, size)
    weight = wide[..., 3:]
    mean = wide[..., :3] / np.maximum(weight, _SMALLEST)
    return np.where(weight > 1e-3, mean, otherwise)


def _weight(share: Stops) -> Stops:
    return share**_POWER + _THIN * share


def _filled(stops: Stops, weight: Float[np.ndarray, "h w 3"]) -> Stops:
    size = stops.shape[0], stops.shape[1]
    if max(size) == 1:
        return stops
    smaller = _halved(size[0], 1), _halved(size[1], 1)
    share = resized(weight, smaller)
    mean = resized(weight * stops, smaller) / np.maximum(share, _SMALLEST)
    of_surround = np.minimum(4 * share, 1)
    surround = resized(_filled(mean, of_surround), size)
    of_surround = _SURROUND * np.maximum(resized(of_surround, size), _SMALLEST)
    of_surround *= np.maximum(1 - weight, 0)  # a pixel of one kind needs none
    return (weight * stops + of_surround * surround) / (weight + of_surround)


def _halved(length: int, times: int) -> int:
    return max(1, -(-length // 2**times))
