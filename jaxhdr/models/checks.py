"""Checks of what a configuration asks of a network.

Each raises a `UserError` that names the option, its value and what was expected.
"""

from typing import Any

import jax.numpy as jnp

from jaxhdr.errors import UserError

DTYPES = ("float32", "bfloat16", "float16")


def check_dtype(dtype: Any) -> None:
    """Checks that the networks can compute in a number format.

    Raises:
      UserError: the format is none of `DTYPES`.
    """
    try:
        name = jnp.dtype(dtype).name
    except TypeError:
        name = None
    if name not in DTYPES:
        raise UserError(f"dtype is {dtype!r}; expected one of {DTYPES}")


def check_dropout_rate(value: Any) -> None:
    """Checks that a share of units can be dropped.

    Raises:
      UserError: it is not a number from 0 to below 1.
    """
    if not isinstance(value, int | float) or not 0 <= value < 1:
        raise UserError(
            f"dropout_rate is {value!r}; expected a number from 0 to below 1"
        )
