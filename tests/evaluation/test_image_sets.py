import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from jaxhdr import image_io, metrics
from jaxhdr.errors import UserError
from jaxhdr.evaluation import image_sets, scoring
from jaxhdr.evaluation.methods import open_methods
from jaxhdr.evaluation.rows import mean_scores
from jaxhdr.evaluation.scoring import Scoring
from jaxhdr.evaluation.writing import write_evaluation
from jaxhdr.imaging import camera, color
from tests.golden_scenes import version
from tests.random_models import write_random_weights

SCENES = ("gradient_sun", "interior_window")


@pytest.fixture
def folders(tmp_path):
    """Photographs that clip at 400 cd/m^2, and their radiance in cd/m^2."""
    photographs, truths = tmp_path / "photographs", tmp_path / "truths"
    photographs.mkdir()
    truths.mkdir()
    for scene in SCENES:
        hdr = version(scene, "ref").astype(np.float32)
        shown = color.srgb_encode(jnp.clip(jnp.asarray(hdr) / 400, 0, 1))
        image_io.write_png(photographs / f"{scene}.png", np.asarray(shown))
        np.save(truths / f"{scene}.npy", hdr)
    (photographs / ".hidden").touch()
    return photographs, truths


def test_pairs_of_two_folders_are_read_in_the_photographs_scale(folders):
    images = image_sets.from_folders(*folders)
    found = list(images.read(()))
    assert images.length == 2 and [image.name for image in found] == list(SCENES)
    for image in found:
        # The factor is a median over the photograph, which 8-bit codes round.
        expected = version(image.name, "ref") / 400
        np.testing.assert_allclose(image.hdr, expected, rtol=2e-3)
    assert [image.name for image in images.read({SCENES[0]})] == [SCENES[1]]
    assert "median ratio" in images.protocol["truth_to_photograph"]


def test_truth_in_the_right_scale_is_left_as_it_is(folders):
    image = next(image_sets.from_folders(*folders, is_aligned=False).read(()))
    np.testing.assert_array_equal(image.hdr, version(SCENES[0], "ref").astype("f4"))


def test_some_pairs_are_spread_over_the_photographs(folders):
    for name in ("z1", "z2"):
        for folder, suffix in zip(folders, ("png", "npy"), strict=True):
            source = folder / f"{SCENES[0]}.{suffix}"
            (folder / f"{name}.{suffix}").write_bytes(source.read_bytes())
    images = image_sets.from_folders(*folders, num_images=2)
    assert [image.name for image in images.read(())] == ["gradient_sun", "z1"]
    assert images.length == 2


@pytest.mark.parametrize(
    "spoil, message",
    [
        (
            lambda p, t: (t / "gradient_sun.npy").unlink(),
            r"0 HDR files gradient_sun\.\*",
        ),
        (
            lambda p, t: (t / "gradient_sun.exr").touch(),
            r"2 HDR files gradient_sun\.\*",
        ),
        (lambda p, t: (p / "gradient_sun.jpg").touch(), "have the same name"),
        (
            lambda p, t: [path.unlink() for path in p.iterdir()],
            "photographs holds no photographs; expected files",
        ),
        (lambda p, t: [path.unlink() for path in t.iterdir()], "holds no HDR images"),
        (lambda p, t: (p / "x.png").mkdir() or t.rename(t.parent / "y"), "not a folde"),
        (
            lambda p, t: np.save(t / "gradient_sun.npy", np.ones((4, 5, 3), "f4")),
            r"gradient_sun\.npy has shape \(4, 5, 3\)",
        ),
        (lambda p, t: (p / "gradient_sun.png").write_text("no"), "gradient_sun.png"),
    ],
)
def test_folders_that_do_not_fit_are_refused_in_one_sentence(folders, spoil, message):
    spoil(*folders)
    with pytest.raises(UserError, match=message):
        list(image_sets.from_folders(*folders).read(()))


@pytest.mark.slow
def test_what_is_no_image_and_no_hdr_image_is_left_out(folders, tmp_path):
    expected = [image.name for image in image_sets.from_folders(*folders).read(())]
    for folder in folders:
        for name in ("Thumbs.db", ".DS_Store", "._gradient_sun.png", "notes.txt"):
            (folder / name).write_text("no image")
        (folder / "__MACOSX").mkdir()
    photographs, truths = folders
    np.save(photographs / "gradient_sun.npy", np.ones((4, 4, 3), np.float32))
    for name in expected:
        image_io.write_png(truths / f"{name}.png", np.zeros((4, 4, 3), np.float32))
    (truths / "interior_window.v2.npy").write_text("another image")
    images = image_sets.from_folders(*folders)
    assert [image.name for image in images.read(())] == expected
    theirs = open_methods(predictions=[truths])["truths"]
    for image in images.read(()):
        assert theirs(image).shape == (1, *image.encoded.shape)


def test_a_folder_of_results_that_is_missing_is_refused_at_once(tmp_path):
    with pytest.raises(UserError, match="nobody is not a folder"):
        open_methods(predictions=[tmp_path / "nobody"])


