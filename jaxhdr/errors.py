"""The exception for mistakes that a user can correct, and checks that raise it."""

import math
import numbers
import os
import stat
from collections.abc import Collection
from typing import Any, Final


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


def check_number(
    name: str,
    value: Any,
    *,
    above: float | int = -math.inf,
    least: float | int = -math.inf,
    most: float | int = math.inf,
) -> None:
    """Checks that an option is a finite number in a range.

    Args:
      name: name of the option, for the message.
      value: what the user chose.
      above: the value must be larger than this.
      least: smallest value allowed.
      most: largest value allowed.

    Raises:
      UserError: the value is no number, NaN, infinite or outside the range.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    number: Any = value if is_number else math.nan
    # NaN must fail, so each comparison says what is right and not what is wrong.
    if abs(number) < math.inf and number > above and least <= number <= most:
        return
    limits = [
        text
        for limit, text in (
            (above, f"above {above}"),
            (least, f"of at least {least}"),
            (most, f"of at most {most}"),
        )
        if math.isfinite(limit)
    ]
    expected = " ".join(["a finite number", " and ".join(limits)]).strip()
    raise UserError(f"{name} is {value!r}; expected {expected}")


def check_count(name: str, value: Any, *, least: int = 1) -> None:
    """Checks that an option is an integer that is large enough.

    Args:
      name: name of the option, for the message.
      value: what the user chose.
      least: smallest value allowed.

    Raises:
      UserError: the value is no integer, or it is smaller.
    """
    if type(value) is not int or value < least:
        raise UserError(f"{name} is {value!r}; expected an integer of at least {least}")


_KINDS: Final = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_not_endless(path: str | os.PathLike) -> None:
    """Checks that a path is no pipe, socket or device, before it is opened.

    Opening a pipe may wait for ever, reading it takes away what it holds, and a device
    such as /dev/zero has no end. Whether the file exists is left to opening it.

    Raises:
      UserError: the path is one of these.
    """
    try:
        kind = _KINDS.get(stat.S_IFMT(os.stat(path).st_mode))
    except (OSError, ValueError):
        return
    if kind:
        raise UserError(
            f"cannot read {path}: it is {kind}, not a regular file; save what it "
            "holds to a file first"
        )
