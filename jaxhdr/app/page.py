"""The page of the server as one answer, which loads nothing from elsewhere."""

import importlib.resources
from typing import Any, Final, NamedTuple

from jaxhdr.viewer.embedding import data_element, embedded_json, policy_hash

SCRIPTS: Final = ("requests.js", "uploads.js", "list.js", "result.js", "start.js")
"""The parts of the script, in the order in which they are joined."""


class Page(NamedTuple):
    """A page and its policy.

    Attributes:
      content: its markup.
      policy: value of its header `Content-Security-Policy`.
    """

    content: str
    policy: str


def make_page(settings: dict[str, Any]) -> Page:
    """Returns the page.

    Args:
      settings: what the script needs to know, as JSON has it.
    """
    style = _asset("app.css")
    script = "\n".join(_asset(name) for name in SCRIPTS)
    parts = {
        "/*STYLE*/": style,
        "<!--SETTINGS-->": data_element("settings", embedded_json(settings)),
        "/*SCRIPT*/": script,
    }
    content = _asset("app.html")
    for place, text in parts.items():
        content = content.replace(place, text, 1)
    policy = (
        f"default-src 'none'; script-src {policy_hash(script)}; "
        f"style-src {policy_hash(style)}; img-src 'self' data:; connect-src 'self'; "
        "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(content, policy)


def _asset(name: str) -> str:
    folder = importlib.resources.files("jaxhdr.app").joinpath("assets")
    return folder.joinpath(name).read_text(encoding="utf-8")
