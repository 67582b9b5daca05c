import json

import numpy as np
import pytest

from data_builders.shared.prepare import prepare
from jaxhdr import data, image_io
from jaxhdr.cli.main import main
from jaxhdr.pictures import previews
from tests.data_builders import test_published_sets as published


@pytest.fixture(scope="module")
def pairs_dir(tmp_path_factory):
    """A folder with a small prepared `ldr_hdr_pair`, without one of its pairs."""
    files, prepared = (tmp_path_factory.mktemp(name) for name in ("files", "data"))
    published.ldr_hdr_pair(files)
    (files / "LDR_exposure_0/LDR_003.jpg").write_bytes(b"no image")
    options = {"data_dir": str(prepared), "processes": 1, "broken": "skip"}
    prepare("ldr_hdr_pair", manual_dir=str(files), **options)
    return str(prepared)


def summary(name, data_dir, capsys):
    assert main(["data", name, "--data_dir", data_dir, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_counts_sizes_and_ranges_are_those_of_the_records(pairs_dir, capsys):
    found = summary("ldr_hdr_pair", pairs_dir, capsys)
    assert sum(split["records"] for split in found["splits"]) == 26
    assert len(found["problems"]) == 1 and "003_0" in next(iter(found["problems"]))
    for split in found["splits"]:
        records = data.data_source("ldr_hdr_pair", split["split"], data_dir=pairs_dir)
        assert split["records"] == split["looked_at"] == len(records)
        assert split["scenes"] == len({record["scene"] for record in records})
        assert split["heights"] == [12, 12] and split["widths"] == [16, 16]
        above = [(record["hdr"].max(axis=-1) > 1).mean() for record in records]
        assert split["above_white"] == pytest.approx(np.mean(above))
        peaks = [
            np.log2(record["hdr"].max() / np.median(record["hdr"].max(axis=-1)))
            for record in records
        ]
        assert split["peak_stops"][1] == pytest.approx(np.median(peaks))


def test_the_table_names_splits_and_what_was_left_out(pairs_dir, capsys):
    assert main(["data", "ldr_hdr_pair", "--data_dir", pairs_dir]) == 0
    text = capsys.readouterr().out
    for part in (
        "train\n",
        "test\n",
        "stops (quartiles",
        "left out",
        "003_0",
        "clipped",
    ):
        assert part in text


def test_single_images_have_no_photograph_to_clip(synthetic_small, capsys):
    found = summary("synthetic_hdr/small", synthetic_small, capsys)
    for split in found["splits"]:
        assert split["clipped"] is None and split["above_white"] is None
        assert split["range_stops"][1] > 3


@pytest.mark.parametrize("name", ["ldr_hdr_pair", "synthetic_hdr/small"])
def test_the_contact_sheet_is_a_picture(
    tmp_path, pairs_dir, synthetic_small, capsys, name
):
    folder = pairs_dir if name == "ldr_hdr_pair" else synthetic_small
    sheet = tmp_path / "sheet.png"
    arguments = ["data", name, "--data_dir", folder, "--num_images", "2"]
    assert main([*arguments, "-o", str(sheet)]) == 0
    picture = image_io.read_encoded(sheet)
    assert picture.max() - picture.min() > 0.5


def test_every_entry_of_a_contact_sheet_is_shown():
    entries = [(str(i), [np.full((20, 30, 3), i / 7, np.float32)]) for i in range(1, 8)]
    sheet = previews.contact_sheet(entries, columns=3)
    for i in range(1, 8):
        assert np.isclose(sheet, i / 7).all(axis=-1).sum() >= 20 * 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "nothing is not prepared"),
        ([], "required: NAME"),
        (["ldr_hdr_pair", "--num_images", "0"], "limit is 0"),
    ],
)
def test_mistakes_are_one_sentence(pairs_dir, capsys, arguments, message):
    assert main(["data", *arguments, "--data_dir", pairs_dir]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
