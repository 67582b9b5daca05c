"""Makes names that came from outside harmless.

No path is ever made of them. They are shown, written into headers of results, and
proposed for downloads.
"""

import re
import urllib.parse
from typing import Final

NAMELESS: Final = "photograph"
"""What a photograph without a usable name is called."""

_LONGEST: Final = 100  # characters; a file name may have 255 bytes, 4 for each
_LONGEST_SUFFIX: Final = 10
_LONGEST_BYTES: Final = 200
# Names of devices, which Windows opens with any suffix.
_DEVICES: Final = re.compile(
    r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE
)
_FORBIDDEN: Final = re.compile(r'[<>:"/\\|?*%;]')


def shown_name(given: str) -> str:
    """Returns the last part of a name without what cannot be seen.

    Control characters, marks that turn the direction of text around, and halves of
    surrogate pairs are left out. A long name keeps its suffix.

    Args:
      given: any text.
    """
    last = re.split(r"[/\\]", given)[-1]
    seen = "".join(letter for letter in last if letter.isprintable())
    # A dot in front would hide the file, and Windows drops one at the end.
    name = seen.strip(" .")
    if len(name) > _LONGEST:
        stem, dot, suffix = name.rpartition(".")
        if not dot or len(suffix) > _LONGEST_SUFFIX:
            stem, dot, suffix = name, "", ""
        name = stem[: _LONGEST - len(dot + suffix)].rstrip(" .") + dot + suffix
    return name or NAMELESS


def download_name(name: str, ending: str) -> str:
    """Returns the file name that is proposed for a result.

    Args:
      name: name of the photograph, of `shown_name`.
      ending: what replaces its suffix, such as ".exr" or " pq.avif".
    """
    stem = name.rpartition(".")[0] or name
    stem = _FORBIDDEN.sub("_", stem).strip(" .")
    stem = stem.encode()[:_LONGEST_BYTES].decode(errors="ignore").rstrip(" .")
    if _DEVICES.fullmatch(stem):
        stem = f"_{stem}"
    return f"{stem or NAMELESS}{ending}"


def content_disposition(name: str) -> str:
    """Returns the header that proposes a file name (RFC 6266), in ASCII.

    Args:
      name: the name, of `download_name`.
    """
    plain = "".join(letter if letter.isascii() else "_" for letter in name)
    encoded = urllib.parse.quote(name, safe="")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
