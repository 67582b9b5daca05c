import json
import re

import numpy as np
import pytest

from jaxhdr import metrics
from jaxhdr.evaluation import page, reports, thumbnails
from jaxhdr.evaluation.scoring import Scoring
from tests import browser

METRICS = metrics.select(["psnr_mu", "log2_rmse_clipped", "hdr_vdp2_p_det"])
# Names that people give to files; the last two would end or start a script.
NAMES = ["village/03", "nuit étoilée", "</script><script>alert(1)</script>", "<!--x"]
METHODS = ["linearised input", "kov", "stage 1"]


def rows():
    for i, name in enumerate(NAMES):
        for j, method in enumerate(METHODS):
            scores = {
                "psnr_mu": 20.0 + i + 2 * j if i != 1 or j != 2 else np.inf,
                "log2_rmse_clipped": 2.0 - 0.1 * i - 0.3 * j if i else np.nan,
                "hdr_vdp2_p_det": 1.0 / (1 + i + j),
            }
            facts = {"image": name, "scene": "a scene", "clipped_share": 0.07}
            yield facts | {"method": method} | scores


def pictures():
    rng = np.random.default_rng(0)
    for _ in NAMES:
        hdr = np.geomspace(0.01, 20, 90 * 60 * 3, dtype=np.float32).reshape(60, 90, 3)
        seen = rng.random((60, 90)).astype(np.float32)
        yield thumbnails.pictures(
            np.clip(hdr, 0, 1),
            hdr,
            dict.fromkeys(METHODS, 0.5 * hdr),
            {method: {"hdr_vdp2_p_det": seen} for method in METHODS},
            viewer_side=48,
        )


CURVES = {
    "scores": {
        "psnr_mu": {
            "linearised input": [(100, 20.0), (200, 20.0)],
            "stage 1": [(100, 21.0), (200, 24.5)],
        }
    },
    "steps_per_epoch": 50.0,
}


@pytest.fixture
def page_path(tmp_path):
    report = reports.Report(list(rows()), METRICS, {"alignment": "none"})
    path = tmp_path / "report.html"
    page.write_page(path, report, title="fhdr <1>", pictures=pictures(), curves=CURVES)
    return path


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium("--enable-unsafe-swiftshader") as started:
        yield started


@pytest.fixture
def opened(chromium, page_path):
    """The page in a browser, which may neither log errors nor load other files."""
    viewport = {"width": 1280, "height": 1000}
    with browser.opened_page(chromium, page_path, viewport=viewport) as page:
        yield page
        page.screenshot(path=page_path.with_suffix(".png"), full_page=True)


def cells(page):
    rows = page.query_selector_all("#means tbody tr")
    return [[c.inner_text() for c in r.query_selector_all("td")] for r in rows]


def images(page):
    cards = page.query_selector_all("#images article")
    return [card.get_attribute("data-image") for card in cards]


def test_nothing_in_a_name_leaves_the_data_of_the_page(page_path):
    text = page_path.read_text(encoding="utf-8")
    blocks = re.findall(
        r'<script type="application/json" id="(.*?)">(.*?)</script>', text, re.S
    )
    assert [name for name, _ in blocks] == [
        "report",
        "pictures-0",
        "pictures-1",
        "pictures-2",
        "pictures-3",
    ]
    report = json.loads(blocks[0][1])
    assert [image["name"] for image in report["images"]] == NAMES
    assert report["images"][0]["scores"][0] == [20.0, None, 1.0]
    assert report["images"][1]["scores"][2][0] == "inf"
    assert text.count("<script") == 7


@pytest.mark.slow
def test_the_table_holds_the_means_and_sorts(opened):
    assert opened.title() == "fhdr <1>"
    table = cells(opened)
    assert [row[0] for row in table] == METHODS
    assert table[0][1:3] == ["21.50", "1.800"]
    # The mean is infinite; the difference is that of the images with finite scores.
    assert table[2][1].splitlines() == ["\N{INFINITY}", "+4.00"]
    opened.click("#means th:nth-child(3) button")  # the lowest is the best
    assert [row[0] for row in cells(opened)] == METHODS[::-1]
    opened.click("#means th:nth-child(3) button")
    assert [row[0] for row in cells(opened)] == METHODS
    assert opened.get_attribute("#means th:nth-child(3)", "aria-sort") == "descending"


