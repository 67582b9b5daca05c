import dataclasses
import functools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import default
from data_builders.shared.prepare import prepare
from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.imaging import camera, panorama
from jaxhdr.models import create_model
from jaxhdr.storage import checkpoints
from jaxhdr.training import crops, initialisation, loop, losses
from jaxhdr.training.augmentation import Augmentation
from jaxhdr.training.optimizer import create_optimizer, learning_rate
from jaxhdr.training.recipe import Recipe, Tables, create_recipe
from jaxhdr.training.step import create_state, photographs, train_step, views
from tests import small_runs

# Takes the same photograph at every step: sRGB, a twentieth of the pixels clipped.
FIXED_CAMERA = camera.Camera(
    clipped_fraction=(0.05, 0.05),
    curve_shares=(1.0, 0.0, 0.0),
    read_noise=0.0,
    shot_noise=0.0,
    jpeg_share=0.0,
)
OPTIMIZER = ConfigDict(
    {
        "learning_rate": 1e-3,
        "beta1": 0.9,
        "beta2": 0.999,
        "warmup_steps": 10,
        "constant_share": 0.5,
        "decay": "cosine",
        "clip_norm": 1.0,
        "part_rates": (),
    }
)


def smooth_scene(size=16):
    """Two images of 12 stops, a bright spot on a ramp."""
    y, x = np.mgrid[:size, :size] / size
    spots = [40 * np.exp(-60 * ((x - c) ** 2 + (y - 0.5) ** 2)) for c in (0.3, 0.7)]
    tint = np.array([1.0, 0.8, 0.5])
    hdr = np.stack([(0.02 + x * y + spot)[..., None] * tint for spot in spots])
    return hdr.astype(np.float32)


def batch_of(hdr):
    levels = np.stack([camera.clipping_levels(image) for image in hdr])
    return {"hdr": jnp.asarray(hdr), "clipping_levels": jnp.asarray(levels)}


def params_of(workdir, step=None):
    return checkpoints.load_trained(workdir, step=step).params


