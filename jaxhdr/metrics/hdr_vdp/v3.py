"""HDR-VDP-3: the quality of a distorted image, in just-objectionable differences.

Mantiuk, Hammou and Hanji (2023), "HDR-VDP-3: A multi-metric for predicting image
differences, quality and contrast distortions in high dynamic range and regular
content". This is the task `quality` of version 3.0.7 for an observer aged 24; tests
compare it with values that the original computed. Images are absolute radiance in
cd/m^2. The precision is that of `hdr_vdp2`.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.interpolate
from jaxtyping import Array, Float, Float64

from jaxhdr.errors import check_number
from jaxhdr.metrics import pairs
from jaxhdr.metrics.hdr_vdp import bicubic, eye, masking, pyramid, spectra
from jaxhdr.metrics.precision import in_float32

Color = Literal["rgb-bt.709", "luminance"]

SMALLEST = 13  # pixels per side; the pyramid's filters do not fit into fewer

_FILTERS = "sp0"
_DISPLAY = "hdrvdp3_emission_spectra_led-lcd-srgb"
_BT709_TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)
_DARKEST_PRIMARY = 1e-6
_DARKEST, _BRIGHTEST = 1e-8, 1e10  # on the retina
_NAN_RADIANCE = 1e-5

_AGE, _REFERENCE_AGE = 24, 28  # years
# Pokorny, Smith and Lutze (1987): the part of the lens's density that grows with age,
# from 400 to 650 nm.
_LENS_DENSITY = np.array(
    [
        [600, 510, 433, 377, 327, 295, 267, 233, 207, 187, 167, 147, 133],
        [120, 107, 93, 80, 67, 53, 40, 33, 27, 20, 13, 7, 0],
    ]
)
_LENS_DENSITY = _LENS_DENSITY.ravel() / 1000
_LENS_WAVELENGTHS = np.arange(400, 651, 10)
_ADAPTATION_SIGMA = 10**-0.781367  # degrees
_DARKEST_ADAPTATION = 1e-6

_RECEPTORS = eye.Receptors(
    both=(315.98, 6.7977, 1.6008, 0.25534),
    rods_dark=(1.095, 1.32),
    rods_log_gain=1.8,
    gain=10**0.203943775672,
)
# Luminance and p1 to p4 of `eye.neural_sensitivity`.
_SENSITIVITY = np.array(
    [
        [0.0002, 1.26181, 4.27832, 0.361902, 3.11914],
        [0.002, 0.893585, 4.27832, 0.361902, 2.18938],
        [0.02, 0.84864, 3.57253, 0.530355, 3.12486],
        [0.2, 0.699243, 3.94545, 0.68608, 4.41846],
        [2, 0.530826, 4.25337, 0.866916, 4.65117],
        [20, 0.459297, 3.78765, 0.981028, 4.33546],
        [150, 0.312626, 4.15264, 0.952367, 3.22389],
    ]
)
_NUM_SENSITIVITIES = 256

_DIFFERENCE_POWER, _MASK_POWER = 10**0.3424, 10**0.108934275615
_SELF_WEIGHT, _NEIGHBOUR_WEIGHT = 10**1.41846291721, 10**0.136877512403
_POOLING_POWER = 0.8


class Quality(NamedTuple):
    """The results of HDR-VDP-3 for each image.

    Attributes:
      quality: Q; 10 for equal images.
      just_objectionable: Q_JOD; 10 for equal images, and one less for each difference
        that three of four observers notice.
    """

    quality: Float[Array, "*batch"]
    just_objectionable: Float[Array, "*batch"]


@in_float32
def hdr_vdp3(
    test: Float[Array, "*batch h w c"],
    reference: Float[Array, "*batch h w c"],
    *,
    pixels_per_degree: float,
    color: Color = "rgb-bt.709",
) -> Quality:
    """Returns the quality of images.

    The scores of an image with a side below `SMALLEST` pixels are NaN.

    Args:
      test: the estimate in cd/m^2.
      reference: the truth in cd/m^2.
      pixels_per_degree: pixels per degree of visual angle; 30 is usual.
      color: meaning of the channels: linear BT.709 RGB, or luminance alone (c = 1).
    """
    check_number("pixels_per_degree", pixels_per_degree, above=0)
    return pairs.each_pair(
        functools.partial(_one, pixels_per_degree=pixels_per_degree, color=color),
        test,
        reference,
    )


def _one(
    pair: Float[Array, "2 h w c"], *, pixels_per_degree: float, color: Color
) -> Quality:
    if min(pair.shape[1:3]) < SMALLEST:
        absent = jnp.full((), jnp.nan, pair.dtype)
        return Quality(absent, absent)
    pair = jnp.where(jnp.isnan(pair), _NAN_RADIANCE, pair)
    if color == "rgb-bt.709":
        primaries = jnp.asarray(_display_primaries().T, pair.dtype)
        mixed = jnp.matmul(pair, primaries, precision="highest")
        pair = jnp.maximum(mixed, _DARKEST_PRIMARY)
    response, adaptation = _see(pair, pixels_per_degree, color=color)
    bands = _bands(response, pixels_per_degree)
    distances = _distances(bands, adaptation, pixels_per_degree)
    error = _pooled(distances, masking.changed(pair))
    quality = 6 - jnp.log(np.exp(-4) + error)
    shortfall = jnp.maximum(10 - quality, 0)
    return Quality(quality, 10 - 0.52 * shortfall**1.2812)


@functools.cache
def _display_primaries() -> Float64[np.ndarray, "3 3"]:
    """Returns the matrix from BT.709 to the primaries of the display."""
    products = (
        spectra.resampled("ciexyz31")[:, :, None] * spectra.resampled(_DISPLAY)[:, None]
    )
    to_xyz = 683.002 * np.trapezoid(products, spectra.WAVELENGTHS, axis=0)
    return np.linalg.inv(to_xyz / to_xyz[1].sum()) @ _BT709_TO_XYZ


@functools.cache
def _receptor_weights(color: Color) -> Float64[np.ndarray, "primaries 4"]:
    """Returns the responses of the L, M, S cones and of the rods to the channels."""
    table = _DISPLAY if color == "rgb-bt.709" else spectra.D65
    density = scipy.interpolate.PchipInterpolator(_LENS_WAVELENGTHS, _LENS_DENSITY)
    inside = np.clip(spectra.WAVELENGTHS, _LENS_WAVELENGTHS[0], _LENS_WAVELENGTHS[-1])
    lens = 10 ** -(0.02 * (_AGE - 32) * density(inside))
    weights = spectra.photoreceptor_response(spectra.resampled(table) * lens[:, None])
    return weights / weights[:, :2].sum()


def _see(
    pair: Float[Array, "2 h w c"], pixels_per_degree: float, *, color: Color
) -> tuple[Float[Array, "2 h w"], Float[Array, "2 h w"]]:
    """Returns the pair of responses, and the adaptation luminance of each image."""
    difference, reference = pair[0] - pair[1], pair[1]
    channels = jnp.moveaxis(jnp.stack([difference, reference]), -1, 0)
    # The image is mirrored at every side, so a cosine transform takes the place of the
    # Fourier transform.
    transfer = eye.optics_transfer(_cosine_frequencies(reference, pixels_per_degree))
    light = _filtered(channels, transfer.astype(pair.dtype))
    weights = jnp.asarray(_receptor_weights(color).T, pair.dtype)
    absorbed = jnp.tensordot(weights, light, axes=1, precision="highest")
    absorbed = absorbed.at[:, 0].add(absorbed[:, 1])
    long, middle, _, rods = jnp.clip(absorbed, _DARKEST, _BRIGHTEST)
    adaptation = _adaptation(long + middle, pixels_per_degree)
    pupil = _relative_pupil_area(adaptation, pixels_per_degree)
    cones_table, rods_table = jnp.asarray(eye.response_tables(_RECEPTORS), pair.dtype)
    response = eye.look_up(rods_table, eye.log_adaptation(rods * pupil))
    for cones in (long, middle):
        response += eye.look_up(cones_table, eye.log_adaptation(cones * pupil))
    return masking.from_reference(response), adaptation


def _cosine_frequencies(
    image: Float[Array, "h w c"], pixels_per_degree: float
) -> Float[Array, "h w"]:
    rows, columns = (jnp.arange(side) / (2 * side) for side in image.shape[:2])
    return pixels_per_degree * jnp.sqrt(rows[:, None] ** 2 + columns[None] ** 2)


def _filtered(
    images: Float[Array, "c n h w"], transfer: Float[Array, "h w"]
) -> Float[Array, "c n h w"]:
    spectrum = jax.scipy.fft.dctn(images, axes=(-2, -1)) * transfer[None, None]
    return jax.scipy.fft.idctn(spectrum, axes=(-2, -1))


def _adaptation(
    luminance: Float[Array, "2 h w"], pixels_per_degree: float
) -> Float[Array, "2 h w"]:
    """Returns the geometric mean of luminance around each pixel."""
    height, width = luminance.shape[-2:]
    sigma = _ADAPTATION_SIGMA * pixels_per_degree
    logs = jnp.log(jnp.maximum(luminance, _DARKEST_ADAPTATION))
    padded = jnp.pad(logs, ((0, 0), (0, height), (0, width)), mode="edge")
    frequency = eye.frequencies((2 * height, 2 * width), 2 * np.pi)
    transfer = jnp.exp(-((frequency * sigma) ** 2) / 2).astype(logs.dtype)
    spectrum = jnp.fft.rfft2(padded) * transfer[None]
    blurred = jnp.fft.irfft2(spectrum, s=padded.shape[-2:])
    return jnp.exp(blurred[:, :height, :width])


def _relative_pupil_area(
    adaptation: Float[Array, "2 h w"], pixels_per_degree: float
) -> Float[Array, "2 1 1"]:
    """Returns the area of the pupil relative to its area at the reference age.

    Watson and Yellott (2012), "A unified formula for light-adapted pupil size".
    """
    height, width = adaptation.shape[-2:]
    area = height * width / pixels_per_degree**2
    luminance = jnp.exp(jnp.mean(jnp.log(adaptation), axis=(-2, -1), keepdims=True))
    x = (luminance * area / 846) ** 0.41
    young = 7.75 - 5.75 * x / (x + 2)
    diameter, reference = (
        young + (age - 28.58) * (0.02132 - 0.009562 * young)
        for age in (_AGE, _REFERENCE_AGE)
    )
    return (diameter / reference) ** 2


def _bands(response: Float[Array, "2 h w"], pixels_per_degree: float) -> pyramid.Bands:
    halvings = pyramid.halvings(min(response.shape[-2:]), filters=_FILTERS)
    height = min(int(np.ceil(np.log2(pixels_per_degree))) - 2, halvings)
    bands = pyramid.build(response, filters=_FILTERS, height=height)
    *fine, base = (band / 2**index for index, band in enumerate(bands))
    return [*fine, base - jnp.mean(base, axis=(-2, -1), keepdims=True)]


def _distances(
    bands: pyramid.Bands, adaptation: Float[Array, "2 h w"], pixels_per_degree: float
) -> list[masking.Band]:
    """Returns the differences of the bands, in units of the visibility threshold."""
    log_adaptation = eye.log_adaptation(jnp.mean(adaptation, axis=0))
    masks = [masking.mutual(band) for band in bands]
    distances = []
    for index, (band, mask) in enumerate(zip(bands, masks, strict=True)):
        difference = band[:, 0]
        around = bicubic.resize_like(log_adaptation[None], mask)
        if index < len(bands) - 1:
            table = jnp.asarray(eye.even_luminance(_NUM_SENSITIVITIES))
            frequency = masking.band_frequency(index, pixels_per_degree)
            thresholds = _threshold(jnp.asarray(frequency), table).astype(mask.dtype)
            noise = 1 / eye.look_up(1 / thresholds, around)
        else:
            pixels = 2 * masking.band_frequency(index - 1, pixels_per_degree)
            frequency = _dominant_frequency(difference[0], pixels)
            noise = _threshold(frequency, 10 ** jnp.mean(around))
        beside = sum(masking.neighbours(masks, index))
        hidden = _SELF_WEIGHT * mask**_MASK_POWER
        hidden += _NEIGHBOUR_WEIGHT * beside**_MASK_POWER
        excitation = masking.signed_power(difference, _DIFFERENCE_POWER)
        floor = noise ** (2 * _DIFFERENCE_POWER)
        distances.append(excitation / jnp.sqrt(floor + hidden**2))
    return distances


def _threshold(
    frequency: Float[Array, ""], luminance: Float[Array, "*levels"]
) -> Float[Array, "*levels"]:
    """Returns the threshold contrast: behind the optics, it can just be seen."""
    sensitivity = eye.neural_sensitivity(frequency, luminance, constants=_SENSITIVITY)
    return eye.optics_transfer(frequency) / sensitivity


def _dominant_frequency(
    image: Float[Array, "h w"], pixels_per_degree: float
) -> Float[Array, ""]:
    """Returns the frequency of the strongest wave of an image."""
    strength = jnp.abs(jnp.fft.fft2(image)).at[0, 0].set(-1)
    rows, columns = (
        jnp.fft.fftfreq(side, 1 / pixels_per_degree) for side in image.shape
    )
    frequency = jnp.sqrt(rows[:, None] ** 2 + columns[None] ** 2)
    strongest = jnp.argmax(strength.T)  # of ties, the first in column order
    return jax.lax.stop_gradient(frequency.T.ravel()[strongest])


def _pooled(
    distances: list[masking.Band], changed: Float[Array, "h w"]
) -> Float[Array, ""]:
    total = jnp.zeros((), changed.dtype)
    for distance in distances:
        weight = bicubic.resize_like(changed, distance)[None]
        size = jnp.abs(distance * weight)
        # Equal images have size 0, where the slope of the power would be infinite.
        power = jnp.where(size > 0, jnp.where(size > 0, size, 1) ** _POOLING_POWER, 0)
        mean = jnp.mean(power)
        total += jnp.where(mean > 0, mean, 0) ** (1 / _POOLING_POWER)
    return total / len(distances)
