import json

import numpy as np
import OpenImageIO as oiio
import pytest

from jaxhdr import image_io
from jaxhdr.cli import compare
from jaxhdr.cli.main import main
from tests import golden_scenes

NAMES = ("psnr_mu", "log2_rmse_clipped", "ms_ssim_mu", "pu21_psnr")


@pytest.fixture
def files(tmp_path):
    truth = golden_scenes.version("interior_window", "ref").astype(np.float32) / 400
    image_io.write_hdr(tmp_path / "truth.exr", truth, half=False)
    np.save(tmp_path / "estimate.npy", (0.5 * truth).astype(np.float32))
    image_io.write_png(tmp_path / "photo.png", np.clip(truth, 0, 1))
    return tmp_path


def run(files, *arguments):
    pair = [str(files / "estimate.npy"), str(files / "truth.exr")]
    return main([compare.NAME, *pair, *arguments])


def test_the_table_names_scores_units_and_protocol(files, capsys):
    photograph = ["--photograph", str(files / "photo.png")]
    assert run(files, "--metrics", *NAMES, *photograph) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == list(NAMES)
    assert lines[1].split()[2:] == ["stops", "lower", "is", "better"]
    assert float(lines[1].split()[1]) == pytest.approx(1, abs=1e-3)  # half the light
    assert lines[2].split()[1] == "absent"  # the image is too small
    assert 'alignment "none"' in lines[-1] and '"white": 200.0' in lines[-1]


def test_json_holds_the_same_after_alignment(files, capsys):
    arguments = ["--json", "--alignment", "median", "--metrics", "log2_rmse", "psnr_mu"]
    assert run(files, *arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["protocol"]["alignment"] == "median"
    assert found["scores"]["log2_rmse"] == pytest.approx(0, abs=1e-6)
    assert found["scores"]["psnr_mu"] == "inf" or found["scores"]["psnr_mu"] > 100


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--metrics", "psnr"], "unknown metrics"),
        (["--metrics", "log2_rmse_clipped"], "need the LDR image"),
        (["--black", "-1"], "black is -1.0"),
        (["--alignment", "best"], "invalid choice"),
    ],
)
def test_mistakes_are_told_in_one_line(files, capsys, arguments, message):
    assert run(files, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def write_layers(path, image):
    """Writes an image as one layer of two, beside an albedo."""
    height, width, _ = image.shape
    spec = oiio.ImageSpec(width, height, 6, "float")
    spec.channelnames = tuple(f"{a}.{c}" for a in ("albedo", "diffuse") for c in "RGB")
    output = oiio.ImageOutput.create(str(path))
    pixels = np.concatenate([np.ones_like(image), image], axis=2)
    assert output.open(str(path), spec) and output.write_image(
        np.ascontiguousarray(pixels)
    )
    assert output.close()


def test_a_layer_is_that_of_the_files_that_have_several(files, capsys):
    truth = image_io.read_hdr(files / "truth.exr")
    assert run(files, "--metrics", "log2_rmse") == 0
    expected = capsys.readouterr().out
    write_layers(files / "truth.exr", truth)
    assert run(files, "--metrics", "log2_rmse") == 2
    assert "several layers (albedo, diffuse)" in capsys.readouterr().err
    assert run(files, "--metrics", "log2_rmse", "--layer", "diffuse") == 0
    assert capsys.readouterr().out == expected
    assert run(files, "--layer", "specular") == 2
    error = capsys.readouterr().err
    assert "'specular'; expected one of albedo, diffuse" in error
    image_io.write_hdr(files / "truth.exr", truth)
    assert run(files, "--layer", "diffuse") == 2
    assert "neither" in capsys.readouterr().err


def test_images_of_two_sizes_are_refused(files, capsys):
    np.save(files / "estimate.npy", np.ones((20, 30, 3), np.float32))
    assert run(files) == 2
    assert "(20, 30, 3)" in capsys.readouterr().err
