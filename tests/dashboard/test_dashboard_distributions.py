"""The distributions page in a browser: ridgelines on request, and charts that follow the choice above them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from browsing import Watched
from driving import Server, wait_until
from recorded import record_example_run

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

TITLES = "[...document.querySelectorAll('.js-plotly-plot')].map(plot => plot.layout.xaxis.title.text).join()"


def test_ridgelines_are_a_third_view_and_follow_the_group_at_once(
    server: Server, page: Page, visit: Callable[[str], None], watched: Watched
) -> None:
    with server.fresh_store() as store:
        record_example_run(store, "example", steps=400)
        visit(f"{server.url}/distributions?run=example")
        wait_until(page, f"{TITLES} === 'step,step,% of the values,step'", "flow, heat map and percentiles are drawn")
        page.get_by_role("button", name="Ridgelines").click()
        wait_until(
            page,
            f"{TITLES} === 'step,step,% of the values,step,value, logarithmic'",
            "shrinking gradients are drawn as well",
        )
        page.get_by_text("Weights", exact=True).click()
        wait_until(page, f"{TITLES} === 'step,step,% of the values,step,value'", "weights are drawn in their place")
    assert watched.errors == []
