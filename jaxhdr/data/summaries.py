"""Summarises a prepared data set: counts, sizes, dynamic range, clipping."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxhdr.data import batches, prepared

# The dynamic range leaves out the darkest and the brightest 0.1 % of the pixels,
# because single dead or reflecting pixels must not set it.
_OUTER_SHARE = 0.001
_CLIPPED_CODE = 254


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitSummary:
    """Summary of one split; its statistics are over the images that were examined.

    Attributes:
      split: name of the split.
      records: number of records.
      bytes: size of the records in bytes, uncompressed.
      looked_at: number of images that were examined.
      scenes: number of different scenes among them.
      heights: smallest and largest height in pixels.
      widths: smallest and largest width in pixels.
      range_stops: quartiles of an image's dynamic range, in stops, between the 0.1 %
        and 99.9 % quantiles of its pixels above zero.
      peak_stops: quartiles of an image's peak over its median, in stops.
      clipped: mean share of pixels with a clipped channel in the photograph; None for
        single images.
      above_white: mean share of pixels with radiance above the photograph's white; None
        for single images.
    """

    split: str
    records: int
    bytes: int
    looked_at: int
    scenes: int
    heights: tuple[int, int]
    widths: tuple[int, int]
    range_stops: tuple[float, float, float]
    peak_stops: tuple[float, float, float]
    clipped: float | None
    above_white: float | None


@dataclasses.dataclass(frozen=True)
class Summary:
    """Summary of a data set.

    Attributes:
      splits: summaries of its splits, in the order of the data set.
      problems: reason why the build left out a source file, by file.
      folder: folder of the data set.
    """

    splits: Sequence[SplitSummary]
    problems: Mapping[str, str]
    folder: str


def summarise(
    name: str, *, data_dir: str | None = None, num_images: int | None = None
) -> Summary:
    """Returns the summary of a prepared data set.

    Args:
      name: "data_set" or "data_set/configuration".
      data_dir: folder of prepared data; default: that of TFDS.
      num_images: number of images to examine per split, evenly spread; default: all.

    Raises:
      UserError: the data set is not prepared, or `num_images` is below 1.
    """
    builder = prepared.open_prepared(name, data_dir)
    facts = builder.info.metadata or {}
    return Summary(
        [
            _split(split, info, builder.as_data_source(split=split), num_images)
            for split, info in builder.info.splits.items()
        ],
        dict(facts.get("problems", {})),
        str(builder.data_dir),
    )


def _split(
    name: str, info: Any, source: Sequence[prepared.Record], num_images: int | None
) -> SplitSummary:
    rows, scenes = [], set()
    for record in batches.validation_images(source, limit=num_images):
        scenes.add(record["scene"])
        rows.append(_image(record))
    table = np.array(rows, np.float64)
    height, width, spans, peaks, clipped, above = table.T
    is_paired = not np.isnan(clipped).any()
    return SplitSummary(
        split=name,
        records=info.num_examples,
        bytes=info.num_bytes,
        looked_at=len(rows),
        scenes=len(scenes),
        heights=(int(height.min()), int(height.max())),
        widths=(int(width.min()), int(width.max())),
        range_stops=_quartiles(spans),
        peak_stops=_quartiles(peaks),
        clipped=float(clipped.mean()) if is_paired else None,
        above_white=float(above.mean()) if is_paired else None,
    )


def _image(record: Mapping[str, Any]) -> tuple[float, ...]:
    brightest = record["hdr"].max(axis=-1)
    lit = brightest[brightest > 0]
    if lit.size:
        low, middle, high = np.quantile(lit, [_OUTER_SHARE, 0.5, 1 - _OUTER_SHARE])
        span, peak = np.log2(high / low), np.log2(brightest.max() / middle)
    else:
        span = peak = 0.0
    clipped = above = np.nan
    if "ldr" in record:
        clipped = (record["ldr"].max(axis=-1) >= _CLIPPED_CODE).mean()
        above = (brightest > 1).mean()
    return tuple(map(float, (*brightest.shape, span, peak, clipped, above)))


def _quartiles(values: Float[np.ndarray, " n"]) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)
