"""Images to score methods on: photographs and the radiance that they were taken of.

A set of images comes from a prepared data set, photographed by the camera of a
configuration, or from two folders. Images are read one by one, so memory does not grow
with their number.
"""

import dataclasses
import functools
import os
import pathlib
import re
import sys
import zlib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from jaxhdr import data, image_io
from jaxhdr.errors import UserError, check_count
from jaxhdr.imaging import camera, scales

__all__ = [
    "Example",
    "ImageSet",
    "file_stem",
    "from_config",
    "from_folders",
    "versions",
    "write_photographs",
]


class Example(NamedTuple):
    """A photograph, display-encoded in [0, 1], and its radiance.

    The radiance is linear BT.709 in scale `ldr_white`.
    """

    name: str
    scene: str
    encoded: Float[Array | np.ndarray, "h w 3"]
    hdr: Float[Array | np.ndarray, "h w 3"]


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Images that are read when they are asked for.

    Attributes:
      length: number of images.
      protocol: where the images come from, as a report says it.
      read: `read(skip)` yields the images whose names are not in `skip`, always in the
        same order.
    """

    length: int
    protocol: Mapping[str, Any]
    read: Callable[[Container[str]], Iterator[Example]]


# Kept here, so that a training run which evaluates often compiles it once.
_simulate = jax.jit(camera.simulate, static_argnames="camera")


def from_config(
    config: Mapping[str, Any],
    *,
    num_images: int | None = None,
    data_dir: str | None = None,
) -> ImageSet:
    """Returns the validation images of a configuration with their photographs.

    An image without a photograph is photographed by the configuration's camera. The
    photograph depends on the image, its name, the camera and `eval.seed` only. So it is
    the same for every model, whichever other images are evaluated.

    Args:
      config: the sections `data`, `camera`, `eval` and `camera_curves` of
        `configs/default.py`.
      num_images: number of images, spread over the split; default all.
      data_dir: folder of the prepared data; default that of the configuration.

    Raises:
      UserError: the data are not prepared, the split has no images, or `num_images` is
        below 1.
    """
    _check_limit(num_images)
    section = config["data"]
    name = section.get("validation_name") or section["name"]
    directory = data_dir or section.get("data_dir") or None
    source = data.data_source(name, section["validation_split"], data_dir=directory)
    length = min(num_images or sys.maxsize, len(source))
    if not length:
        raise UserError(
            f"{name} has no images in split {section['validation_split']!r}"
        )
    fields = {**config["camera"], **config["eval"].get("camera", {})}
    protocol = {
        "data": name,
        "split": section["validation_split"],
        "camera_seed": config["eval"]["seed"],
        "camera": fields,
        "camera_curves": config.get("camera_curves", ""),
        "photographs": "the data set's own where it has them, else the camera's",
    }

    def read(skip: Container[str]) -> Iterator[Example]:
        device = camera.create_camera(**fields)
        path = config.get("camera_curves")
        curves = camera.read_curves(path) if path else None
        seed = jax.random.key(config["eval"]["seed"])
        for record in data.validation_images(source, limit=num_images):
            if record["name"] in skip:
                continue
            if "ldr" in record:
                encoded = record["ldr"].astype(np.float32) / 255
                yield Example(record["name"], record["scene"], encoded, record["hdr"])
                continue
            key = jax.random.fold_in(seed, zlib.crc32(record["name"].encode()))
            hdr, levels = record["hdr"][None], record["clipping_levels"][None]
            pair = _simulate(key, hdr, levels, camera=device, curves=curves)
            yield Example(record["name"], record["scene"], pair.encoded[0], pair.hdr[0])

    return ImageSet(length, protocol, read)


def from_folders(
    photographs: str | os.PathLike,
    truths: str | os.PathLike,
    *,
    num_images: int | None = None,
    is_aligned: bool = True,
) -> ImageSet:
    """Returns the pairs of two folders: files of the same name, but for the suffix.

    Args:
      photographs: folder of photographs; files with other suffixes are left out.
      truths: folder of HDR images, linear BT.709 of any unit; it may hold more.
      num_images: number of images, spread over the photographs by name; default all.
      is_aligned: whether each truth is brought to `ldr_white` by its photograph (see
        `scales.align`); otherwise it must be in that scale.

    Raises:
      UserError: a folder does not exist or is empty, a photograph has no truth or
        several, or `num_images` is below 1; when reading, a file cannot be read or the
        sizes differ.
    """
    _check_limit(num_images)
    paths = _listed(photographs, image_io.PHOTO_SUFFIXES, "photographs")
    if num_images and num_images < len(paths):
        chosen = np.linspace(0, len(paths), num_images, endpoint=False).astype(int)
        paths = [paths[index] for index in chosen]
    _check_unique(paths)
    hdr_paths = _listed(truths, image_io.HDR_SUFFIXES, "HDR images")
    pairs = {path.stem: (path, _partner(path, hdr_paths)) for path in paths}
    protocol = {
        "data": "files",
        "photographs": f"{photographs}, {versions(paths)}",
        "truths": f"{truths}, {versions([truth for _, truth in pairs.values()])}",
        "truth_to_photograph": (
            "median ratio of luminances to the linearised photograph on unclipped "
            "pixels"
            if is_aligned
            else "none"
        ),
    }
    load = functools.partial(_read_pair, is_aligned=is_aligned)

    def read(skip: Container[str]) -> Iterator[Example]:
        return (load(name, *pair) for name, pair in pairs.items() if name not in skip)

    return ImageSet(len(pairs), protocol, read)


def write_photographs(images: ImageSet, folder: str | os.PathLike) -> int:
    """Writes the photographs of images as PNG files, and returns their number.

    Args:
      images: the images whose photographs are written.
      folder: folder of the files; it is made if it does not exist.

    Raises:
      UserError: the images cannot be read, or the folder cannot be written to.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {folder}: {error.strerror}") from error
    for image in images.read(()):
        path = folder / f"{file_stem(image.name)}.png"
        image_io.write_png(path, np.asarray(image.encoded))
    return images.length


