"""The page as one file, which loads nothing from anywhere.

`assets/` has its markup, its style and its scripts. They are joined here. The policy of
the page allows only them, by their hashes, and no request at all. The report of an
evaluation holds the same viewer, which it opens in a dialog.
"""

import html
import importlib.resources
import os
from typing import Final, NamedTuple

from jaxhdr.atomic import atomic_path
from jaxhdr.viewer.embedding import data_element, embedded_json, policy_hash
from jaxhdr.viewer.view import PackedView

_SCRIPTS: Final = (
    "halves.js",
    "decoding.js",
    "drawing.js",
    "high_range.js",
    "images.js",
    "place.js",
    "histogram.js",
    "readings.js",
    "controls.js",
    "viewer.js",
)
"""The parts of the script, in the order in which they are joined."""


class Component(NamedTuple):
    """The viewer, to be put into a page."""

    markup: str
    style: str
    script: str
    """For a script element of the type `module`."""


def write_page(path: str | os.PathLike, view: PackedView) -> int:
    """Writes a page, whole or not at all, and returns its size in bytes.

    Args:
      path: path of the page; a file that exists is replaced.
      view: what the page shows.

    Raises:
      UserError: the file cannot be written.
    """
    before, after = _shell(view.facts["title"]).split("<!--DATA-->")
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(before)
        file.write(data_element("view", embedded_json(view.facts)))
        for name, text in view.texts():
            file.write(data_element(f"band-{name}", text))
        file.write(after)
        file.flush()
        return os.fstat(file.fileno()).st_size


def component(start: str) -> Component:
    """Returns the viewer.

    Args:
      start: name of the script in `assets/` that starts it: `start.js` at once, with
        the data of the page, or `opening.js` when the page calls `openViewer`.
    """
    script = "\n".join(_asset(name) for name in (*_SCRIPTS, start))
    return Component(_asset("viewer.html"), _asset("viewer.css"), script)


def _shell(title: str) -> str:
    """Returns the page without its data."""
    viewer = component("start.js")
    style = _asset("page.css") + viewer.style
    parts = {
        "<!--VIEWER-->": viewer.markup,
        "/*STYLE*/": style,
        "/*SCRIPT*/": viewer.script,
        "STYLE_HASH": policy_hash(style),
        "SCRIPT_HASH": policy_hash(viewer.script),
        "TITLE": html.escape(title),
    }
    page = _asset("page.html")
    for place, text in parts.items():
        page = page.replace(place, text, 1)
    return page


def _asset(name: str) -> str:
    folder = importlib.resources.files("jaxhdr.viewer").joinpath("assets")
    return folder.joinpath(name).read_text(encoding="utf-8")
