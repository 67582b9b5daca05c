"""The page in Chromium: its pixels, its controls, its messages."""

import io

import numpy as np
import pytest
from PIL import Image

from jaxhdr.image_io.colour.transfer import srgb_decode, srgb_encode
from jaxhdr.viewer import page, view
from jaxhdr.viewer.view import Radiance
from tests import browser

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 48, 64
NAME = "</script><script>alert(1)</script>"
VIEWPORT = {"width": 1200, "height": 720}
# The screen of the tests has a standard range; this says otherwise.
HIGH_RANGE = """
const real = window.matchMedia.bind(window);
window.matchMedia = (query) => query.includes("dynamic-range")
  ? { matches: true, addEventListener() {} } : real(query);
"""


def photograph():
    codes = np.random.default_rng(0).integers(0, 250, (HEIGHT, WIDTH, 3))
    codes[:8, :8] = 255
    return codes.astype(np.float32) / 255


def radiance(value):
    return np.full((HEIGHT, WIDTH, 3), value, np.float32)


def write(path, encoded=None, images=(), **options):
    page.write_page(path, view.packed_view(encoded, images, title=NAME, **options))
    return path


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium("--enable-unsafe-swiftshader") as started:
        yield started


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    """A photograph, two stages and a truth whose scale is half that of the others."""
    images = [
        Radiance("stage 1", radiance(0.05), is_estimate=True),
        Radiance("reconstruction", radiance(0.18), is_estimate=True),
        Radiance(NAME, radiance(0.09), factor=2.0),
    ]
    path = tmp_path_factory.mktemp("pages") / "view.html"
    return write(path, photograph(), images, notes=["A note."])


@pytest.fixture
def opened(chromium, page_path):
    with browser.opened_page(chromium, page_path, viewport=VIEWPORT) as opened:
        settle(opened)
        yield opened


