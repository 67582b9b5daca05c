"""Classical inverse tone mapping: operators that expand a photograph without learning.

An operator takes the linear luminance of one photograph, in [0, 1] where 1.0 is white,
and returns luminance in a unit of its own; `expand` applies it to the colours. Learned
methods are compared with these operators (Khan et al. 2019, table I). They were written
from the formulas of the papers; constants that a paper leaves to the user are keyword
arguments.
"""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage
from jaxtyping import Float

from jaxhdr.imaging import bilateral, color

__all__ = ["OPERATORS", "SCALE", "Operator", "expand"]

Luminance = Float[np.ndarray, "h w"]

SCALE = "display"
"""Name of the scale of the results: a unit that the photograph does not set."""

_TINY = 1e-6
_CODE = 1 / 255
# Compiled once for each size of image and each width of the filter.
_filter = jax.jit(
    bilateral.joint_bilateral, static_argnames=("sigma_space", "sigma_range", "span")
)


@dataclasses.dataclass(frozen=True)
class Operator:
    """A classical operator.

    Attributes:
      name: key of the operator in `OPERATORS`.
      reference: authors and year.
      fn: function from the luminance and the largest linear channel of each pixel to
        the expanded luminance.
    """

    name: str
    reference: str
    fn: Callable[[Luminance, Luminance], Luminance]


def expand(
    encoded: Float[np.ndarray, "h w 3"], *, operator: Operator
) -> Float[np.ndarray, "h w 3"]:
    """Returns radiance, in the operator's own unit, of a display-encoded photograph.

    Args:
      encoded: photograph, display-encoded sRGB in [0, 1].
      operator: one of `OPERATORS`.
    """
    linear = np.asarray(color.srgb_decode(jnp.asarray(encoded)), float)
    luminance = np.asarray(color.luminance(jnp.asarray(linear, jnp.float32)), float)
    expanded = operator.fn(luminance, linear.max(axis=-1))
    ratio = np.where(luminance > 0, expanded / np.where(luminance > 0, luminance, 1), 0)
    return (linear * np.maximum(ratio, 0)[..., None]).astype(np.float32)


def akyuz(luminance: Luminance, _: Luminance, *, gamma: float = 1.0) -> Luminance:
    """Returns the luminance stretched to [0, 1] (Akyüz et al. 2007).

    The default `gamma` of 1 is for a well exposed photograph.
    """
    low, high = luminance.min(), luminance.max()
    return ((luminance - low) / max(high - low, _TINY)) ** gamma


def landis(
    luminance: Luminance,
    _: Luminance,
    *,
    threshold: float = 0.5,
    power: float = 2.0,
    peak: float = 10.0,
) -> Luminance:
    """Returns the luminance blended towards `peak` times white (Landis 2002).

    The blend begins at `threshold`.
    """
    span = max(luminance.max() - threshold, _TINY)
    weight = np.clip((luminance - threshold) / span, 0, 1) ** power
    return luminance * (1 - weight) + peak * weight


def kuo(luminance: Luminance, _: Luminance, *, slope: float = 30.0) -> Luminance:
    """Returns the luminance by the inverse of Schlick's curve (Kuo et al. 2012).

    White is mapped to 1.
    """
    return luminance / (slope * (1 - luminance) + luminance)


def kovaleski(
    luminance: Luminance,
    largest: Luminance,
    *,
    darkest: float = 0.3,
    brightest: float = 1200.0,
    sigma_space: float = 150.0,
) -> Luminance:
    """Returns the luminance boosted in clipped areas (Kovaleski and Oliveira 2014).

    A bilateral filter spreads the boost as far as the next edge.

    Args:
      luminance: luminance of the photograph.
      largest: largest linear channel of each pixel; it says which pixels clip.
      darkest: cd/m^2 of the display's black.
      brightest: cd/m^2 of the display's white.
      sigma_space: width of the bilateral filter, in pixels.
    """
    clipped = (largest > _linear(254 * _CODE)).astype(float)
    near = _bilateral(
        clipped,
        luminance,
        sigma_space=sigma_space,
        sigma_range=_linear(25 * _CODE),
    )
    boost = (3 * near + 1) / 4
    return (luminance * (brightest - darkest) + darkest) * boost


def rempel(
    luminance: Luminance,
    _: Luminance,
    *,
    darkest: float = 0.3,
    brightest: float = 1200.0,
    sigma: float = 30.0,
) -> Luminance:
    """Returns the luminance with a glow around clipped areas (Rempel et al. 2007).

    The glow ends at the next edge.

    Args:
      luminance: luminance of the photograph.
      darkest: cd/m^2 of the display's black.
      brightest: cd/m^2 of the display's white.
      sigma: standard deviation of the glow, in pixels.
    """
    clipped = luminance > _linear(250 * _CODE)
    glow = scipy.ndimage.gaussian_filter(clipped.astype(float), sigma, truncate=3)
    glow /= max(glow.max(), _TINY)
    gradient = scipy.ndimage.gaussian_gradient_magnitude(luminance, 1)
    window = np.ones((5, 5), bool)
    reached = scipy.ndimage.binary_propagation(
        clipped, structure=window, mask=(gradient < 0.05) | clipped
    )
    soft = scipy.ndimage.gaussian_filter(np.where(reached, glow, 0), 1)
    boost = 1 + 3 * soft / max(soft.max(), _TINY)
    return (luminance + 1 / 256) * (brightest - darkest) * boost


