"""Makes training batches and validation images of records, with Grain."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import grain
import numpy as np
from jaxtyping import Float

from jaxhdr.data.prepared import Record
from jaxhdr.errors import UserError, check_count, check_number

_IMAGES = ("hdr", "ldr")

ALL_RECORDS: Final = grain.sharding.ShardOptions(shard_index=0, shard_count=1)
"""The share of the records of a single host: all of them."""

_BRIGHT_QUANTILE = 0.95  # bright patches hold one of the brightest 5 % of pixels


def train_batches(
    *sources: Sequence[Record],
    batch_size: int,
    patch_size: int,
    seed: int,
    weights: Sequence[float | int] = (),
    bright_share: float = 0.5,
    num_threads: int = 4,
    shard: grain.sharding.ShardOptions = ALL_RECORDS,
) -> grain.DatasetIterator:
    """Returns an endless iterator of batches of patches in random order.

    A batch is {"hdr": (b, p, p, 3), "clipping_levels": (b, k)}, with "ldr" (b, p, p,
    3), uint8, if the records are pairs. Clipping levels are those of the whole images.
    If pairs and single images are mixed, "has_ldr" (b,) says which patches have a
    photograph; the "ldr" of the others is black. Patches are not flipped: the training
    step does that. Batches depend only on `seed` and on their index. The iterator's
    `get_state` and `set_state` continue a sequence.

    Args:
      *sources: records, for example from `data_source`; several sources are mixed.
      batch_size: number of patches in a batch.
      patch_size: side of a patch in pixels.
      seed: seed of the shuffle and the crops.
      weights: relative frequency of each source; () weights them by their number of
        records.
      bright_share: share of patches that contain, by choice of the crop, one of the
        brightest 5 % of the image's pixels, so that clipped regions are not rare.
      num_threads: number of reading threads; with 0 the caller's thread reads.
      shard: which part of the records this host reads, and the number of hosts.

    Raises:
      UserError: a record is smaller than the patch, a source has too few records, the
        batch size or the patch size is below 1, `bright_share` is no share, or the
        weights do not fit the sources.
    """
    for source in sources:
        _check_batches(source, batch_size, shard.shard_count)
    check_count("patch_size", patch_size)
    check_number("bright_share", bright_share, least=0, most=1)
    paired = ["ldr" in source[0] for source in sources]
    crop = _RandomPatch(
        patch_size=patch_size,
        bright_share=bright_share,
        is_mixed=any(paired) and not all(paired),
    )
    patches = [
        grain.MapDataset.source(source)[shard.shard_index :: shard.shard_count]
        # With one seed, two sources of the same length would have the same order.
        .seed(seed + number)
        .shuffle()
        .repeat(None)
        .random_map(crop)
        for number, source in enumerate(sources)
    ]
    patches = _mixed(patches, weights or [len(source) for source in sources])
    options = grain.ReadOptions(
        num_threads=num_threads, prefetch_buffer_size=2 * batch_size
    )
    return iter(patches.to_iter_dataset(options).batch(batch_size))


def validation_images(
    source: Sequence[Record], *, limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """Yields whole records in fixed order.

    Records are ordered by scene, so even a few of them cover most scenes.

    Args:
      source: records in the order of their scenes.
      limit: largest number of records, spread evenly over the source; None for all.

    Raises:
      UserError: `limit` is below 1.
    """
    if limit is not None:
        check_count("limit", limit)
    count = len(source) if limit is None else min(limit, len(source))
    for index in np.arange(count) * len(source) // max(count, 1):
        record = dict(source[int(index)])
        yield {key: _decoded(value) for key, value in record.items()}


class _RandomPatch:
    """Cuts one patch from a record, at the same place in each of its images."""

    def __init__(self, *, patch_size: int, bright_share: float, is_mixed: bool):
        self.patch_size = patch_size
        self.bright_share = bright_share
        self.is_mixed = is_mixed

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, Any]:
        hdr = record["hdr"]
        size = self.patch_size
        _check_size(record, size)
        if rng.random() < self.bright_share:
            row, column = _bright_corner(hdr, size, rng)
        else:
            row, column = (
                int(rng.integers(0, side - size + 1)) for side in hdr.shape[:2]
            )
        patch: dict[str, Any] = {
            key: np.ascontiguousarray(
                record[key][row : row + size, column : column + size]
            )
            for key in _IMAGES
            if key in record
        }
        if "clipping_levels" in record:
            patch["clipping_levels"] = record["clipping_levels"]
        if self.is_mixed:
            patch["has_ldr"] = np.bool_("ldr" in record)
            patch.setdefault("ldr", np.zeros(patch["hdr"].shape, np.uint8))
        return patch


def _bright_corner(
    hdr: Float[np.ndarray, "h w 3"], size: int, rng: np.random.Generator
) -> tuple[int, int]:
    """Returns the corner of a patch that contains one of the brightest pixels.

    Only every fourth row and column of large images is searched: it is cheap, and
    enough for the brightest 5 %.
    """
    stride = 4 if min(hdr.shape[:2]) >= 64 else 1
    brightness = hdr[::stride, ::stride].max(axis=-1)
    threshold = np.quantile(brightness, _BRIGHT_QUANTILE)
    candidates = np.argwhere(brightness >= threshold)
    pixel = candidates[rng.integers(len(candidates))] * stride
    corner = pixel - rng.integers(0, size, 2)
    row, column = np.clip(corner, 0, np.array(hdr.shape[:2]) - size)
    return int(row), int(column)


def _mixed(
    patches: Sequence[grain.MapDataset], weights: Sequence[float | int]
) -> grain.MapDataset:
    if len(patches) == 1 and len(weights) <= 1:
        return patches[0]
    are_positive = all(0 < weight < math.inf for weight in weights)
    if len(weights) != len(patches) or not are_positive:
        raise UserError(
            f"the weights {tuple(weights)} do not fit the mixture; expected "
            f"{len(patches)} positive numbers, one for each data set"
        )
    return grain.MapDataset.mix(patches, weights)


def _check_batches(source: Sequence[Record], batch_size: int, num_shards: int) -> None:
    check_count("batch_size", batch_size)
    if len(source) < num_shards:
        raise UserError(
            f"{len(source)} records cannot be shared by {num_shards} hosts; "
            "prepare more data or use fewer hosts"
        )


def _check_size(record: Record, size: int) -> None:
    height, width = record["hdr"].shape[:2]
    if min(height, width) < size:
        name = _decoded(record.get("name", "a record"))
        raise UserError(
            f"{name} has {height} x {width} pixels, "
            f"fewer than the patch size {size}; choose a smaller patch size"
        )


def _decoded(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
