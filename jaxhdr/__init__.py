"""Single-image HDR reconstruction: linear radiance from one LDR photograph."""

import importlib
from typing import TYPE_CHECKING, Any

from jaxhdr._version import __version__

if TYPE_CHECKING:
    from jaxhdr.errors import UserError
    from jaxhdr.image_io import read_encoded, read_hdr, write_hdr
    from jaxhdr.inference import Reconstructor, reconstruct

__all__ = [
    "Reconstructor",
    "UserError",
    "__version__",
    "read_encoded",
    "read_hdr",
    "reconstruct",
    "write_hdr",
]
# Imported on first use, so that `jaxhdr --help` does not wait for JAX.
_HOMES = {
    "Reconstructor": "jaxhdr.inference",
    "UserError": "jaxhdr.errors",
    "read_encoded": "jaxhdr.image_io",
    "read_hdr": "jaxhdr.image_io",
    "reconstruct": "jaxhdr.inference",
    "write_hdr": "jaxhdr.image_io",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
