"""HDR-VDP-2: how visible a difference is, and how much it lowers the quality.

Mantiuk, Kim, Rempel and Heidrich (2011), "HDR-VDP-2: A calibrated visual metric for
visibility and quality predictions in all luminance conditions"; Narwaria, Mantiuk,
Da Silva and Le Callet (2015), "HDR-VDP-2.2". This is version 2.2.1, with the quality
of 2.2.0 as an additional result; tests compare both with values that the originals
computed. Images are absolute radiance in cd/m^2, as emitted by the display.

Results have the precision of the images: in float64 (`jax.enable_x64`) they equal the
original's, in float32 the quality is within 0.002 of the original's. To keep this
precision, linear transforms are applied to the difference of the images and to the
reference. The rounding error of a transform grows with the brightest pixel, and errors
common to both images would otherwise appear as differences.
"""

import functools
import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhdr.errors import check_number
from jaxhdr.metrics import pairs
from jaxhdr.metrics.hdr_vdp import bicubic, eye, masking, pyramid, spectra
from jaxhdr.metrics.precision import in_float32

Color = Literal["rgb-bt.709", "luminance"]
Surround = float | Literal["geometric mean"]

SMALLEST = 17  # pixels per side; the pyramid's filters do not fit into fewer

# The spectrum of each channel: the metric treats linear RGB as the light of an LCD.
_EMISSIONS: dict[Color, str] = {
    "rgb-bt.709": "hdrvdp2_emission_spectra_ccfl-lcd",
    "luminance": spectra.D65,
}
_FILTERS = "sp3"
_NAN_RADIANCE = 1e-5
_DARKEST, _BRIGHTEST = 1e-5, 1e10  # on the retina
_SURROUND = 1e-5

_RECEPTORS = eye.Receptors(
    both=(30.162, 4.0627, 1.6596, 0.2712),
    rods_dark=(1.2167, 1.1478),
    rods_log_gain=1.1414,
    gain=0.006894596 / 10**-2.4,
)
# Luminance and p1 to p4 of `eye.neural_sensitivity`.
_SENSITIVITY = np.array(
    [
        [0.002, 0.991265, 3.74038, 0.50722, 4.46044],
        [0.02, 0.800889, 3.54104, 0.682505, 4.94958],
        [0.2, 0.476505, 4.37453, 0.750315, 5.28678],
        [2, 0.405782, 4.40602, 0.935314, 5.61425],
        [20, 0.334278, 3.79542, 1.07327, 6.4635],
        [150, 0.394533, 2.7755, 1.16577, 7.45665],
    ]
)
_NUM_SENSITIVITIES = 256

# Masking: exponents of the difference and of the masks, and the weights of the masks.
_DIFFERENCE_POWER, _MASK_POWER = 10**0.544068, 10**0.49576
_SELF_WEIGHT, _CROSS_WEIGHT, _NEIGHBOUR_WEIGHT = 10**0.189065, 10**0.449199, 10**1.52512
_PSYCHOMETRIC_POWER = 3.5 / _DIFFERENCE_POWER

_TINY = 1e-12

# Frequency in cycles per degree, and the weight of its errors in the quality.
_QUALITY_WEIGHTS = {
    "2.2.1": np.array(
        [
            [0.1172, 0],
            [0.2344, 0],
            [0.4688, 0.0003],
            [0.9375, 0.0003],
            [1.875, 0.0398],
            [3.75, 0.2690],
            [7.5, 0.2142],
            [15, 0.2832],
            [30, 0.2832],
            [60, 0],
        ]
    ),
    "2.2.0": np.array(
        [
            [0.2344, 0.0002],
            [0.4688, 0.0003],
            [0.9375, 0.0003],
            [1.875, 0.0398],
            [3.75, 0.2690],
            [7.5, 0.2142],
            [15, 0.2832],
        ]
    ),
}


class Visibility(NamedTuple):
    """The results of HDR-VDP-2 for each image.

    Attributes:
      quality: Q of 2.2.1; 100 for equal images, lower for worse ones, without a lower
        bound.
      mean_opinion: Q_MOS of 2.2.0, from 0 to 100; its authors withdrew it as
        unreliable.
      detection: P_det, the probability that an observer sees any difference.
      detection_map: P_map, the same probability for each pixel.
      largest_contrast: C_max, the largest visible difference in units of the threshold;
        it still distinguishes images where `detection` is 1.
    """

    quality: Float[Array, "*batch"]
    mean_opinion: Float[Array, "*batch"]
    detection: Float[Array, "*batch"]
    detection_map: Float[Array, "*batch h w"]
    largest_contrast: Float[Array, "*batch"]


class _Seen(NamedTuple):
    """The pair as the receptors of the eye see it."""

    response: Float[Array, "2 h w"]  # (test - reference, reference)
    adaptation: Float[Array, "2 h w"]  # (test, reference)


