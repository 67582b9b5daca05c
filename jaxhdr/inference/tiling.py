"""How an image is cut into tiles whose results are those of the whole image.

Lengths and positions are in pixels. All tiles of an image have one shape and overlap by
a halo. A tile at the border of the image ends exactly there, because networks pad.
"""

import itertools
import math
from typing import Final, NamedTuple

from jaxhdr.errors import UserError

# Sides of tiles are multiples of this, so that images of many sizes share compiled
# shapes.
_ROUNDING: Final = 64


class Span(NamedTuple):
    """One tile along one axis: what the network sees, and what is kept of it."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


def tile_layout(length: int, tile: int, halo: int) -> list[Span]:
    """Returns tiles of equal size whose kept parts cover an axis of the image.

    Kept pixels are at least `halo` away from a side of the tile, unless that side is
    the border of the image.

    Args:
      length: length of the axis.
      tile: largest size of a tile.
      halo: number of pixels to each side of an output pixel that can change it.

    Raises:
      UserError: nothing of a tile would be kept.
    """
    if length <= tile:
        return [Span(0, length, 0, length)]
    if tile <= 2 * halo:
        raise UserError(
            f"tile is {tile}; expected more than {2 * halo} pixels, twice what this "
            "model sees to each side"
        )
    count = math.ceil((length - 2 * halo) / (tile - 2 * halo))
    smallest = math.ceil((length - 2 * halo) / count) + 2 * halo
    size = min(tile, math.ceil(smallest / _ROUNDING) * _ROUNDING)
    step = size - 2 * halo
    count = math.ceil((length - 2 * halo) / step)
    starts = [min(i * step, length - size) for i in range(count)]
    cuts = [0, *(start + size - halo for start in starts[:-1]), length]
    return [
        Span(start, start + size, keep_start, keep_stop)
        for start, (keep_start, keep_stop) in zip(
            starts, itertools.pairwise(cuts), strict=True
        )
    ]
