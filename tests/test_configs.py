import importlib
import json
import pathlib
import re

import pytest
from absl import flags
from ml_collections import config_flags

from configs import default, fhdr
from data_builders.shared.prepare import available
from jaxhdr import data
from jaxhdr.imaging import camera
from jaxhdr.models import create_model, estimates_response
from jaxhdr.training import losses, recipe
from jaxhdr.training.augmentation import Augmentation, create_augmentation
from jaxhdr.training.optimizer import learning_rate

ROOT = pathlib.Path(__file__).parents[1]
FILES = sorted(
    path.stem for path in ROOT.glob("configs/*.py") if path.stem != "__init__"
)

# Every argument that a config file documents; None means no argument.
ARGUMENTS = {
    "default": [None],
    "fhdr": [
        None,
        "synthetic",
        "synthetic_small",
        "hdr_images",
        "paper,synthetic",
        "official,hdr_images",
        "default,synthetic_small",
        "paper,city_scene",
        "hdr_real+hdr_images+fairchild",
        *default.DATA,
    ],
    "camera_response": [None],
    "fhdr_release": [None, "1", "2", "4", "estimated"],
    "response": [None],
    "sparam_lstm_release": [None],
    "sparam": [None, "synthetic", "paper", "paper,hdr_images", "compact,oh2021"],
    "sparam_lstm": [None, "synthetic", "paper", "paper,hdr_images", "compact,vds"],
}
CASES = [(file, argument) for file in ARGUMENTS for argument in ARGUMENTS[file]]


def load(file, argument=None):
    module = importlib.import_module(f"configs.{file}")
    return module.get_config(*([] if argument is None else [argument]))


def flat(tree, prefix=""):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def with_tuples(value):
    """Converts lists back to tuples, because JSON has only lists."""
    return tuple(map(with_tuples, value)) if isinstance(value, list) else value


def fields(config):
    """Leaf values by dotted name; the model's fields belong to its class."""
    return {
        name: value
        for name, value in flat(config.to_dict())
        if not name.startswith("model.")
    }


def test_every_config_file_has_its_arguments_listed():
    assert sorted(ARGUMENTS) == FILES


@pytest.mark.parametrize(("file", "argument"), CASES)
def test_a_config_has_the_fields_of_the_default_and_their_types(file, argument):
    expected = fields(default.get_config())
    actual = fields(load(file, argument))
    # The validation cameras may differ from the others in any of their fields.
    changed = [name for name in actual if name.startswith("eval.camera.")]
    for name in changed:
        value = actual.pop(name)
        assert type(value) is type(expected[name.removeprefix("eval.")])
    assert actual.keys() == expected.keys()
    types = {name: type(value) for name, value in actual.items()}
    assert types == {name: type(value) for name, value in expected.items()}


@pytest.mark.parametrize(("file", "argument"), CASES)
def test_the_model_the_camera_and_the_recipe_can_be_made(file, argument):
    config = load(file, argument)
    model = create_model(**config.model)
    camera.create_camera(**config.camera)
    hash(recipe.create_recipe(config, model))


@pytest.mark.parametrize(("file", "argument"), CASES)
def test_a_config_stored_as_json_makes_the_same_run(file, argument):
    config = load(file, argument)
    stored = json.loads(json.dumps(config.to_dict()))
    assert create_model(**stored["model"]) == create_model(**config.model)
    assert camera.create_camera(**stored["camera"]) == camera.create_camera(
        **config.camera
    )
    again = {name: with_tuples(value) for name, value in flat(stored)}
    assert again == dict(flat(config.to_dict()))


@pytest.mark.parametrize(("file", "argument"), CASES)
def test_the_data_sets_of_a_config_are_ones_that_can_be_built(file, argument):
    section = load(file, argument).data
    names = data.names_of(section.name)
    for each in names + data.names_of(section.validation_name or section.name):
        name, _, configuration = each.partition("/")
        assert name in available()
        module = importlib.import_module(
            f"data_builders.{name}.{name}_dataset_builder",
        )
        known = {each.name for each in module.Builder.BUILDER_CONFIGS}
        assert not configuration or configuration in known


def test_the_camera_of_the_default_config_is_the_default_camera():
    assert camera.create_camera(**default.get_config().camera) == camera.Camera()


def test_the_augmentation_and_the_loss_of_the_default_config_are_the_defaults():
    config = default.get_config()
    assert create_augmentation(**config.augmentation) == Augmentation()
    assert losses.create_loss(**config.loss) == losses.Loss()


def test_each_call_returns_a_config_of_its_own():
    first = fhdr.get_config()
    first.train.num_steps = 1
    first.camera.read_noise = 0.5
    assert fhdr.get_config().train.num_steps != 1
    assert fhdr.get_config().camera.read_noise != 0.5


