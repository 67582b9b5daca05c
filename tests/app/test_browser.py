"""The page of the server in Chromium, with the viewer of a made image."""

import re
import urllib.parse

import numpy as np
import pytest

from jaxhdr import image_io
from jaxhdr.viewer import page, view
from jaxhdr.viewer.view import Radiance
from tests import browser
from tests.app.serving import PHOTOGRAPH, served
from tests.viewer.test_browser import code_of, left_and_right, set_exposure, settle

pytestmark = pytest.mark.slow

VIEWPORT = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
NAME = '<img src=x onerror=alert(1)>"ä.jpg'


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium("--enable-unsafe-swiftshader") as started:
        yield started


@pytest.fixture(scope="module")
def viewer_page(tmp_path_factory):
    """The bytes of a thumbnail, and the page of an image with two brightnesses."""
    folder = tmp_path_factory.mktemp("viewer")
    encoded = np.full((48, 64, 3), 0.5, np.float32)
    image_io.write_png(folder / "thumbnail.png", encoded)
    images = [
        Radiance("stage 1", np.full_like(encoded, 0.05), is_estimate=True),
        Radiance("reconstruction", np.full_like(encoded, 0.18), is_estimate=True),
    ]
    packed = view.packed_view(encoded, images, title=NAME)
    page.write_page(folder / "view.html", packed)
    return (folder / "thumbnail.png").read_bytes(), (folder / "view.html").read_text()


@pytest.fixture
def server(tmp_path, viewer_page):
    with served(tmp_path, upload_bytes=2000, photographs=4) as running:
        running.worker.thumbnail, running.worker.view = viewer_page
        yield running


@pytest.fixture
def expected():
    """What Chromium may log, which it does for each refusal."""
    return []


@pytest.fixture
def opened(chromium, server, expected):
    address = f"http://127.0.0.1:{server.client.port}/"
    watched = browser.watched_page(
        chromium, address, viewport=VIEWPORT, expected=expected
    )
    with watched as (shown, loaded):
        shown.set_default_timeout(10_000)
        yield shown
        shown.wait_for_timeout(50)
    assert {urllib.parse.urlsplit(url).netloc for url in loaded} == {
        f"127.0.0.1:{server.client.port}"
    }


def choose(opened, *files):
    """Chooses files, pairs of a name and bytes."""
    opened.set_input_files(
        "#chooser",
        [
            {"name": name, "mimeType": "image/jpeg", "buffer": content}
            for name, content in files
        ],
    )


def viewer_of(opened):
    """The frame of the viewer, when it has drawn."""
    opened.wait_for_selector("#viewer:not([hidden])")
    # Chromium draws no frame of another origin that is out of sight.
    opened.locator("#viewer").scroll_into_view_if_needed()
    frame = opened.query_selector("#viewer").content_frame()
    settle(frame)
    return frame


def test_a_chosen_photograph_is_shown_and_its_pixels_move(opened):
    choose(opened, (NAME, PHOTOGRAPH))
    frame = viewer_of(opened)
    assert frame.inner_text("#viewer-title") == NAME
    assert opened.inner_text(".name") == NAME
    assert abs(left_and_right(frame)[1] - code_of(0.18)).max() <= 1
    set_exposure(frame, 1)
    assert abs(left_and_right(frame)[1] - code_of(0.36)).max() <= 1
    frame.select_option("#viewer-left", "stage 1")
    box = frame.locator("#viewer-divider").bounding_box()
    opened.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    opened.mouse.down()
    canvas = frame.locator("#viewer-canvas").bounding_box()
    opened.mouse.move(
        canvas["x"] + 0.9 * canvas["width"], box["y"] + box["height"] / 2, steps=4
    )
    opened.mouse.up()
    settle(frame)
    assert abs(left_and_right(frame)[1] - code_of(0.10)).max() <= 1


def test_the_viewer_cannot_ask_the_server_for_anything(opened, server):
    choose(opened, ("a.jpg", PHOTOGRAPH))
    frame = viewer_of(opened)
    assert frame.evaluate("self.origin") == "null"
    reach = "() => { try { return parent.document.title } catch { return 'no' } }"
    assert frame.evaluate(reach) == "no"


def test_photographs_are_dropped_and_the_queue_is_shown(opened, server):
    server.worker.is_held = True
    opened.evaluate(
        """() => {
          const dropped = new DataTransfer();
          for (const name of ["a.jpg", "b.jpg", "c.jpg"])
            dropped.items.add(new File(["a photograph"], name));
          for (const type of ["dragover", "drop"])
            document.body.dispatchEvent(new DragEvent(type,
              { dataTransfer: dropped, bubbles: true, cancelable: true }));
        }"""
    )
    opened.wait_for_selector("text=place 2 in the queue")
    assert "next in the queue" in opened.inner_text("#list")
    assert "computing" in opened.inner_text("#list")
    assert opened.locator("progress:visible").count() == 1
    opened.click("[aria-label='Cancel b.jpg']")
    opened.wait_for_selector("text=b.jpg", state="detached")
    server.worker.is_held = False
    opened.wait_for_selector(".item:nth-child(2) .open:enabled")
    assert server.worker.computed == ["a.jpg", "c.jpg"]


