"""Classical inverse tone mapping: operators that expand a photograph without learning.

Each takes linear luminance in [0, 1] of one photograph, of which 1.0 is its white, and
returns luminance in a unit of its own; `expand` applies it to the colours. They are the
rows that a learned method is compared with (Khan et al. 2019, table I), written from
their formulas on NumPy and SciPy; constants that the papers leave to the user are
keyword arguments.
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
"""The unit of the results: each operator's own, without relation to the photograph."""

_TINY = 1e-6
_CODE = 1 / 255
# One program per size of image, whatever else is filtered.
_filter = jax.jit(
    bilateral.joint_bilateral, static_argnames=("sigma_space", "sigma_range", "span")
)


@dataclasses.dataclass(frozen=True)
class Operator:
    """A classical operator.

    Attributes:
      name: as in `OPERATORS`.
      reference: who published it.
      fn: maps luminance and the photograph's largest linear channel to luminance.
    """

    name: str
    reference: str
    fn: Callable[[Luminance, Luminance], Luminance]


def expand(
    encoded: Float[np.ndarray, "h w 3"], *, operator: Operator
) -> Float[np.ndarray, "h w 3"]:
    """Returns radiance, in the operator's own unit, of a display-encoded photograph.

    Args:
      encoded: the photograph, sRGB in [0, 1].
      operator: of `OPERATORS`.
    """
    linear = np.asarray(color.srgb_decode(jnp.asarray(encoded)), float)
    luminance = np.asarray(color.luminance(jnp.asarray(linear, jnp.float32)), float)
    expanded = operator.fn(luminance, linear.max(axis=-1))
    ratio = np.where(luminance > 0, expanded / np.where(luminance > 0, luminance, 1), 0)
    return (linear * np.maximum(ratio, 0)[..., None]).astype(np.float32)


def akyuz(luminance: Luminance, _: Luminance, *, gamma: float = 1.0) -> Luminance:
    """Akyüz et al. (2007): the range, stretched; `gamma` 1 for a good exposure."""
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
    """Landis (2002): from a threshold on, a blend towards `peak` times white."""
    span = max(luminance.max() - threshold, _TINY)
    weight = np.clip((luminance - threshold) / span, 0, 1) ** power
    return luminance * (1 - weight) + peak * weight


def kuo(luminance: Luminance, _: Luminance, *, slope: float = 30.0) -> Luminance:
    """Kuo et al. (2012): the inverse of Schlick's curve; white is mapped to 1."""
    return luminance / (slope * (1 - luminance) + luminance)


def kovaleski(
    luminance: Luminance,
    largest: Luminance,
    *,
    darkest: float = 0.3,
    brightest: float = 1200.0,
    sigma_space: float = 150.0,
) -> Luminance:
    """Kovaleski and Oliveira (2014): clipped areas, spread up to edges.

    Args:
      luminance: of the photograph.
      largest: channel of each pixel, which says whether it is clipped.
      darkest: cd/m^2 of the display.
      brightest: cd/m^2 of the display.
      sigma_space: of the bilateral filter, in pixels.
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
    """Rempel et al. (2007): bright areas glow, up to the next edge.

    Args:
      luminance: of the photograph.
      darkest: cd/m^2 of the display.
      brightest: cd/m^2 of the display.
      sigma: of the glow, in pixels.
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
    """Banterle et al. (2006): the inverse of Reinhard's curve where lights are dense.

    Args:
      luminance: of the photograph.
      peak: L'max and Lwhite of the curve.
      splits: of the median cut, 2^splits lights.
      sigma: of the density of lights and of its edge-aware transfer, in pixels.
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
    """Masia et al. (2017): a gamma that follows from statistics of the image.

    Of the large scale; the detail stays. A gamma below 1, which would compress, counts
    as 1.
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
    """Huo et al. (2014): the response of the retina to its surroundings, inverted.

    Args:
      luminance: of the photograph.
      power: n of the Naka-Rushton curve.
      peak: cd/m^2 of the display.
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
    """Returns the lights of an image: equal shares of its energy, at their centers.

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
    """Returns two parts of equal energy, cut across the longer side."""
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
