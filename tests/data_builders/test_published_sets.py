"""Builds every published data set from small files in exactly its published layout."""

import importlib
import importlib.resources
import shutil
import zipfile

import numpy as np
import pytest

from data_builders.shared import source_files
from data_builders.shared.prepare import prepare
from jaxhdr import data, image_io
from jaxhdr.errors import UserError

SIZE = (12, 16)


def radiance(number, peak=20.0):
    """Random radiance with a bright spot above 1, different for every number."""
    rng = np.random.default_rng(number)
    hdr = rng.uniform(0.05, 0.9, (*SIZE, 3)).astype(np.float32)
    hdr[2:4, 3:6] = peak
    return hdr


def photograph(hdr, stops=0):
    linear = np.clip(hdr * 2.0**stops, 0, 1)
    low, high = 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, low, high).astype(np.float32)


def write_photograph(path, encoded):
    path.parent.mkdir(parents=True, exist_ok=True)
    image_io.write_png(path.with_name("made.png"), encoded)
    path.with_name("made.png").rename(path)  # readers detect the format by content


def write_radiance(path, hdr):
    path.parent.mkdir(parents=True, exist_ok=True)
    image_io.write_hdr(path, hdr)


def write_pair(ldr, hdr, number, stops=0):
    # Real HDR images have an unknown factor.
    write_radiance(hdr, 3.7 * radiance(number))
    write_photograph(ldr, photograph(radiance(number), stops))


def si_hdr(folder):
    for scene in range(1, 5):
        for clipping in ("clip_95", "clip_97"):
            write_photograph(
                folder / f"input/{clipping}/{scene:03d}.png",
                photograph(radiance(scene), stops=0 if clipping == "clip_97" else 1),
            )
        write_radiance(folder / f"reference/{scene:03d}.exr", radiance(scene))
        # The builder must not use this file as a reference.
        other = folder / f"reconstructions/fhdr/clip_97/{scene:03d}.exr"
        write_radiance(other, radiance(99))
    return {"test": 4}


def hdr_real(folder):
    root = folder / "SingleHDR_training_data/HDR-Real"
    for scene in range(10):
        for exposure in range(2):
            name = f"{2 * scene + exposure:05d}"
            write_pair(
                root / f"LDR_in/{name}.jpg",
                root / f"HDR_gt/{name}.hdr",
                scene,
                stops=-exposure,
            )
    for number in range(3):
        place = folder / f"HDR-Real/{number:05d}"
        write_pair(place / "input.jpg", place / "gt.hdr", 50 + number)
    return {"train": 18, "validation": 2, "test": 3}


def hdr_eye(folder):
    for number in range(1, 4):
        write_pair(
            folder / f"images/LDR/C{number:02d}_LDR.tif",
            folder / f"images/HDR/C{number:02d}_HDR.hdr",
            number,
        )
        write_photograph(
            folder / f"images/Bracketed_images/C{number:02d}/1.JPG",
            photograph(radiance(number)),
        )
    return {"test": 3}


def ldr_hdr_pair(folder):
    for scene in range(1, 10):
        write_radiance(folder / f"HDR/HDR_{scene:03d}.hdr", radiance(scene))
        for exposure in ("-2", "0", "+2"):
            write_photograph(
                folder / f"LDR_exposure_{exposure}/LDR_{scene:03d}.jpg",
                photograph(radiance(scene), int(exposure)),
            )
    return {"train": 6, "validation": 3, "test": 18}


def city_scene(folder):
    for side, days in (("train", range(1, 6)), ("test", range(11, 13))):
        for day in days:
            for flip in (0, 1):
                name = f"201410{day:02d}082626_flip{flip}_expo-1"
                write_pair(
                    folder / f"{side}/{name}.jpg", folder / f"{side}/{name}.exr", day
                )
    return {"train": 8, "validation": 2, "test": 4}


def ntire2021(folder):
    for number in range(6):
        hdr = radiance(number)
        ratio = 0.9 / hdr.max() ** (1 / 2.24)
        codes = np.rint(65535 * ratio * hdr ** (1 / 2.24)).astype(np.uint16)
        write_photograph(folder / f"{number:04d}_medium.png", photograph(hdr))
        write_deep_png(folder / f"{number:04d}_gt.png", codes)
        np.save(folder / f"{number:04d}_alignratio.npy", np.float64(ratio))
        np.save(folder / f"{number:04d}_exposures.npy", np.zeros(3))
    return {"train": 5, "validation": 1}


def write_deep_png(path, codes):
    import OpenImageIO as oiio

    output = oiio.ImageOutput.create(str(path))
    output.open(str(path), oiio.ImageSpec(codes.shape[1], codes.shape[0], 3, "uint16"))
    output.write_image(codes)
    output.close()