@pytest.mark.parametrize(
    "argument", ["", "synthetics", "paper", "hdr_images,paper", "big,synthetic"]
)
def test_an_unknown_argument_is_named_with_those_that_exist(argument):
    with pytest.raises(ValueError, match=re.escape(repr(argument))) as error:
        fhdr.get_config(argument)
    assert "official" in str(error.value)
    assert "synthetic_small" in str(error.value)


@pytest.mark.parametrize("file", FILES)
def test_the_commands_in_a_docstring_name_files_and_arguments_that_exist(file):
    text = importlib.import_module(f"configs.{file}").__doc__ or ""
    commands = re.findall(r"python (\S+) --config=(\S+?)\.py(?::(\S+))?\s", text)
    assert commands or file == "default"
    for script, path, argument in commands:
        assert (ROOT / script).is_file()
        assert (ROOT / f"{path}.py").is_file()
        load(pathlib.Path(path).name, argument or None)


def test_the_paper_preset_trains_as_the_paper():
    # Khan et al. (2019), section II-D (mu, lambda) and II-E (momentum parameters, half
    # of the epochs at full rate, then linear decay); 2e-4 is the official code's rate.
    config = load("fhdr", "paper,synthetic")
    assert (config.optimizer.beta1, config.optimizer.beta2) == (0.5, 0.999)
    assert config.optimizer.learning_rate == 2e-4
    assert config.optimizer.decay == "linear"
    assert config.optimizer.constant_share == 0.5
    assert config.loss.perceptual_weight == 0.1
    assert config.loss.mu == 5000.0
    assert config.model.head == "tanh"
    assert not config.model.detach_hidden


def test_the_official_preset_detaches_hidden_states():
    config = load("fhdr", "official,synthetic")
    assert (config.optimizer.beta1, config.optimizer.beta2) == (0.9, 0.999)
    assert config.loss.perceptual_weight == 10.0
    assert config.model.detach_hidden


def test_sparam_lstm_trains_as_the_paper():
    # Oh et al. (2021), section 3.2 (Adam, batch, epochs), 3.1 (mean of 0.5, images),
    # 2.1 (Eq. 7) and 2.2 (Eq. 8).
    for file in ("sparam", "sparam_lstm"):
        config = load(file, "paper,hdr_images")
        assert (config.optimizer.beta1, config.optimizer.beta2) == (0.9, 0.999)
        rate = learning_rate(config.optimizer, config.train.num_steps)
        assert float(rate(100_000)) == pytest.approx(7e-5)
        assert config.train.num_steps * config.data.batch_size == 50 * 10_236
        assert config.data.batch_size == 4
        assert config.data.patch_size == 256
        assert config.train.inner_crop == 0
        assert config.loss.scale == "mean_half"
        assert config.loss.domain == "linear"
        assert config.loss.structure_weight == 0.83
        sparam = config.model if file == "sparam" else config.model.sparam
        assert (sparam.backbone, sparam.num_regions) == ("vgg16", 5)
        assert sparam.curve_of == "encoded"
    assert config.model.conv_lstm.head == "relu"
    beta, alpha = config.loss.stage_weights
    assert alpha > beta


@pytest.mark.parametrize("file", ["sparam", "sparam_lstm"])
def test_the_paper_preset_alone_is_on_the_papers_data(file):
    # Oh et al. (2022), section 3.1.
    section = load(file, "paper").data
    assert section.name == "hdr_real+ldr_hdr_pair"
    assert section.train_split == "train+validation"
    assert section.validation_name == "ldr_hdr_pair+hdr_eye"
    assert section.validation_split == "test"


def test_sets_without_a_validation_split_are_not_mixed():
    with pytest.raises(ValueError, match="no split `validation`"):
        fhdr.get_config("hdr_real+si_hdr")


def test_the_peaks_of_the_model_and_of_the_loss_are_one_field():
    config = fhdr.get_config()
    config.loss.peak = 16.0
    assert config.model.peak == 16.0


def test_the_peaks_of_a_part_of_the_model_and_of_the_loss_are_one_field():
    config = load("sparam_lstm")
    config.loss.peak = 16.0
    assert config.model.conv_lstm.peak == 16.0
    assert create_model(**config.model).conv_lstm.peak == 16.0


@pytest.mark.parametrize(
    "file, argument, field",
    [
        ("fhdr", "synthetic", "model.front.response"),
        ("sparam", "compact,synthetic", "model.front.response"),
        ("sparam_lstm", "compact,synthetic", "model.sparam.front.response"),
    ],
)
def test_a_field_of_a_part_can_be_set_on_the_command_line(
    monkeypatch, file, argument, field
):
    arguments = ["train.py", f"--config.{field}=estimated"]
    monkeypatch.setattr("sys.argv", arguments)  # the flags look there too
    values = flags.FlagValues()
    config = load(file, argument)
    config_flags.DEFINE_config_dict("config", config, flag_values=values)
    values(arguments)
    assert estimates_response(create_model(**values.config.model))