@in_float32
def hdr_vdp2(
    test: Float[Array, "*batch h w c"],
    reference: Float[Array, "*batch h w c"],
    *,
    pixels_per_degree: float,
    color: Color = "rgb-bt.709",
    surround: Surround = _SURROUND,
) -> Visibility:
    """Returns the visibility of the difference between images, and their quality.

    The scores of an image with a side below `SMALLEST` pixels are NaN.

    Args:
      test: the estimate in cd/m^2.
      reference: the truth in cd/m^2.
      pixels_per_degree: pixels per degree of visual angle; 30 is usual.
      color: meaning of the channels: linear BT.709 RGB, or luminance alone (c = 1).
      surround: light in cd/m^2 beside the image, on two of its sides; the default is
        darkness, as in the original.
    """
    check_number("pixels_per_degree", pixels_per_degree, above=0)
    if not isinstance(surround, str):
        check_number("surround", surround, least=0)
    return pairs.each_pair(
        functools.partial(
            _one, pixels_per_degree=pixels_per_degree, color=color, surround=surround
        ),
        test,
        reference,
    )


def _one(
    pair: Float[Array, "2 h w c"],
    *,
    pixels_per_degree: float,
    color: Color,
    surround: Surround,
) -> Visibility:
    size = (pair.shape[1], pair.shape[2])
    if min(size) < SMALLEST:
        absent = jnp.full((), jnp.nan, pair.dtype)
        return Visibility(
            absent, absent, absent, jnp.full(size, jnp.nan, pair.dtype), absent
        )
    pair = jnp.where(jnp.isnan(pair), _NAN_RADIANCE, pair)
    seen = _see(pair, pixels_per_degree, color=color, surround=surround)
    bands = _bands(seen, pixels_per_degree)
    distances = _distances(bands, seen.adaptation, pixels_per_degree)
    quality, mean_opinion = _quality(
        distances, masking.changed(pair), pixels_per_degree
    )
    return Visibility(quality, mean_opinion, *_detection(distances))


def _see(
    pair: Float[Array, "2 h w c"],
    pixels_per_degree: float,
    *,
    color: Color,
    surround: Surround,
) -> _Seen:
    """Returns the responses of the receptors to the light that reaches the retina."""
    light = _retinal(jnp.moveaxis(pair, -1, 0), pixels_per_degree, surround=surround)
    weights = spectra.photoreceptor_response(spectra.resampled(_EMISSIONS[color]))
    long, middle, _, rods = jnp.tensordot(
        jnp.asarray(weights.T, pair.dtype), light, axes=1, precision="highest"
    )
    cones_table, rods_table = jnp.asarray(eye.response_tables(_RECEPTORS), pair.dtype)
    response = _centred(eye.look_up(rods_table, eye.log_adaptation(rods)))
    for cones in (long, middle):
        response += _centred(eye.look_up(cones_table, eye.log_adaptation(cones)))
    return _Seen(masking.from_reference(response), long + middle)


def _retinal(
    channels: Float[Array, "c 2 h w"],
    pixels_per_degree: float,
    *,
    surround: Surround,
) -> Float[Array, "c 2 h w"]:
    """Returns the light behind the optics of the eye."""
    height, width = channels.shape[-2:]
    if isinstance(surround, str):
        beside = jnp.exp(jnp.mean(jnp.log(channels[:, 1]), axis=(-2, -1)))
    else:
        beside = jnp.full(len(channels), surround, channels.dtype)
    beside = beside[:, None, None]
    transfer = eye.optics_transfer(
        eye.frequencies((2 * height, 2 * width), pixels_per_degree)
    ).astype(channels.dtype)

    def blurred(channel: Float[Array, "h w"]) -> Float[Array, "h w"]:
        # Rows of zeros and rows that are never read are not transformed.
        spectrum = jnp.fft.fft(jnp.fft.rfft(channel, n=2 * width), n=2 * height, axis=0)
        rows = jnp.fft.ifft(spectrum * transfer, axis=0)[:height]
        return jnp.fft.irfft(rows, n=2 * width)[:, :width]

    # The optics do not change an even surround, so it is subtracted first and added
    # again at the end.
    difference = channels[:, 0] - channels[:, 1]
    parts = jnp.stack([difference, channels[:, 1] - beside], axis=1)
    # One image at a time, because the transforms of a large image take gigabytes.
    flat = jnp.stack([blurred(part) for part in parts.reshape(-1, height, width)])
    difference, reference = jnp.moveaxis(flat.reshape(channels.shape), 1, 0)
    reference += beside
    light = jnp.stack([reference + difference, reference], axis=1)
    return jnp.clip(light, _DARKEST, _BRIGHTEST)


