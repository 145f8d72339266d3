"""The browser of the benchmarks of the page: an installed Chromium, and how much its pages work."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser without a window; the system's own, else the one that playwright has fetched."""
    path = next((found for found in map(shutil.which, NAMES) if found), None)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield opened
        finally:
            opened.close()


def renderer_clock(opened: Browser) -> Callable[[], float]:
    """A clock of the seconds that the pages' own processes work, from zero; waiting for a core does not count."""
    session = opened.new_browser_cdp_session()

    def worked() -> dict[int, float]:
        known = session.send("SystemInfo.getProcessInfo")["processInfo"]
        return {each["id"]: each["cpuTime"] for each in known if each["type"] == "renderer"}

    begin = worked()
    return lambda: sum(seconds - begin.get(process, 0.0) for process, seconds in worked().items())
