import os

import numpy as np
import pytest
from PIL import Image

from jaxhdr import image_io
from jaxhdr.app import work
from jaxhdr.app.downloads import DOWNLOADS
from jaxhdr.errors import UserError
from jaxhdr.inference import Reconstructor
from tests.inference.test_reconstructor import BLUR

NAME = "Strand.jpg"


@pytest.fixture(scope="module")
def reconstructor():
    return Reconstructor(BLUR)


def fill(folder, **options):
    """Puts a photograph into a folder."""
    ramp = np.linspace(0, 255, 20 * 30 * 3).reshape(20, 30, 3).astype(np.uint8)
    Image.fromarray(ramp).save(folder / "source", "JPEG", **options)


def compute(folder, reconstructor, *, most_pixels=10_000):
    states = []
    facts = work.compute(
        folder, NAME, reconstructor, most_pixels=most_pixels, enter=states.append
    )
    return facts, states


def refusal(folder, reconstructor, **options):
    with pytest.raises(UserError) as caught:
        compute(folder, reconstructor, **options)
    return work.sentence_of(caught.value, folder, NAME)


def test_a_photograph_is_computed_and_every_format_is_written(tmp_path, reconstructor):
    fill(tmp_path)
    facts, states = compute(tmp_path, reconstructor)
    assert states == ["reading", "computing", "packing"]
    assert (facts["width"], facts["height"]) == (30, 20)
    expected = reconstructor(tmp_path / "source")
    assert not work.missing()
    for key, download in DOWNLOADS.items():
        name = work.write(tmp_path, NAME, key)
        assert (tmp_path / name).suffix == download.suffix
    for key in ("exr", "tif", "npy"):
        written = image_io.read_hdr(tmp_path / work.write(tmp_path, NAME, key))
        np.testing.assert_allclose(written, expected, rtol=2e-3, atol=1e-6)
    metadata = image_io.read_metadata(tmp_path / "exr.exr")
    assert metadata["source"] == NAME and metadata["scale"] == "ldr_white"
    assert image_io.read_photograph(tmp_path / "ultrahdr.jpg").gain_map == "used"


def test_a_large_photograph_has_no_stages_but_the_same_result(
    tmp_path, reconstructor, monkeypatch
):
    fill(tmp_path)
    compute(tmp_path, reconstructor)
    hdr = (tmp_path / "hdr.npy").read_bytes()
    page = (tmp_path / "view.html").read_text()
    monkeypatch.setattr(work, "MOST_STAGED_PIXELS", 100)
    compute(tmp_path, reconstructor)
    assert (tmp_path / "hdr.npy").read_bytes() == hdr
    assert "stage 1" in page and "stage 1" not in (tmp_path / "view.html").read_text()


def test_what_fails_is_said_without_a_path(tmp_path, reconstructor):
    source = tmp_path / "source"
    fill(tmp_path)
    content = source.read_bytes()
    assert "30 x 20 pixels, expected at most 599" in refusal(
        tmp_path, reconstructor, most_pixels=599
    )
    half = content[: len(content) // 2]
    for damaged in (b"%PDF-1.7", b"<svg/>", half, bytes(99)):
        source.write_bytes(damaged)
        sentence = refusal(tmp_path, reconstructor)
        assert sentence.startswith(f"cannot read {NAME}: ")
        assert str(tmp_path) not in sentence and os.sep + "source" not in sentence
    image_io.write_hdr(tmp_path / "a.exr", np.ones((2, 2, 3), np.float32))
    (tmp_path / "a.exr").rename(source)
    assert refusal(tmp_path, reconstructor).startswith(f"{NAME} is HDR already")
    assert "memory" in work.sentence_of(MemoryError(), tmp_path, NAME)
    assert "a bug" in work.sentence_of(RuntimeError(), tmp_path, NAME)


def test_a_small_file_that_states_a_huge_image_is_refused_at_once(
    tmp_path, reconstructor
):
    Image.new("1", (30_000, 17_000)).save(tmp_path / "source", "PNG")
    assert (tmp_path / "source").stat().st_size < 100_000
    sentence = refusal(tmp_path, reconstructor, most_pixels=64 * 10**6)
    assert "30000 x 17000 pixels" in sentence


def test_the_limit_of_pixels_ends_with_its_block(tmp_path):
    fill(tmp_path)
    with image_io.pixel_limit(10), pytest.raises(UserError, match="at most 10"):
        image_io.read_encoded(tmp_path / "source")
    with image_io.pixel_limit(2**40):
        assert image_io.read_encoded(tmp_path / "source").shape == (20, 30, 3)
    assert image_io.read_encoded(tmp_path / "source").shape == (20, 30, 3)