def _bands(seen: _Seen, pixels_per_degree: float) -> pyramid.Bands:
    """Returns the pyramid of the response, its base filtered by neural sensitivity.

    Each band holds (test - reference, reference).
    """
    height = pyramid.halvings(min(seen.response.shape[-2:]), filters=_FILTERS)
    *fine, base = pyramid.build(seen.response, filters=_FILTERS, height=height)
    difference, reference = base[0]
    rows, columns = reference.shape
    frequency = eye.frequencies(
        (2 * rows, 2 * columns),
        masking.band_frequency(height + 1, pixels_per_degree) * 2 * np.sqrt(2),
    )
    beside = jnp.mean(reference)
    filtered = []
    images = (reference + difference, reference)
    for image, adaptation in zip(images, seen.adaptation, strict=True):
        transfer = eye.neural_sensitivity(
            frequency, jnp.mean(adaptation), constants=_SENSITIVITY
        )
        padded = jnp.pad(image, ((0, rows), (0, columns)), constant_values=beside)
        spectrum = jnp.fft.rfft2(padded) * transfer.astype(image.dtype)
        filtered.append(jnp.fft.irfft2(spectrum, s=padded.shape)[:rows, :columns])
    return [*fine, masking.from_reference(jnp.stack(filtered))[None]]


def _distances(
    bands: pyramid.Bands, adaptation: Float[Array, "2 h w"], pixels_per_degree: float
) -> list[masking.Band]:
    """Returns the differences of the bands, in units of the visibility threshold."""
    log_adaptation = eye.log_adaptation(jnp.mean(adaptation, axis=0))
    masks = [masking.mutual(band) for band in bands]
    last = len(bands) - 1
    distances = []
    for index, (band, mask) in enumerate(zip(bands, masks, strict=True)):
        gain = 2.0**index
        noise = jnp.ones_like(mask[:1])
        if index < last:
            around = bicubic.resize_like(log_adaptation[None], mask)
            noise = _noise(masking.band_frequency(index, pixels_per_degree), around)
        finer, coarser = masking.neighbours(masks, index)
        beside = finer / (gain / 2) + coarser / (gain * 2)
        crossing = jnp.maximum(jnp.sum(mask, axis=0, keepdims=True) - mask, 0)
        hidden = gain * (
            _SELF_WEIGHT * (mask / (noise * gain)) ** _MASK_POWER
            + _CROSS_WEIGHT * (crossing / (noise * gain)) ** _MASK_POWER
            + _NEIGHBOUR_WEIGHT * (beside / noise) ** _MASK_POWER
        )
        excitation = masking.signed_power(band[:, 0], _DIFFERENCE_POWER, gain=gain)
        floor = noise ** (2 * _DIFFERENCE_POWER)
        distances.append(excitation / jnp.sqrt(floor + hidden**2))
    return distances


def _quality(
    distances: list[masking.Band],
    changed: Float[Array, "h w"],
    pixels_per_degree: float,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Returns Q of 2.2.1 and Q_MOS of 2.2.0."""
    totals = dict.fromkeys(_QUALITY_WEIGHTS, jnp.zeros((), changed.dtype))
    for index, distance in enumerate(distances):
        frequency = masking.band_frequency(index, pixels_per_degree)
        counted = distance * bicubic.resize_like(changed, distance)[None]
        energy = jnp.sum(counted**2, axis=(-2, -1))
        # Equal images have energy 0, where the slope of the root would be infinite.
        root = jnp.where(energy > 0, jnp.sqrt(jnp.where(energy > 0, energy, 1)), 0)
        error = jnp.log(root / distance[0].size + _TINY)
        for version, weights in _QUALITY_WEIGHTS.items():
            weight = float(np.interp(frequency, *weights.T))
            offset = math.log(_TINY) if version == "2.2.1" else 0.0
            totals[version] += weight * jnp.sum(error - offset)
    count = sum(len(distance) for distance in distances)
    mean_opinion = 100 * jax.nn.sigmoid(-3.455 * (totals["2.2.0"] / count + 0.8886))
    return 100 - totals["2.2.1"], mean_opinion


def _detection(
    distances: list[masking.Band],
) -> tuple[Float[Array, ""], Float[Array, "h w"], Float[Array, ""]]:
    """Returns P_det, P_map and C_max."""
    visible = [
        masking.signed_power(distance, _PSYCHOMETRIC_POWER, gain=2.0**index)
        for index, distance in enumerate(distances)
    ]
    contrast = jnp.abs(pyramid.reconstruct(visible, filters=_FILTERS))
    contrast *= jnp.sum(contrast) / (jnp.max(contrast) + _TINY)
    probability = -jnp.expm1(-np.log(2) * contrast)
    return jnp.max(probability), probability, jnp.max(contrast)


def _noise(frequency: float, log_adaptation: Float[Array, "1 h w"]) -> Array:
    luminance = jnp.asarray(eye.even_luminance(_NUM_SENSITIVITIES))
    table = eye.neural_sensitivity(frequency, luminance, constants=_SENSITIVITY)
    return 1 / eye.look_up(table.astype(log_adaptation.dtype), log_adaptation)


def _centred(response: Float[Array, "2 h w"]) -> Float[Array, "2 h w"]:
    return response - jnp.mean(response, axis=(-2, -1), keepdims=True)
