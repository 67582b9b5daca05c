"""Starts Chromium for the tests of web pages, and skips them where it is missing."""

import contextlib
import shutil

import pytest

_NAMES = ("chromium", "chromium-browser", "chrome")
# What the driver of the graphics card says when a test reads a canvas.
_HARMLESS = "GPU stall due to ReadPixels"


@contextlib.contextmanager
def chromium(*arguments):
    """Yields a browser that was started with arguments."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        with started(playwright.chromium, *arguments) as browser:
            yield browser


@contextlib.contextmanager
def started(browser_type, *arguments):
    """Yields a browser of the type that another one has."""
    executable = next(filter(None, map(shutil.which, _NAMES)), None)
    if executable is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    browser = browser_type.launch(
        executable_path=executable,
        args=["--no-sandbox", "--disable-background-networking", *arguments],
    )
    yield browser
    browser.close()


@contextlib.contextmanager
def opened_page(browser, path, **options):
    """Yields a page, which may neither log anything nor load other files.

    Args:
      browser: what `chromium` yields.
      path: the file to open.
      **options: those of `watched_page`.
    """
    with watched_page(browser, path.as_uri(), **options) as (page, loaded):
        yield page
    assert loaded == [path.as_uri()]


@contextlib.contextmanager
def watched_page(browser, address, *, script="", expected=(), **options):
    """Yields a page, which may not log anything, and the addresses that it loads.

    Args:
      browser: what `chromium` yields.
      address: what to open.
      script: what the browser runs before the page.
      expected: parts of what may be logged after all; the test can still add to them.
      **options: those of a new page, such as the viewport.
    """
    page = browser.new_page(**options)
    complaints, loaded = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda request: request.url.startswith("data:") or loaded.append(request.url),
    )
    if script:
        page.add_init_script(script)
    page.goto(address)
    yield page, loaded
    page.close()
    harmless = (_HARMLESS, *expected)
    assert [t for t in complaints if not any(part in t for part in harmless)] == []
