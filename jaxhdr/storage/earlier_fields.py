"""The fields of models as earlier versions stored them, in today's words.

Until version 0.1 a model had no parts: all fields lay side by side, under other names.
Weight files and checkpoints of that time are translated when they are read.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

# What SParam-Net's curve takes, by the value of the earlier field `curve_input`.
_CURVE_INPUTS: Final = {
    "encoded": {"curve_of": "encoded", "response": "srgb"},
    "linear": {"curve_of": "radiance", "response": "srgb"},
    "estimated": {"curve_of": "radiance", "response": "estimated"},
}

_SPARAM: Final = (
    *("num_regions", "backbone", "positive", "dropout_rate"),
    *("curve_input", "smooth_noise"),
)
_CONV_LSTM: Final = (
    *("peepholes", "shared_prelu", "forget_bias", "head", "peak"),
    *("loop", "remat", "dtype"),
)


def translated(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a model for `create_model`, whichever version stored them.

    Fields of today's version, and unknown ones, are returned as they are.
    """
    given = dict(fields)
    match given.get("name"):
        case "fhdr":
            if "linearisation" in given:
                given["response"] = given.pop("linearisation")
            _move(given, ("response", "smooth_noise"), to="front")
        case "sparam":
            _translate_curve_input(given)
        case "sparam_lstm":
            _move(given, _SPARAM, to="sparam")
            _move(given, _CONV_LSTM, to="conv_lstm")
            if "sparam" in given:
                given["sparam"] = dict(given["sparam"])
                _translate_curve_input(given["sparam"])
    return given


def translated_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configuration of a run, with its model's fields translated."""
    if "model" not in config:
        return dict(config)
    return {**config, "model": translated(config["model"])}


def _translate_curve_input(fields: dict[str, Any]) -> None:
    if "curve_input" in fields:
        value = fields.pop("curve_input")
        # The model refuses a value that no version knew.
        fields |= _CURVE_INPUTS.get(value, {"curve_of": value})
    _move(fields, ("response", "smooth_noise"), to="front")


def _move(fields: dict[str, Any], names: Collection[str], *, to: str) -> None:
    """Moves the fields with these names, if there are any, to a part of the model."""
    moved = {name: fields.pop(name) for name in names if name in fields}
    if moved:
        fields[to] = {**fields.get(to, {}), **moved}
