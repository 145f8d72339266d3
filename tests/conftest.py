"""Fixtures that several rooms use: a real browser, and a page whose errors and requests are recorded."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from browsing import Watched, find_chromium, stays_here

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page, Route

# A shell's background job ignores Ctrl-C, and so would every process that a test starts in order to interrupt it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One headless Chromium for the whole session."""
    from playwright.sync_api import sync_playwright

    chromium = find_chromium()
    if chromium is None:
        pytest.fail("no Chromium found: install one (Debian and Ubuntu: apt-get install chromium)")
    with sync_playwright() as playwright:
        # CI containers run as root, where Chromium refuses its own sandbox.
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def watched() -> Watched:
    """The record of what `page` does."""
    return Watched()


@pytest.fixture
def page(browser: Browser, watched: Watched) -> Iterator[Page]:
    """A fresh page, 1400 x 900, that can reach this machine only; `watched` keeps its errors and requests."""

    def let_stay(route: Route) -> None:
        if stays_here(route.request.url):
            route.continue_()
        else:
            route.abort()

    def note_dialog(dialog: Dialog) -> None:
        watched.dialogs.append(dialog.message)
        dialog.dismiss()

    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.route("**/*", let_stay)
    opened = context.new_page()
    opened.on("request", lambda request: watched.requests.append(request.url))
    opened.on("pageerror", lambda error: watched.errors.append(str(error)))
    opened.on("console", lambda message: watched.errors.append(message.text) if message.type == "error" else None)
    opened.on("dialog", note_dialog)
    yield opened
    context.close()