def vds(folder):
    for side, count in (("train", 4), ("test", 2)):
        for number in range(1, count + 1):
            for stops in range(-3, 4):
                write_photograph(
                    folder / f"{side}/set/t{number}/t{number}_{stops}EV_true.jpg.png",
                    photograph(radiance(number, peak=4.0), stops),
                )
    write_radiance(folder / "test_hdr/t1.hdr", 5 * radiance(1, peak=4.0))
    return {"train": 3, "validation": 1, "test": 2}


def fairchild(folder):
    for name in ("507", "BarHarborSunrise", "AmikBeaverAM", "WillyDesk"):
        write_radiance(folder / f"{name}.exr", radiance(len(name)))
    return {"train": 3, "validation": 1}


LAYOUTS = {
    function.__name__: function
    for function in (
        si_hdr,
        hdr_real,
        hdr_eye,
        ldr_hdr_pair,
        city_scene,
        ntire2021,
        vds,
        fairchild,
    )
}
HDR_ONLY = {"fairchild"}


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    """Folder and expected counts of each set; the files are written once."""
    root = tmp_path_factory.mktemp("published")
    made = {}
    for name, write in LAYOUTS.items():
        (root / name).mkdir()
        made[name] = root / name, write(root / name)
    return made


def build(name, folder, data_dir, **options):
    options = {"processes": 1} | options
    prepare(name, manual_dir=str(folder), data_dir=str(data_dir), **options)
    info = builder_class(name)(data_dir=data_dir).info
    return {
        split: list(data.data_source(name, split, data_dir=str(data_dir)))
        for split in info.splits
    }


def builder_class(name):
    name = name.partition("/")[0]
    return importlib.import_module(
        f"data_builders.{name}.{name}_dataset_builder"
    ).Builder


def counts(records):
    return {split: len(found) for split, found in records.items()}


def names(records):
    return {split: [r["name"] for r in found] for split, found in records.items()}


def zipped(folder, target, compression=zipfile.ZIP_STORED):
    """Packs every file of a folder into two zips, inside an extra folder."""
    target.mkdir()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for number in range(2):
        with zipfile.ZipFile(target / f"part{number}.zip", "w", compression) as archive:
            archive.writestr("__MACOSX/._001.exr", b"not an image")
            for path in files[number::2]:
                archive.write(path, f"extra/{path.relative_to(folder).as_posix()}")
    return target


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("name", LAYOUTS)
def test_splits_and_records_are_as_documented(tmp_path, layouts, name):
    folder, expected = layouts[name]
    records = build(name, folder, tmp_path)
    assert counts(records) == expected
    scenes = {split: {r["scene"] for r in found} for split, found in records.items()}
    everything = [record for found in records.values() for record in found]
    assert len({record["name"] for record in everything}) == len(everything)
    assert sum(map(len, scenes.values())) == len(set().union(*scenes.values()))
    for record in everything:
        hdr = record["hdr"]
        assert hdr.shape == (*SIZE, 3) and hdr.dtype == np.float32
        assert np.isfinite(hdr).all() and (hdr >= 0).all() and hdr.max() > 1
        assert ("ldr" in record) == (name not in HDR_ONLY)


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("name", sorted(LAYOUTS.keys() - HDR_ONLY))
def test_radiance_is_in_the_scale_of_its_photograph(tmp_path, layouts, name):
    for found in build(name, layouts[name][0], tmp_path).values():
        for record in found:
            assert record["scale"] == b"ldr_white"
            assert record["ldr"].dtype == np.uint8
            assert record["ldr"].shape == record["hdr"].shape
            codes = record["ldr"].astype(np.float32) / 255
            unclipped = (codes > 0.2) & (codes.max(axis=-1, keepdims=True) < 0.99)
            expected = photograph(record["hdr"])[unclipped]
            np.testing.assert_allclose(codes[unclipped], expected, atol=0.03)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("name", LAYOUTS)
