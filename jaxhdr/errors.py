"""The exception for mistakes that a user can correct, and a check that raises it."""

from collections.abc import Collection
from typing import Any


class UserError(ValueError):
    """A wrong input, file or option.

    The message is one sentence without a final period. It has the value, what was
    expected, and what to do. The command lines print only the message and exit with
    status 2; any other exception is a bug and shows its traceback.
    """


def check_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Checks that an option has one of its values.

    Args:
      name: name of the option, for the message.
      value: what the user chose.
      choices: the values that the option can have.

    Raises:
      UserError: the value is none of the choices.
    """
    # A list from a file has no hash, so `choices` may be no set.
    if not isinstance(value, str) or value not in choices:
        raise UserError(f"{name} is {value!r}; expected one of {tuple(choices)}")
