"""Reads photographs, and reads and writes linear HDR files, as NumPy arrays.

Importing this package also registers it in `imageio.v3` for .exr, .hdr and .pfm files
(`jaxhdr.image_io.plugin`).
"""

from jaxhdr.image_io.formats import (
    MAX_PIXELS,
    PHOTO_SUFFIXES,
    is_hdr_suffix,
)
from jaxhdr.image_io.photos import AlreadyHdrError, read_encoded, write_png
from jaxhdr.image_io.plugin import register_plugin
from jaxhdr.image_io.radiance_files import (
    check_hdr_suffix,
    read_hdr,
    read_metadata,
    write_hdr,
)
from jaxhdr.options import HDR_SUFFIXES

__all__ = [
    "HDR_SUFFIXES",
    "MAX_PIXELS",
    "PHOTO_SUFFIXES",
    "AlreadyHdrError",
    "check_hdr_suffix",
    "is_hdr_suffix",
    "read_encoded",
    "read_hdr",
    "read_metadata",
    "register_plugin",
    "write_hdr",
    "write_png",
]

register_plugin()
