"""Calls of OpenImageIO whose errors are checked.

The package uses `ImageInput` and `ImageOutput` only, because an `ImageBuf` aborts the
process after a failed read. A call may report an error by a missing result, by
`geterror()`, or by both. An error that nobody reads is printed when Python exits.
"""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterable, Iterator

import numpy as np
import OpenImageIO as oiio
from jaxtyping import Shaped

from jaxhdr.errors import UserError
from jaxhdr.image_io import formats


@contextlib.contextmanager
def open_input(path: str | os.PathLike, reader: str) -> Iterator[oiio.ImageInput]:
    """Yields an open image file.

    Args:
      path: the file.
      reader: OpenImageIO's name for the format.

    Raises:
      UserError: the file's header is damaged.
    """
    # This keeps the stored pixels: by default colours are multiplied by alpha.
    options = oiio.ImageSpec()
    options.attribute("oiio:UnassociatedAlpha", 1)
    with _name_in_utf8(path, "read") as name:
        source = oiio.ImageInput.open(name, options)
        # A wrong suffix may select another reader, and some readers accept any content.
        if source is None or source.format_name() != reader:
            raise formats.damaged(path, _error_of(source).replace(name, "file"))
        try:
            yield source
        finally:
            source.close()
            _error_of(source)


def read_pixels(
    path: str | os.PathLike,
    source: oiio.ImageInput,
    *,
    dtype: str,
    channels: tuple[int, int] | None = None,
) -> Shaped[np.ndarray, "h w c"]:
    """Returns the pixels of the open image.

    Args:
      path: the file, named in errors.
      source: the open file.
      dtype: type of the pixels; "unknown" keeps that of the file.
      channels: the first channel and the one behind the last; None for all.

    Raises:
      UserError: the size is not allowed, or the pixels are damaged.
    """
    spec = source.spec()
    formats.check_size(path, spec.width, spec.height)
    if spec.depth > 1:
        raise UserError(f"cannot read {path}: it is a volume; expected an image")
    if spec.deep:
        raise UserError(
            f"cannot read {path}: deep pixels are not supported; flatten it"
        )
    first, end = channels or (0, spec.nchannels)
    pixels = source.read_image(source.current_subimage(), 0, first, end, dtype)
    error = source.geterror()
    if pixels is None or error:
        raise formats.damaged(path, error or "no pixels")
    return pixels.reshape(spec.height, spec.width, end - first)


def embedded_profile(spec: oiio.ImageSpec) -> bytes | None:
    """Returns the ICC profile of an image, or None."""
    stored = spec.getattribute("ICCProfile")
    return None if stored is None else bytes(bytearray(stored))


def write_pixels(
    path: str | os.PathLike, pixels: Shaped[np.ndarray, "h w c"], spec: oiio.ImageSpec
) -> None:
    """Writes one image in the format of the suffix of `path`.

    Raises:
      OSError: the file cannot be written completely.
    """
    write_levels(path, [pixels], spec)


def write_levels(
    path: str | os.PathLike, levels: Iterable[np.ndarray], spec: oiio.ImageSpec
) -> None:
    """Writes one image and smaller copies of it.

    Args:
      path: the file.
      levels: pixels (h, w, c) of the image, and of the copies in their order.
      spec: what the file states; its size becomes that of each level in turn.

    Raises:
      OSError: the file cannot be written completely.
    """
    with _name_in_utf8(path, "write") as name:
        output = oiio.ImageOutput.create(name)
        if output is None:
            raise OSError(_error_of(None))
        is_written, mode = True, "Create"
        for pixels in levels:
            height, width = pixels.shape[:2]
            spec.height, spec.width = spec.full_height, spec.full_width = height, width
            # OpenImageIO rejects arrays that are not contiguous.
            is_written = output.open(name, spec, mode) and output.write_image(
                np.ascontiguousarray(pixels)
            )
            if not is_written:
                break
            mode = "AppendMIPLevel"
        error = _error_of(output)
        # Closing flushes the file, so a full disk may be reported only here.
        is_closed = output.close()
        if not (is_written and is_closed):
            reason = error or _error_of(output)
            raise OSError(reason.replace(name, os.fspath(path)))


@contextlib.contextmanager
def _name_in_utf8(path: str | os.PathLike, action: str) -> Iterator[str]:
    """Yields a name of a file that OpenImageIO's binding takes: text in UTF-8.

    A name of other bytes, which Linux allows, gets a link of a plain name for a while.

    Raises:
      UserError: the name is not UTF-8, and no link can be made.
    """
    name = os.fspath(path)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        with tempfile.TemporaryDirectory(prefix="jaxhdr-") as folder:
            link = os.path.join(folder, "file" + pathlib.Path(name).suffix)
            try:
                os.symlink(os.path.abspath(name), link)
                link.encode()
            except (OSError, UnicodeEncodeError):
                raise UserError(
                    f"cannot {action} {path}: its name is not UTF-8; rename it"
                ) from error
            yield link
    else:
        yield name


def _error_of(handle: oiio.ImageInput | oiio.ImageOutput | None) -> str:
    own = handle.geterror() if handle is not None else ""
    return own or oiio.geterror() or "unknown error"
