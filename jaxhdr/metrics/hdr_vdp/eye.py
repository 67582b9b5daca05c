"""The first stages of vision, as HDR-VDP models them: optics, receptors, sensitivity.

Constants are those of the metrics' published programs; where the versions differ, the
caller gives them. Luminance is in cd/m^2, frequency in cycles per degree. Tables are
computed once in float64 and converted to the image's precision when they are used.
"""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# The range of luminance in cd/m^2 of the tables of receptors and sensitivity.
DARKEST, BRIGHTEST = 1e-5, 1e5
_LOG_DARKEST, _LOG_BRIGHTEST = -5.0, 5.0

# Mantiuk et al. (2011), "HDR-VDP-2", equation 1: the transfer of the eye's optics.
_SCATTER = (0.061466549455263, 0.99727370023777070)
_OPTICS_WEIGHTS = (
    0.426 * _SCATTER[1],
    0.574 * _SCATTER[1],
    (1 - _SCATTER[1]) * _SCATTER[0],
    (1 - _SCATTER[1]) * (1 - _SCATTER[0]),
)
_OPTICS_DECAYS = (0.028, 0.37, 37.0, 360.0)

# Luminance at which rods are most sensitive; exponent and width of the fall above it.
_RODS_PEAK, _RODS_BRIGHT = 1.1732, (2.9899, 0.5547)
_NUM_RESPONSES = 2048


@dataclasses.dataclass(frozen=True)
class Receptors:
    """Constants of the sensitivity of cones and rods that differ between versions.

    Attributes:
      both: a, b, c and d of a ((b / luminance)^c + 1)^-d, the sensitivity of cones and
        rods together.
      rods_dark: exponent and width of the fall of the rods' sensitivity below its peak.
      rods_log_gain: log10 of the rods' sensitivity at its peak.
      gain: factor of the responses.
    """

    both: tuple[float, float, float, float]
    rods_dark: tuple[float, float]
    rods_log_gain: float
    gain: float


@functools.cache
def response_tables(receptors: Receptors) -> Float[np.ndarray, "2 levels"]:
    """Returns the response of one kind of cones, and of rods, by log luminance.

    The slope of the response over log luminance is the sensitivity, so that equal
    differences of response are about equally visible.
    """
    log_luminance = np.linspace(_LOG_DARKEST, _LOG_BRIGHTEST, _NUM_RESPONSES)
    luminance = 10**log_luminance
    a, b, c, d = receptors.both
    both = a * ((b / luminance) ** c + 1) ** -d
    offset = np.log10(luminance / _RODS_PEAK)
    bright, dark = (
        np.exp(-(np.abs(offset) ** exponent) / width)
        for exponent, width in (_RODS_BRIGHT, receptors.rods_dark)
    )
    rods = 10**receptors.rods_log_gain * np.where(offset > 0, bright, dark)
    doubled = np.minimum(2 * luminance, luminance[-1])
    cones = 0.5 * np.interp(doubled, luminance, np.maximum(both - rods, 1e-3))
    sensitivity = np.stack([cones, rods])
    means = (sensitivity[:, 1:] + sensitivity[:, :-1]) / 2
    responses = np.cumsum(means * (np.log(10) * np.diff(log_luminance)), axis=1)
    return receptors.gain * np.pad(responses, ((0, 0), (1, 0)))


def frequencies(
    size: tuple[int, int], pixels_per_degree: Float[Array, ""] | float
) -> Float[Array, "h half_w"]:
    """Returns the frequencies of the output of `rfft2` for an image of that size."""
    rows, columns = jnp.fft.fftfreq(size[0]), jnp.fft.rfftfreq(size[1])
    # `hypot` would not do: its slope at (0, 0) is NaN.
    return pixels_per_degree * jnp.sqrt(rows[:, None] ** 2 + columns[None] ** 2)


def optics_transfer(frequency: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Returns the share of contrast that passes the eye's optics."""
    parts = zip(_OPTICS_WEIGHTS, _OPTICS_DECAYS, strict=True)
    each = [weight * jnp.exp(-decay * frequency) for weight, decay in parts]
    return sum(each[1:], start=each[0])


def neural_sensitivity(
    frequency: Float[Array, "..."] | float,
    luminance: Float[Array, "..."],
    *,
    constants: Float[np.ndarray, "rows 5"],
) -> Float[Array, "..."]:
    """Returns the contrast sensitivity of the eye behind its optics.

    Args:
      frequency: frequency in cycles per degree; an array has the shape of `luminance`.
        At frequency 0 the sensitivity is 0.
      luminance: luminance in cd/m^2 to which the eye is adapted.
      constants: rows of luminance and p1 to p4; values between rows are interpolated
        linearly in log luminance.
    """
    log_luminance = jnp.log10(luminance)
    p1, p2, p3, p4 = (
        jnp.interp(log_luminance, np.log10(constants[:, 0]), column)
        for column in constants[:, 1:].T
    )
    safe = jnp.where(frequency == 0, 1.0, frequency)
    low = (-jnp.expm1(-((safe / 7) ** 2))) ** p3
    value = p4 * jnp.sqrt(low / (1 + (p1 * safe) ** p2))
    return jnp.where(frequency == 0, 0.0, value)


def log_adaptation(luminance: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Returns log10 of luminance, clipped to the range of the tables."""
    return jnp.log10(jnp.clip(luminance, DARKEST, BRIGHTEST))


def look_up(
    table: Float[Array, " levels"], log_luminance: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Returns values of a table, interpolated linearly; its log luminances are even."""
    last = len(table) - 1
    span = _LOG_BRIGHTEST - _LOG_DARKEST
    position = jnp.clip((log_luminance - _LOG_DARKEST) * (last / span), 0, last)
    below = jnp.minimum(jnp.floor(position), last - 1)
    index = below.astype(jnp.int32)
    start = table[index]
    return start + (position - below) * (table[index + 1] - start)


def even_luminance(levels: int) -> Float[np.ndarray, " levels"]:
    """Returns the luminances of the entries of a table that `look_up` reads."""
    return np.logspace(_LOG_DARKEST, _LOG_BRIGHTEST, levels)
