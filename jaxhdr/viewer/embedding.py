"""Puts data and scripts into a web page.

The module imports only the standard library.
"""

import base64
import hashlib
import json
from typing import Any


def data_element(name: str, text: str) -> str:
    """Returns an element that holds data and is not run."""
    return f'<script type="text/plain" id="{name}">{text}</script>\n'


def embedded_json(value: Any) -> str:
    """Returns JSON that cannot end the script element it is written into."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c")


def policy_hash(text: str) -> str:
    """Returns what the policy of a page calls a style or a script that it allows."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