def versions(paths: Sequence[pathlib.Path]) -> str:
    """Returns a text that differs for other files, and for later ones of these names.

    It is made of names, sizes and times of the last change.
    """
    states = [(path.name, path.stat()) for path in paths]
    facts = "\n".join(f"{n} {s.st_size} {s.st_mtime_ns}" for n, s in states)
    return f"{len(paths)} files, {zlib.crc32(facts.encode()):08x}"


def file_stem(name: str) -> str:
    """Returns the name of an image as that of a file: `/`, `#` and such become `_`."""
    return re.sub(r"[^\w.-]", "_", name)


def _check_limit(num_images: int | None) -> None:
    if num_images is not None:
        check_count("num_images", num_images)


def _listed(
    folder: str | os.PathLike, suffixes: Sequence[str], kind: str
) -> list[pathlib.Path]:
    files = image_io.list_folder(folder, suffixes)
    if not files:
        raise UserError(
            f"{folder} holds no {kind}; expected files with one of the suffixes "
            f"{', '.join(suffixes)}"
        )
    return files


def _check_unique(paths: list[pathlib.Path]) -> None:
    seen: dict[str, pathlib.Path] = {}
    for path in paths:
        other = seen.setdefault(path.stem, path)
        if other != path:
            raise UserError(
                f"{other} and {path} have the same name, by which photographs are "
                "identified; rename one"
            )


def _partner(path: pathlib.Path, truths: list[pathlib.Path]) -> pathlib.Path:
    found = [truth for truth in truths if truth.stem == path.stem]
    if len(found) != 1:
        raise UserError(
            f"{truths[0].parent} has {len(found)} HDR files {path.stem}.*; expected "
            f"one, the truth of {path}"
        )
    return found[0]


def _read_pair(
    name: str, photograph: pathlib.Path, truth: pathlib.Path, *, is_aligned: bool
) -> Example:
    encoded, hdr = image_io.read_encoded(photograph), image_io.read_hdr(truth)
    if hdr.shape != encoded.shape:
        raise UserError(
            f"{truth} has shape {hdr.shape}, its photograph {encoded.shape}; both must "
            "be one size: crop or resize one of them"
        )
    factor = scales.align(hdr, encoded) if is_aligned else 1.0
    return Example(name, name, encoded, np.asarray(factor * hdr, np.float32))
