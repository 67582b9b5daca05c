"""Small pictures of an evaluated image, as text that a web page can hold.

`encoded` is display-encoded in [0, 1]. Radiance is linear BT.709 in scale `ldr_white`.
"""

import base64
import io
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from jaxtyping import Float
from PIL import Image

from jaxhdr.pictures import previews
from jaxhdr.viewer.view import Radiance, packed_view

_LONGEST_SIDE: Final = 144
_QUALITY: Final = 75
# Where nothing is seen a map is the grey photograph, where all is seen it is red.
_HALF_SEEN, _SEEN = np.array([1.0, 0.85, 0.1]), np.array([0.9, 0.05, 0.05])

Picture = Float[np.ndarray, "h w 3"]


def pictures(
    encoded: Picture,
    truth: Picture,
    estimates: Mapping[str, Picture],
    maps: Mapping[str, Mapping[str, Float[np.ndarray, "h w"]]],
    *,
    viewer_side: int = 0,
) -> dict[str, Any]:
    """Returns pictures as data URIs: photograph, truth, and those of each method.

    With a `viewer_side` they also have what the viewer of the page shows.

    Args:
      encoded: the photograph.
      truth: the radiance that it was taken of.
      estimates: the estimated radiance, by method.
      maps: where metrics see a difference, in [0, 1], by method and metric.
      viewer_side: longest side of the images in the viewer; 0 for no viewer.
    """
    small = previews.shrink(encoded, _LONGEST_SIDE)
    seen = (
        {"view": _view(encoded, truth, estimates, viewer_side)} if viewer_side else {}
    )
    return seen | {
        "photograph": _data_uri(small),
        "truth": _exposures(truth),
        "methods": {
            method: {
                "exposures": _exposures(estimate),
                "maps": {
                    name: _data_uri(_coloured(seen, small))
                    for name, seen in maps[method].items()
                },
            }
            for method, estimate in estimates.items()
        },
    }


def _view(
    encoded: Picture, truth: Picture, estimates: Mapping[str, Picture], side: int
) -> dict[str, Any]:
    """Returns the photograph, the estimates and the truth as the viewer takes them."""
    shown = [
        Radiance(name, np.asarray(estimate), is_estimate=True)
        for name, estimate in estimates.items()
    ]
    shown.append(Radiance("truth", truth))
    view = packed_view(encoded, shown, title="", longest_side=side)
    return {"facts": view.facts, "bands": view.bands}


def _exposures(hdr: Picture) -> str:
    small = previews.shrink(hdr, _LONGEST_SIDE)
    return _data_uri(previews.exposure_strip(small, previews.SHEET_STOPS))


def _coloured(
    seen: Float[np.ndarray, "h w"], encoded: Float[np.ndarray, "_h _w 3"]
) -> Float[np.ndarray, "_h _w 3"]:
    """Returns the photograph in grey, coloured where a difference is seen."""
    three = np.repeat(np.nan_to_num(seen)[..., None], 3, axis=2)
    share = previews.shrink(three, _LONGEST_SIDE)
    grey = 0.25 + 0.5 * encoded.mean(axis=2, keepdims=True)
    upper = np.clip(2 * share - 1, 0, 1)
    colour = _HALF_SEEN + upper * (_SEEN - _HALF_SEEN)
    strength = np.clip(2 * share, 0, 1)
    return np.asarray(grey + strength * (colour - grey), np.float32)


def _data_uri(picture: Float[np.ndarray, "_ _ 3"]) -> str:
    codes = np.round(255 * np.clip(np.nan_to_num(picture), 0, 1)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(codes).save(file, "WEBP", quality=_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
