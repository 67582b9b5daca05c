"""Lists the image files of a folder, without what systems and programs leave there."""

import os
import pathlib
from collections.abc import Collection
from typing import Final

from jaxhdr.errors import UserError
from jaxhdr.image_io.formats import PHOTO_SUFFIXES
from jaxhdr.options import HDR_SUFFIXES

IMAGE_SUFFIXES: Final = tuple(dict.fromkeys((*HDR_SUFFIXES, *PHOTO_SUFFIXES)))
"""Usual suffixes of HDR images and photographs."""

# Folders of macOS's archives, of the thumbnails and the bin of Synology's servers, and
# of Windows' bin. Their files have the suffixes of images.
_MADE_BY_SYSTEMS: Final = ("__macosx", "@eadir", "#recycle", "$recycle.bin")


def list_folder(
    folder: str | os.PathLike, suffixes: Collection[str], *, is_deep: bool = False
) -> list[pathlib.Path]:
    """Returns the sorted files of a folder that have one of the suffixes.

    Case does not matter. Hidden files, such as `._a.exr`, and files in folders like
    `__MACOSX` are left out, and so is what is no regular file. Links to files are
    followed. Links to folders are not, because they may lead back.

    Args:
      folder: the folder.
      suffixes: the suffixes, in lower case.
      is_deep: whether files in the folders below count, too.

    Raises:
      UserError: the folder does not exist or cannot be read, or a file's name is not
        UTF-8, so that no report or data set can hold it.
    """
    if not os.path.isdir(folder):
        raise UserError(f"{folder} is not a folder; expected one of images")
    found = []
    for base, below, names in os.walk(folder, onerror=_refuse):
        below[:] = [name for name in below if is_deep and not is_left_out(name)]
        paths = [pathlib.Path(base, name) for name in names if not is_left_out(name)]
        found += [p for p in paths if p.suffix.lower() in suffixes and p.is_file()]
    for path in found:
        _check_name(path.relative_to(folder))
    return sorted(found)


def is_left_out(name: str) -> bool:
    """Returns whether a path below a folder is hidden or made by a system."""
    parts = name.split("/")
    return any(p.startswith(".") or p.lower() in _MADE_BY_SYSTEMS for p in parts)


def _check_name(path: pathlib.Path) -> None:
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"the name {os.fspath(path)!r} is not UTF-8, and names identify images; "
            "rename it"
        ) from error


def _refuse(error: OSError) -> None:
    raise UserError(f"cannot read {error.filename}: {error.strerror}") from error
