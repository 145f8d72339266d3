"""The Devices page: what held the GPU back, live panels, every figure with its window and source, and at a step."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browsing import Watched
from driving import Server, wait_until
from shown import figures, names, show, texts

from torchglass.instrumentation.devices.quantities import as_fact
from torchglass.store import Batch, Fact, RowBlock, Store, open_store

if TYPE_CHECKING:
    from playwright.sync_api import Page

Visit = Callable[[str], None]
SAMPLES = 30  # a second and ten steps apart
HELD = slice(10, 20)
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


@pytest.mark.browser
def test_live_panels_and_tables_are_drawn_and_words_of_strangers_never_obeyed(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    with server.fresh_store() as store:
        record(store, status="running")
        visit(f"{server.url}/devices?run=example&step=150")
        wait_until(page, "document.querySelectorAll('.tg-chart .main-svg').length > 4", "live panels are drawn")
        page.get_by_text("Every figure", exact=True).scroll_into_view_if_needed()
        wait_until(page, "document.querySelectorAll('[data-testid=stDataFrame]').length >= 2")
        page.get_by_text("Now: gpu0: power limit").wait_for()
        assert page.get_by_test_id("stException").count() == 0
        assert page.locator("a[href*='evil.example'], img[src='x']").count() == 0
        assert (watched.errors, watched.dialogs, watched.foreign_requests) == ([], [], [])


@pytest.mark.parametrize("status", ["finished", "running"])
def test_the_page_shows_what_held_the_gpu_back_and_every_figure(tmp_path: Path, status: str) -> None:
    with open_store(tmp_path / "runs.db") as store:
        record(store, status=status)
        app = show(tmp_path / "runs.db", "devices", "example")
    assert names(app, "throttling") == ["power limit (gpu0)", "step time"]
    said = texts(app)
    assert "Steps took 1.5 times as long there" in said
    assert "N/A is never a 0" in said
    assert ("Now: gpu0: power limit" in said) == (status == "running")
    assert figures(app)["torchglass.live"]["kinds"] == ["device", "self"]
    table = app.dataframe[-1].value
    assert "At step 150" not in table
    assert table["Last"].tolist()[:2] == ["1 GB/s", "629 W"]


def test_a_chosen_step_has_its_readings_beside_the_last_ones(tmp_path: Path) -> None:
    with open_store(tmp_path / "runs.db") as store:
        record(store)
    app = show(tmp_path / "runs.db", "devices", "example", 153)
    table = app.dataframe[-1].value.set_index(["Device", "Figure"])["At step 153"]
    assert table["gpu0", "power"] == "615 W (at 150)"
    assert table["host", "CPU"] == "55 % (at 150)"
    assert table["gpu1", "power"] == "115 W (at 150)", "a GPU that was lost later was there then"
    assert table["gpu0", "jpeg"] == ""
    assert "That step ended 15.3 s after the run began." in texts(app)


def test_a_gpu_that_was_never_held_back_gets_a_sentence_and_no_chart(tmp_path: Path) -> None:
    with open_store(tmp_path / "runs.db") as store:
        record(store, held=False)
    app = show(tmp_path / "runs.db", "devices", "example")
    assert "No reading found a GPU held back" in texts(app)
    assert set(figures(app)) == {"torchglass.live"}
