"""Coarse to fine: a network sees a small copy, and its gain is carried to full size.

The networks were trained on images of 256 pixels and see about a hundred pixels around
each. In a photograph of a camera that is a detail; in a copy of 640 pixels it is a part
of the scene. So the network computes the copy, and what it finds is carried up as gain
in stops (`jaxhdr.imaging.gain`). What needs no network, the camera's response, the
noise and the floor at white, is computed at full size.
"""

import dataclasses
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxhdr import models
from jaxhdr.errors import UserError
from jaxhdr.imaging import camera, gain, scales
from jaxhdr.imaging.resampling import AnyImage, resized
from jaxhdr.inference import full_size
from jaxhdr.inference.estimators import Estimate, TiledModel
from jaxhdr.options import SIZES

LONG_SIDE: Final = 640
"""Long side of the copy in pixels. Of 512, 640 and 768 it has the smallest errors on
clipped pixels (docs/performance.md, "Sizes")."""

_SMALLEST_SIDE: Final = 16
_LARGEST_SIDE: Final = 32_768

# The short side of a copy is a multiple of this, unless it is so short that pixels
# would not stay nearly square. So copies have few shapes, and compiled programs are
# used again. A copy of 640 x 427 gets 416 rows: pixels are 2.6 % higher than wide.
_ROUNDING: Final = 32
_SHORTEST_ROUNDED: Final = 8 * _ROUNDING

# A long and narrow photograph is not made narrower than a copy of 4 : 1 would be.
_NARROWEST: Final = 4

Image = Float[np.ndarray, "h w 3"]
Stages = Float[np.ndarray, "stages h w 3"]


class _OfCopy(NamedTuple):
    """What the network found in one copy."""

    gains: list[gain.Gains]
    """The gain of each stage, in scale `ldr_white`."""
    units: Float[np.ndarray, "stages 1 1 1"]
    """Factors that brought the stages to that scale."""


@dataclasses.dataclass
class CoarseToFine:
    """A network under the contract of `jaxhdr.models`, on a small copy of an image.

    An image whose long side is not above `long_side` is computed at its own size.

    Attributes:
      tiled: the network.
      long_side: long side of the copy in pixels.
      also_double: whether the network computes a second copy of twice that size, and
        the mean of both gains is applied.
      scale: unit of the network's results, one of `scales.SCALES`. The gain is that of
        results aligned to the photograph, so that `gain.DARK` is dark in every scale.
    """

    tiled: TiledModel
    long_side: int = LONG_SIDE
    also_double: bool = False
    scale: str = scales.LDR_WHITE

    @property
    def precision(self) -> str:
        """What the network computes in, "float32" or "bfloat16"."""
        return self.tiled.precision

    @property
    def response(self) -> str:
        """How photographs are taken to be encoded, "estimated" or "srgb"."""
        return self.tiled.response

    def __call__(
        self,
        encoded: Image,
        *,
        prior: float | None = None,
        only_last: bool = False,
        may_overwrite: bool = False,
    ) -> Estimate:
        """Returns the stages of an image, or its last one, and the context.

        Args:
          encoded: the photograph.
          prior: as for `TiledModel`.
          only_last: return the last stage only, which takes less memory.
          may_overwrite: whether the result of the last stage may take the memory of
            `encoded`.

        Raises:
          UserError: the memory does not suffice.
        """
        if models.sees_single_pixels(self.tiled.model):
            return self.tiled(encoded, prior=prior, only_last=only_last)
        size = copy_size(encoded.shape[0], encoded.shape[1], self.long_side)
        if size == encoded.shape[:2] and not self.also_double:
            stages, context = self.tiled(encoded, prior=prior, only_last=only_last)
            units = self._units(stages, encoded)
            return Estimate(_without_waves(stages * units, encoded) / units, context)
        sizes = [size]
        if self.also_double:
            sizes.append((2 * size[0], 2 * size[1]))
        return self._carried(encoded, sizes, prior, only_last, may_overwrite)

    def _carried(
        self,
        encoded: Image,
        sizes: list[tuple[int, int]],
        prior: float | None,
        only_last: bool,
        may_overwrite: bool,
    ) -> Estimate:
        copies = [np.clip(resized(encoded, size), 0, 1) for size in sizes]
        contexts = [self.tiled.context(copy, prior=prior) for copy in copies]
        known = models.front_context(contexts[0])
        known = known._replace(noise=full_size.measured_noise(encoded, known))
        if known.noise is not None:
            # The mean over an area has less noise than its pixels.
            shares = [min(1.0, len(copy) / len(encoded)) for copy in copies]
            contexts = [
                models.with_noise(context, known.noise * share)
                for context, share in zip(contexts, shares, strict=True)
            ]
        by_copy = [
            self._gains_of(copy, _clipped_share(encoded, size), context, only_last)
            for copy, size, context in zip(copies, sizes, contexts, strict=True)
        ]
        units = by_copy[0].units
        gains = list(zip(*(found.gains for found in by_copy), strict=True))
        if may_overwrite and only_last:
            out = encoded[None]
        else:
            out = np.empty((len(gains), *encoded.shape), np.float32)
        full_size.apply_gains(
            encoded,
            gains,
            front=models.front_of(self.tiled.model),
            context=known,
            keep_white=models.keeps_white(self.tiled.model),
            out=out,
        )
        if self.scale != scales.LDR_WHITE:
            out /= units
        return Estimate(out, contexts[0])

    def _gains_of(
        self, copy: Image, clipped_share: Image, context: Any, only_last: bool
    ) -> _OfCopy:
        """Returns the gain of each stage that the network finds in one copy."""
        stages = self.tiled.stages(copy, context, only_last=only_last)
        units = self._units(stages, copy)
        front = models.front_of(self.tiled.model)
        radiance = full_size.radiance_of(copy, front, models.front_context(context))
        gains = [_gains(stage, radiance, clipped_share) for stage in stages * units]
        return _OfCopy(gains, units)

    def _units(
        self, stages: Stages, encoded: Image
    ) -> Float[np.ndarray, "stages 1 1 1"]:
        factors = scales.alignment_factors(stages, encoded, scale=self.scale)
        return factors[:, None, None, None]


