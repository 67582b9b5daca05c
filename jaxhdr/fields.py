"""Makes objects of the sections of a configuration."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from jaxhdr.errors import UserError

_Made = TypeVar("_Made")


def made_of(section: str, fields: Mapping[str, Any], *, kind: type[_Made]) -> _Made:
    """Returns a dataclass with the attributes that a section gives.

    Lists are taken as tuples, as a configuration read from a file has them.

    Args:
      section: name of the section, for a message.
      fields: its fields.
      kind: the dataclass.

    Raises:
      UserError: a field is not an attribute.
    """
    known = {field.name for field in dataclasses.fields(kind)}  # pyright: ignore
    if unknown := sorted(set(fields) - known):
        raise UserError(
            f"{section} has no option {unknown}; available: {sorted(known)}"
        )
    return kind(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields.items()
        }
    )
