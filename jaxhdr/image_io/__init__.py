"""Reads photographs, and reads and writes linear HDR files, as NumPy arrays.

Importing this package also registers it in `imageio.v3` for .exr, .hdr and .pfm files
(`jaxhdr.image_io.plugin`).
"""

from PIL.Image import Image as PillowImage

from jaxhdr.image_io.folders import IMAGE_SUFFIXES, is_left_out, list_folder
from jaxhdr.image_io.formats import (
    MAX_PIXELS,
    PHOTO_SUFFIXES,
    is_hdr_suffix,
    pixel_limit,
)
from jaxhdr.image_io.metadata.camera_exif import CameraExif, read_exif
from jaxhdr.image_io.photos.measured_photos import Measured, Photograph, read_photograph
from jaxhdr.image_io.photos.origin import Origin, origin_of
from jaxhdr.image_io.photos.photos import (
    AlreadyHdrError,
    encoded_of_pil,
    read_encoded,
    write_png,
)
from jaxhdr.image_io.plugin import register_plugin
from jaxhdr.image_io.radiance_files import (
    layer_names,
    read_hdr,
    read_metadata,
    write_hdr,
    write_tiled_exr,
)
from jaxhdr.image_io.ultra_hdr.ultra_hdr_files import check_in_place, write_ultra_hdr
from jaxhdr.image_io.write_options import check_hdr_suffix, check_writing
from jaxhdr.options import HDR_SUFFIXES

__all__ = [
    "HDR_SUFFIXES",
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "PHOTO_SUFFIXES",
    "AlreadyHdrError",
    "CameraExif",
    "Measured",
    "Origin",
    "Photograph",
    "PillowImage",
    "check_hdr_suffix",
    "check_in_place",
    "check_writing",
    "encoded_of_pil",
    "is_hdr_suffix",
    "is_left_out",
    "layer_names",
    "list_folder",
    "origin_of",
    "pixel_limit",
    "read_encoded",
    "read_exif",
    "read_hdr",
    "read_metadata",
    "read_photograph",
    "register_plugin",
    "write_hdr",
    "write_png",
    "write_tiled_exr",
    "write_ultra_hdr",
]

register_plugin()
