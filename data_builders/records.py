"""The record that every data set of single HDR images shares.

`hdr` is linear BT.709 radiance, float32, >= 0, (height, width, 3). `scale` names its
unit: "relative" means one unknown factor per source file. `clipping_levels` are the
radiances of max(R, G, B) that `jaxhdr.camera.CLIPPED_FRACTIONS` of the whole image's
pixels exceed, so that an exposure "this share of the image clips" can be chosen when
only a patch of it is at hand. `scene` names what must stay on one side of a split.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Float

from jaxhdr import camera


def features() -> tfds.features.FeaturesDict:
    """Returns the features of a record.

    Radiance is stored as raw bytes, which array_record compresses by itself: zlib made
    101 views no smaller (66.6 against 66.8 MiB) and reading 3.7 times as slow; float16
    would overflow at 65,504.
    """
    return tfds.features.FeaturesDict(
        {
            "hdr": tfds.features.Tensor(
                shape=(None, None, 3),
                dtype=np.float32,
                encoding=tfds.features.Encoding.BYTES,
            ),
            "clipping_levels": tfds.features.Tensor(
                shape=(len(camera.CLIPPED_FRACTIONS),), dtype=np.float32
            ),
            "name": tfds.features.Text(),
            "scene": tfds.features.Text(),
            "scale": tfds.features.Text(),
        }
    )


def record(
    hdr: Float[np.ndarray, "h w 3"], *, name: str, scene: str, scale: str = "relative"
) -> Mapping[str, object]:
    """Returns the record of one image."""
    return {
        "hdr": hdr,
        "clipping_levels": np.asarray(camera.clipping_levels(hdr), np.float32),
        "name": name,
        "scene": scene,
        "scale": scale,
    }


def is_dark(hdr: Float[np.ndarray, "h w 3"]) -> bool:
    """Returns whether nothing but single pixels is lit: the 99.9th percentile is 0."""
    return float(np.quantile(hdr.max(axis=-1), 0.999)) <= 0.0
