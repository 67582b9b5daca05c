"""The record format of all data sets.

* `hdr`: linear BT.709 radiance, float32, >= 0, of shape (height, width, 3).
* `scale`: unit of `hdr`. "relative" means one unknown factor per source file.
  "ldr_white" means that radiance 1.0 just clips the record's own photograph.
* `ldr`: the photograph of the same pixels, uint8 sRGB codes; only in scale "ldr_white".
* `clipping_levels`: the levels of max(R, G, B) that the shares
  `jaxhdr.imaging.camera.CLIPPED_FRACTIONS` of the whole image's pixels exceed. With
  them, the exposure of a patch can be chosen so that a given share of the whole image
  clips.
* `name`: name of the record, unique in the data set.
* `scene`: name of the scene; all records of a scene are in the same split.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Float, UInt8

from jaxhdr.imaging import camera


def features(*, paired: bool = False) -> tfds.features.FeaturesDict:
    """Returns the features of a record, with a photograph if `paired`.

    Radiance is stored as raw bytes, because array_record compresses them. With zlib,
    101 views took about the same space (66.6 instead of 66.8 MiB), and reading took 3.7
    times as long. float16 would overflow at 65,504.
    """
    images = {"hdr": np.float32} | ({"ldr": np.uint8} if paired else {})
    return tfds.features.FeaturesDict(
        {
            name: tfds.features.Tensor(
                shape=(None, None, 3),
                dtype=dtype,
                encoding=tfds.features.Encoding.BYTES,
            )
            for name, dtype in images.items()
        }
        | {
            "clipping_levels": tfds.features.Tensor(
                shape=(len(camera.CLIPPED_FRACTIONS),), dtype=np.float32
            ),
            "name": tfds.features.Text(),
            "scene": tfds.features.Text(),
            "scale": tfds.features.Text(),
        }
    )


def record(
    hdr: Float[np.ndarray, "h w 3"],
    *,
    name: str,
    scene: str,
    ldr: UInt8[np.ndarray, "h w 3"] | None = None,
) -> Mapping[str, object]:
    """Returns the record of one image, or of a pair in scale `ldr_white`."""
    return ({} if ldr is None else {"ldr": ldr}) | {
        "hdr": hdr,
        "clipping_levels": np.asarray(camera.clipping_levels(hdr), np.float32),
        "name": name,
        "scene": scene,
        "scale": "relative" if ldr is None else "ldr_white",
    }


def is_dark(hdr: Float[np.ndarray, "h w 3"]) -> bool:
    """Returns whether at most single pixels are lit: the 99.9th percentile is 0."""
    return float(np.quantile(hdr.max(axis=-1), 0.999)) <= 0.0