@pytest.mark.slow
def test_images_come_worst_first_with_their_pictures(opened):
    assert opened.input_value("#method") == "stage 1"
    assert images(opened) == [NAMES[0], NAMES[2], NAMES[3], NAMES[1]]
    opened.select_option("#order", "best")
    assert images(opened) == [NAMES[1], NAMES[3], NAMES[2], NAMES[0]]
    opened.select_option("#metric", index=1)  # the first image has no such score
    assert images(opened) == [NAMES[3], NAMES[2], NAMES[1], NAMES[0]]
    opened.select_option("#method", "kov")
    captions = [c.inner_text() for c in opened.query_selector_all("figcaption")][:4]
    assert captions[:3] == [
        "photograph",
        "kov at 0, -2, -4 EV",
        "truth at 0, -2, -4 EV",
    ]
    assert captions[3].startswith("hdr_vdp2_p_det")
    sizes = opened.eval_on_selector_all(
        "#images img", "all => all.map(image => [image.naturalWidth, image.complete])"
    )
    assert len(sizes) == 16 and all(width >= 90 for width, _ in sizes[:4])


@pytest.mark.slow
def test_diagrams_follow_the_metric(opened):
    assert len(opened.query_selector_all("#distribution circle")) == 11  # one is inf
    assert len(opened.query_selector_all("#curves polyline")) == 2
    assert "epoch; vertical: psnr_mu (dB)" in opened.inner_text("#training")
    opened.select_option("#metric", index=2)
    assert len(opened.query_selector_all("#distribution circle")) == 12
    assert "Training did not record hdr_vdp2_p_det" in opened.inner_text("#training")


@pytest.mark.slow
def test_an_image_opens_in_the_viewer_again_and_again(chromium, page_path):
    with browser.opened_page(chromium, page_path) as opened:
        for method in METHODS[:2]:
            opened.select_option("#method", method)
            name = images(opened)[0]
            opened.click("#images article:first-child .look")
            opened.wait_for_selector("#viewer-message:empty", state="attached")
            names = opened.locator("#viewer-left option").all_inner_texts()
            assert names == ["photograph", *METHODS, "truth"]
            assert opened.input_value("#viewer-right") == method
            assert opened.inner_text("#viewer-title") == name
            opened.keyboard.press("PageUp")
            opened.wait_for_selector("#viewer-stops:has-text('+0.5 EV')")
            opened.keyboard.press("Escape")
            opened.wait_for_selector("#viewer-stage", state="detached")
        opened.keyboard.press("PageUp")


def test_pictures_have_a_viewer_only_if_they_are_asked_to():
    hdr = np.full((40, 50, 3), 0.5, np.float32)
    made = thumbnails.pictures(hdr, hdr, {"a": hdr}, {"a": {}})
    assert "view" not in made
    made = thumbnails.pictures(hdr, hdr, {"a": hdr}, {"a": {}}, viewer_side=25)
    assert made["view"]["facts"]["width"] == 25 and len(made["view"]["bands"]) == 3


def test_large_reports_have_no_viewer_unless_asked():
    assert Scoring().viewer_side_for(100) == 144
    assert Scoring().viewer_side_for(101) == 0
    assert Scoring(viewer_side=300).viewer_side_for(101) == 300
    assert Scoring(with_pictures=False, viewer_side=300).viewer_side_for(9) == 0


def test_maps_are_grey_where_nothing_is_seen_and_coloured_where_all_is():
    hdr = np.full((40, 50, 3), 0.5, np.float32)
    seen = np.zeros((40, 50), np.float32)
    seen[:, 25:] = 1
    coloured = thumbnails._coloured(seen, hdr)
    assert np.ptp(coloured[:, :25], axis=2).max() == 0
    assert (coloured[:, 25:, 0] > 5 * coloured[:, 25:, 1]).all()
