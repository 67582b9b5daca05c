"""Writes files atomically: a reader finds the old file or the complete new one."""

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

    The temporary name has the same suffix, because most writers choose the format by
    it. A symbolic link is followed, and an existing file keeps its permissions. If the
    block raises, an interrupt included, the temporary file is removed.

    Raises:
      UserError: `path` is not a regular file, or it cannot be written.
    """
    # Renaming would replace a symbolic link, and leave the file behind it unchanged.
    target = pathlib.Path(os.path.realpath(path))
    _check_target(target)
    temporary = target.with_name(f".jaxhdr-{secrets.token_hex(8)}{target.suffix}")
    try:
        yield temporary
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o7777)
        os.replace(temporary, target)
    except OSError as error:
        # A library's message names the temporary file.
        reason = _reason(error).replace(str(temporary), str(target)).rstrip(".")
        raise UserError(f"cannot write {target}: {reason}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _check_target(target: pathlib.Path) -> None:
    folder = target.parent
    try:
        if target.is_dir():
            raise UserError(f"cannot write {target}: it is a folder; name a file")
        # A rename by root would replace a device such as /dev/null for all users.
        if target.exists() and not target.is_file():
            raise UserError(
                f"cannot write {target}: it is not a regular file; name another one"
            )
        if folder.exists() and not folder.is_dir():
            raise UserError(
                f"cannot write {target}: {folder} is a file; expected a folder"
            )
        if not folder.exists():
            raise UserError(
                f"cannot write {target}: the folder {folder} does not exist; "
                "create it first"
            )
    except OSError as error:  # the name is too long, or the folder may not be entered
        raise UserError(f"cannot write {target}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "no space is left for it; free some or choose another disk"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "permission denied or read-only; choose a folder you may write to"
    return error.strerror or str(error) or "the file system refused"