def settle(opened):
    """Waits until all images are unpacked and the last change is drawn."""
    opened.wait_for_selector("#viewer-message:empty", state="attached")
    opened.evaluate(
        "() => new Promise((done) => "
        "requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def codes(opened):
    """The canvas as 8-bit codes, without what lies over it."""
    opened.evaluate("document.querySelector('#viewer-divider i').hidden = true")
    settle(opened)
    content = opened.locator("#viewer-canvas").screenshot()
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def left_and_right(opened):
    """The colours a quarter and three quarters across the canvas."""
    shown = codes(opened)
    middle = shown.shape[0] // 2
    return shown[middle, shown.shape[1] // 4], shown[middle, 3 * shown.shape[1] // 4]


def code_of(light):
    return 255 * float(srgb_encode(np.array(min(light, 1.0))))


def set_exposure(opened, stops):
    opened.fill("#viewer-exposure", str(stops))
    settle(opened)


@pytest.mark.parametrize("stops", [0, 1, -3.5, 2.25, 3])
def test_an_exposure_multiplies_light(opened, stops):
    set_exposure(opened, stops)
    _, right = left_and_right(opened)
    assert np.abs(right - code_of(0.18 * 2**stops)).max() <= 1
    assert opened.inner_text("#viewer-stops") == f"{stops:+g} EV".replace("+0 ", "0 ")


def test_mid_grey_one_stop_up_has_its_code(opened):
    set_exposure(opened, 1)
    assert np.abs(left_and_right(opened)[1] - 162).max() <= 1  # sRGB of 0.36


def test_stages_and_the_truth_are_chosen_and_its_scale_is_matched(opened):
    opened.select_option("#viewer-left", "stage 1")
    opened.select_option("#viewer-right", NAME)
    left, right = left_and_right(opened)
    assert np.abs(left - code_of(0.05)).max() <= 1
    assert np.abs(right - code_of(0.18)).max() <= 1
    opened.uncheck("#viewer-match")
    assert np.abs(left_and_right(opened)[1] - code_of(0.09)).max() <= 1
    opened.keyboard.press("s")
    left, right = left_and_right(opened)
    assert np.abs(right - code_of(0.05)).max() <= 1
    assert opened.inner_text("#viewer-side-left") == NAME


def test_the_divider_moves_by_pointer_and_by_keys(opened):
    opened.select_option("#viewer-left", "stage 1")
    box = opened.locator("#viewer-stage").bounding_box()
    middle = box["y"] + box["height"] / 2
    opened.mouse.move(box["x"] + box["width"] / 2, middle)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 0.2 * box["width"], middle, steps=4)
    opened.mouse.up()
    assert opened.get_attribute("#viewer-divider", "aria-valuenow") == "20"
    row = codes(opened)[int(box["height"]) // 2]
    assert abs(row[int(0.15 * len(row)), 0] - code_of(0.05)) <= 1
    assert abs(row[int(0.25 * len(row)), 0] - code_of(0.18)) <= 1
    opened.keyboard.press("End")  # it has the focus
    opened.keyboard.press("ArrowLeft")
    settle(opened)
    assert opened.get_attribute("#viewer-divider", "aria-valuenow") == "98"
    assert abs(codes(opened)[len(row) // 4, len(row) // 2, 0] - code_of(0.05)) <= 1


def test_single_pixels_are_shown_with_their_codes_and_values(opened):
    opened.focus("#viewer-divider")
    opened.keyboard.press("End")
    opened.keyboard.press("1")
    box = opened.locator("#viewer-canvas").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    place = (middle[0] - 19.5, middle[1] - 9.5)
    opened.mouse.move(*place)
    for _ in range(12):
        opened.mouse.wheel(0, -240)
    settle(opened)
    # The pixel under the pointer stayed, and fills its surroundings.
    column, row = WIDTH // 2 - 20, HEIGHT // 2 - 10
    assert opened.inner_text("#viewer-pixel") == f"Pixel {column}, {row}"
    expected = np.rint(255 * photograph()[row, column]).astype(int)
    shown = codes(opened)[int(place[1] - box["y"]), int(place[0] - box["x"])]
    np.testing.assert_array_equal(shown, expected)
    rows = [
        row.inner_text().split("\t")
        for row in opened.locator("#viewer-values tr").all()
    ]
    light = srgb_decode(np.float32(expected) / 255)
    assert rows[0][0] == "photograph, linear"
    np.testing.assert_allclose(np.float32(rows[0][1:4]), light, rtol=5e-3)
    assert rows[1] == ["reconstruction", "0.18", "0.18", "0.18", "-2.47"]
    assert rows[2] == ["photograph, code of 255", *map(str, expected), ""]


def test_the_photograph_is_shown_code_for_code(opened):
    opened.keyboard.press("1")
    opened.focus("#viewer-divider")
    opened.keyboard.press("End")
    shown = codes(opened)
    top, left = (shown.shape[0] - HEIGHT) / 2, (shown.shape[1] - WIDTH) / 2
    part = shown[round(top) : round(top) + HEIGHT, round(left) : round(left) + WIDTH]
    np.testing.assert_array_equal(part, np.rint(255 * photograph()).astype(int))
    surroundings = shown[:20, 200:400]
    assert (surroundings == 28).all()


def test_dragging_and_keys_move_the_image(opened):
    opened.keyboard.press("1")
    opened.focus("#viewer-canvas")
    for key in ("ArrowLeft", "ArrowUp"):
        opened.keyboard.press(key)
    settle(opened)
    assert opened.inner_text("#viewer-pixel") == "Pixel 0, 0"
    opened.keyboard.press("0")
    box = opened.locator("#viewer-canvas").bounding_box()
    x, y = box["x"] + 100, box["y"] + 100
    opened.mouse.move(x, y)
    settle(opened)
    before = opened.inner_text("#viewer-pixel")
    opened.mouse.down()
    opened.mouse.move(x + 60, y + 40, steps=3)
    opened.mouse.up()
    settle(opened)
    assert opened.inner_text("#viewer-pixel") == before


def test_clipped_pixels_are_marked(opened):
    assert (codes(opened)[:, :, 1] > 200).any()
    opened.check("#viewer-clipped")
    settle(opened)
    is_pink = (np.abs(codes(opened) - [255, 26, 191]) < 3).all(axis=2)
    rows, columns = np.nonzero(is_pink)
    assert is_pink.any() and rows.max() < is_pink.shape[0] / 4
    assert columns.max() < is_pink.shape[1] / 4


def test_stops_are_coloured_as_the_legend_says(opened):
    assert not opened.is_visible("#viewer-legend")
    opened.keyboard.press("f")
    settle(opened)
    colours = opened.eval_on_selector_all(
        "#viewer-legend span",
        "all => all.map(one => [one.textContent, one.style.backgroundColor])",
    )
    legend = dict(colours)
    assert [colours[0][0], colours[-1][0]] == ["+5", "-10"]
    right = left_and_right(opened)[1]  # 0.18 is between -3 and -2 stops
    assert legend["-3"] == f"rgb({', '.join(map(str, right))})"
    set_exposure(opened, 2)
    assert opened.locator("#viewer-legend span").first.inner_text() == "+3"


def test_the_median_becomes_mid_grey(opened):
    opened.select_option("#viewer-right", "stage 1")
    settle(opened)
    opened.keyboard.press("a")
    settle(opened)
    assert opened.inner_text("#viewer-stops") in ("+1.75 EV", "+2 EV")


def test_names_are_text_and_notes_are_shown(opened):
    assert opened.title() == NAME
    assert opened.inner_text("#viewer-title") == NAME
    assert "A note." in opened.inner_text("#viewer-notes")
    assert "standard range" in opened.inner_text("#viewer-high-note")
    assert not opened.is_visible("#viewer-high")
    assert len(opened.query_selector_all("#viewer-histogram polygon")) == 2


def test_every_control_has_a_name(opened):
    unnamed = opened.eval_on_selector_all(
        "button, input, select, canvas, svg, [role=slider]",
        "all => all.filter(one => !one.ariaLabel && !one.labels?.length"
        " && !one.textContent.trim()).map(one => one.outerHTML)",
    )
    assert unnamed == []


def test_two_fingers_zoom_and_a_phone_shows_all(chromium, page_path):
    options = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2}
    with browser.opened_page(
        chromium, page_path, has_touch=True, is_mobile=True, **options
    ) as opened:
        settle(opened)
        assert opened.evaluate("document.documentElement.scrollWidth") <= 360
        before = float(opened.inner_text("#viewer-zoom").split()[0])
        devtools = opened.context.new_cdp_session(opened)
        for kind, spread in (("touchStart", 20), ("touchMove", 40), ("touchMove", 60)):
            points = [{"x": 180 + side * spread, "y": 120 + side} for side in (-1, 1)]
            devtools.send(
                "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points}
            )
        devtools.send(
            "Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []}
        )
        settle(opened)
        after = float(opened.inner_text("#viewer-zoom").split()[0])
        assert 2.5 < after / before < 3.5


def test_large_images_are_cut_into_tiles_and_bands(chromium, tmp_path):
    # Wider than a tile, and of two bands; the fine stripes average to grey.
    hdr = np.zeros((300, 5000, 3), np.float32)
    hdr[:, ::2] = 1
    hdr[:, 4000:] = 0.25
    path = write(tmp_path / "view.html", None, [Radiance("a", hdr)], longest_side=None)
    with browser.opened_page(chromium, path, viewport=VIEWPORT) as opened:
        settle(opened)
        assert not opened.is_visible("#viewer-divider")
        shown = codes(opened)
        row = shown[shown.shape[0] // 2]
        part = row[: int(0.75 * len(row)), 0]
        assert abs(np.median(part) - code_of(0.5)) <= 3
        assert abs(row[int(0.9 * len(row)), 0] - code_of(0.25)) <= 1
        assert (row[-2:, 0] == row[-10, 0]).all()


def test_the_policy_refuses_requests(chromium, page_path):
    opened = chromium.new_page()
    opened.goto(page_path.as_uri())
    attempts = """async () => {
      const refused = [];
      addEventListener("securitypolicyviolation",
                       (event) => refused.push(event.effectiveDirective));
      const image = new Image();
      image.src = "http://127.0.0.1:9/";
      await fetch("http://127.0.0.1:9/").catch(() => {});
      await new Promise((done) => setTimeout(done, 100));
      return refused.sort();
    }"""
    assert opened.evaluate(attempts) == ["connect-src", "img-src"]
    opened.close()


def test_damaged_data_are_reported(chromium, page_path, tmp_path):
    path = tmp_path / "view.html"
    text = page_path.read_text(encoding="utf-8")
    path.write_text(text.replace('id="band-2-0">eJ', 'id="band-2-0">AA'), "utf-8")
    with browser.opened_page(chromium, path) as opened:
        opened.wait_for_selector("text=could not be unpacked")


def test_many_images_are_shown_one_after_another(chromium, tmp_path):
    images = [Radiance(str(i), radiance(0.02 * (i + 1))) for i in range(9)]
    path = write(tmp_path / "view.html", None, images)
    with browser.opened_page(chromium, path, viewport=VIEWPORT) as opened:
        for i in (3, 8, 5, 0, 3, 7):  # more than are kept
            opened.select_option("#viewer-right", index=i)
            shown = left_and_right(opened)[1]
            assert np.abs(shown - code_of(0.02 * (i + 1))).max() <= 1


def test_without_webgl_the_page_says_so(chromium, page_path):
    script = "HTMLCanvasElement.prototype.getContext = () => null;"
    with browser.opened_page(chromium, page_path, script=script) as opened:
        opened.wait_for_selector("text=WebGL 2 is missing")
        assert opened.inner_text("#viewer-title") == NAME


def test_a_browser_without_webgpu_says_that_it_has_no_high_range(chromium, page_path):
    script = HIGH_RANGE + "delete Navigator.prototype.gpu;"
    with browser.opened_page(chromium, page_path, script=script) as opened:
        settle(opened)
        assert "this browser cannot" in opened.inner_text("#viewer-high-note")


def test_high_range_hands_more_than_white_to_the_screen(chromium, page_path):
    script = (
        HIGH_RANGE
        + """
const write = GPUQueue.prototype.writeTexture;
GPUQueue.prototype.writeTexture = function (target, halves, ...rest) {
  window.frame = halves.slice();
  return write.call(this, target, halves, ...rest);
};"""
    )
    arguments = (
        "--enable-unsafe-webgpu",
        "--use-webgpu-adapter=swiftshader",
        "--enable-features=Vulkan",
        "--use-vulkan=swiftshader",
        "--use-angle=swiftshader",
    )
    with (
        browser.started(chromium.browser_type, *arguments) as other,
        browser.opened_page(other, page_path, script=script) as opened,
    ):
        settle(opened)
        if "cannot" in opened.inner_text("#viewer-high-note"):
            pytest.skip("this Chromium has no WebGPU")
        set_exposure(opened, 5)
        frame = np.uint16(opened.evaluate("[...window.frame]")).view(np.float16)
        pixels = frame.reshape(-1, 4)
        brightest = float(srgb_encode(np.array(0.18 * 32)))
        assert np.isclose(pixels[:, :3].max(axis=1), brightest, rtol=2e-3).any()
        assert (pixels[:, 3] == 1).all()
        opened.uncheck("#viewer-high")
        assert not opened.is_visible(".viewer-high-canvas")
        assert left_and_right(opened)[1].tolist() == [255, 255, 255]
