"""Networks under one contract, made by name.

`model.apply({"params": params}, encoded)` takes display-encoded images
`(b, h, w, 3)` in [0, 1] and returns linear HDR `stages` `(stages, b, h, w, 3)`, the
last of which is the answer. `model.receptive_radius` is the number of pixels to each
side of an output pixel that can change it, beside the whole image's context.

`model.apply(variables, encoded, method="context")` returns what a part of the image
needs to know of the whole (histograms, curve parameters), as a pytree whose leaves
have a batch axis first; it may have no leaves, or be None. `model.apply(variables,
part, context)` then equals that part of the whole result, up to the receptive radius.
Without a context the given image is the whole. Dropout is active only under an rng
called "dropout".
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from flax import linen as nn

from jaxhdr.errors import UserError
from jaxhdr.models.camera_response import CameraResponse
from jaxhdr.models.fhdr import FHDR
from jaxhdr.models.front import Front, FrontContext
from jaxhdr.models.response import Response
from jaxhdr.models.sparam import Context, SParam
from jaxhdr.models.sparam_lstm import SParamLSTM

MODELS: dict[str, type[nn.Module]] = {
    "camera_response": CameraResponse,
    "fhdr": FHDR,
    "response": Response,
    "sparam": SParam,
    "sparam_lstm": SParamLSTM,
}


def create_model(name: str, **fields: Any) -> nn.Module:
    """Returns the model called `name`.

    Args:
      name: one of `MODELS`.
      fields: attributes of the model as plain data; the attributes of a part of it are
        a mapping, `front={"response": "estimated"}`.

    Raises:
      UserError: the name or a field is not known, or a field has no such value.
    """
    if name not in MODELS:
        raise UserError(f"unknown model {name!r}; available: {sorted(MODELS)}")
    known = set(_known_options(MODELS[name]))
    if unknown := sorted(set(_given_options(fields)) - known):
        raise UserError(
            f"model {name!r} has no option {unknown}; available: {sorted(known)}"
        )
    return _made(MODELS[name], fields)


def estimates_response(model: nn.Module) -> bool:
    """Returns whether the model estimates the camera's response."""
    if isinstance(model, SParamLSTM):
        return estimates_response(model.sparam)
    if isinstance(model, FHDR | SParam):
        return model.front.response == "estimated"
    return isinstance(model, CameraResponse | Response)


def takes_prior(model: Any) -> bool:
    """Returns whether the model's method `context` takes a `prior`.

    The prior is the probability of an sRGB camera by what the file of the photograph
    says; see `Front.context`.
    """
    front = front_of(model)
    return (front.response, front.estimator) == ("estimated", "belief")


def front_of(model: Any) -> Front:
    """Returns the front end of a model; that of a model without one takes sRGB."""
    if isinstance(model, SParamLSTM):
        return model.sparam.front
    return model.front if isinstance(model, FHDR | SParam) else Front()


def front_context(context: Any) -> FrontContext:
    """Returns what the front end knows, as a part of a model's context."""
    if isinstance(context, Context):
        context = context.front
    return context if isinstance(context, FrontContext) else FrontContext()


def with_noise(context: Any, noise: Any) -> Any:
    """Returns a model's context with another standard deviation of the noise."""
    if isinstance(context, Context):
        return context._replace(front=with_noise(context.front, noise))
    if isinstance(context, FrontContext):
        return context._replace(noise=noise)
    return context


def keeps_white(model: nn.Module) -> bool:
    """Returns whether values that the photograph clips are at least white."""
    return isinstance(model, FHDR | SParamLSTM) and model.keep_white


def sees_single_pixels(model: Any) -> bool:
    """Returns whether the model sees no neighbours, but for those of its front end."""
    return model.receptive_radius <= front_of(model).receptive_radius


def taking_srgb(model: nn.Module) -> nn.Module:
    """Returns the same model, but one that takes every photograph for sRGB-encoded.

    It does not use the parameters of the estimate. `Response`, which does nothing but
    estimate, is returned unchanged.
    """
    if isinstance(model, SParamLSTM):
        return model.clone(sparam=taking_srgb(model.sparam))
    if isinstance(model, FHDR | SParam):
        return model.clone(front=model.front.clone(response="srgb"))
    return model


def has_dtype(model: nn.Module) -> bool:
    """Returns whether the model can compute in more than one number format."""
    return isinstance(model, FHDR | SParamLSTM)


def with_dtype(model: nn.Module, dtype: Any) -> nn.Module:
    """Returns the same model, but one that computes in another number format.

    Raises:
      UserError: the format is not one of `checks.DTYPES`.
    """
    if isinstance(model, SParamLSTM):
        return model.clone(conv_lstm=model.conv_lstm.clone(dtype=dtype))
    return model.clone(dtype=dtype)


def _parts(kind: type[nn.Module]) -> dict[str, type[nn.Module]]:
    """Returns the types of the fields that are modules themselves, by name."""
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    return {n: type(d) for n, d in defaults.items() if isinstance(d, nn.Module)}


def _known_options(kind: type[nn.Module], prefix: str = "") -> Iterator[str]:
    """Yields the names of all fields, those of a part as "part.field"."""
    parts = _parts(kind)
    for field in dataclasses.fields(kind):
        if field.name in parts:
            yield from _known_options(parts[field.name], f"{prefix}{field.name}.")
        elif field.name not in ("parent", "name"):
            yield prefix + field.name


def _given_options(fields: Any, prefix: str = "") -> Iterator[str]:
    for name, value in fields.items():
        if hasattr(value, "items"):  # a mapping; a `ConfigDict` is no `Mapping`
            yield from _given_options(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _made(kind: type[nn.Module], fields: Any) -> nn.Module:
    parts = _parts(kind)
    return kind(
        **{n: _made(parts[n], v) if n in parts else v for n, v in fields.items()}
    )