def test_an_extra_folder_and_zips_make_no_difference(tmp_path, layouts, name):
    folder, _ = layouts[name]
    expected = build(name, folder, tmp_path / "a")
    shutil.copytree(folder, tmp_path / "copy/extra")
    nested = build(name, tmp_path / "copy", tmp_path / "b")
    packed = build(name, zipped(folder, tmp_path / "zips"), tmp_path / "c")
    for other in (nested, packed):
        assert names(other) == names(expected)
        for split, found in expected.items():
            for one, two in zip(found, other[split], strict=True):
                np.testing.assert_array_equal(one["hdr"], two["hdr"])


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_systems_leave_beside_images_makes_no_difference(tmp_path, layouts, name):
    folder, _ = layouts[name]
    files = source_files.list_files(folder)
    shutil.copytree(folder, tmp_path / "copy")
    for path in [*(tmp_path / "copy").rglob("*"), tmp_path / "copy"]:
        if path.is_dir():
            (path / "Thumbs.db").write_bytes(b"no image")
            (path / "README.txt").write_bytes(b"no image")
        else:
            path.with_name(f"._{path.name}").write_bytes(b"no image")
            (path.parent / "__MACOSX").mkdir(exist_ok=True)
            (path.parent / "__MACOSX" / path.name).write_bytes(b"no image")
    found = source_files.list_files(tmp_path / "copy")
    assert [file.name for file in found] == [file.name for file in files]
    assert source_files.fingerprint(found) == source_files.fingerprint(files)


def spoil_nan(folder):
    hdr = radiance(1)
    hdr[0, 0] = np.nan
    np.save(folder / "reference/001.npy", hdr)
    (folder / "reference/001.npy").rename(folder / "reference/001.exr")


def spoil_with(hdr):
    def spoil(folder):
        np.save(folder / "reference/001.npy", hdr.astype(np.float32))
        (folder / "reference/001.npy").rename(folder / "reference/001.exr")

    return spoil


def truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


SPOILS = {
    "NaN": (spoil_nan, "NaN or infinite"),
    "negative": (spoil_with(radiance(1) - 0.5), "negative radiance, down to"),
    "black": (spoil_with(0 * radiance(1)), "is black"),
    "clipped": (spoil_with(np.minimum(radiance(1), 1)), "clipped at 1 in"),
    "size": (spoil_with(radiance(1)[:, :-1]), "12 x 15 pixels"),
    "truncated HDR": (
        lambda folder: truncate(folder / "reference/001.exr"),
        "damaged or truncated",
    ),
    "truncated photograph": (
        lambda folder: truncate(folder / "input/clip_97/001.png"),
        "damaged or truncated",
    ),
    "no HDR image": (
        lambda folder: (folder / "reference/001.exr").unlink(),
        "no HDR image",
    ),
    "no photograph": (
        lambda folder: (folder / "input/clip_97/001.png").unlink(),
        "no photograph",
    ),
}


@pytest.mark.parametrize("kind", SPOILS)
def test_a_broken_file_is_named_and_refused_or_skipped(tmp_path, kind, capsys):
    spoil, message = SPOILS[kind]
    si_hdr(tmp_path / "files")
    spoil(tmp_path / "files")
    with pytest.raises(
        UserError, match=rf"broken sources of si_hdr: 1(.|\n)*001.*{message}"
    ):
        build("si_hdr", tmp_path / "files", tmp_path / "data")
    assert not list((tmp_path / "data").rglob("*.array_record*"))
    records = build("si_hdr", tmp_path / "files", tmp_path / "data", broken="skip")
    assert names(records) == {"test": [b"002", b"003", b"004"]}
    assert message in capsys.readouterr().err
    problems = builder_class("si_hdr")(data_dir=tmp_path / "data").metadata["problems"]
    assert len(problems) == 1 and "001" in next(iter(problems))


def test_sound_pairs_are_kept_when_most_have_no_partner(tmp_path):
    si_hdr(tmp_path / "files")
    for scene in ("001", "002", "003"):
        (tmp_path / f"files/reference/{scene}.exr").unlink()
    records = build("si_hdr", tmp_path / "files", tmp_path / "data", broken="skip")
    assert names(records) == {"test": [b"004"]}


def test_a_broken_member_of_a_zip_is_named(tmp_path):
    si_hdr(tmp_path / "files")
    folder = zipped(tmp_path / "files", tmp_path / "zips")
    for archive in folder.iterdir():
        content = bytearray(archive.read_bytes())
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                if "reference" in member.filename:
                    content[member.header_offset + 200] ^= 0xFF
        archive.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read part\d/extra/reference/.*\.exr"):
        build("si_hdr", folder, tmp_path / "data")


def test_a_member_of_a_zip_that_cannot_be_decompressed_is_named(tmp_path):
    si_hdr(tmp_path / "files")
    folder = zipped(tmp_path / "files", tmp_path / "zips", zipfile.ZIP_DEFLATED)
    for archive in folder.iterdir():
        content = bytearray(archive.read_bytes())
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                if "reference" in member.filename:
                    # The first byte of the data: a type of block that does not exist.
                    content[member.header_offset + 30 + len(member.filename)] = 0xFF
        archive.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read part\d/extra/reference/.*\.exr"):
        build("si_hdr", folder, tmp_path / "data")