def copy_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    """Returns height and width of the copy that the network computes.

    It is the size of the image itself if that is not larger. The short side is rounded
    to a multiple of 32.

    Args:
      height: height of the photograph.
      width: width of the photograph.
      long_side: long side of the copy. The copy of an image longer than 4 : 1 gets as
        many pixels as one of 4 : 1.
    """
    area = long_side**2 / _NARROWEST
    scale = max(long_side / max(height, width), (area / (height * width)) ** 0.5)
    if scale >= 1:
        return height, width
    short, long = sorted((height, width))
    short_copy = max(1, round(short * scale))
    if short_copy >= _SHORTEST_ROUNDED:
        short_copy = round(short_copy / _ROUNDING) * _ROUNDING
    sides = min(short_copy, short), min(round(long * scale), long)
    return sides if height <= width else (sides[1], sides[0])


def chosen(
    size: int | str, tiled: TiledModel, *, scale: str
) -> TiledModel | CoarseToFine:
    """Returns the estimator for a choice of `Reconstructor(size=...)`.

    Args:
      size: the choice, which `check_size` has checked.
      tiled: the network.
      scale: unit of its results.
    """
    if size == "full":
        return tiled
    if isinstance(size, str):
        return CoarseToFine(tiled, also_double=size == "best", scale=scale)
    return CoarseToFine(tiled, long_side=size, scale=scale)


def check_size(size: Any) -> None:
    """Checks a choice of `Reconstructor(size=...)`.

    Raises:
      UserError: there is no such choice.
    """
    is_side = type(size) is int and _SMALLEST_SIDE <= size <= _LARGEST_SIDE
    if not is_side and size not in SIZES:
        raise UserError(
            f"size is {size!r}; expected {', '.join(SIZES)}, or a number of pixels "
            f"from {_SMALLEST_SIDE} to {_LARGEST_SIDE}"
        )


def _gains(hdr: Image, radiance: Image, share: Image) -> gain.Gains:
    stops = gain.gain(hdr, radiance)
    clipped, unclipped = gain.apart(stops, share)
    has_clipped_all = np.all(share > 0.999, axis=-1)  # means of ones are rounded
    return gain.Gains(gain.coarser_with_distance(clipped, has_clipped_all), unclipped)


def _clipped_share(encoded: Image, size: tuple[int, int]) -> AnyImage:
    """Returns the share of the values in each pixel of the copy that are clipped."""
    # One channel after the other, which takes a third of the memory.
    shares = [
        resized((encoded[..., c, None] >= camera.CLIPPED_CODE).astype(np.float32), size)
        for c in range(3)
    ]
    return np.concatenate(shares, axis=-1)


def _without_waves(stages: Stages, encoded: Image) -> Stages:
    """Returns stages whose detail gets coarser where all channels are clipped."""
    has_clipped_all = np.all(encoded >= camera.CLIPPED_CODE, axis=-1)
    if not has_clipped_all.any():
        return stages
    result: Any = np.empty_like(stages)
    for i, stage in enumerate(stages):
        stops = np.log2(np.maximum(stage, 0) + gain.DARK)
        smooth = gain.coarser_with_distance(stops, has_clipped_all)
        hdr = np.exp2(smooth) - gain.DARK
        result[i] = np.where(has_clipped_all[..., None], hdr, stage)
    return result
