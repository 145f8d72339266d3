"""The Devices page in a browser: what held the GPU back, live panels, and every figure with its window and source."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browsing import Watched
from driving import Server, wait_until

from torchglass.instrumentation.devices.quantities import as_fact
from torchglass.store import Batch, Fact, RowBlock, Store

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

Visit = Callable[[str], None]
SAMPLES = 30  # a second and ten steps apart
HELD = slice(10, 20)
NAMES = "[...document.querySelectorAll('.tg-figure .js-plotly-plot')].flatMap(p => p.data.map(t => t.name)).join()"
HOSTILE = "<img src=x onerror=alert(1)> [l](http://evil.example)"


def record(store: Store, *, held: bool = True, status: str = "finished") -> int:
    """A run whose first GPU met its power limit for a third of the time, and whose second was lost."""
    run = store.start_run("example", {}, host="example", pid=1)
    at = np.arange(SAMPLES, dtype=np.int64)
    times = run.created_at + at
    capped = np.zeros(SAMPLES)
    capped[HELD] = held
    figures = {
        "gpu0/utilization_percent": ("%", 90.0 + at),
        "gpu0/power_watts": ("W", 600.0 + at),
        "gpu0/pcie_received_bytes_per_second": ("B/s", 1e9 + at),
        "gpu0/throttle_software_power_cap": ("", capped),
        "gpu1/power_watts": ("W", 100.0 + at),
        "host/cpu_utilization_percent": ("%", 40.0 + at),
    }
    rows = [
        RowBlock.of_series(key, "device", unit, 10 * at, times, np.asarray(values, float))
        for key, (unit, values) in figures.items()
    ]
    steps = np.arange(10 * SAMPLES, dtype=np.int64)
    slow = (steps >= 100) & (steps <= 200) & held
    seconds = np.where(slow, 0.15, 0.1)
    rows.append(RowBlock.of_series("phase/step", "phase", "s", steps, run.created_at + steps / 10, seconds))
    gpus: list[dict[str, Any]] = [
        {"index": 0, "name": "Example GPU", "uuid": "GPU-0", "memory_total_bytes": 150e9, "cuda": "cuda:0"},
        {"index": 1, "name": HOSTILE, "uuid": "GPU-1", "memory_total_bytes": None, "cuda": None, "mig": False},
    ]
    told = {
        "gpus": gpus,
        "reason": None,
        "missing": {"gpu1": "GPU is lost", "gpu0/jpeg_percent": HOSTILE},
        "since": {"gpu1": {"step": 120, "time": 0.0}},
        "notes": {},
    }
    process = {"pid": 4242, "name": HOSTILE, "memory_bytes": None, "ours": True, "note": None}
    facts = {
        "devices/host": {"name": "example", "cpu_count": 2, "memory_total_bytes": 24e9},
        "devices/gpu": told,
        "devices/quantities": as_fact(),
        "devices/throttling": {"gpu0": "power limit"},
        "devices/processes": {"gpu0": {"processes": [process], "reason": None}},
    }
    store.write(run.id, 0, Batch(rows=rows, facts=[Fact(0, key, value, time.time()) for key, value in facts.items()]))
    if status != "running":
        store.end_run(run.id, "finished")
    return run.id


def assert_calm(page: Page, watched: Watched) -> None:
    assert page.get_by_test_id("stException").count() == 0
    assert watched.errors == []
    assert watched.dialogs == []
    assert watched.foreign_requests == []


@pytest.mark.parametrize("status", ["finished", "running"])
def test_the_page_shows_what_held_the_gpu_back_the_panels_and_every_figure(
    server: Server, page: Page, visit: Visit, watched: Watched, status: str
) -> None:
    with server.fresh_store() as store:
        record(store, status=status)
        visit(f"{server.url}/devices?run=example")
        wait_until(page, f"{NAMES} === 'power limit (gpu0),step time'", "step time is drawn over the stretch")
        page.get_by_text("Steps took 1.5 times as long there").wait_for()
        wait_until(page, "document.querySelectorAll('.tg-chart .main-svg').length > 4", "live panels are drawn")
        tables = page.get_by_test_id("stDataFrame")
        page.get_by_text("Every figure", exact=True).scroll_into_view_if_needed()
        page.get_by_text("N/A is never a 0").wait_for()
        wait_until(page, "document.querySelectorAll('[data-testid=stDataFrame]').length >= 2")
        assert tables.count() >= 2
        assert page.get_by_text("Now: gpu0: power limit").count() == (status == "running")
        assert_calm(page, watched)


def test_a_gpu_that_was_never_held_back_gets_a_sentence_and_no_chart(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    with server.fresh_store() as store:
        record(store, held=False)
        visit(f"{server.url}/devices?run=example")
        page.get_by_text("No reading found a GPU held back").wait_for()
        assert page.locator(".tg-figure").count() == 0
        assert_calm(page, watched)
