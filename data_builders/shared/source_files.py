"""Downloaded source files, in folders at any depth, unpacked or in zips.

A file's name is its path below the folder, with `/`. A member of a zip is named as if
the zip had been unpacked beside itself, into a folder with its name without `.zip`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxhdr import image_io
from jaxhdr.errors import UserError

_ZIP = ".zip"

# The errors of a wrong checksum, a truncated member, an unknown compression, a password
# and of damaged compressed data.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    RuntimeError,
    zlib.error,
)


class SourceFile(NamedTuple):
    """A file or a member of a zip.

    Attributes:
      name: name of the file, as the module's docstring defines it.
      path: path of the file, or of the zip.
      member: name of the member in the zip; "" for an unpacked file.
      size: size in bytes.
      modified: time of the last change, or the checksum of a member.
    """

    name: str
    path: str
    member: str
    size: int
    modified: str


def list_files(folder: Path) -> list[SourceFile]:
    """Returns the image files below a folder and in its zips, sorted by name.

    Suffixes tell which files are images, and hidden files are left out
    (`image_io.list_folder`). If a file is there both unpacked and in a zip, the
    unpacked one is returned.

    Raises:
      UserError: the folder cannot be read, a zip is damaged, or a file's name is not
        UTF-8.
    """
    unpacked, members = {}, {}
    suffixes = (*image_io.IMAGE_SUFFIXES, _ZIP)
    for path in image_io.list_folder(folder, suffixes, is_deep=True):
        name = path.relative_to(folder).as_posix()
        state = path.stat()
        if path.suffix.lower() == _ZIP:
            for member in _zip_members(path):
                inside = f"{name[: -len(_ZIP)]}/{member.filename}"
                members[inside] = SourceFile(
                    inside,
                    str(path),
                    member.filename,
                    member.file_size,
                    f"{member.CRC:08x}",
                )
        else:
            unpacked[name] = SourceFile(
                name, str(path), "", state.st_size, str(state.st_mtime_ns)
            )
    files = members | unpacked
    return [files[name] for name in sorted(files)]


def hdr_files(folder: Path) -> dict[str, SourceFile]:
    """Returns the HDR files below a folder and in its zips by name, sorted.

    Raises:
      UserError: as for `list_files`, or the folder has no HDR file.
    """
    files = [file for file in list_files(folder) if image_io.is_hdr_suffix(file.name)]
    if not files:
        raise UserError(
            f"{folder} holds no HDR files ({', '.join(image_io.HDR_SUFFIXES)}); "
            "give the folder that has them as manual_dir"
        )
    return {file.name: file for file in files}


def match(
    files: Sequence[SourceFile], pattern: str
) -> dict[tuple[str, ...], SourceFile]:
    """Returns the files whose names end in a pattern, keyed by the pattern's groups.

    The pattern must begin at the start of the name or after a `/`, so the files may be
    in any folder. Case is ignored. If a file is there both unpacked and in a zip, the
    unpacked one is returned.

    Args:
      files: the files to search.
      pattern: regular expression with groups that identify a file.

    Raises:
      UserError: two files of the same kind have the same groups.
    """
    compiled = re.compile(rf"(?:^|.*/){pattern}$", re.IGNORECASE)
    found: dict[tuple[str, ...], SourceFile] = {}
    for file in files:
        if matched := compiled.match(file.name):
            other = found.get(matched.groups())
            if other is not None and bool(other.member) == bool(file.member):
                raise UserError(
                    f"{other.name} and {file.name} are the same file of the data set; "
                    "remove one of them"
                )
            if other is None or other.member:
                found[matched.groups()] = file
    return found


@contextlib.contextmanager
def opened(file: SourceFile) -> Iterator[Path]:
    """Yields the path of a file; a zip's member is unpacked while the block runs.

    Raises:
      UserError: a member is damaged, or the block raised a `UserError`; in its message
        the file's name takes the place of the path.
    """
    if not file.member:
        with _named(file, file.path):
            yield Path(file.path)
        return
    suffix = Path(file.member).suffix
    with tempfile.TemporaryDirectory(prefix="jaxhdr-") as folder:
        path = Path(folder) / f"member{suffix}"
        try:
            with _open_zip(file.path).open(file.member) as member:
                with open(path, "wb") as copy:
                    shutil.copyfileobj(member, copy)
        except _ZIP_ERRORS as error:
            raise UserError(
                f"cannot read {file.name}: {error}; download it again"
            ) from error
        with _named(file, str(path)):
            yield path


def fingerprint(files: Sequence[SourceFile]) -> str:
    """Returns the number of the files, and a hash of their names and sizes."""
    text = "\n".join(f"{file.name} {file.size}" for file in files)
    return f"{len(files)} files, {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def first_bytes_hash(file: SourceFile, size: int = 65536) -> str:
    """Returns a hash of a file's first bytes and its length, equal for equal files."""
    if file.member:
        with _open_zip(file.path).open(file.member) as opened_member:
            head = opened_member.read(size)
    else:
        with open(file.path, "rb") as opened_file:
            head = opened_file.read(size)
    return hashlib.sha256(head + str(file.size).encode()).hexdigest()[:16]


@contextlib.contextmanager
def _named(file: SourceFile, path: str) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(path, file.name)) from error


def _zip_members(path: Path) -> list[zipfile.ZipInfo]:
    try:
        members = _open_zip(str(path)).infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(
            f"cannot read {path}: {error}; the download may be incomplete: repeat it"
        ) from error
    return [
        member
        for member in members
        if not member.is_dir()
        and Path(member.filename).suffix.lower() in image_io.IMAGE_SUFFIXES
        and not image_io.is_left_out(member.filename)
    ]


def _open_zip(path: str) -> zipfile.ZipFile:
    state = os.stat(path)
    return _opened_zip(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=8)
def _opened_zip(path: str, _modified: int, _size: int) -> zipfile.ZipFile:
    """Returns the open zip, cached because its list of members may be long."""
    return zipfile.ZipFile(path)
