"""The Compare page in a browser: a base is chosen, its address is a link, and the difference is drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browsing import Watched
from driving import Server, wait_until
from recorded import record_example_run

from torchglass.store import Batch, RowBlock, Store

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)> [l](http://evil.example) $x$ :material/home:"
OUTLINES = "[...document.querySelector('.js-plotly-plot').data].map(trace => trace.name ?? '').join('|')"
CHARTS = "document.querySelectorAll('.tg-figure .main-svg').length >= 3"


def record_slow_run(store: Store, name: str) -> None:
    """A run of 200 steps of 0.2 s, twice what the example takes."""
    at = np.arange(200)
    run = store.start_run(name, {"batch_size": 128}, host="another-host", pid=1)
    values = 0.2 * np.random.default_rng(1).lognormal(0, 0.05, 200)
    rows = [
        RowBlock.of_series(key, "phase", "s", at, 1.7e9 + at.astype(np.float64), values)
        for key in ("phase/backward", "phase/step")
    ]
    store.write(run.id, 0, Batch(rows=rows))
    store.end_run(run.id, "finished")


def test_a_run_is_compared_with_the_one_before_it_and_another_can_be_chosen(
    server: Server, page: Page, visit: Callable[[str], None], watched: Watched
) -> None:
    with server.fresh_store() as store:
        record_example_run(store, "first")
        record_slow_run(store, HOSTILE)
        record_example_run(store, "third", seed=1)
    visit(f"{server.url}/compare?run=third")
    wait_until(page, CHARTS)
    wait_until(page, f"location.search.includes({encoded('base', HOSTILE)!r})", "the base is in the address")
    page.get_by_text("180 of 200 steps").first.wait_for()
    page.get_by_text("What else differs").wait_for()
    page.get_by_role("combobox", name="With (A)").click()
    page.get_by_role("option", name="first").click()
    wait_until(page, "location.search.includes('base=first')")
    wait_until(page, f"/^A first, median [\\d.]+ ms.B third, median/.test({OUTLINES})")
    page.get_by_text("Within noise: the 95 % interval").wait_for()
    assert_calm(page, watched)


def test_an_address_opens_the_comparison_that_it_names(
    server: Server, page: Page, visit: Callable[[str], None], watched: Watched
) -> None:
    with server.fresh_store() as store:
        record_example_run(store, "first")
        record_slow_run(store, "slow")
        record_example_run(store, "third", seed=1)
    visit(f"{server.url}/compare?run=slow&base=third")
    wait_until(page, CHARTS)
    assert page.get_by_role("combobox", name="With (A)").input_value() == "third"
    wait_until(page, f"/^A third, median [\\d.]+ ms.B slow, median (199|200)/.test({OUTLINES})")
    page.get_by_text("Only runs with profiler windows can be compared").wait_for()
    assert_calm(page, watched)


def test_the_only_run_and_runs_that_recorded_nothing_say_what_to_do(
    server: Server, page: Page, visit: Callable[[str], None], watched: Watched
) -> None:
    with server.fresh_store() as store:
        store.end_run(store.start_run("bare", {}, host="here", pid=1).id, "finished")
        visit(f"{server.url}/compare?run=bare")
        page.get_by_text("There is no other run in this store").wait_for()
        assert_calm(page, watched)
        store.end_run(store.start_run("barer", {}, host="here", pid=1).id, "finished")
    visit(f"{server.url}/compare?run=bare")
    page.get_by_text("no step was timed in A and B").wait_for()
    assert page.get_by_text("There are not steps in both runs that can be compared.").count() == 1
    assert page.locator(".tg-figure").count() == 0
    assert_calm(page, watched)


def encoded(name: str, value: str) -> str:
    """A parameter of an address as a browser writes it."""
    from urllib.parse import quote_plus

    return f"{name}={quote_plus(value, safe='*')}"


def assert_calm(page: Page, watched: Watched) -> None:
    """No exception on the page, none in the console, no dialog, no request to another machine."""
    assert page.get_by_test_id("stException").count() == 0
    assert page.get_by_text("This page failed").count() == 0
    assert watched.errors == []
    assert watched.dialogs == []
    assert watched.foreign_requests == []
