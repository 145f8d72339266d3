"""A report can be read by everyone: axe finds nothing serious in it, light or dark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from judged import record_judged
from recorded import record_example_run

from torchglass.report import export_report
from torchglass.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Page

BUT_DRAWINGS = {"exclude": [[".main-svg"]]}  # the palette's own test holds their ink


@pytest.mark.browser
def test_axe_finds_nothing_serious_in_a_report(tmp_path: Path, page: Page) -> None:
    with Store(tmp_path / "a.db") as store:
        run = record_example_run(store, gpu=True)
        record_judged(store, run.id)
        path = export_report(store, run, tmp_path / "report.html")
    page.goto(path.as_uri())
    found = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        violations = Axe().run(page, BUT_DRAWINGS, {"resultTypes": ["violations"]}).response["violations"]
        found[scheme] = [each["id"] for each in violations if each["impact"] in ("serious", "critical")]
    assert found == {"light": [], "dark": []}
