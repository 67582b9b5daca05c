"""The record that every data set shares.

`hdr` is linear BT.709 radiance, float32, >= 0, (height, width, 3). `scale` names its
unit: "relative" means one unknown factor per source file, "ldr_white" that 1.0 is the
radiance which just clips the record's own photograph, `ldr`, uint8 sRGB, of the same
pixels. `clipping_levels` are the radiances of max(R, G, B) that
`jaxhdr.camera.CLIPPED_FRACTIONS` of the whole image's pixels exceed, so that an
exposure "this share of the image clips" can be chosen when only a patch of it is at
hand. `scene` names what must stay on one side of a split.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Float, UInt8

from jaxhdr.imaging import camera


def features(*, paired: bool = False) -> tfds.features.FeaturesDict:
    """Returns the features of a record, with a photograph if `paired`.

    Radiance is stored as raw bytes, which array_record compresses by itself: zlib made
    101 views no smaller (66.6 against 66.8 MiB) and reading 3.7 times as slow; float16
    would overflow at 65,504.
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
    """Returns whether nothing but single pixels is lit: the 99.9th percentile is 0."""
    return float(np.quantile(hdr.max(axis=-1), 0.999)) <= 0.0
