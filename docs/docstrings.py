"""Docstrings are plain text with code between backticks; they hold no references.

The site's Markdown would take `[metric][method]` in a docstring for a link. This
extension of griffe, the reader of the docstrings, escapes the bracket between.
"""

import re
from typing import Any

import griffe

_BRACKETS = re.compile(r"(?P<code>`[^`]*`)|\](?=\[)")


class PlainBrackets(griffe.Extension):
    """Escapes brackets that Markdown would take for a reference."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Escapes them in the docstring of one module, class, function or value."""
        if obj.docstring:
            obj.docstring.value = _BRACKETS.sub(
                lambda match: match["code"] or "]\\", obj.docstring.value
            )
