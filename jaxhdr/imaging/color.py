"""Tone curves and luminance, as pure functions.

`encoded` values are display-encoded sRGB in [0, 1]; `linear` values are linear-light
BT.709 RGB, where 1.0 encodes to 1.0. Gradients are finite in the stated ranges, except
those of `pq_code` and `pq_light` at 0. A function clips only if its documentation says
so; otherwise the caller ensures the range.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# ITU-R BT.709-6, item 3.2: luminance of the linear primaries, white point D65.
_LUMINANCE_WEIGHTS = (0.2126, 0.7152, 0.0722)

# IEC 61966-2-1:1999, section 5.2.
_SRGB_SLOPE = 12.92
_SRGB_OFFSET = 0.055
_SRGB_EXPONENT = 2.4
_SRGB_LINEAR_KNEE = 0.0031308
_SRGB_ENCODED_KNEE = 0.04045

# Kalantari and Ramamoorthi (2017), "Deep High Dynamic Range Imaging of Dynamic
# Scenes", section 3; Khan et al. (2019) section II-D use the same value.
MU = 5000.0

# SMPTE ST 2084:2014, the perceptual quantiser, also in ITU-R BT.2100-2, table 4.
PQ_PEAK = 10_000.0  # cd/m^2
_PQ_M1, _PQ_M2 = 2610 / 16384, 2523 / 32
_PQ_C1, _PQ_C2, _PQ_C3 = 3424 / 4096, 2413 / 128, 2392 / 128


def luminance(linear: Float[Array, "*batch h w 3"]) -> Float[Array, "*batch h w"]:
    """Returns the BT.709 luminance of linear RGB, in the unit of the input."""
    return linear @ jnp.asarray(_LUMINANCE_WEIGHTS, linear.dtype)


def srgb_encode(linear: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Returns display-encoded sRGB of linear light (IEC 61966-2-1)."""
    # The base of the power is kept away from zero. There its slope is infinite, and
    # `where` would multiply it by zero in the backward pass, which gives NaN.
    safe = jnp.maximum(linear, _SRGB_LINEAR_KNEE)
    power = (1 + _SRGB_OFFSET) * safe ** (1 / _SRGB_EXPONENT) - _SRGB_OFFSET
    return jnp.where(linear <= _SRGB_LINEAR_KNEE, _SRGB_SLOPE * linear, power)


def srgb_decode(encoded: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Returns linear light of display-encoded sRGB (IEC 61966-2-1)."""
    safe = jnp.maximum(encoded, _SRGB_ENCODED_KNEE)
    power = ((safe + _SRGB_OFFSET) / (1 + _SRGB_OFFSET)) ** _SRGB_EXPONENT
    return jnp.where(encoded <= _SRGB_ENCODED_KNEE, encoded / _SRGB_SLOPE, power)


def mu_law(linear: Float[Array, "*shape"], *, mu: float = MU) -> Float[Array, "*shape"]:
    """Returns the mu-law code of linear radiance; [0, 1] maps onto [0, 1].

    The code is log(1 + mu x) / log(1 + mu), Khan et al. (2019) section II-D. It is
    defined for x > -1 / mu.
    """
    return jnp.log1p(mu * linear) / math.log1p(mu)


def inverse_mu_law(
    code: Float[Array, "*shape"], *, mu: float = MU
) -> Float[Array, "*shape"]:
    """Returns the linear radiance of a mu-law code, the inverse of `mu_law`."""
    return jnp.expm1(code * math.log1p(mu)) / mu


def pq_code(
    light: Float[Array | np.ndarray, "*shape"],
) -> Float[Array | np.ndarray, "*shape"]:
    """Returns the PQ code in [0, 1] of light in [0, `PQ_PEAK`] cd/m^2 (ST 2084).

    Its slope at 0 is infinite.
    """
    power = (light / PQ_PEAK) ** _PQ_M1
    return ((_PQ_C1 + _PQ_C2 * power) / (1 + _PQ_C3 * power)) ** _PQ_M2


def pq_light(
    code: Float[Array | np.ndarray, "*shape"],
) -> Float[Array | np.ndarray, "*shape"]:
    """Returns the light in cd/m^2 of a PQ code in [0, 1], the inverse of `pq_code`.

    The code of no light is 7e-7; smaller codes give no light either.
    """
    power = code ** (1 / _PQ_M2)
    relative = (power - _PQ_C1) / (_PQ_C2 - _PQ_C3 * power)
    return PQ_PEAK * (relative * (relative > 0)) ** (1 / _PQ_M1)


def peak_code(
    linear: Float[Array, "*shape"], *, peak: float, mu: float = MU
) -> Float[Array, "*shape"]:
    """Returns the mu-law code of radiance over `peak`, clipped to [0, 1].

    The gradient passes through the clip, as in `clip_straight_through`.
    """
    return mu_law(clip_straight_through(linear / peak), mu=mu)


def peak_radiance(
    code: Float[Array, "*shape"], *, peak: float
) -> Float[Array, "*shape"]:
    """Returns the radiance in [0, `peak`] of a mu-law code with mu = 5000.

    It is the inverse of `peak_code` with its default `mu`, for radiance up to `peak`.
    Codes are clipped to [0, 1], with the gradient of `clip_straight_through`.
    """
    return peak * inverse_mu_law(clip_straight_through(code))


@jax.custom_jvp
def clip_straight_through(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Returns `x` clipped to [0, 1], with the gradient of `x` itself.

    The gradient of a plain clip is 0 outside [0, 1], so a pixel predicted there would
    never return.
    """
    return jnp.clip(x, 0.0, 1.0)


@clip_straight_through.defjvp
def _clip_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return clip_straight_through(*primals), tangents[0]


def at_least_white(
    stages: Float[Array, "*stages b h w 3"], encoded: Float[Array, "b h w 3"]
) -> Float[Array, "*stages b h w 3"]:
    """Returns radiance of at least 1 in each channel that the photograph clips.

    Radiance in scale `ldr_white` is at least 1 where the photograph clips. So no
    highlight becomes darker than its surround. The gradient is that of `stages`.
    """
    floor = jnp.broadcast_to(jnp.where(encoded >= 1, 1.0, 0.0), stages.shape)
    return stages + jax.lax.stop_gradient(jnp.maximum(floor - stages, 0.0))
