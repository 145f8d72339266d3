"""A report of hostile texts, opened from a disk in a real browser: it shows them, and does nothing that they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import Watched
from hostile import FOREIGN, Recorded

from torchglass.report import export_report
from torchglass.store import open_store

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

LEADS_AWAY = f"""[...document.querySelectorAll("body *")].flatMap((element) => [...element.attributes]
    .filter((one) => /^on|^(href|src|srcset|action|formaction|data|poster|xlink:href)$/.test(one.name))
    .filter((one) => one.name.startsWith("on") || /{FOREIGN}|javascript:|data:text/.test(one.value))
    .map((one) => `${{element.tagName}} ${{one.name}}=${{one.value}}`))"""


def test_a_report_shows_every_hostile_text_and_obeys_none(
    recorded: Recorded, page: Page, watched: Watched, tmp_path: Path
) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    with open_store(recorded.path, read_only=True) as store:
        path = export_report(store, recorded.first, folder)
    assert [each.name for each in tmp_path.iterdir()] == ["reports"]
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.html", path.name)
    page.goto(path.as_uri())
    page.locator("[data-figure] .main-svg").first.wait_for()
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(LEADS_AWAY) == []
    scripts = page.evaluate("[...document.scripts].map((one) => [one.type, one.src])")
    assert {kind for kind, _ in scripts} <= {"", "module", "application/json", "text/plain"}
    assert not [source for _, source in scripts if source]
    assert "<script>alert(1)</script>" in page.locator("body").inner_text()
    assert (watched.errors, watched.dialogs) == ([], [])
    assert [url for url in watched.requests if not url.startswith(("data:", "blob:"))] == [path.as_uri()]
