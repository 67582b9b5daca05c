"""A virtual camera: it photographs linear radiance, to make training pairs.

Everything runs on the device inside the training step and is a pure function of a
random key. `hdr` comes in any unit and leaves in scale `ldr_white`, where 1.0 is the
radiance that just clips the photograph; `encoded` is display-encoded in [0, 1] and
lies on the 8-bit grid. The order is that of a camera: exposure, noise, clipping,
response, JPEG, 8 bits.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from jaxhdr.errors import UserError, check_not_endless
from jaxhdr.fields import made_of
from jaxhdr.imaging import color, jpeg

# Records store, for each of these fractions, the radiance that this fraction of the
# image's pixels exceeds. So a patch can be exposed as its whole image would be.
CLIPPED_FRACTIONS = (
    0.0,
    0.001,
    0.003,
    0.01,
    0.02,
    0.05,
    0.1,
    0.15,
    0.2,
    0.3,
    0.5,
)

# A pixel is clipped if a channel has one of the two largest 8-bit codes: JPEG moves a
# clipped 255 by a code or so.
CLIPPED_CODE = 254 / 255

# Largest range from white to the brightest pixel. The sun's disc (1.6e9 cd/m^2) is 16
# stops above a white surface in its light (100,000 lx / pi). So the limit matters only
# if nearly all of an image is black, when the level that a fraction exceeds may be
# zero.
_LARGEST_RANGE_STOPS = 32

# White of a black image: six stops above the smallest normal number of float32, because
# `exp2` of a logarithm rounds, and results below that number are flushed to 0.
_DARKEST_WHITE = 2.0**-120


class Pair(NamedTuple):
    """A photograph and the radiance of its scene, in scale `ldr_white`."""

    encoded: Float[Array, "b h w 3"]
    hdr: Float[Array, "b h w 3"]


class Responses(NamedTuple):
    """The responses of cameras."""

    is_srgb: Bool[Array, " b"]
    stops: Float[Array, "b codes"]
    """The radiance of each code, in stops from white."""


@dataclasses.dataclass(frozen=True)
class Camera:
    """The distributions of what is drawn at random for each image.

    Attributes:
      clipped_fraction: range of the share of pixels that clip, drawn uniformly.
      unclipped_share: share of images that are exposed so that nothing clips, whatever
        `clipped_fraction` is.
      curve_shares: shares of the response families (sRGB, sigmoid, gamma), and of
        tone curves as a fourth.
      sigmoid_exponent: mean and standard deviation of n in (1 + s) x^n / (x^n + s);
        0.9 and 0.1 are those of HDRCNN (Eilertsen et al. 2017, section 5.1).
      sigmoid_offset: mean and standard deviation of s; 0.6 and 0.1 are those of HDRCNN.
      gamma: range of g in x^(1 / g), drawn uniformly.
      tone_contrast: range of c in the tone curve (1 - c) v + c (3 v^2 - 2 v^3), where v
        is a power of the sRGB-encoded value; drawn uniformly. Phones and developers of
        raw photographs raise contrast by such curves.
      tone_power: range of the logarithm to the base 2 of that power, drawn uniformly.
      color_cast: standard deviation, in stops, of the gain of each channel. It acts as
        a coloured light: photograph and radiance have the same cast.
      read_noise: largest standard deviation of the constant noise, in units of
        white; drawn uniformly from 0.
      shot_noise: largest standard deviation, at white, of the noise that grows with the
        square root of radiance; drawn uniformly from 0.
      finish_share: share of images that the camera smooths or sharpens after its
        response.
      sharpening: range of the share of the difference from the mean of 3 x 3 pixels
        that is then added, drawn uniformly; it smooths where it is negative.
      jpeg_share: share of images that are compressed.
      jpeg_quality: range of the quality (libjpeg's 1 to 100), drawn uniformly.
    """

    clipped_fraction: tuple[float, float] = (0.0, 0.15)
    unclipped_share: float = 0.0
    curve_shares: tuple[float, ...] = (0.35, 0.45, 0.2)
    sigmoid_exponent: tuple[float, float] = (0.9, 0.1)
    sigmoid_offset: tuple[float, float] = (0.6, 0.1)
    gamma: tuple[float, float] = (1.8, 2.4)
    tone_contrast: tuple[float, float] = (-0.2, 0.8)
    tone_power: tuple[float, float] = (-0.5, 0.5)
    color_cast: float = 0.0
    read_noise: float = 0.002
    shot_noise: float = 0.008
    finish_share: float = 0.0
    sharpening: tuple[float, float] = (-0.5, 1.0)
    jpeg_share: float = 0.5
    jpeg_quality: tuple[float, float] = (60.0, 98.0)


def create_camera(**fields: Any) -> Camera:
    """Returns the camera with these attributes; ranges may be lists.

    Raises:
      UserError: an attribute is unknown.
    """
    return made_of("camera", fields, kind=Camera)


def clipping_levels(
    hdr: Float[np.ndarray, "h w 3"],
) -> Float[np.ndarray, " fractions"]:
    """Returns the radiance that each of `CLIPPED_FRACTIONS` of the pixels exceeds.

    A pixel counts by its brightest channel, which clips first.
    """
    brightest = hdr.max(axis=-1)
    quantiles = 1 - np.asarray(CLIPPED_FRACTIONS)
    return np.quantile(brightest, quantiles).astype(np.float32)


def is_clipped(encoded: Float[Array, "*batch h w 3"]) -> Array:
    """Returns a boolean mask (*batch, h, w, 1) of pixels with a clipped channel."""
    return encoded.max(axis=-1, keepdims=True) >= CLIPPED_CODE


def clipped_values(encoded: Float[Array, "*batch h w 3"]) -> Array:
    """Returns a boolean mask (*batch, h, w, 3) of clipped values."""
    return encoded >= CLIPPED_CODE


def simulate(
    key: Key[Array, ""],
    hdr: Float[Array, "b h w 3"],
    clipping_levels: Float[Array, "b fractions"],
    *,
    camera: Camera,
    curves: Float[Array, "curves samples"] | None = None,
) -> Pair:
    """Returns photographs of `hdr`, each taken by its own random camera.

    Args:
      key: random key.
      hdr: radiance in any unit; the images may be patches of larger ones.
      clipping_levels: clipping levels of the whole images, from `clipping_levels`, in
        the unit of `hdr`.
      camera: distributions of the random values.
      curves: measured responses from `read_curves`, in place of the sigmoid family.
    """
    keys = jax.random.split(key, hdr.shape[0])
    photograph = jax.vmap(lambda *x: _photograph(*x, camera=camera, curves=curves))
    return Pair(*photograph(keys, hdr, clipping_levels))


def levels_on_device(
    hdr: Float[Array, "b h w 3"], *, step: int = 4
) -> Float[Array, "b fractions"]:
    """Returns the clipping levels of images on the device, nearly as `clipping_levels`.

    The largest value is exact. All others are of one pixel in `step` x `step`, because
    sorting takes longer than all else.
    """
    brightest = hdr.max(axis=-1)
    some = brightest[:, ::step, ::step].reshape(len(hdr), -1)
    shares = 1 - jnp.asarray(CLIPPED_FRACTIONS[1:])
    quantiles = jnp.quantile(some, shares, axis=1).T
    return jnp.concatenate([brightest.max(axis=(1, 2))[:, None], quantiles], axis=1)


def _photograph(key, hdr, levels, *, camera, curves):
    exposure, noise, response, compression = jax.random.split(key, 4)
    fraction = jax.random.uniform(
        exposure,
        minval=camera.clipped_fraction[0],
        maxval=camera.clipped_fraction[1],
    )
    if camera.unclipped_share:
        share_key = jax.random.fold_in(key, 5)
        is_unclipped = jax.random.uniform(share_key) < camera.unclipped_share
        fraction = jnp.where(is_unclipped, 0.0, fraction)
    hdr = hdr / white_level(levels, fraction)
    if camera.color_cast:
        cast_key = jax.random.fold_in(key, 4)
        stops = camera.color_cast * jax.random.truncated_normal(cast_key, -2, 2, (3,))
        hdr = hdr * jnp.exp2(stops - stops.max())[None, None]
    exposed = jnp.clip(add_noise(noise, hdr, camera=camera), 0.0, 1.0)
    encoded = respond(response, exposed, camera=camera, curves=curves)
    if camera.finish_share:
        encoded = _finish(jax.random.fold_in(key, 6), encoded, camera=camera)
    encoded = _quantise(_maybe_jpeg(compression, _quantise(encoded), camera=camera))
    return encoded, hdr


def white_level(
    levels: Float[Array, " fractions"], fraction: Float[Array, ""]
) -> Float[Array, ""]:
    """Returns the radiance that `fraction` of the image's pixels exceed.

    Between the recorded fractions its logarithm is interpolated. The result is never
    zero, and at most 32 stops below the brightest pixel, so that radiance in units of
    white does not overflow.
    """
    floor = levels[0] * 2.0**-_LARGEST_RANGE_STOPS
    floor = jnp.maximum(floor, _DARKEST_WHITE)
    stops = jnp.log2(jnp.maximum(levels, floor))
    return jnp.exp2(jnp.interp(fraction, jnp.asarray(CLIPPED_FRACTIONS), stops))


def add_noise(
    key: Key[Array, ""], hdr: Float[Array, "h w 3"], *, camera: Camera
) -> Float[Array, "h w 3"]:
    """Returns `hdr` with read noise and shot noise of random strength."""
    read_key, shot_key, normal_key = jax.random.split(key, 3)
    read = jax.random.uniform(read_key, maxval=camera.read_noise)
    shot = jax.random.uniform(shot_key, maxval=camera.shot_noise)
    deviation = jnp.sqrt(read**2 + shot**2 * jnp.maximum(hdr, 0.0))
    return hdr + deviation * jax.random.normal(normal_key, hdr.shape)


def respond(
    key: Key[Array, ""],
    exposed: Float[Array, "*shape"],
    *,
    camera: Camera,
    curves: Float[Array, "curves samples"] | None = None,
) -> Float[Array, "*shape"]:
    """Returns `exposed`, in [0, 1], after a random response with range [0, 1]."""
    family_key, *keys = jax.random.split(key, 4)
    middle = _sigmoid if curves is None else _measured
    families = (
        lambda x: color.srgb_encode(x),
        lambda x: middle(keys[0], keys[1], x, camera, curves),
        lambda x: _gamma(keys[2], x, camera),
        lambda x: _tone(jax.random.fold_in(key, 4), x, camera),
    )
    return jax.lax.switch(_family(family_key, camera), families, exposed)


def responses(
    key: Key[Array, ""],
    count: int,
    codes: Float[Array, " codes"],
    *,
    camera: Camera,
    curves: Float[Array, "curves samples"] | None = None,
) -> Responses:
    """Returns the responses of the cameras that `simulate` draws from the same key.

    Args:
      key: random key.
      count: number of images.
      codes: encoded values in (0, 1].
      camera: distributions of the random values.
      curves: as for `simulate`.
    """

    def one(key: Array) -> Responses:
        _, _, response, _ = jax.random.split(key, 4)
        stops = jnp.linspace(-_LARGEST_RANGE_STOPS, 0.0, 2048)
        exposed = jnp.exp2(stops)
        rising = respond(response, exposed, camera=camera, curves=curves)
        family_key, *_ = jax.random.split(response, 4)
        return Responses(
            _family(family_key, camera) == 0, jnp.interp(codes, rising, stops)
        )

    return jax.vmap(one)(jax.random.split(key, count))


def _family(key: Array, camera: Camera) -> Array:
    shares = jnp.asarray(camera.curve_shares) / sum(camera.curve_shares)
    return jax.random.choice(key, len(camera.curve_shares), p=shares)


def _sigmoid(exponent_key, offset_key, x, camera, _curves):
    mean, deviation = camera.sigmoid_exponent
    n = mean + deviation * jax.random.truncated_normal(exponent_key, -3.0, 3.0)
    mean, deviation = camera.sigmoid_offset
    s = mean + deviation * jax.random.truncated_normal(offset_key, -3.0, 3.0)
    power = x**n
    return (1 + s) * power / (power + s)


def _measured(curve_key, _key, x, _camera, curves):
    curve = curves[jax.random.randint(curve_key, (), 0, curves.shape[0])]
    return jnp.interp(x, jnp.linspace(0.0, 1.0, curve.shape[0]), curve)


def _gamma(key, x, camera):
    low, high = camera.gamma
    return x ** (1 / jax.random.uniform(key, minval=low, maxval=high))


def _tone(key, x, camera):
    contrast_key, power_key = jax.random.split(key)
    low, high = camera.tone_contrast
    contrast = jax.random.uniform(contrast_key, minval=low, maxval=high)
    low, high = camera.tone_power
    power = jnp.exp2(jax.random.uniform(power_key, minval=low, maxval=high))
    v = color.srgb_encode(x) ** power
    return (1 - contrast) * v + contrast * v**2 * (3 - 2 * v)


def _finish(key, encoded, *, camera):
    """Returns the image sharpened or smoothed by a random strength, or as it is."""
    share_key, strength_key = jax.random.split(key)
    low, high = camera.sharpening
    strength = jax.random.uniform(strength_key, minval=low, maxval=high)
    is_finished = jax.random.uniform(share_key) < camera.finish_share
    mean = encoded
    for axis in (0, 1):
        padding = [(1, 1) if axis == each else (0, 0) for each in range(3)]
        padded = jnp.pad(mean, padding, mode="edge")
        mean = (
            sum(
                jax.lax.slice_in_dim(padded, n, n + encoded.shape[axis], axis=axis)
                for n in range(3)
            )
            / 3
        )
    finished = jnp.clip(encoded + strength * (encoded - mean), 0.0, 1.0)
    return jnp.where(is_finished, finished, encoded)


def _quantise(encoded):
    return jnp.round(encoded * 255) / 255


def _maybe_jpeg(key, encoded, *, camera):
    share_key, quality_key = jax.random.split(key)
    low, high = camera.jpeg_quality
    quality = jax.random.uniform(quality_key, minval=low, maxval=high)
    compressed = jpeg.degrade(encoded, quality)
    chosen = jax.random.uniform(share_key) < camera.jpeg_share
    return jnp.where(chosen, compressed, encoded)


def read_curves(path: str, *, samples: int = 1024) -> Float[np.ndarray, "n samples"]:
    """Returns measured responses, resampled at equal steps of radiance.

    It reads the text format of the DoRF database (Grossberg and Nayar 2003). A curve
    has a name, a type, `I =` and the radiances on the next line, and `B =` and the
    responses on the next line, both in [0, 1].

    Raises:
      UserError: the file cannot be read or holds no complete curve.
    """
    check_not_endless(path)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            pairs = _curves([line.strip() for line in file])
    except OSError as error:
        raise UserError(f"cannot read the curves file {path}: {error}") from error
    except ValueError as error:
        raise UserError(
            f"{path} holds no response curves: {error}; expected the DoRF text "
            "format, a line of numbers after each line `I =` or `B =`"
        ) from error
    grid = np.linspace(0, 1, samples)
    return np.stack([np.interp(grid, x, y) for x, y in pairs]).astype(np.float32)


def _curves(lines: list[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns (radiances, responses) of each curve.

    Raises:
      ValueError: a curve is wrong.
    """
    starts = [i for i, line in enumerate(lines) if line in ("I =", "B =")]
    if not starts or [lines[i] for i in starts] != ["I =", "B ="] * (len(starts) // 2):
        raise ValueError("`I =` and `B =` do not alternate")
    rows = [np.array(" ".join(lines[i + 1 : i + 2]).split(), float) for i in starts]
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    for radiance, response in pairs:
        if radiance.size != response.size or radiance.size < 2:
            raise ValueError("a curve has fewer or more responses than radiances")
        if not all(((x >= 0) & (x <= 1)).all() for x in (radiance, response)):
            raise ValueError("a value is not in [0, 1]")
        if (np.diff(radiance) < 0).any():
            raise ValueError("the radiances of a curve do not rise")
    return pairs
