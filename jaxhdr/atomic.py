"""Writes files whole or not at all."""

import contextlib
import errno
import os
import pathlib
import secrets
from collections.abc import Iterator

from jaxhdr.errors import UserError


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path` that replaces it when the block succeeds.

    The temporary name keeps the suffix, because most writers choose the format by it.
    A symbolic link is followed, an existing file keeps its permissions, and whatever
    ends the block early (an interrupt too) removes the temporary file.

    Raises:
        UserError: `path` is no regular file, or its folder or disk refuses the write.
    """
    # Renaming over the link itself would leave the file it names unchanged.
    target = pathlib.Path(os.path.realpath(path))
    _check_target(target)
    temporary = target.with_name(f".jaxhdr-{secrets.token_hex(8)}{target.suffix}")
    try:
        yield temporary
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o7777)
        os.replace(temporary, target)
    except OSError as error:
        # A library's own words name the file that it was given.
        reason = _reason(error).replace(str(temporary), str(target)).rstrip(".")
        raise UserError(f"cannot write {target}: {reason}.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _check_target(target: pathlib.Path) -> None:
    folder = target.parent
    try:
        if target.is_dir():
            raise UserError(f"cannot write {target}: it is a folder; name a file.")
        # As root, a rename would replace a device such as /dev/null for everybody.
        if target.exists() and not target.is_file():
            raise UserError(f"cannot write {target}: it is not a regular file.")
        if folder.exists() and not folder.is_dir():
            raise UserError(f"cannot write {target}: {folder} is a file, not a folder.")
        if not folder.exists():
            raise UserError(
                f"cannot write {target}: the folder {folder} does not exist; "
                "create it first."
            )
    except OSError as error:  # a name too long, or a folder that may not be entered
        raise UserError(f"cannot write {target}: {_reason(error)}.") from error


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "no space is left for it on the disk"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "permission denied or read-only; choose a folder you may write to"
    return error.strerror or str(error) or "the file system refused"
