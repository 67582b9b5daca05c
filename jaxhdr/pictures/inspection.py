"""Collects what a model saw in a photograph and did with it, as arrays to draw.

`encoded` is display-encoded sRGB in [0, 1]; `hdr` is linear radiance in `ldr_white`.
Radiance on curves is in stops (log2) relative to the white of the photograph.
Statistics use the whole image; only pictures are averaged down. Inputs and outputs are
NumPy arrays.
"""

from typing import Any, Final, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhdr.errors import UserError
from jaxhdr.imaging import camera, color, regions, scales, scurve
from jaxhdr.inference import Details
from jaxhdr.models import response
from jaxhdr.models.front import FrontContext
from jaxhdr.models.response import ResponseSlopes
from jaxhdr.models.sparam import Context
from jaxhdr.pictures import previews

DARKEST: Final = 1 / 255 / 12.92
"""Linear light of code 1 of an 8-bit sRGB photograph (IEC 61966-2-1, section 5.2).

Darker values are not distinguished in a photograph, so differences below it do not
count.
"""

_NUM_SAMPLES: Final = 12_000
_LONGEST_SIDE: Final = 720

Picture = Float[np.ndarray, "h w 3"]
AnySize = Float[np.ndarray, "_ _ 3"]


class RegionMaps(NamedTuple):
    """Local region maps (Oh et al. 2021, Eq. 1), brightest first."""

    maps: Float[np.ndarray, "regions h w 3"]
    """Encoded values inside each region, zero outside."""
    shares: Float[np.ndarray, "regions 3"]
    """Share of the pixels in each region, per channel; the sum over regions is 1."""
    lowest: Float[np.ndarray, "regions 3"]
    highest: Float[np.ndarray, "regions 3"]
    """Smallest (`lowest`) and largest value in each region; NaN if it is empty."""


class ToneCurve(NamedTuple):
    """Samples of the S-curve that a model estimated, and its parameters."""

    values: Float[np.ndarray, " n"]
    stops: Float[np.ndarray, "n 3"]
    maximum: float
    white: Float[np.ndarray, "3"]


class ResponseCurve(NamedTuple):
    """Samples of the inverse camera response that a model estimated."""

    values: Float[np.ndarray, " n"]
    stops: Float[np.ndarray, " n"]


class ToneSamples(NamedTuple):
    """Encoded values and radiances of a sample of the pixels."""

    values: Float[np.ndarray, "n 3"]
    stops: Float[np.ndarray, "n 3"]


class Stage(NamedTuple):
    """One estimate, or the truth, and its comparison with another image."""

    name: str
    hdr: AnySize
    compared: str
    change: Float[np.ndarray, "_ _"]
    """Change of luminance in stops; positive where the first named is brighter."""


class Inspection(NamedTuple):
    """The content of one sheet."""

    encoded: AnySize
    size: tuple[int, int]
    """Height and width of the photograph in pixels."""
    clipped_share: float
    stages: tuple[Stage, ...]
    """The estimates in order, then the truth if there is one."""
    samples: tuple[tuple[str, ToneSamples], ...]
    """Names and samples of the truth, if there is one, and of the answer."""
    curve: ToneCurve | None
    response: ResponseCurve | None
    regions: RegionMaps | None
    truth_factor: float | None
    """Factor that brought the truth to `ldr_white`."""


def inspect(details: Details, *, truth: Picture | None = None) -> Inspection:
    """Returns the content of the sheet of one photograph.

    Args:
      details: details of a reconstruction, from `Reconstructor.details`.
      truth: HDR image of the photographed scene, in any scale; `scales.align` brings it
        to `ldr_white`.

    Raises:
      UserError: the truth and the photograph differ in size.
    """
    encoded, stages, context, factors = details
    names = _stage_names(len(stages), context)
    shown = _compared(encoded, stages, names)
    samples = [(names[-1], tone_samples(encoded, stages[-1]))]
    truth_factor = curve = maps = None
    if truth is not None:
        check_truth(truth, encoded)
        truth_factor = scales.align(truth, encoded)
        truth = truth * np.float32(truth_factor)
        change = change_in_stops(truth, stages[-1])
        shown.append(_stage("truth", truth, f"{names[-1]} vs truth", change))
        samples.insert(0, ("truth", tone_samples(encoded, truth)))
    front = context if isinstance(context, FrontContext) else None
    if isinstance(context, Context):
        front = context.front
        curve = tone_curve(_first(context.curve), factor=float(factors[0]), front=front)
        maps = region_maps(encoded, context.edges[0])
    return Inspection(
        encoded=previews.shrink(encoded, _LONGEST_SIDE),
        size=encoded.shape[:2],
        clipped_share=float(np.mean(camera.is_clipped(jnp.asarray(encoded)))),
        stages=tuple(shown),
        samples=tuple(samples),
        curve=curve,
        response=_response_curve_of(front),
        regions=maps,
        truth_factor=truth_factor,
    )


def check_truth(truth: AnySize, encoded: AnySize) -> None:
    """Checks that a truth can be compared with a photograph.

    Raises:
      UserError: the two images differ in size.
    """
    if truth.shape != encoded.shape:
        raise UserError(
            f"the truth has {_size(truth)} pixels and the photograph {_size(encoded)};"
            " expected an HDR image of the same pixels"
        )


