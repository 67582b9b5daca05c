import os
import sys

import pytest

from jaxhdr import image_io
from jaxhdr.errors import UserError

# What systems and programs leave beside images.
LITTER = (
    ".DS_Store",
    "._a.exr",
    ".hidden/a.exr",
    "Thumbs.db",
    "desktop.ini",
    "__MACOSX/._a.exr",
    "__MACOSX/a.exr",
    "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg",
    "$RECYCLE.BIN/a.exr",
    "README.txt",
    "notes.exr.bak",
    "no-suffix",
)
IMAGES = ("B.JPG", "a.exr", "below/c.Tiff", "below/deeper/d.npy")


def write(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def listed(folder, suffixes=image_io.IMAGE_SUFFIXES, **options):
    found = image_io.list_folder(folder, suffixes, **options)
    return [path.relative_to(folder).as_posix() for path in found]


def test_images_are_found_at_any_depth_and_litter_is_left_out(tmp_path):
    write(tmp_path, IMAGES + LITTER)
    assert listed(tmp_path, is_deep=True) == list(IMAGES)
    assert listed(str(tmp_path)) == ["B.JPG", "a.exr"]
    assert listed(tmp_path, image_io.HDR_SUFFIXES) == ["a.exr"]
    assert listed(tmp_path, (".txt",)) == ["README.txt"]


def test_a_hidden_folder_that_the_user_names_is_read(tmp_path):
    write(tmp_path / ".cache" / "__MACOSX", IMAGES)
    assert listed(tmp_path / ".cache" / "__MACOSX") == ["B.JPG", "a.exr"]


def test_links_that_lead_back_end(tmp_path):
    write(tmp_path, IMAGES)
    (tmp_path / "below" / "back").symlink_to(tmp_path)
    (tmp_path / "below" / "self.exr").symlink_to(tmp_path / "below" / "self.exr")
    (tmp_path / "below" / "gone.exr").symlink_to(tmp_path / "gone.exr")
    (tmp_path / "z.exr").symlink_to(tmp_path / "a.exr")
    assert listed(tmp_path, is_deep=True) == [*IMAGES, "z.exr"]


@pytest.mark.skipif(sys.platform == "win32", reason="such files are of POSIX")
def test_pipes_and_folders_with_the_suffix_of_images_are_left_out(tmp_path):
    write(tmp_path, ["folder.exr/a.txt"])
    os.mkfifo(tmp_path / "pipe.exr")
    assert listed(tmp_path, is_deep=True) == []


def test_what_is_no_folder_is_refused(tmp_path):
    write(tmp_path, ["a.exr"])
    for path in (tmp_path / "a.exr", tmp_path / "missing"):
        with pytest.raises(UserError, match=f"{path.name} is not a folder"):
            image_io.list_folder(path, image_io.IMAGE_SUFFIXES)


def test_a_folder_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    write(tmp_path, IMAGES)
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("below"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"cannot read .*below: Permission denied"):
        listed(tmp_path, is_deep=True)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_name_that_is_no_text_is_refused_only_if_it_counts(tmp_path):
    write(tmp_path, [os.fsdecode(b"bad\xff.txt"), "a.exr"])
    assert listed(tmp_path) == ["a.exr"]
    write(tmp_path, [os.fsdecode(b"bad\xff.exr")])
    with pytest.raises(UserError, match="is not UTF-8, and names identify images"):
        listed(tmp_path)
    os.remove(tmp_path / os.fsdecode(b"bad\xff.exr"))
    write(tmp_path, [os.fsdecode(b"bad\xff/a.exr")])
    with pytest.raises(UserError, match="is not UTF-8"):
        listed(tmp_path, is_deep=True)
    assert listed(tmp_path / os.fsdecode(b"bad\xff")) == ["a.exr"]
