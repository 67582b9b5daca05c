"""Reads prepared TFDS data sets as records and training batches, in NumPy.

A record holds `hdr`, float32 (h, w, 3), linear BT.709 radiance in the scale of the
file; `clipping_levels`, float32 (k,), in the same scale; `name`; and `scene`. In paired
sets it also holds `ldr`, uint8 (h, w, 3), and `hdr` is in scale `ldr_white`. Only
training, evaluation and `jaxhdr data` import this package. It needs the `train` extra,
but not TensorFlow.
"""

from jaxhdr.data.batches import train_batches, validation_images
from jaxhdr.data.drawn_views import create_ranges, panoramas_of, view_batches
from jaxhdr.data.prepared import data_source, data_sources, names_of
from jaxhdr.data.summaries import SplitSummary, Summary, summarise

__all__ = [
    "SplitSummary",
    "Summary",
    "create_ranges",
    "data_source",
    "data_sources",
    "names_of",
    "panoramas_of",
    "summarise",
    "train_batches",
    "validation_images",
    "view_batches",
]
