"""A finished reconstruction: the HDR image, what files say about it, and its files."""

import dataclasses
import os
import pathlib
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxhdr import image_io
from jaxhdr._version import __version__
from jaxhdr.image_io import CameraExif, Photograph
from jaxhdr.inference.measured import combine
from jaxhdr.inference.reconstructor import Details, Reconstructor
from jaxhdr.options import EXR_LAYOUTS, GAIN_MAP_CHANNELS, ULTRA_HDR_SUFFIXES

_ORIGINS: Final = {"raw": "camera raw", "camera": "camera", "render": "render"}


class Result(NamedTuple):
    """What is written: the HDR image, and what its header says."""

    hdr: Float[np.ndarray, "h w 3"]
    """Linear BT.709 radiance in scale `ldr_white`."""
    notes: dict[str, str]
    exif: CameraExif


@dataclasses.dataclass(frozen=True)
class FileOptions:
    """What the file of a result holds; see `image_io.write_hdr`.

    Attributes:
      half: whether EXR and linear JPEG XL have floats of 16 bits.
      transfer: transfer function of AVIF, PNG and JPEG XL; None for the default.
      white_nits: cd/m^2 of radiance 1.0 in PQ and HLG; None for 203.
      primaries: primaries of EXR and TIFF; None for BT.709.
      exr_layout: one of `options.EXR_LAYOUTS`.
      gain_map_channels: channels of the gain map of an Ultra HDR photograph.
      gain_map_divisor: by what the sides of the photograph are divided for those of
        that gain map; None for the default.
    """

    half: bool = True
    transfer: str | None = None
    white_nits: float | None = None
    primaries: str | None = None
    exr_layout: str = EXR_LAYOUTS[0]
    gain_map_channels: int = GAIN_MAP_CHANNELS[0]
    gain_map_divisor: int | None = None


def with_measured(
    photograph: Photograph, estimate: Float[np.ndarray, "h w 3"]
) -> Float[np.ndarray, "h w 3"]:
    """Returns the estimate of a photograph, joined with what its gain map gives."""
    if photograph.measured is None:
        return estimate
    return combine(photograph.measured, estimate)


def notes_of(
    reconstructor: Reconstructor, photograph: Photograph, details: Details
) -> dict[str, str]:
    """Returns what the header of a file says about a reconstruction.

    Args:
      reconstructor: what computed it.
      photograph: the photograph.
      details: what `Reconstructor.details` returned for it.
    """
    origin = photograph.origin
    notes = {
        "scale": reconstructor.scale,
        "model": reconstructor.label,
        "precision": reconstructor.precision,
        "response": reconstructor.response_of(origin),
    }
    if reconstructor.size is not None:
        notes["size"] = str(reconstructor.size)
    if reconstructor.alignment:
        notes["alignment"] = reconstructor.alignment
    if origin is not None:
        notes["photograph"] = _ORIGINS[origin]
    if (prior := reconstructor.prior_of(origin)) is not None:
        notes["srgb_prior"] = f"{prior:.2f}"
        notes["srgb_probability"] = f"{details.probability_of_srgb:.2f}"
    if photograph.gain_map:
        notes["gain_map"] = photograph.gain_map
    return notes


def write_result(
    path: pathlib.Path,
    result: Result,
    photograph: str | os.PathLike,
    *,
    name: str,
    options: FileOptions,
) -> None:
    """Writes a result atomically, in the format of the suffix.

    Args:
      path: the file to write: Ultra HDR if it ends in .jpg or .jpeg, else one that
        `image_io.write_hdr` writes.
      result: the reconstruction.
      photograph: the file that it was made from.
      name: name of that file, for the header.
      options: what the file holds.

    Raises:
      UserError: the format cannot keep the options, its library is missing, or the file
        cannot be written.
    """
    software = f"jaxhdr {__version__}"
    metadata = {**result.notes, "software": software, "source": name}
    if path.suffix.lower() in ULTRA_HDR_SUFFIXES:
        image_io.write_ultra_hdr(
            path,
            result.hdr,
            photograph,
            channels=options.gain_map_channels,
            divisor=options.gain_map_divisor,
            metadata=metadata,
        )
        return
    kept = {
        "half": options.half,
        "metadata": metadata,
        "primaries": options.primaries,
        "exif": result.exif,
    }
    if options.exr_layout == EXR_LAYOUTS[0]:
        kept |= {"transfer": options.transfer, "white_nits": options.white_nits}
        image_io.write_hdr(path, result.hdr, **kept)
    else:
        is_mipmap = options.exr_layout == "mipmap"
        image_io.write_tiled_exr(path, result.hdr, mipmap=is_mipmap, **kept)
