"""The type of the pixels that metrics take: floating-point numbers, float32 or better.

In float16 the square of 300 is infinite, and codes of 250 are a quarter apart. So
images of 16 bits are scored in float32. Integers are codes of a photograph and not
radiance, so they are refused.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax.numpy as jnp
from jaxtyping import Array

from jaxhdr.errors import UserError

_Given = ParamSpec("_Given")
_Returned = TypeVar("_Returned")


def at_least_float32(image: Any, *, name: str) -> Array:
    """Returns an image as an array of float32, or of float64 if it is that already.

    Args:
      image: the array.
      name: what the image is, for the message.

    Raises:
      UserError: the image does not hold floating-point numbers.
    """
    dtype = getattr(image, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
        found = type(image).__name__ if dtype is None else dtype
        raise UserError(
            f"the image `{name}` holds {found}; expected floating-point numbers; "
            "convert it first, and divide 8-bit codes by 255"
        )
    array = jnp.asarray(image)
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def in_float32(score: Callable[_Given, _Returned]) -> Callable[_Given, _Returned]:
    """Returns a function of images that first calls `at_least_float32` on each.

    The images are the parameters that may be positional; options are keywords.
    """
    call: Any = score
    signature = inspect.signature(score)
    images = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        and parameter.name != "self"
    ]

    @functools.wraps(score)
    def checked(*args: _Given.args, **kwargs: _Given.kwargs) -> _Returned:
        given = signature.bind(*args, **kwargs).arguments
        for name in images:
            given[name] = at_least_float32(given[name], name=name)
        return call(**given)

    return checked
