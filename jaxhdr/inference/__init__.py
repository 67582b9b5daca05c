"""Reconstruction of whole photographs of any size, in bounded memory."""

from jaxhdr.inference.compile_cache import keep_compiled_programs
from jaxhdr.inference.reconstructor import (
    TILES,
    Details,
    ImageLike,
    Reconstructor,
    reconstruct,
    to_encoded,
)

__all__ = [
    "TILES",
    "Details",
    "ImageLike",
    "Reconstructor",
    "keep_compiled_programs",
    "reconstruct",
    "to_encoded",
]
