"""The page's sections "An episode" and "Over many rows", in a browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from browsing import Watched
from driving import Server, wait_until
from overviewed import record_overviews

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_an_agents_run_shows_its_episode_and_its_overview(
    server: Server, page: Page, visit: Callable[[str], None], watched: Watched
) -> None:
    with server.fresh_store() as store:
        record_overviews(store, class_names=["<img src=x onerror=alert(1)>", "[l](http://evil.example) $x$"])
    visit(f"{server.url}/explain?run=overviewed")
    page.get_by_role("heading", name="An episode").wait_for()
    page.get_by_text("velocity made up 100 % of what spoke for or against the actions").wait_for()
    page.get_by_role("heading", name="Over many rows").wait_for()
    page.get_by_text("age and blood pressure interact most").wait_for()
    page.set_viewport_size({"width": 1400, "height": 6000})  # what is far below is drawn once it is near
    wait_until(page, "document.querySelectorAll('.js-plotly-plot').length >= 9", "every figure")
    assert watched.errors == []
    assert watched.dialogs == []
    assert watched.foreign_requests == []
