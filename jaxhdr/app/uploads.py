"""Receives the bytes of a photograph, piece by piece, into a file.

The body of the request is the file itself, and its name is a parameter. That is simpler
than a form (multipart): nothing has to be parsed, so no parser can be deceived, and the
limit counts exactly the bytes of the photograph.
"""

import asyncio
import errno
import pathlib
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from jaxhdr.app.limits import Limits, Refused, megabytes

_PATIENCE_SECONDS: Final = 10.0
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_announced(length: str | None, limits: Limits) -> None:
    """Checks the size that a request announces, before its body is read.

    Args:
      length: header `Content-Length`; None if it is missing.
      limits: limits of the server.

    Raises:
      Refused: it is too large, or no number.
    """
    if length is None:
        return
    if not length.isdecimal():
        raise Refused(400, "the size that the request announces is not a number")
    # The number of digits decides for sizes that Python does not convert.
    if len(length) > 18 or int(length) > limits.upload_bytes:
        raise _too_large(limits)


async def receive(
    pieces: AsyncIterator[bytes], path: pathlib.Path, limits: Limits
) -> int:
    """Returns the number of bytes of a photograph, after writing it.

    Only one piece is in memory at a time.

    Args:
      pieces: the body of the request.
      path: a file that does not exist, in the server's own folder.
      limits: limits of the server.

    Raises:
      Refused: there are no bytes or too many, they come too slowly, the request ends
        early, or the disk is full. The file may then be there.
    """
    received, started = 0, time.monotonic()
    try:
        with open(path, "xb") as file:
            while True:
                waiting = _time_left(received, time.monotonic() - started, limits)
                piece = await _next(pieces, waiting)
                if piece is None:
                    break
                received += len(piece)
                if received > limits.upload_bytes:
                    raise _too_large(limits)
                file.write(piece)  # into the cache of the system, so it does not wait
    except OSError as error:
        reason = "the disk is full" if error.errno in _FULL else "the disk failed"
        raise Refused(507, f"{reason}; free some space and try again") from error
    if not received:
        raise Refused(400, "the file is empty; choose a photograph")
    return received


async def discard(pieces: AsyncIterator[bytes]) -> None:
    """Reads what a refused request still sends, for a short time, and drops it.

    A browser that is still sending when the connection ends does not show the answer.
    """
    end = time.monotonic() + _PATIENCE_SECONDS
    try:
        while await _next(pieces, end - time.monotonic()) is not None:
            pass
    except Refused:
        return


async def _next(pieces: AsyncIterator[Any], seconds: float) -> bytes | None:
    """Returns the next piece, or None after the last one."""
    try:
        return await asyncio.wait_for(anext(pieces, None), max(seconds, 0))
    except TimeoutError:
        raise Refused(408, "the upload was too slow; try again") from None


def _time_left(received: int, elapsed: float, limits: Limits) -> float:
    """Returns how long the next piece may take, in seconds."""
    allowed = limits.silence_seconds + received / limits.least_rate
    return min(limits.silence_seconds, allowed - elapsed)


def _too_large(limits: Limits) -> Refused:
    return Refused(
        413,
        f"the photograph is larger than {megabytes(limits.upload_bytes)}, the limit of "
        "this server; choose a smaller file, or start the server with a larger "
        "--max-size",
    )