def log_of(workdir):
    lines = (workdir / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def without_rate(rows):
    return [{k: v for k, v in row.items() if k != "images_per_second"} for row in rows]


def test_the_learning_rate_rises_holds_and_falls_to_zero():
    rate = learning_rate(OPTIMIZER, 100)
    rates = [float(rate(step)) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4)
    assert rates[10:55] == pytest.approx([1e-3] * 45)
    assert all(np.diff(rates[55:]) < 0)
    assert rates[-1] < 1e-5


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_run_shorter_than_its_warm_up_has_a_rate(steps):
    rate = learning_rate(OPTIMIZER, steps)
    assert all(0 < float(rate(step)) < 1.001e-3 for step in range(steps))


def test_an_unknown_decay_is_refused():
    config = ConfigDict(OPTIMIZER)
    config.decay = "stairs"
    with pytest.raises(UserError, match=r"stairs.*cosine.*linear"):
        learning_rate(config, 10)


UNCHANGED = Augmentation(flip_left_right=0.0)


@functools.cache
def shared_recipe():
    """One recipe for several tests, because compiling takes longest."""
    model = create_model("fhdr", num_iterations=1, head="residual")
    return Recipe(
        model=model,
        optimizer=create_optimizer(OPTIMIZER, 200),
        loss=losses.Loss(error=losses.L1(clipped_pixel_weight=5.0)),
        augmentation=UNCHANGED,
        camera=FIXED_CAMERA,
    )


def first_updates(params, part_rates):
    config = ConfigDict(dict(OPTIMIZER) | {"part_rates": part_rates})
    optimizer = create_optimizer(config, 100)
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    return jax.tree.map(lambda x: float(x[0]), updates)


def test_parts_of_the_model_can_learn_more_slowly():
    ones = jnp.ones(2)
    params = {"a": {"b": {"w": ones}, "bc": {"w": ones}}, "ab": {"w": ones}}
    alike = first_updates(params, ())
    assert alike["a"]["b"]["w"] == alike["a"]["bc"]["w"] == alike["ab"]["w"] < 0
    slower = first_updates(params, (("a/b", 0.5), ("ab", 0.0)))
    assert slower["a"]["b"]["w"] == alike["a"]["b"]["w"] / 2
    assert slower["a"]["bc"] == alike["a"]["bc"]
    assert slower["ab"]["w"] == 0
    with pytest.raises(UserError, match="no such part"):
        first_updates(params, (("b", 0.5),))


def pairs_of(hdr):
    codes = np.rint(255 * np.clip(hdr, 0, 1) ** (1 / 2.2)).astype(np.uint8)
    return batch_of(hdr) | {"ldr": jnp.asarray(codes)}


def photographs_of(batch):
    return photographs(jax.random.key(0), batch, virtual_camera=FIXED_CAMERA)


def test_pairs_are_learned_from_as_they_are():
    batch = pairs_of(smooth_scene())
    pair = photographs_of(batch)
    np.testing.assert_array_equal(pair.hdr, batch["hdr"])
    np.testing.assert_allclose(pair.encoded * 255, batch["ldr"], rtol=1e-6)


@pytest.mark.slow
def test_a_mixture_photographs_only_what_has_no_photograph():
    batch = pairs_of(smooth_scene())
    mixed = photographs_of(batch | {"has_ldr": jnp.array([True, False])})
    own, taken = photographs_of(batch), photographs_of(batch_of(smooth_scene()))
    for found, first, second in zip(mixed, own, taken, strict=True):
        np.testing.assert_array_equal(found[0], first[0])
        np.testing.assert_array_equal(found[1], second[1])
    assert not np.array_equal(own.encoded[1], taken.encoded[1])


def train_on_one_batch(num_steps, *, ema_decay):
    recipe = dataclasses.replace(shared_recipe(), ema_decay=ema_decay)
    params = initialisation.initial_params(jax.random.key(0), recipe.model)
    state = create_state(params, recipe.optimizer)
    batch, values = batch_of(smooth_scene()), []
    for _ in range(num_steps):
        state, terms = train_step(
            state, batch, jax.random.key(1), recipe=recipe, tables=Tables()
        )
        values.append(float(terms["loss"]))
    return state, values


@pytest.mark.slow
def test_training_on_one_batch_brings_its_loss_near_zero():
    state, values = train_on_one_batch(200, ema_decay=0.9)
    assert values[-1] < values[0] / 10
    assert values[-1] < 0.005
    assert int(state.step) == 200
    # The average follows the parameters, a little behind.
    gap = jax.tree.map(
        lambda a, b: jnp.abs(a - b).max(), state.params, state.ema_params
    )
    assert 0 < max(jax.tree.leaves(gap)) < 0.01


@pytest.mark.slow
def test_without_averaging_the_averaged_parameters_are_the_last():
    state, _ = train_on_one_batch(3, ema_decay=0.0)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-9)
    jax.tree.map(close, state.params, state.ema_params)


@pytest.mark.slow
def test_a_step_is_compiled_once_for_a_recipe():
    train_on_one_batch(2, ema_decay=0.0)
    compiled = train_step._cache_size()
    train_on_one_batch(2, ema_decay=0.0)
    assert train_step._cache_size() == compiled


@pytest.mark.slow
def test_a_part_of_each_image_trains_both_stages_of_sparam_lstm():
    model = create_model(
        "sparam_lstm",
        sparam={"num_regions": 2, "backbone": "compact"},
        conv_lstm={"head": "residual"},
    )
    recipe = Recipe(
        model=model,
        optimizer=create_optimizer(OPTIMIZER, 10_000),
        augmentation=UNCHANGED,
        camera=FIXED_CAMERA,
        scale="mean_half",
        crop=crops.Crop(16, clipped_share=0.5),
    )
    state = create_state(
        initialisation.initial_params(jax.random.key(0), model), recipe.optimizer
    )
    batch, rows = batch_of(smooth_scene(32)), []
    for _ in range(40):
        state, terms = train_step(
            state, batch, jax.random.key(1), recipe=recipe, tables=Tables()
        )
        rows.append({name: float(value) for name, value in terms.items()})
    first, last = (
        {name: np.mean([row[name] for row in part]) for name in rows[0]}
        for part in (rows[:5], rows[-5:])
    )
    for stage in ("l1_stage_1", "l1_stage_2"):
        assert last[stage] < 0.9 * first[stage]
    # A twentieth of the pixels is clipped, but half of the parts hold one that is.
    assert np.mean([row["clipped_share"] for row in rows]) > 0.06


