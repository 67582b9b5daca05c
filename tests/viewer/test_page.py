import base64
import hashlib
import json
import re

import numpy as np
import pytest

from jaxhdr.errors import UserError
from jaxhdr.viewer import page, view
from jaxhdr.viewer.view import Radiance
from tests.viewer.test_packing import unpacked

HOSTILE = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>&quot;"


def encoded(height=20, width=30):
    ramp = np.linspace(0, 1, height * width * 3, dtype=np.float32)
    return ramp.reshape(height, width, 3)


def stages(like):
    return [
        Radiance("stage 1", 0.5 * like, is_estimate=True),
        Radiance("reconstruction", 2 * like, is_estimate=True),
    ]


def written(tmp_path, packed):
    path = tmp_path / "view.html"
    size = page.write_page(path, packed)
    assert size == path.stat().st_size
    return path.read_text(encoding="utf-8")


def data(text):
    found = re.findall(
        r'<script type="text/plain" id="([\w-]+)">(.*?)</script>', text, re.S
    )
    return dict(found)


def test_names_cannot_leave_their_place(tmp_path):
    image = Radiance(HOSTILE, encoded())
    text = written(tmp_path, view.packed_view(None, [image], title=HOSTILE))
    blocks = data(text)
    assert list(blocks) == ["view", "band-0-0"]
    facts = json.loads(blocks["view"])
    assert facts["images"][0]["name"] == facts["title"] == HOSTILE
    assert text.count("<script") == 3 and "<img" not in text and "alert(1)<" not in text


def test_the_page_forbids_requests_and_names_no_other_host(tmp_path):
    text = written(tmp_path, view.packed_view(None, stages(encoded()), title="a"))
    (policy,) = re.findall(r'Content-Security-Policy" content="(.*?)"', text)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    for directive, element in (("style-src", "style"), ("script-src", "script")):
        pattern = rf'<{element}(?: type="module")?>(.*?)</{element}>'
        (inside,) = re.findall(pattern, text, re.S)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert rules[directive] == f"'sha256-{digest}'"
    beyond_names = text.replace("http://www.w3.org/2000/svg", "")  # of XML, not loaded
    assert not re.search(r"https?:|\bsrc=|@import|url\(|\bimport\b", beyond_names)
    assert re.findall(r"href=\"(.*?)\"", text) == ["data:,"]


def test_the_page_holds_the_codes_the_mask_and_the_stages(tmp_path):
    photo = encoded()
    truth = Radiance("truth.exr", photo * 3e5, factor=0.25)
    packed = view.packed_view(photo, [*stages(photo), truth], title="a", notes=["b"])
    blocks = data(written(tmp_path, packed))
    facts = json.loads(blocks["view"])
    images = facts["images"]
    names = [image["name"] for image in images]
    assert names == ["photograph", "stage 1", "reconstruction", "truth.exr"]
    assert [image["base"] for image in images] == [None, 2, None, None]
    assert (facts["left"], facts["right"], facts["notes"][0]) == (0, 2, "b")
    assert "truth.exr: " in facts["notes"][-1] and "65504" in facts["notes"][-1]
    codes = unpacked([blocks["band-0-0"]], (20, 30, 4), np.uint8)
    np.testing.assert_array_equal(codes[..., :3], np.rint(255 * photo))
    np.testing.assert_array_equal(codes[..., 3] == 255, (photo >= 254 / 255).any(2))
    answer = unpacked([blocks["band-2-0"]], (20, 30, 3), np.uint16)
    np.testing.assert_array_equal(answer.view(np.float16), (2 * photo).astype("f2"))
    first = unpacked([blocks["band-1-0"]], (20, 30, 3), np.uint16, answer)
    np.testing.assert_array_equal(first.view(np.float16), (0.5 * photo).astype("f2"))


def test_large_images_are_averaged_and_one_clipped_part_counts():
    photo = np.zeros((8, 12, 3), np.float32)
    photo[0, 0, 1] = 1
    hdr = np.zeros((8, 12, 3), np.float32)
    hdr[0, 0] = 8
    packed = view.packed_view(photo, [Radiance("a", hdr)], title="a", longest_side=6)
    codes = unpacked(packed.bands[0], (4, 6, 4), np.uint8)
    assert codes[0, 0].tolist() == [0, 64, 0, 255] and codes.sum() == 64 + 255
    small = unpacked(packed.bands[1], (4, 6, 3), np.uint16).view(np.float16)
    assert small[0, 0].tolist() == [2, 2, 2] and small.sum() == 6
    assert "averaged down from 12 x 8 to 6 x 4" in packed.facts["notes"][0]


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (3, 2, 3)])
def test_images_of_any_shape_are_packed(shape):
    hdr = np.ones(shape, np.float32)
    packed = view.packed_view(None, [Radiance("a", hdr)], title="", longest_side=100)
    assert packed.facts["right"] == 0 and packed.facts["width"] <= 100


def test_images_of_other_sizes_are_refused():
    others = [Radiance("truth.exr", encoded(9, 9))]
    with pytest.raises(UserError, match=r"truth.exr has 9 x 9 pixels and the photog"):
        view.packed_view(encoded(), others, title="a")


def test_a_failed_page_leaves_nothing(tmp_path):
    packed = view.packed_view(None, [Radiance("a", encoded())], title="a")
    broken = view.PackedView(packed.facts | {"notes": [np.nan]}, packed.bands)
    with pytest.raises(ValueError):
        page.write_page(tmp_path / "view.html", broken)
    with pytest.raises(UserError, match="does not exist"):
        page.write_page(tmp_path / "no" / "view.html", packed)
    assert list(tmp_path.iterdir()) == []