def banterle(
    luminance: Luminance,
    _: Luminance,
    *,
    peak: float = 3000.0,
    splits: int = 10,
    sigma: float = 16.0,
) -> Luminance:
    """Returns the luminance expanded where lights are dense (Banterle et al. 2006).

    It blends the luminance with its expansion by the inverse of Reinhard's curve.

    Args:
      luminance: luminance of the photograph.
      peak: both L'max and Lwhite of the curve.
      splits: number of splits of the median cut, which places 2^splits lights.
      sigma: width of the Gaussian and of the bilateral filter that turn the lights
        into a density, in pixels.
    """
    offset = luminance - 1
    root = np.sqrt(offset**2 + 4 * luminance / peak**2)
    expanded = 0.5 * peak * peak * (offset + root)
    lights = _median_cut(expanded, splits)
    density = scipy.ndimage.gaussian_filter(lights, sigma)
    density = _bilateral(density, luminance, sigma_space=sigma, sigma_range=0.1)
    density = np.clip(density / max(density.max(), 1e-30), 0, 1)
    return luminance * (1 - density) + expanded * density


def masia(luminance: Luminance, _: Luminance) -> Luminance:
    """Returns the luminance after a gamma from image statistics (Masia et al. 2017).

    The gamma expands the large scale and keeps the detail. A gamma below 1 would
    compress, so it counts as 1.
    """
    logs = np.log(luminance + _TINY)
    low, high = np.percentile(logs, (1, 99))
    mean = logs.mean()
    key = (mean - low) / max(high - low, _TINY)
    clipped = 100 * np.mean(luminance > _linear(254 * _CODE))
    gamma = 2.4379 + 0.2319 * mean - 1.1228 * key + 0.0085 * clipped
    base = _bilateral(luminance, luminance, sigma_space=32.0, sigma_range=0.01)
    base = np.maximum(base, _TINY)
    return luminance / base * base ** max(gamma, 1.0)


def huo(
    luminance: Luminance, _: Luminance, *, power: float = 0.86, peak: float = 3000.0
) -> Luminance:
    """Returns the luminance by the retina's inverse response (Huo et al. 2014).

    Args:
      luminance: luminance of the photograph.
      power: n of the Naka-Rushton curve.
      peak: cd/m^2 of the display's white.
    """
    smooth = _bilateral(luminance, luminance, sigma_space=16.0, sigma_range=0.3)
    smooth = _bilateral(smooth, smooth, sigma_space=10.0, sigma_range=0.1)
    surround = peak * np.maximum(smooth, 0)
    adaptation = peak * np.exp(np.mean(np.log(luminance + _TINY)))
    relative = luminance / max(luminance.max(), _TINY)
    return relative * (surround**power + adaptation**power) ** (1 / power)


OPERATORS: Mapping[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator("aky", "Akyüz et al. (2007)", akyuz),
        Operator("kov", "Kovaleski and Oliveira (2014)", kovaleski),
        Operator("banterle", "Banterle et al. (2006)", banterle),
        Operator("masia", "Masia et al. (2017)", masia),
        Operator("huo", "Huo et al. (2014)", huo),
        Operator("rempel", "Rempel et al. (2007)", rempel),
        Operator("landis", "Landis (2002)", landis),
        Operator("kuo", "Kuo et al. (2012)", kuo),
    )
}


def _linear(encoded: float) -> float:
    return float(color.srgb_decode(jnp.float32(encoded)))


def _bilateral(
    image: Luminance, guide: Luminance, *, sigma_space: float, sigma_range: float
) -> Luminance:
    filtered = _filter(
        jnp.asarray(image, jnp.float32),
        jnp.asarray(guide, jnp.float32),
        sigma_space=sigma_space,
        sigma_range=sigma_range,
        span=1.0,
    )
    return np.asarray(filtered, float)


def _median_cut(energy: Luminance, splits: int) -> Luminance:
    """Returns an image of lights, each at the centre of an equal share of the energy.

    Debevec (2005), "A Median Cut Algorithm for Light Probe Sampling".
    """
    lights = np.zeros_like(energy)
    regions = [(slice(0, energy.shape[0]), slice(0, energy.shape[1]))]
    for _ in range(splits):
        regions = [part for region in regions for part in _halves(energy, region)]
    for region in regions:
        part = energy[region]
        total = part.sum()
        if total > 0:
            center = scipy.ndimage.center_of_mass(part)
            row, column = (
                side.start + round(at) for side, at in zip(region, center, strict=True)
            )
            lights[row, column] += total
    return lights


def _halves(
    energy: Luminance, region: tuple[slice, slice]
) -> list[tuple[slice, slice]]:
    """Returns the two parts of equal energy of a region, cut across its longer side."""
    sizes = [side.stop - side.start for side in region]
    axis = int(np.argmax(sizes))
    if sizes[axis] < 2:
        return [region]
    along = np.cumsum(energy[region].sum(axis=1 - axis))
    cut = int(np.searchsorted(along, along[-1] / 2))
    cut = region[axis].start + min(max(cut, 1), sizes[axis] - 1)
    side = region[axis]
    parts = []
    for piece in (slice(side.start, cut), slice(cut, side.stop)):
        parts.append((piece, region[1]) if axis == 0 else (region[0], piece))
    return parts
