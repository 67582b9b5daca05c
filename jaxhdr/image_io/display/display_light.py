"""Turns radiance into codes of PQ or HLG in BT.2020 primaries, and measures its light.

Radiance 1.0 is shown as white of so many cd/m^2. PQ holds up to 10,000 cd/m^2, and HLG
what a display of 1000 cd/m^2 shows; brighter pixels are clipped, and a warning is
logged.
"""

import concurrent.futures
import logging
import os
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, UInt16

from jaxhdr.image_io.colour import primaries, transfer

_LOGGER: Final = logging.getLogger(__name__)
# These bound the float64 temporaries of a large photograph, 200 bytes for each pixel.
_PIXELS_AT_ONCE: Final = 2**18
_MAX_THREADS: Final = 8
_ROUNDING: Final = 1 + 1e-6  # float32 at the peak itself is not brighter


class ContentLight(NamedTuple):
    """Light of an image in cd/m^2, as CTA-861.3-A, annex P, defines it.

    Attributes:
      max_cll: largest channel of all pixels.
      max_fall: mean over the pixels of the largest channel of each.
    """

    max_cll: float
    max_fall: float


class Encoded(NamedTuple):
    """Codes of full range in BT.2020 primaries.

    Attributes:
      codes: integers from 0 to the largest number of `bits`.
      bits: bits of a code.
      transfer_name: "pq" or "hlg".
      content: the light that the codes stand for.
    """

    codes: UInt16[np.ndarray, "h w 3"]
    bits: int
    transfer_name: str
    content: ContentLight

    @property
    def transfer_number(self) -> int:
        """The number of the transfer function in ITU-T H.273, table 3."""
        return {"pq": 16, "hlg": 18}[self.transfer_name]


def encode(
    path: str | os.PathLike,
    hdr: Float[np.ndarray, "h w 3"],
    *,
    transfer_name: str,
    white_nits: float,
    bits: int,
) -> Encoded:
    """Returns the codes of radiance in BT.709 primaries.

    Args:
      path: the file, named in warnings.
      hdr: radiance, at least 0.
      transfer_name: "pq" or "hlg".
      white_nits: light of radiance 1.0 in cd/m^2.
      bits: bits of a code, at most 16.
    """
    largest = 2**bits - 1
    num_rows = max(1, _PIXELS_AT_ONCE // hdr.shape[1])
    to_light = primaries.matrix_from_bt709(primaries.BT2020).T * white_nits
    codes = np.empty(hdr.shape, np.uint16)

    def encode_rows(start: int) -> tuple[float, float, int]:
        rows = slice(start, start + num_rows)
        light = np.maximum(hdr[rows].astype(np.float64) @ to_light, 0)
        if transfer_name == "pq":
            relative = light / transfer.PQ_PEAK
            values = transfer.pq_encode(light)
        else:
            relative = transfer.hlg_scene(light)
            values = transfer.hlg_encode(relative)
        codes[rows] = np.rint(values * largest)
        brightest = np.minimum(light.max(axis=2), transfer.PQ_PEAK)
        is_brighter = (relative > _ROUNDING).any(axis=2)
        count = int(np.count_nonzero(is_brighter))
        return float(brightest.max()), float(brightest.sum()), count

    num_threads = min(os.cpu_count() or 1, _MAX_THREADS)
    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        parts = list(pool.map(encode_rows, range(0, len(hdr), num_rows)))
    peaks, sums, brighter = zip(*parts, strict=True)
    num_pixels = hdr.shape[0] * hdr.shape[1]
    if sum(brighter):
        _say_clipped(path, transfer_name, sum(brighter), num_pixels)
    content = ContentLight(max(peaks), sum(sums) / num_pixels)
    return Encoded(codes, bits, transfer_name, content)


def _say_clipped(
    path: str | os.PathLike, transfer_name: str, brighter: int, num_pixels: int
) -> None:
    peak = transfer.PQ_PEAK if transfer_name == "pq" else transfer.HLG_PEAK
    _LOGGER.warning(
        "%s: %d of %d pixels are brighter than %s cd/m^2, which %s does not hold; "
        "they are clipped",
        path,
        brighter,
        num_pixels,
        f"{peak:,.0f}",
        transfer_name.upper(),
    )
