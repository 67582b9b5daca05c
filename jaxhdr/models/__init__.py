"""Networks under one contract, made by name.

`model.apply({"params": params}, encoded)` takes display-encoded images
`(b, h, w, 3)` in [0, 1] and returns linear HDR `stages` `(stages, b, h, w, 3)`, the
last of which is the answer. `model.receptive_radius` is the number of pixels to each
side of an output pixel that can change it, beside the whole image's context.

`model.apply(variables, encoded, method="context")` returns what a part of the image
needs to know of the whole (histograms, curve parameters), as a pytree whose leaves
have a batch axis first, or None. `model.apply(variables, part, context)` then equals
that part of the whole result, up to the receptive radius. Without a context the given
image is the whole. Dropout is active only under an rng called "dropout".
"""

from typing import Any

from flax import linen as nn

from jaxhdr.errors import UserError
from jaxhdr.models.fhdr import FHDR
from jaxhdr.models.response import Response
from jaxhdr.models.sparam import SParam
from jaxhdr.models.sparam_lstm import SParamLSTM

MODELS: dict[str, type[nn.Module]] = {
    "fhdr": FHDR,
    "response": Response,
    "sparam": SParam,
    "sparam_lstm": SParamLSTM,
}


# Options by which a model estimates the camera's response, and their value without.
_WITHOUT_ESTIMATE = {"linearisation": "srgb", "curve_input": "linear"}


def create_model(name: str, **fields: Any) -> nn.Module:
    """Returns the model called `name`, with `fields` as its attributes.

    Raises:
      UserError: the name, or a field of it, is not known.
    """
    if name not in MODELS:
        raise UserError(f"unknown model {name!r}; available: {sorted(MODELS)}")
    known = set(MODELS[name].__dataclass_fields__) - {"parent", "name"}
    if unknown := sorted(set(fields) - known):
        raise UserError(
            f"model {name!r} has no option {unknown}; available: {sorted(known)}"
        )
    return MODELS[name](**fields)


def estimates_response(model: nn.Module) -> bool:
    """Returns whether the model estimates the camera's response."""
    return isinstance(model, Response) or bool(_estimating(model))


def taking_srgb(model: nn.Module) -> nn.Module:
    """Returns the same model, but one that takes every photograph for sRGB-encoded.

    Parameters of the estimate are then not used. `Response` is nothing else, and stays.
    """
    fields: dict[str, Any] = {n: _WITHOUT_ESTIMATE[n] for n in _estimating(model)}
    return model.clone(**fields)


def _estimating(model: nn.Module) -> list[str]:
    return [n for n in _WITHOUT_ESTIMATE if getattr(model, n, None) == "estimated"]
