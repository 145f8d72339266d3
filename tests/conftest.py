"""Fixtures that several rooms use: a real browser, a page whose errors and requests are recorded, a database server."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from browsing import Watched, find_chromium, stays_here
from postgresql import Server, missing_program, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page, Route

LONGEST = (
    "test_dashboard_states",
    "test_dashboard_tour",
    "test_reference_visible",
    "test_dashboard_profiling",
    "test_attach_distributed",
)
"""Files that take minutes, the longest first: begun last, one of them would leave the other worker idle."""

# A shell's background job ignores Ctrl-C, and so would every process that a test starts in order to interrupt it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest; within a file the order stays."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONGEST)))


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


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server of this session's own; each xdist worker has one."""
    lacking = missing_program()
    if lacking is not None:
        pytest.skip(f"no PostgreSQL server on this machine: {lacking} is not installed")
    with serving() as server:
        yield server


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
