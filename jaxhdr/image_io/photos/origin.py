"""What the file of a photograph says of where its pixels come from."""

import os
import re
from typing import Final, Literal

from jaxhdr.image_io import formats
from jaxhdr.image_io.containers import png_chunks
from jaxhdr.image_io.metadata import camera_exif
from jaxhdr.image_io.photos.raw_files import is_camera_raw

Origin = Literal["raw", "camera", "render"]

_MAKE, _SOFTWARE, _EXIF_IFD, _USER_COMMENT = 0x010F, 0x0131, 0x8769, 0x9286

# Programs that compute an image or copy the screen, by a word of their names. Editors
# and developers of raw photographs are not among them: what they save may have come
# from anywhere.
_RENDERERS: Final = re.compile(
    r"\b(blender|mitsuba|pov-?ray|pbrt|luxcore\w*|luxrender|v-?ray|arnold|renderman|"
    r"octane\w*|corona renderer|redshift|maxwell render|maya|3ds max|cinema 4d|houdini|"
    r"unreal|unity|godot|sketchup|enscape|lumion|keyshot|paraview|matplotlib|"
    r"screen ?shot|screen capture|flameshot|spectacle|ksnip|snipping tool|greenshot|"
    r"sharex|shutter|scrot|grim|maim)\b",
    re.IGNORECASE,
)

# Blender says how long it rendered, and nowhere its own name.
_RENDER_TIME: Final = "RenderTime"


def origin_of(path: str | os.PathLike) -> Origin | None:
    """Returns where the pixels of a photograph come from, or None if nothing says so.

    `raw`: camera raw, which `read_encoded` encodes as sRGB, exactly. `camera`: the EXIF
    names the maker of a camera, which applies a tone curve of its own. `render`: the
    file names a renderer or a program that copies the screen; most encode as sRGB. The
    colour space that a file names says nothing of a tone curve.

    Raises:
      UserError: the file is unreadable.
    """
    kind = formats.detect_format(formats.read_head(path))
    if is_camera_raw(path, kind):
        return "raw"
    texts = png_chunks.read_texts(path) if kind == "png" else {}
    make, software = _of_exif(path, kind)
    software = f"{software} {texts.get('Software', '')}"
    if _RENDERERS.search(software) or _RENDER_TIME in texts:
        return "render"
    return "camera" if make else None


def _of_exif(path: str | os.PathLike, kind: str | None) -> tuple[str, str]:
    """Returns the maker of the camera, and the names of software; "" if unknown."""
    try:
        exif = camera_exif.load(path, kind)
        comment = exif.get_ifd(_EXIF_IFD).get(_USER_COMMENT, "")
    except Exception:  # damaged EXIF raises many types and counts as none
        return "", ""
    software = (camera_exif.text(exif, _SOFTWARE), _as_text(comment))
    return camera_exif.text(exif, _MAKE), " ".join(software)


def _as_text(comment: object) -> str:
    if isinstance(comment, bytes):  # eight bytes name the encoding
        return comment[8:200].decode("utf-8", errors="replace")
    return str(comment)[:200]