def test_every_field_of_the_loss_reaches_the_step():
    config = default.get_config()
    config.loss.update(error="rms", scale_invariance=0.5, stage_weights=(0.3, 0.7))
    config.loss.update(peak=16.0, mu=100.0, domain="stops", image_mean="geometric")
    config.loss.update(clipped_pixel_weight=3.0, structure_weight=0.25)
    recipe = create_recipe(config, create_model(**config.model))
    assert recipe.loss == losses.Loss(
        domain=losses.Domain("stops", 16.0, 100.0),
        error=losses.RMS("geometric", 3.0, 0.5),
        structure_weight=0.25,
        stage_weights=(0.3, 0.7),
    )
    attributes = {
        field.name
        for owner in (losses.Loss, losses.Domain, *losses.ERRORS.values())
        for field in dataclasses.fields(owner)
    }
    assert set(config.loss) == attributes - {"kind"} | {"scale", "vgg19"}


def test_only_training_has_its_share_of_unclipped_photographs():
    config = default.get_config()
    config.data.unclipped_share = 0.25
    trained_on = create_recipe(config, create_model(**config.model)).camera
    assert trained_on == camera.create_camera(**config.camera, unclipped_share=0.25)


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory, synthetic_small):
    """A folder, configuration and last state of a run of three steps."""
    workdir = tmp_path_factory.mktemp("run")
    config = small_runs.config(
        synthetic_small, train__num_steps=3, train__evaluate_every=3
    )
    return workdir, config, loop.train_and_evaluate(config, workdir)


def test_a_run_logs_evaluates_and_saves(finished_run):
    workdir, config, state = finished_run
    trained = checkpoints.load_trained(workdir)
    assert trained.step == 3
    jax.tree.map(np.testing.assert_array_equal, trained.params, state.ema_params)
    assert trained.config == json.loads(json.dumps(config.to_dict()))
    rows = log_of(workdir)
    assert [row["step"] for row in rows] == [1, 2, 3, 3]
    assert 0 < rows[0]["live_features"] <= 1
    scores = {f"validation/{name}/psnr_mu" for name in ("stage 1", "linearised input")}
    assert scores <= set(rows[-1])
    assert (workdir / "samples" / "00000003.png").stat().st_size > 0
    assert list((workdir / "tensorboard").glob("events*"))


@pytest.mark.slow
def test_the_parameters_that_validated_best_are_kept(tmp_path, synthetic_small):
    """A learning rate that ruins its parameters after the first step."""
    config = small_runs.config(
        synthetic_small,
        train__num_steps=4,
        train__evaluate_every=1,
        optimizer__learning_rate=0.03,
        optimizer__ema_decay=0.0,
        eval__best_window=1,
    )
    loop.train_and_evaluate(config, tmp_path)
    name = f"validation/stage 1/{config.eval.best_metric}"
    scores = {row["step"]: row[name] for row in log_of(tmp_path) if name in row}
    assert sorted(scores) == [1, 2, 3, 4]
    best = min(scores, key=scores.__getitem__)
    assert checkpoints.load_trained(tmp_path / "best").step == best
    assert checkpoints.load_trained(tmp_path).step == 4


@pytest.mark.slow
def test_a_resumed_run_keeps_the_best_of_before(tmp_path, synthetic_small):
    """What a killed run logged after its last checkpoint does not count."""
    fields = {
        "train__evaluate_every": 1,
        "train__checkpoint_every": 0,
        "optimizer__learning_rate": 0.03,
        "optimizer__ema_decay": 0.0,
        "eval__best_window": 1,
    }
    config = small_runs.config(synthetic_small, train__num_steps=2, **fields)
    loop.train_and_evaluate(config, tmp_path)
    name = f"validation/stage 1/{config.eval.best_metric}"
    before = {row["step"]: row[name] for row in log_of(tmp_path) if name in row}
    with open(tmp_path / "log.jsonl", "a") as log:
        for step in (3, 4):
            log.write(json.dumps({"step": step, name: 0.0}) + "\n")
    config = small_runs.config(synthetic_small, train__num_steps=4, **fields)
    loop.train_and_evaluate(config, tmp_path)
    scores = {row["step"]: row[name] for row in log_of(tmp_path) if name in row}
    assert sorted(scores) == [1, 2, 3, 4] and 0.0 not in scores.values()
    assert {step: scores[step] for step in before} == before
    best = min(scores, key=scores.__getitem__)
    assert best in before  # or this test shows nothing
    assert checkpoints.load_trained(tmp_path / "best").step == best


