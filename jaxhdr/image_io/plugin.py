"""Plugin by which `imageio.v3` reads and writes .exr, .hdr and .pfm files.

Depending on what is installed, imageio's own back ends write TIFF bytes into .hdr and
.exr files, return an empty array for an .exr, or clip an .hdr to uint8. Images are
linear BT.709 float32 (h, w, 3), as `read_hdr` and `write_hdr` define them.
"""

import pathlib
from collections.abc import Iterator
from typing import Any, Final

import imageio.config
import numpy as np
from imageio.core.request import URI_BYTES, InitializationError, IOMode, Request
from imageio.core.v3_plugin_api import ImageProperties, PluginV3

from jaxhdr.errors import UserError
from jaxhdr.image_io import formats
from jaxhdr.image_io.radiance_files import read_hdr, read_metadata, write_hdr

_NAME: Final = "jaxhdr"
_SUFFIXES: Final = (".exr", ".hdr", ".pfm")
_FORMATS: Final = frozenset({"exr", "hdr", "pfm"})


class HdrPlugin(PluginV3):
    """Reads by content and writes by suffix; leaves other files to other plugins."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        if request.mode.io_mode == IOMode.read:
            if formats.detect_format(bytes(request.firstbytes or b"")) not in _FORMATS:
                raise InitializationError("not an OpenEXR, Radiance .hdr or PFM file")
        elif request.extension not in _SUFFIXES:
            raise InitializationError(f"{_NAME} writes {', '.join(_SUFFIXES)} only")

    def read(self, *, index: int | None = 0, **options: Any) -> np.ndarray:
        """Returns the image; `options` are those of `read_hdr`."""
        if index is ...:
            return self.read(**options)[None]
        if index not in (0, None):
            raise ValueError(f"index {index} does not exist: the file holds one image")
        return read_hdr(self.request.get_local_filename(), **options)

    def iter(self, **options: Any) -> Iterator[np.ndarray]:
        """Yields the one image."""
        yield self.read(**options)

    def write(self, ndimage: Any, **options: Any) -> bytes | None:
        """Writes one image; `options` are those of `write_hdr`."""
        path = pathlib.Path(self.request.get_local_filename())
        write_hdr(path, _to_hdr(ndimage), **options)
        if self.request._uri_type == URI_BYTES:
            return path.read_bytes()
        return None

    def properties(self, index: int | None = 0) -> ImageProperties:
        """Returns shape and type; the whole image is read for them."""
        image = self.read(index=index)
        return ImageProperties(image.shape, image.dtype, is_batch=index is ...)

    def metadata(
        self, index: int | None = 0, exclude_applied: bool = True
    ) -> dict[str, Any]:
        """Returns the strings that `write_hdr` stored in the header."""
        return dict(read_metadata(self.request.get_local_filename()))


def _to_hdr(image: Any) -> np.ndarray:
    array = np.asarray(image)
    if isinstance(image, list) and array.ndim == 4 and len(array) == 1:
        array = array[0]
    if not np.issubdtype(array.dtype, np.floating):
        raise UserError(
            f"cannot write {array.dtype} as HDR: expected linear float radiance; "
            "decode the image first"
        )
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3):
        raise UserError(
            f"cannot write an array of shape {array.shape} as HDR: expected "
            "(height, width, 3)"
        )
    return np.broadcast_to(array, (*array.shape[:2], 3))


def register_plugin() -> None:
    """Puts this plugin first in imageio; a second call changes nothing."""
    plugins = imageio.config.known_plugins
    others = {name: config for name, config in plugins.items() if name != _NAME}
    config = imageio.config.PluginConfig(
        name=_NAME, class_name=HdrPlugin.__name__, module_name=__name__
    )
    # It is also first in the list of all plugins: imageio tries them in turn for bytes,
    # which have no suffix.
    plugins.clear()
    plugins.update({_NAME: config, **others})
    for suffix in _SUFFIXES:
        for extension in imageio.config.known_extensions[suffix]:
            rest = [name for name in extension.priority if name != _NAME]
            extension.priority[:] = [_NAME, *rest]