def change_in_stops(before: Picture, after: Picture) -> Float[np.ndarray, "h w"]:
    """Returns log2 of the ratio of luminances `after` / `before`.

    Luminances below `DARKEST` count as `DARKEST`.
    """
    old, new = (
        np.maximum(np.asarray(color.luminance(jnp.asarray(hdr))), DARKEST)
        for hdr in (before, after)
    )
    return np.log2(new) - np.log2(old)


def tone_samples(
    encoded: Picture, hdr: Picture, *, limit: int = _NUM_SAMPLES
) -> ToneSamples:
    """Returns the encoded values and radiances, in stops, of at most `limit` pixels.

    The choice depends only on the size of the image, so images of one size get the same
    pixels. Black is -inf stops.
    """
    number = encoded.shape[0] * encoded.shape[1]
    chosen = np.arange(number)
    if number > limit:
        # Taking every n-th pixel would sample only a few columns.
        chosen = np.random.default_rng(0).choice(number, limit, replace=False)
    with np.errstate(divide="ignore"):
        stops = np.log2(hdr.reshape(-1, 3)[chosen])
    return ToneSamples(encoded.reshape(-1, 3)[chosen], stops)


def tone_curve(
    curve: scurve.Curve,
    *,
    factor: float = 1.0,
    front: FrontContext | None = None,
    num_values: int = 256,
) -> ToneCurve:
    """Returns an S-curve in stops at equally spaced encoded values in [0, 1].

    Args:
      curve: S-curve without a batch axis.
      factor: factor on its radiance, and so on its maximum.
      front: what the front end knows of the image, if the curve takes the radiance
        that the front end returns; None for a curve of encoded values.
      num_values: number of values; 256 are all 8-bit codes.
    """
    values, grey = _grey(num_values)
    taken = grey if front is None else response.linearise(grey, front.slopes)
    radiance = np.asarray(scurve.expand(taken[0], curve))[0]
    with np.errstate(divide="ignore"):
        stops = np.log2(factor * radiance)
    return ToneCurve(
        values, stops, factor * float(curve.maximum), np.asarray(curve.white)
    )


def response_curve(slopes: ResponseSlopes, *, num_values: int = 256) -> ResponseCurve:
    """Returns the response of one image in stops at equally spaced encoded values."""
    values, grey = _grey(num_values)
    radiance = np.asarray(response.expand(grey, slopes))[0, 0, :, 0]
    with np.errstate(divide="ignore"):
        return ResponseCurve(values, np.log2(radiance))


def _response_curve_of(front: FrontContext | None) -> ResponseCurve | None:
    if front is None or front.slopes is None:
        return None
    return response_curve(front.slopes)


def _grey(
    num_values: int,
) -> tuple[Float[np.ndarray, " n"], Float[Array, "1 1 n 3"]]:
    values = np.linspace(0, 1, num_values, dtype=np.float32)
    return values, jnp.repeat(jnp.asarray(values)[None, None, :, None], 3, axis=3)


def region_maps(
    encoded: Picture, edges: Float[Array | np.ndarray, "regions_minus_1 3"]
) -> RegionMaps:
    """Returns the region maps of a photograph, averaged down, and their statistics."""
    index = np.asarray(regions.region_index(jnp.asarray(encoded), jnp.asarray(edges)))
    maps, shares, lowest, highest = [], [], [], []
    for region in range(len(edges) + 1):
        inside = index == region
        inside_values = np.where(inside, encoded, np.float32(0))
        maps.append(previews.shrink(inside_values, _LONGEST_SIDE))
        share = inside.mean(axis=(0, 1), dtype=np.float64)
        low = np.where(inside, encoded, np.float32(np.inf)).min(axis=(0, 1))
        shares.append(share)
        lowest.append(np.where(share > 0, low, np.nan))
        highest.append(np.where(share > 0, inside_values.max(axis=(0, 1)), np.nan))
    return RegionMaps(
        np.stack(maps), np.stack(shares), np.stack(lowest), np.stack(highest)
    )


def _first(curve: scurve.Curve) -> scurve.Curve:
    return scurve.Curve(curve.maximum[0], curve.white[0])


def _stage_names(number: int, context: Any) -> list[str]:
    if isinstance(context, Context):
        return ["pseudo-HDR", "HDR"][:number]
    return [f"iteration {n}" for n in range(1, number + 1)]


def _compared(
    encoded: Picture, stages: Float[np.ndarray, "stages h w 3"], names: list[str]
) -> list[Stage]:
    before = np.asarray(color.srgb_decode(jnp.asarray(encoded)))
    shown, other = [], "linearised photograph"
    for name, hdr in zip(names, stages, strict=True):
        change = change_in_stops(before, hdr)
        shown.append(_stage(name, hdr, f"{name} vs {other}", change))
        before, other = hdr, name
    return shown


def _stage(
    name: str, hdr: Picture, compared: str, change: Float[np.ndarray, "h w"]
) -> Stage:
    small = previews.shrink(np.repeat(change[..., None], 3, axis=2), _LONGEST_SIDE)
    return Stage(name, previews.shrink(hdr, _LONGEST_SIDE), compared, small[..., 0])


def _size(image: AnySize) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
