"""Steerable pyramid: splits an image into bands of one octave and one orientation.

Simoncelli and Freeman (1995), "The Steerable Pyramid: A Flexible Architecture for
Multi-Scale Derivative Computation", with the filters of Karasaridis and Simoncelli
(1996). Filters are correlated with the image, which is mirrored about its edge pixels.
All filters of a level share one Fourier transform. On a CPU this took a tenth of the
time of XLA's convolutions, and the gradient is as fast.
"""

import functools
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import scipy.fft
from jaxtyping import Array, Float

from jaxhdr.metrics.hdr_vdp import spectra

Images = Float[Array, "*batch _ _"]
Bands = list[Float[Array, "_ *batch _ _"]]  # orientation first

ORIENTATIONS = {"sp0": 1, "sp3": 4}


def halvings(side: int, *, filters: str) -> int:
    """Returns how often a side can be halved while the filters still fit into it."""
    smallest = len(_taps(filters, "lofilt"))
    count = 0
    while side >= smallest:
        count, side = count + 1, side // 2
    return count


def build(images: Images, *, filters: str, height: int) -> Bands:
    """Returns bands from fine to coarse: high-pass, `height` oriented bands, low-pass.

    Args:
      images: images of the same size.
      filters: `sp3` for four orientations, or `sp0` for one.
      height: number of oriented bands, at most `halvings`.
    """
    high, low = _correlate(images, _bank(filters, "hi0filt", "lo0filt"))
    bands = [high[None]]
    for _ in range(height):
        *oriented, low = _correlate(low, _bank(filters, *_oriented(filters), "lofilt"))
        bands.append(jnp.stack(oriented))
        low = low[..., ::2, ::2]
    return [*bands, low[None]]


def reconstruct(bands: Sequence[Array], *, filters: str) -> Images:
    """Returns the images that bands from `build`, possibly modified, add up to."""
    high, *levels, base = bands
    low = base[0]
    for band in reversed(levels):
        upsampled = jnp.zeros_like(band[0]).at[..., ::2, ::2].set(low)
        parts = jnp.stack([*band, upsampled])
        low = _convolve(parts, _bank(filters, *_oriented(filters), "lofilt"))
    return _convolve(jnp.stack([high[0], low]), _bank(filters, "hi0filt", "lo0filt"))


def _oriented(filters: str) -> tuple[str, ...]:
    return tuple(f"bfilt_o{i + 1}" for i in range(ORIENTATIONS[filters]))


def _taps(filters: str, name: str) -> np.ndarray:
    return spectra.load_table(f"{filters}_{name}")


@functools.cache
def _bank(filters: str, *names: str) -> np.ndarray:
    """Returns the filters, each padded evenly to the size of the largest one."""
    taps = [_taps(filters, name) for name in names]
    size = max(len(each) for each in taps)
    return np.stack([np.pad(each, (size - len(each)) // 2) for each in taps])


def _correlate(images: Images, bank: np.ndarray) -> Float[Array, "filters *batch _ _"]:
    """Returns the correlation of every image with every filter."""
    padded, size = _mirrored(images, len(bank[0]) // 2)
    image = jnp.fft.rfft2(padded, s=size)
    each = jnp.expand_dims(_transfer(bank, size, image), range(1, images.ndim - 1))
    height, width = images.shape[-2:]
    return jnp.fft.irfft2(image[None] * jnp.conj(each), s=size)[..., :height, :width]


def _convolve(images: Float[Array, "filters *batch _ _"], bank: np.ndarray) -> Images:
    """Returns the sum of the convolutions of each image with its filter."""
    radius = len(bank[0]) // 2
    padded, size = _mirrored(images, radius)
    image = jnp.fft.rfft2(padded, s=size)
    each = jnp.expand_dims(_transfer(bank, size, image), range(1, images.ndim - 2))
    total = jnp.sum(image * each, axis=0)
    rows, columns = padded.shape[-2:]
    return jnp.fft.irfft2(total, s=size)[..., 2 * radius : rows, 2 * radius : columns]


def _mirrored(images: Images, radius: int) -> tuple[Images, tuple[int, int]]:
    """Returns images with mirrored margins, and a fast size for the transform.

    The size is large enough that the circular convolution does not wrap around.
    """
    margins = [(0, 0)] * (images.ndim - 2) + [(radius, radius)] * 2
    padded = jnp.pad(images, margins, mode="reflect")
    rows, columns = (_fast_length(side) for side in padded.shape[-2:])
    return padded, (rows, columns)


def _fast_length(side: int) -> int:
    return scipy.fft.next_fast_len(side, real=True) or side


def _transfer(bank: np.ndarray, size: tuple[int, int], like: Array) -> Array:
    # The filters are transformed when the program runs: stored as constants for a large
    # image, their transforms would add gigabytes to the compiled program.
    taps = jnp.asarray(bank, jnp.finfo(like.dtype).dtype)
    return jnp.fft.rfft2(taps, s=size)
