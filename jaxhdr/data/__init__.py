"""Prepared TFDS data sets -> records and training batches, as NumPy.

A record holds `hdr`, float32 (h, w, 3), linear BT.709 radiance in the file's own
scale, `clipping_levels`, float32 (k,), in the same scale, `name`, `scene` and, for
paired sets, `ldr`, uint8 (h, w, 3), with `hdr` in scale `ldr_white`. Only training,
evaluation and `jaxhdr data` import this package; it needs the `train` extra, but no
TensorFlow.
"""

from jaxhdr.data.batches import train_batches, validation_images
from jaxhdr.data.prepared import (
    data_source,
    data_sources,
    names_of,
)
from jaxhdr.data.summaries import SplitSummary, Summary, summarise

__all__ = [
    "SplitSummary",
    "Summary",
    "data_source",
    "data_sources",
    "names_of",
    "summarise",
    "train_batches",
    "validation_images",
]
