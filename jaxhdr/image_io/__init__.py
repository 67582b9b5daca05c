"""Reads photographs, and reads and writes linear HDR files, as NumPy arrays.

Importing this package also registers it in `imageio.v3` for .exr, .hdr and .pfm files
(`jaxhdr.image_io.plugin`).
"""

from jaxhdr.image_io.camera_exif import CameraExif, read_exif
from jaxhdr.image_io.formats import (
    MAX_PIXELS,
    PHOTO_SUFFIXES,
    is_hdr_suffix,
)
from jaxhdr.image_io.photos import read_encoded, write_png
from jaxhdr.image_io.plugin import register_plugin
from jaxhdr.image_io.radiance_files import (
    layer_names,
    read_hdr,
    read_metadata,
    write_hdr,
    write_tiled_exr,
)
from jaxhdr.image_io.raw_files import known_response
from jaxhdr.image_io.write_options import check_hdr_suffix, check_writing
from jaxhdr.options import HDR_SUFFIXES

__all__ = [
    "HDR_SUFFIXES",
    "MAX_PIXELS",
    "PHOTO_SUFFIXES",
    "CameraExif",
    "check_hdr_suffix",
    "check_writing",
    "is_hdr_suffix",
    "known_response",
    "layer_names",
    "read_encoded",
    "read_exif",
    "read_hdr",
    "read_metadata",
    "register_plugin",
    "write_hdr",
    "write_png",
    "write_tiled_exr",
]

register_plugin()
