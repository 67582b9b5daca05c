import jax.numpy as jnp
import numpy as np
import pytest

from jaxhdr.errors import UserError
from jaxhdr.storage import checkpoints

CONFIG = {"model": {"name": "fhdr"}, "camera": {"gamma": (1.8, 2.4)}}


def tree(value):
    return {"layer": {"kernel": jnp.full((2, 3), value), "bias": jnp.zeros(3)}}


def save(workdir, *steps, **options):
    with checkpoints.open_manager(workdir, **options) as manager:
        for step in steps:
            checkpoints.save(
                manager,
                step,
                params=tree(step),
                train_state=tree(-step),
                config=CONFIG,
                data={"next_index": 10 * step},
            )


def test_inference_gets_the_newest_parameters_as_numpy_and_the_config(tmp_path):
    save(tmp_path, 1, 5)
    trained = checkpoints.load_trained(tmp_path)
    assert trained.step == 5
    kernel = trained.params["layer"]["kernel"]
    assert isinstance(kernel, np.ndarray)
    np.testing.assert_array_equal(kernel, np.full((2, 3), 5.0))
    assert trained.config["camera"] == {"gamma": [1.8, 2.4]}


def test_a_resumed_run_gets_what_it_saved(tmp_path):
    save(tmp_path, 1, 2)
    with checkpoints.open_manager(tmp_path) as manager:
        restored = checkpoints.restore_latest(manager, tree(0))
    assert restored is not None
    assert (restored.step, restored.data) == (2, {"next_index": 20})
    np.testing.assert_array_equal(
        restored.train_state["layer"]["kernel"], np.full((2, 3), -2.0)
    )


def test_a_new_run_has_nothing_to_restore(tmp_path):
    with checkpoints.open_manager(tmp_path) as manager:
        assert checkpoints.restore_latest(manager, tree(0)) is None


def test_only_the_newest_are_kept(tmp_path):
    save(tmp_path, 1, 2, 3, max_to_keep=2)
    assert checkpoints.load_trained(tmp_path, step=2).step == 2
    with pytest.raises(
        UserError, match=r"no checkpoint of step 1; available: \[2, 3\]"
    ):
        checkpoints.load_trained(tmp_path, step=1)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    save(tmp_path, 1)
    other = {"layer": {"kernel": jnp.zeros((4, 4))}}
    with (
        checkpoints.open_manager(tmp_path) as manager,
        pytest.raises(UserError, match="does not fit this config"),
    ):
        checkpoints.restore_latest(manager, other)


def test_folders_without_a_checkpoint_are_named(tmp_path):
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(UserError, match="holds no checkpoints"):
            checkpoints.load_trained(folder)
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UserError, match="no finished checkpoint"):
        checkpoints.load_trained(tmp_path)


def test_a_checkpoint_that_a_kill_left_unfinished_is_passed_over(tmp_path):
    save(tmp_path, 1)
    (tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp").mkdir()
    assert checkpoints.load_trained(tmp_path).step == 1
