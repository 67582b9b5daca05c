import json
import shutil
import sys

import numpy as np
import pytest

from jaxhdr import image_io
from jaxhdr.cli.main import main
from tests import small_runs


def run(arguments):
    done = small_runs.run(arguments)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_from_nothing_to_a_reconstruction(tmp_path, synthetic_small):
    """Runs the programs as a user does: train, resume, evaluate, reconstruct."""
    workdir, report = tmp_path / "run", tmp_path / "report"
    for num_steps in (2, 4):
        run(small_runs.command(workdir, synthetic_small, train__num_steps=num_steps))
    lines = (workdir / "log.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert sorted(set(steps)) == [1, 2, 3, 4]

    # The data were prepared in another folder, as on another machine.
    moved = shutil.copytree(synthetic_small, tmp_path / "moved")
    flags = ["--num_images=2", f"--data_dir={moved}", f"--output={report}"]
    flags += ["--metrics=psnr_mu,pu21_ssim"]
    done = run([sys.executable, "eval.py", f"--workdir={workdir}", *flags])
    assert "stage 1" in done.stdout
    rows = (report / "per_image.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 2  # a header; two images by two methods

    rng = np.random.default_rng(0)
    photograph, target = tmp_path / "photo.png", tmp_path / "photo.exr"
    image_io.write_png(photograph, rng.uniform(size=(23, 31, 3)).astype(np.float32))
    assert main([str(photograph), "-o", str(target), "--model", str(workdir)]) == 0
    hdr = image_io.read_hdr(target)
    assert hdr.shape == (23, 31, 3)
    assert np.isfinite(hdr).all()
    header = image_io.read_metadata(target)
    assert header["scale"] == "ldr_white"
    assert header["model"] == "run step 4"
    assert (tmp_path / "photo.preview.png").exists()

    exported = tmp_path / "mine.safetensors"
    assert main(["convert-weights", str(workdir), "-o", str(exported)]) == 0
    arguments = [str(photograph), "-o", str(tmp_path / "again.npy")]
    assert main([*arguments, "--model", str(exported), "--no-preview"]) == 0
    again = np.load(tmp_path / "again.npy")
    np.testing.assert_allclose(again, hdr, rtol=2e-3)  # half precision in the .exr


@pytest.mark.slow
def test_both_stages_of_sparam_lstm(tmp_path, synthetic_small):
    """Trains stage 1, then jointly from its weights, and resumes; scale mean_half."""
    common = {"loss__scale": "mean_half"}
    first, joint = tmp_path / "first", tmp_path / "joint"
    run(
        small_runs.command_of(
            "sparam.py:compact,synthetic_small",
            first,
            synthetic_small,
            **common,
            model__num_regions=2,
            train__num_steps=2,
        )
    )
    for num_steps in (2, 3):
        if num_steps == 3:  # a resumed run does not need its first weights
            shutil.rmtree(first)
        run(
            small_runs.command_of(
                "sparam_lstm.py:compact,synthetic_small",
                joint,
                synthetic_small,
                **common,
                model__sparam__num_regions=2,
                train__init_from=first,
                train__inner_crop=12,
                train__num_steps=num_steps,
            )
        )
    rows = [json.loads(line) for line in (joint / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3]
    # Joint training does not start worse than stage 1 ended: at its first step both
    # stages are the pseudo-HDR.
    assert rows[0]["l1_stage_2"] == pytest.approx(rows[0]["l1_stage_1"], rel=1e-4)

    arguments = [f"--workdir={joint}", "--num_images=1", "--metrics=ssim_mu"]
    done = run([sys.executable, "eval.py", *arguments])
    assert "stage 2" in done.stdout
    assert "median" in done.stdout

    rng = np.random.default_rng(0)
    photograph, target = tmp_path / "photo.png", tmp_path / "photo.exr"
    image_io.write_png(photograph, rng.uniform(size=(23, 31, 3)).astype(np.float32))
    assert main([str(photograph), "-o", str(target), "--model", str(joint)]) == 0
    header = image_io.read_metadata(target)
    assert header["scale"] == "ldr_white"
    assert "mean_half" in header["alignment"]