@pytest.fixture(scope="module")
def small_panoramas(tmp_path_factory):
    """A folder of prepared panoramas, 64 x 32 pixels, of eight scenes."""
    folder, data_dir = (tmp_path_factory.mktemp(name) for name in ("hdri", "data"))
    for number in range(8):
        hdr = np.random.default_rng(number).random((32, 64, 3), np.float32)
        hdr[4, 5 * number] = 900.0
        image_io.write_hdr(folder / f"scene{number}_1k.exr", hdr)
    prepare("hdr_images/images_1k", data_dir=str(data_dir), manual_dir=str(folder))
    return str(data_dir)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["fhdr", "camera_response"])
def test_a_run_on_drawn_views_resumes_as_if_it_had_not_stopped(
    tmp_path, small_panoramas, model
):
    fields = {"data__name": "hdr_images/images_1k", "views__size": 16}
    fields |= {"train__num_steps": 6}
    config = small_runs.config(small_panoramas, **fields)
    if model != "fhdr":
        config.model = {"name": model}
    whole = loop.train_and_evaluate(config, tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train_step", _stops_after(3, loop.train_step))
        with pytest.raises(KeyboardInterrupt):
            loop.train_and_evaluate(config, tmp_path / "parts")
    resumed = loop.train_and_evaluate(config, tmp_path / "parts")
    jax.tree.map(np.testing.assert_array_equal, resumed.params, whole.params)
    rows = log_of(tmp_path / "whole")
    clipped = [row["clipped_share"] for row in rows if "clipped_share" in row]
    assert len(set(clipped)) == len(clipped)  # no step has the views of another


def _stops_after(count, step):
    """A step of training that is interrupted once it was called some times."""
    calls = iter(range(count))

    def limited(*arguments, **fields):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return step(*arguments, **fields)

    return limited


@pytest.mark.slow
def test_views_are_rendered_and_get_their_clipping_levels():
    panoramas = panorama.stack([np.full((8, 16, 3), 2.0, np.float32)])
    batch = {
        "panorama": jnp.zeros(2, jnp.int32),
        "angles": jnp.asarray([[0, 0, 0, 60], [90, 20, 5, 100]], jnp.float32),
    }
    images = views(batch, panoramas, size=8)
    assert images["hdr"].shape == (2, 8, 8, 3)
    assert images["clipping_levels"].shape == (2, len(camera.CLIPPED_FRACTIONS))
    np.testing.assert_allclose(images["clipping_levels"], images["hdr"].max())


def test_a_best_metric_that_is_not_computed_is_refused(tmp_path, synthetic_small):
    config = small_runs.config(synthetic_small)
    config.eval.best_metric = "hdr_vdp2_q"
    with pytest.raises(UserError, match=r"best_metric is 'hdr_vdp2_q'.*log2_rmse"):
        loop.train_and_evaluate(config, tmp_path)


@pytest.mark.slow
def test_another_model_in_the_same_workdir_is_refused(finished_run):
    workdir, config, _ = finished_run
    other = config.copy_and_resolve_references()
    other.model.head = "mu_law"
    with pytest.raises(UserError, match=r"model\.head = 'residual', not 'mu_law'"):
        loop.train_and_evaluate(other, workdir)


@pytest.mark.slow
def test_a_scalar_that_is_not_finite_stops_the_run_before_it_is_saved(
    tmp_path, synthetic_small
):
    config = small_runs.config(
        synthetic_small, optimizer__learning_rate=1e30, optimizer__warmup_steps=0
    )
    with pytest.raises(FloatingPointError, match="not finite at step"):
        loop.train_and_evaluate(config, tmp_path)
    with pytest.raises(UserError, match="no finished checkpoint"):
        checkpoints.load_trained(tmp_path)


def test_a_batch_that_the_devices_cannot_share_is_refused(monkeypatch):
    monkeypatch.setattr(jax, "local_devices", lambda: [None, None, None])
    with pytest.raises(UserError, match=r"batch_size is 4.*multiple of the 3 devices"):
        loop._shardings(4)


@pytest.mark.slow
def test_a_killed_run_ends_bit_for_bit_like_one_that_was_not(tmp_path, synthetic_small):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = small_runs.run(small_runs.command(whole, synthetic_small))
    assert done.returncode == 0, done.stderr
    again = small_runs.command(killed, synthetic_small)

    def is_writing_a_checkpoint():
        return any((killed / "checkpoints").glob("*orbax-checkpoint-tmp*"))

    def is_at_step_7():
        return (killed / "log.jsonl").exists() and '"step": 7' in (
            killed / "log.jsonl"
        ).read_text()

    small_runs.kill_when(is_writing_a_checkpoint, again)
    small_runs.kill_when(is_at_step_7, again)
    done = small_runs.run(again)
    assert done.returncode == 0, done.stderr
    jax.tree.map(np.testing.assert_array_equal, params_of(whole), params_of(killed))
    assert without_rate(log_of(whole)) == without_rate(log_of(killed))


@pytest.fixture(scope="module")
def mixture(tmp_path_factory, synthetic_small):
    """Prepared data of pairs and of single images, and the mixture's name."""
    folder, prepared = (tmp_path_factory.mktemp(name) for name in ("hdr", "prepared"))
    for number in range(4):
        hdr = np.pad(smooth_scene(64)[number % 2], ((0, 448), (0, 448), (0, 0)), "wrap")
        image_io.write_hdr(folder / f"series{number}_x.exr", hdr * (number + 1))
    prepare("curated", data_dir=str(prepared), manual_dir=str(folder), processes=1)
    shutil.copytree(f"{synthetic_small}/synthetic_hdr", prepared / "synthetic_hdr")
    return str(prepared), {
        "data.name": "curated+synthetic_hdr/small",
        "data.validation_name": "curated",
        "data.validation_split": "test",
    }


@pytest.mark.slow
def test_a_mixture_trains_and_its_pairs_are_evaluated(tmp_path, mixture):
    data_dir, fields = mixture
    config = small_runs.config(data_dir, train__num_steps=2, train__evaluate_every=2)
    config.update_from_flattened_dict(fields)
    loop.train_and_evaluate(config, tmp_path)
    (row,) = [row for row in log_of(tmp_path) if "loss" not in row]
    assert np.isfinite(row["validation/stage 1/psnr_mu"])


@pytest.mark.slow
def test_a_killed_run_on_a_mixture_ends_like_one_that_was_not(tmp_path, mixture):
    data_dir, fields = mixture
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    fields |= {"data.weights": "(2.0,1.0)"}
    done = small_runs.run(small_runs.command(whole, data_dir, **fields))
    assert done.returncode == 0, done.stderr
    again = small_runs.command(killed, data_dir, **fields)

    def is_at_step_7():
        log = killed / "log.jsonl"
        return log.exists() and '"step": 7' in log.read_text()

    small_runs.kill_when(is_at_step_7, again)
    done = small_runs.run(again)
    assert done.returncode == 0, done.stderr
    jax.tree.map(np.testing.assert_array_equal, params_of(whole), params_of(killed))
    assert without_rate(log_of(whole)) == without_rate(log_of(killed))


@pytest.mark.slow
def test_four_devices_train_like_one(tmp_path, synthetic_small):
    for devices in (1, 4):
        arguments = small_runs.command(
            tmp_path / str(devices), synthetic_small, train__num_steps=5
        )
        done = small_runs.run(arguments, devices=devices)
        assert done.returncode == 0, done.stderr
    # Read here, on one device.
    one, four = params_of(tmp_path / "1"), params_of(tmp_path / "4")
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), one, four)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"data__name": "nothing"}, "unknown data set 'nothing'"),
        ({"data__patch_size": 4096}, "4096"),
        ({"loss__perceptual_weight": 0.5}, "vgg19"),
        ({"optimizer__decay": "stairs"}, "stairs"),
    ],
)
def test_a_mistake_ends_the_program_with_one_sentence(
    tmp_path, synthetic_small, fields, sentence
):
    done = small_runs.run(small_runs.command(tmp_path, synthetic_small, **fields))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert sentence in done.stderr