@pytest.mark.slow
def test_operators_and_files_are_scored_without_a_run(folders, tmp_path):
    photographs, truths = folders
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for image in image_sets.from_folders(*folders).read(()):
        np.save(theirs / f"{image.name}.npy", np.asarray(image.hdr))
    report = write_evaluation(
        image_sets.from_folders(photographs, truths),
        open_methods(models=["kuo"], predictions=[theirs]),
        tmp_path / "report",
        scoring=Scoring(metrics.select(["log2_rmse", "hdr_vdp2_p_det"])),
    )
    scores = mean_scores(report.rows)
    assert list(scores) == ["linearised input", "kuo", "theirs"]
    assert scores["theirs"] == {"log2_rmse": 0, "hdr_vdp2_p_det": 0}
    assert scores["kuo"]["log2_rmse"] > 0.1
    assert report.protocol["data"] == "files"
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert page.count('id="pictures-') == 2 and "kuo, theirs" in page


def test_methods_are_told_by_their_names(folders, tmp_path):
    weights = tmp_path / "mine.safetensors"
    write_random_weights(weights)
    images = image_sets.from_folders(*folders, num_images=1)
    report = write_evaluation(
        images,
        open_methods(models=[str(weights)]),
        tmp_path / "x",
        scoring=Scoring(metrics.select(["psnr_mu"])),
    )
    assert report.rows[1]["method"].startswith("mine")
    with pytest.raises(UserError, match="have the same name"):
        open_methods(models=["kuo"], predictions=[tmp_path / "kuo"])


def test_a_picture_shows_the_estimate_as_it_is_scored(folders):
    image = next(image_sets.from_folders(*folders).read(()))
    methods = {"darker": lambda image: np.asarray(image.hdr)[None] / 8}
    for alignment, factor in (("none", 1 / 8), ("median", 1), ("mean_half", 1)):
        found = next(
            scoring.evaluate(
                methods,
                [image],
                metrics.select(["psnr_mu"]),
                protocol=metrics.Protocol(alignment=alignment),
            )
        )
        estimate = found.estimates["darker"]
        np.testing.assert_allclose(estimate, factor * image.hdr, rtol=1e-5)
        assert not found.maps["darker"]


def test_prepared_pairs_keep_their_own_photographs(monkeypatch):
    config = default.get_config()
    config.data.validation_name = "pairs+singles"
    hdr = version(SCENES[0], "ref").astype(np.float32) / 400
    ldr = np.rint(255 * np.clip(hdr, 0, 1)).astype(np.uint8)
    single = {"hdr": hdr, "clipping_levels": camera.clipping_levels(hdr)}
    single |= {"name": b"single", "scene": b"single"}
    pair = single | {"name": b"pair", "ldr": ldr}
    monkeypatch.setattr(image_sets.data, "data_source", lambda *_, **__: [pair, single])
    images = image_sets.from_config(config.to_dict())
    own, taken = images.read(())
    np.testing.assert_array_equal(own.hdr, hdr)
    np.testing.assert_array_equal(np.rint(own.encoded * 255), ldr)
    assert not np.array_equal(taken.hdr, hdr)
    assert images.protocol["data"] == "pairs+singles"
    assert "own" in images.protocol["photographs"]


CONFIG = {
    "data": {"name": "scenes", "validation_split": "validation", "data_dir": ""},
    "camera": {"clipped_fraction": [0.05, 0.1], "jpeg_share": 0.0},
    "eval": {"seed": 5},
}


def record(name):
    hdr = version(name, "ref").astype(np.float32)
    return {
        "hdr": hdr,
        "clipping_levels": camera.clipping_levels(hdr),
        "name": name,
        "scene": f"scene of {name}",
    }


def test_a_photograph_does_not_depend_on_the_other_images(monkeypatch):
    records = [record(name) for name in SCENES]
    monkeypatch.setattr(image_sets.data, "data_source", lambda *_, **__: records)
    images = image_sets.from_config(CONFIG)
    both, again = list(images.read(())), list(images.read(()))
    one = list(image_sets.from_config(CONFIG, num_images=1).read(()))
    other_seed = {**CONFIG, "eval": {"seed": 6}}
    other = next(image_sets.from_config(other_seed).read(()))
    assert [image.name for image in both] == ["gradient_sun", "interior_window"]
    for image, same in zip([*both, both[0]], [*again, *one], strict=True):
        np.testing.assert_array_equal(image.encoded, same.encoded)
        np.testing.assert_array_equal(image.hdr, same.hdr)
    assert not np.array_equal(both[0].hdr, other.hdr)
    assert 0.03 < np.mean(camera.is_clipped(both[0].encoded)) < 0.12


def test_a_split_without_images_is_refused(monkeypatch):
    monkeypatch.setattr(image_sets.data, "data_source", lambda *_, **__: [])
    with pytest.raises(UserError, match="scenes has no images in split 'validation'"):
        image_sets.from_config(CONFIG)
