"""The few calls of OpenImageIO that the package uses, with their errors checked.

Only `ImageInput` and `ImageOutput`: an `ImageBuf` after a failed read aborts the
process. Errors may come as a missing result, as `geterror()`, or both, and an error
left unread is printed when Python exits.
"""

import contextlib
import os
from collections.abc import Iterator

import numpy as np
import OpenImageIO as oiio
from jaxtyping import Shaped

from jaxhdr.errors import UserError
from jaxhdr.image_io import formats


@contextlib.contextmanager
def open_input(path: str | os.PathLike, reader: str) -> Iterator[oiio.ImageInput]:
    """Yields an open file; `reader` is OpenImageIO's name for the format.

    Raises:
        UserError: The file's header is damaged.
    """
    # Pixels exactly as stored: by default colours are multiplied by alpha.
    options = oiio.ImageSpec()
    options.attribute("oiio:UnassociatedAlpha", 1)
    try:
        source = oiio.ImageInput.open(os.fspath(path), options)
    except UnicodeEncodeError as error:
        raise UserError(f"cannot read {path!r}: rename it in valid UTF-8.") from error
    # A suffix may have led to another reader, one that accepts anything.
    if source is None or source.format_name() != reader:
        raise formats.damaged(path, _error_of(source))
    try:
        yield source
    finally:
        source.close()
        _error_of(source)


def read_pixels(
    path: str | os.PathLike, source: oiio.ImageInput, *, dtype: str
) -> Shaped[np.ndarray, "h w c"]:
    """Returns the open image's pixels; `dtype` "unknown" keeps the file's own type.

    Raises:
        UserError: The size is not allowed, or the pixels are damaged.
    """
    spec = source.spec()
    formats.check_size(path, spec.width, spec.height)
    if spec.depth > 1:
        raise UserError(f"cannot read {path}: it is a volume, not an image.")
    if spec.deep:
        raise UserError(f"cannot read {path}: deep pixels are not supported; flatten.")
    pixels = source.read_image(source.current_subimage(), 0, 0, spec.nchannels, dtype)
    error = source.geterror()
    if pixels is None or error:
        raise formats.damaged(path, error or "no pixels")
    return pixels.reshape(spec.height, spec.width, spec.nchannels)


def write_pixels(
    path: str | os.PathLike, pixels: Shaped[np.ndarray, "h w c"], spec: oiio.ImageSpec
) -> None:
    """Writes one image in the format of the suffix of `path`.

    Raises:
        OSError: The file could not be written whole.
    """
    output = oiio.ImageOutput.create(os.fspath(path))
    if output is None:
        raise OSError(_error_of(None))
    # OpenImageIO takes no array with gaps, such as a view of every other channel.
    pixels = np.ascontiguousarray(pixels)
    is_written = output.open(os.fspath(path), spec) and output.write_image(pixels)
    error = _error_of(output)
    # Closing flushes, so a full disk may show only here.
    is_closed = output.close()
    if not (is_written and is_closed):
        raise OSError(error or _error_of(output))


def _error_of(handle: oiio.ImageInput | oiio.ImageOutput | None) -> str:
    own = handle.geterror() if handle is not None else ""
    return own or oiio.geterror() or "unknown error"
