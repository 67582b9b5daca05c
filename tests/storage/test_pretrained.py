import json

import jax
import numpy as np
import pytest

from jaxhdr import options
from jaxhdr.errors import UserError
from jaxhdr.imaging import scales
from jaxhdr.inference import Reconstructor
from jaxhdr.models.fhdr_torch import to_torch
from jaxhdr.storage import checkpoints, pretrained, weight_files
from tests.random_models import (
    FIELDS,
    random_params,
    random_sparam_lstm,
    write_random_weights,
)


def save_run(workdir, *, params=None, fields=FIELDS, **config) -> None:
    with checkpoints.open_manager(workdir) as manager:
        checkpoints.save(
            manager,
            7,
            params=jax.tree.map(np.asarray, params or random_params()),
            train_state={"step": np.zeros(())},
            config={"model": fields, **config},
            data={},
        )


def assert_random(loaded, **tolerance) -> None:
    pairs = zip(
        jax.tree.leaves(loaded.params), jax.tree.leaves(random_params()), strict=True
    )
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, **tolerance)


@pytest.mark.parametrize("half, tolerance", [(False, 0), (True, 1e-3)])
def test_a_weight_file_gives_model_and_parameters(tmp_path, half, tolerance):
    path = tmp_path / "mine.safetensors"
    write_random_weights(path, half=half)
    loaded = pretrained.load_pretrained(path)
    assert loaded.model.receptive_radius == 29
    assert loaded.model.zero_last_layer is False
    assert loaded.scale == "ldr_white"
    assert_random(loaded, atol=tolerance)


@pytest.mark.slow
def test_the_label_changes_with_the_weights(tmp_path):
    path = tmp_path / "mine.safetensors"
    labels = set()
    for half in (False, True, False):
        write_random_weights(path, half=half)
        labels.add(pretrained.load_pretrained(path).label)
    assert len(labels) == 2
    assert all(label.startswith("mine ") for label in labels)


def test_shipped_models_go_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(options, "WEIGHTS", tmp_path)
    write_random_weights(tmp_path / "small.safetensors")
    (tmp_path / "small.md").write_text("a card")
    assert options.shipped_names() == ["small"]
    assert pretrained.load_pretrained("small").label.startswith("small ")
    with pytest.raises(UserError, match=r"unknown model 'large'.*\(small\)"):
        pretrained.load_pretrained("large")


def test_a_run_loads_and_its_export_is_the_same_model(tmp_path):
    workdir, path = tmp_path / "run", tmp_path / "run.safetensors"
    save_run(workdir)
    loaded = pretrained.load_pretrained(workdir)
    assert loaded.label == "run step 7"
    assert_random(loaded)
    pretrained.export_weights(workdir, path, half=False)
    exported = pretrained.load_pretrained(path)
    assert exported.model == loaded.model
    assert_random(exported)
    assert weight_files.read_metadata(path)["origin"] == "run step 7"
    with pytest.raises(UserError, match="no checkpoint of step 8"):
        pretrained.export_weights(workdir, path, step=8)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("scale", scales.SCALES)
def test_the_scale_of_a_run_goes_with_its_weights(tmp_path, scale):
    workdir, path = tmp_path / "run", tmp_path / "run.safetensors"
    save_run(workdir, loss={"scale": scale})
    assert pretrained.load_pretrained(workdir).scale == scale
    pretrained.export_weights(workdir, path)
    assert pretrained.load_pretrained(path).scale == scale


@pytest.mark.parametrize("config", [{}, {"loss": {}}, {"loss": {"peak": 64.0}}])
def test_runs_that_name_no_scale_are_absolute(config):
    assert pretrained.trained_scale(config) == "ldr_white"


def test_a_run_of_an_unknown_scale_is_refused(tmp_path):
    save_run(tmp_path / "run", loss={"scale": "median_one"})
    with pytest.raises(UserError, match=r"'median_one'.*ldr_white, mean_half, max_one"):
        pretrained.load_pretrained(tmp_path / "run")


@pytest.mark.slow
def test_a_run_of_sparam_lstm_loads_and_its_export_is_the_same_model(tmp_path):
    workdir, path = tmp_path / "run", tmp_path / "run.safetensors"
    model, params, *_ = random_sparam_lstm()
    fields = {"name": "sparam_lstm", "sparam": {"backbone": "compact"}}
    save_run(workdir, params=params, fields=fields, loss={"scale": "mean_half"})
    pretrained.export_weights(workdir, path, half=False)
    for source in (workdir, path):
        loaded = pretrained.load_pretrained(source)
        assert (loaded.model, loaded.scale) == (model, "mean_half")
        jax.tree.map(np.testing.assert_array_equal, loaded.params, dict(params))


def test_a_damaged_checkpoint_is_reported(tmp_path):
    save_run(tmp_path / "run")
    for file in (tmp_path / "run").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:3])
    with pytest.raises(UserError, match="damaged"):
        pretrained.load_pretrained(tmp_path / "run")


def test_official_weights_keep_their_values_and_say_their_scale(tmp_path):
    source, path = tmp_path / "official.pth", tmp_path / "official.safetensors"
    weight_files.write_safetensors(source, to_torch(random_params()))
    pretrained.convert_torch(source, path, num_iterations=2)
    loaded = pretrained.load_pretrained(path)
    assert loaded.scale == "max_one"
    assert "max_one" in Reconstructor(loaded).alignment
    assert (loaded.model.head, loaded.model.peak) == ("tanh", 1.0)
    assert loaded.model.num_iterations == 2
    assert_random(loaded)


MODEL = json.dumps(FIELDS)
BAD_HEADERS = {
    "nothing": {},
    "no scale": {"model": MODEL},
    "no JSON": {"model": "fhdr", "scale": "ldr_white"},
    "a list": {"model": "[1, 2]", "scale": "ldr_white"},
    "no name": {"model": "{}", "scale": "ldr_white"},
    "unknown scale": {"model": MODEL, "scale": "median_one"},
    "unknown model": {"model": '{"name": "other"}', "scale": "ldr_white"},
    "unknown field": {"model": '{"name": "fhdr", "depth": 3}', "scale": "ldr_white"},
    "bad field": {"model": '{"name": "fhdr", "head": "x"}', "scale": "ldr_white"},
}


@pytest.mark.parametrize("metadata", BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_a_header_without_a_model_is_refused(tmp_path, metadata):
    path = tmp_path / "w.safetensors"
    arrays = weight_files.flatten(random_params())
    weight_files.write_safetensors(path, arrays, metadata=metadata)
    with pytest.raises(UserError):
        pretrained.load_pretrained(path)


@pytest.mark.slow
def test_parameters_of_another_shape_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    arrays = weight_files.flatten(random_params())
    name = sorted(arrays)[0]
    for changed in (arrays | {name: arrays[name][:1]}, arrays | {"more": np.ones(2)}):
        weight_files.write_safetensors(
            path, changed, metadata={"model": MODEL, "scale": "ldr_white"}
        )
        with pytest.raises(UserError, match="do not fit"):
            pretrained.load_pretrained(path)


def test_weight_files_have_their_suffix(tmp_path):
    save_run(tmp_path / "run")
    with pytest.raises(UserError, match=r"\.safetensors"):
        pretrained.export_weights(tmp_path / "run", tmp_path / "weights.npz")
