"""What browser tests share: where Chromium is, and a record of what a page asked for and complained about."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
LOCAL_SCHEMES = ("file", "data", "blob", "about")
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Watched:
    """Console errors and uncaught exceptions of a page, dialogs it opened, and every URL that it requested."""

    errors: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def foreign_requests(self) -> list[str]:
        """Requests to another machine."""
        return [url for url in self.requests if not stays_here(url)]


def stays_here(url: str) -> bool:
    """Whether a URL is answered by this machine."""
    parts = urlsplit(url)
    return parts.scheme in LOCAL_SCHEMES or parts.hostname in LOCAL_HOSTS


def find_chromium() -> str | None:
    """Path of an installed Chromium or Chrome, else of the one that `playwright install chromium` fetched."""
    installed = next((path for path in map(shutil.which, CHROMIUM_NAMES) if path), None)
    if installed is not None:
        return installed
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        fetched = playwright.chromium.executable_path
    return fetched if os.path.exists(fetched) else None


if __name__ == "__main__":
    sys.exit(find_chromium() is None)
