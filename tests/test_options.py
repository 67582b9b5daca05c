import math

import pytest

from configs import default
from jaxhdr import options
from jaxhdr.errors import UserError


@pytest.mark.parametrize(
    ("argument", "remedy"),
    [
        (
            "--config.loss.clipped_weight=5",
            r"loss\.clipped_pixel_weight .* or loss\.cl",
        ),
        ("--config.loss.clipped-weight", r"loss\.clipped_term_weight"),
        ("-config.model.linearisation=srgb", r"model\.front\.response"),
        ("--noconfig.model.smooth_noise", r"model\.front\.smooth_noise"),
        ("--config.model.curve_input=linear", r"model\.sparam\.curve_of"),
    ],
)
def test_a_replaced_field_names_what_replaced_it(argument, remedy):
    with pytest.raises(UserError, match=f"{argument} sets a field.*{remedy}"):
        options.check_fields(["--workdir=x", argument])


def test_a_field_that_is_spelled_with_a_dash_is_refused():
    with pytest.raises(UserError, match=r"have underscores, --config.data.data_dir$"):
        options.check_fields(["--workdir=a", "--config.data.data-dir=b"])


def test_other_arguments_pass():
    options.check_fields(
        [
            "train.py",
            "--config=x.py",
            "--config.loss.error=l1",
            "5",
            "--workdir=clipped",
        ]
    )


def test_no_replaced_field_is_one_of_the_default_configuration():
    fields = default.get_config()
    for name in options.REPLACED_FIELDS:
        section, _, field = name.partition(".")
        assert field not in fields[section]


def number_fields(fields, name="config"):
    for key, value in fields.items():
        if isinstance(value, dict):
            yield from number_fields(value, f"{name}.{key}")
        elif isinstance(value, float | tuple):
            yield f"{name}.{key}", fields, key


@pytest.mark.parametrize("value", [math.nan, math.inf, (0.5, -math.inf), [(math.nan,)]])
def test_a_number_of_the_configuration_that_is_none_is_refused(value):
    fields = default.get_config().to_dict()
    options.check_numbers(fields)
    names = list(number_fields(fields))
    assert len(names) > 30
    for name, section, key in names:
        right, section[key] = section[key], value
        with pytest.raises(UserError, match=f"{name} is -?(nan|inf); expected a fin"):
            options.check_numbers(fields)
        section[key] = right