def test_the_first_of_new_photographs_is_shown(opened, server):
    choose(opened, ("a.jpg", PHOTOGRAPH))
    opened.wait_for_selector("#downloads-of:text-is('a.jpg')")
    choose(opened, ("b.jpg", PHOTOGRAPH), ("c.jpg", PHOTOGRAPH))
    opened.wait_for_selector("#downloads-of:text-is('b.jpg')")
    opened.wait_for_selector(".item:nth-child(3) .open:enabled")
    assert opened.inner_text("#downloads-of") == "b.jpg"
    opened.click(".item:nth-child(2) .remove")
    opened.wait_for_selector("#downloads-of:text-is('a.jpg')")


def test_each_format_is_downloaded_or_says_why_not(opened):
    choose(opened, ("a.jpg", PHOTOGRAPH))
    viewer_of(opened)
    for label, name in (("OpenEXR", "a.exr"), ("web page", "a.view.html")):
        with opened.expect_download() as download:
            opened.click(f"#formats button:text-is('{label}')")
        assert download.value.suggested_filename == name
    assert opened.is_disabled("#formats button:text-is('JPEG XL PQ')")
    assert "No encoder." in opened.inner_text("#formats-missing")


def test_what_is_refused_is_said_in_words(opened, server, expected):
    expected.append("status of 503")
    server.worker.is_held = True
    choose(opened, ("large.jpg", bytes(2001)), ("empty.jpg", b""))
    choose(opened, *[(f"{number}.jpg", PHOTOGRAPH) for number in range(5)])
    opened.wait_for_selector("#messages p:nth-child(3)")
    first, second, third = opened.locator("#messages p").all_inner_texts()
    assert "large.jpg has 1 MB; this server takes up to 0.002 MB." in first
    assert "empty.jpg is empty" in second
    assert re.search(r"4\.jpg: The list is full: 4 photographs are waiting", third)
    server.worker.is_held = False


def test_a_failed_photograph_says_why_and_can_be_removed(opened):
    choose(opened, ("notes.txt", b"not an image"))
    opened.wait_for_selector("text=Cannot read notes.txt: its format is unknown.")
    opened.click("[aria-label='Remove notes.txt']")
    opened.wait_for_selector(".item", state="detached")
    assert opened.is_visible("#empty")


def test_keys_alone_choose_a_photograph_and_its_buttons(opened, server):
    choose(opened, ("a.jpg", PHOTOGRAPH), ("b.jpg", PHOTOGRAPH))
    opened.wait_for_selector(".item:nth-child(2) .open:enabled")
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.id") == "chooser"
    opened.wait_for_selector(".item:nth-child(1)[aria-current=true]")
    for _ in range(3):  # open a, remove a, open b
        opened.keyboard.press("Tab")
    opened.keyboard.press("Enter")
    opened.wait_for_selector(".item:nth-child(2)[aria-current=true]")
    assert opened.inner_text("#downloads-of") == "b.jpg"


def test_a_phone_shows_everything_without_scrolling_sideways(opened):
    opened.set_viewport_size(PHONE)
    choose(opened, ("a" * 90 + ".jpg", PHOTOGRAPH), ("b.txt", b"no"))
    frame = viewer_of(opened)
    for shown in (opened, frame):
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert abs(left_and_right(frame)[1] - code_of(0.18)).max() <= 1
    box = opened.locator("#viewer").bounding_box()
    assert (box["width"], box["height"]) == (PHONE["width"], PHONE["height"])


def test_another_site_can_neither_send_read_nor_frame(chromium, server):
    shown = chromium.new_page()
    shown.goto("data:text/html,<title>another site</title>")
    address = f"http://127.0.0.1:{server.client.port}"
    shown.evaluate(
        """async (address) => {
          const send = { method: "POST", mode: "no-cors", body: "a photograph" };
          await fetch(`${address}/api/photographs?name=a.jpg`, send).catch(() => {});
          const frame = document.createElement("iframe");
          document.body.append(frame);
          frame.src = address;
          await new Promise((done) => { frame.onload = done; setTimeout(done, 2000) });
        }""",
        address,
    )
    reading = "(address) => fetch(address).then(() => 'read', () => 'refused')"
    assert shown.evaluate(reading, f"{address}/api/photographs") == "refused"
    assert not shown.frames[1].query_selector("#app")
    shown.close()
    assert server.client.photographs() == []


def test_the_page_says_when_the_server_has_gone(chromium, tmp_path):
    with served(tmp_path) as server:
        shown = chromium.new_page()
        shown.goto(f"http://127.0.0.1:{server.client.port}/")
        shown.wait_for_selector("#limit-note:not(:empty)")
    shown.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    shown.wait_for_selector("text=The server does not answer")
    shown.close()