def test_a_truncated_zip_is_named(tmp_path):
    si_hdr(tmp_path / "files")
    folder = zipped(tmp_path / "files", tmp_path / "zips")
    truncate(folder / "part1.zip")
    with pytest.raises(UserError, match=r"part1\.zip.*incomplete"):
        build("si_hdr", folder, tmp_path / "data")


def test_two_copies_of_a_file_are_refused(tmp_path):
    si_hdr(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "one/again")
    with pytest.raises(UserError, match="the same file of the data set"):
        build("si_hdr", tmp_path / "one", tmp_path / "data")


@pytest.mark.parametrize("name", LAYOUTS)
def test_missing_data_say_what_to_download_and_where_to_put_it(tmp_path, name):
    (tmp_path / "empty").mkdir()
    described = builder_class(name).data_set
    with pytest.raises(UserError) as without_folder:
        prepare(name, data_dir=str(tmp_path / "data"))
    with pytest.raises(UserError) as without_files:
        build(name, tmp_path / "empty", tmp_path / "data")
    for error in (without_folder, without_files):
        text = str(error.value)
        assert name in text and described.licence in text and described.size in text
        assert all(page in text for page in described.pages)
        assert all(line in text for line in described.tree.strip().splitlines())


@pytest.mark.parametrize("name", LAYOUTS)
def test_metadata_are_complete(name):
    folder = importlib.import_module(f"data_builders.{name}").__path__[0]
    text = importlib.resources.files(f"data_builders.{name}").joinpath("README.md")
    readme = text.read_text()
    for part in ("**Getting it.**", "**Licence**", "**Units.**", "**Splits.**"):
        assert part in readme, (folder, part)
    assert f"jaxhdr data build {name} --manual-dir FOLDER" in readme
    info = builder_class(name)(data_dir="/nonexistent").info
    assert info.citation.startswith("@") and info.description


def test_counts_that_differ_from_the_published_ones_are_reported(
    tmp_path, layouts, capsys
):
    build("si_hdr", layouts["si_hdr"][0], tmp_path)
    assert "SI-HDR, test: 4 of the 181 published records" in capsys.readouterr().err


def test_the_configurations_of_si_hdr_differ_in_exposure(tmp_path, layouts):
    folder, _ = layouts["si_hdr"]
    darker = build("si_hdr/clip_97", folder, tmp_path)["test"]
    brighter = build("si_hdr/clip_95", folder, tmp_path)["test"]
    for one, two in zip(darker, brighter, strict=True):
        assert two["ldr"].mean() > one["ldr"].mean()
        np.testing.assert_allclose(two["hdr"], 2 * one["hdr"], rtol=0.02)


def test_the_published_totals_of_oh_et_al_are_met():
    # Section 3.1: 970 HDR and 10,236 LDR images for training, 346 and 946 for testing.
    published = {
        name: builder_class(name).data_set.published
        for name in ("hdr_real", "ldr_hdr_pair", "hdr_eye")
    }
    both = "train+validation"
    assert published["hdr_real"][both] + published["ldr_hdr_pair"][both] == 10_236
    assert published["ldr_hdr_pair"]["test"] + published["hdr_eye"]["test"] == 946
    assert 820 + published["ldr_hdr_pair"][both] // 3 == 970
    assert published["ldr_hdr_pair"]["test"] // 3 + published["hdr_eye"]["test"] == 346


def test_training_pairs_without_common_names_are_paired_by_order(tmp_path):
    folder = tmp_path / "HDR-Real"
    for number in range(4):
        write_pair(
            folder / f"LDR_in/photo{number}.jpg",
            folder / f"HDR_gt/truth{number}.hdr",
            number,
        )
    records = build("hdr_real", tmp_path, tmp_path / "data")
    assert counts(records) == {"train": 3, "validation": 1}
    first = records["train"][0]
    np.testing.assert_allclose(first["hdr"], radiance(0), rtol=0.05)


def test_a_day_of_the_test_set_is_not_used_for_training(tmp_path):
    city_scene(tmp_path / "files")
    name = "20141011090000_flip0_expo00"
    write_pair(
        tmp_path / f"files/train/{name}.jpg", tmp_path / f"files/train/{name}.exr", 1
    )
    with pytest.raises(UserError, match=f"train/{name}: the test set has"):
        build("city_scene", tmp_path / "files", tmp_path / "data")


def test_a_merged_stack_equals_the_photographed_radiance(tmp_path, layouts):
    records = build("vds", layouts["vds"][0], tmp_path)
    for record in records["train"]:
        number = int(record["scene"].decode().removeprefix("train_t"))
        expected = radiance(number, peak=4.0)
        np.testing.assert_allclose(record["hdr"], expected, rtol=0.03, atol=0.003)
