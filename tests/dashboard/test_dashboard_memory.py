"""The memory page in a browser: the split, the live curves, a peak's stacks, and reasons where there is no figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browsing import Watched
from driving import Server, wait_until

from torchglass.store import ArtifactBlock, Batch, Fact, RowBlock, Run, Store

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

Visit = Callable[[str], None]
HOSTILE = "<img src=x onerror=alert(1)> [l](http://evil.example) %{y} $x$ :material/home:"
NAMES = "[...document.querySelectorAll('.js-plotly-plot')].flatMap(plot => plot.data.map(one => one.name)).join()"
CAPTIONS = "[...document.querySelectorAll('.tg-caption')].map(one => one.textContent).join()"


def record(store: Store, *, facts: dict[str, Any], rank: int = 0, run: Run | None = None, **series: float) -> Run:
    """A run of 120 steps whose series are constant; parts are measured at three of them."""
    run = run or store.start_run("memory", {}, host="here", pid=1)
    rows = []
    for name, size in series.items():
        steps = (
            np.array([0, 1, 100]) if name in ("parameters", "gradients", "optimizer", "activations") else np.arange(120)
        )
        times, values = np.full(len(steps), run.created_at), np.full(len(steps), size)
        rows.append(RowBlock.of_series(f"memory/{name}_bytes", "memory", "B", steps, times, values))
    store.write(run.id, rank, Batch(rows=rows, facts=[Fact(rank, key, value, 0.0) for key, value in facts.items()]))
    return run


def a_peak(step: int, stack: str) -> ArtifactBlock:
    meta = {"device": "cuda:0", "first_step": step - 2, "steps": 3, "peak_bytes": 9e8, "end_bytes": 4e8, "events": 77}
    meta |= {"rest_bytes": 1e8, "rest_count": 12, "snapshot_seconds": 0.4, "refused_bytes": 2e9, "free_bytes": 1e9}
    arrays = {
        "parts": np.array(["activations and other", "parameters"]),
        "stacks": np.array([stack, "(allocated before the recording)"]),
        "bytes": np.array([5 * 10**8, 3 * 10**8]),
        "counts": np.array([2, 161]),
        "largest_bytes": np.array([4 * 10**8, 10**8]),
    }
    return ArtifactBlock("memory_peak", "cuda:0", step, 0.0, meta, arrays)


def test_a_run_on_a_gpu_shows_its_split_its_lines_and_what_filled_its_peak(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    with server.fresh_store() as store:
        run = record(
            store,
            facts={
                "memory": {"device": "cuda:0", "total_bytes": 1.5e11},
                "warnings/memory": "at step 7 little is left",
            },
            allocated=4e8,
            reserved=8e8,
            peak=9e8,
            fragmentation=4e8,
            parameters=1e8,
            gradients=1e8,
            optimizer=2e8,
            activations=5e8,
        )
        store.add_artifact(run.id, a_peak(50, "/me/net.py:3 first"))
        store.add_artifact(run.id, a_peak(90, "/me/net.py:4 second"))
        store.end_run(run.id, "finished")
        visit(f"{server.url}/memory?run=memory")
        wait_until(page, f"{NAMES}.includes('parameters 100 MB,gradients 100 MB,optimizer state 200 MB')", "the split")
        wait_until(page, f"{NAMES}.includes('activations and other,allocated,reserved,peak')", "stack and lines")
        wait_until(page, f"{CAPTIONS}.includes('Activations and other')", "the live charts")
        assert page.locator('.tg-chart[data-key="memory/peak_bytes"] .tg-caption').inner_text() == "Peak"
        page.locator(".tg-plot .main-svg").first.wait_for()
        page.get_by_text("cuda:0 · 150 GB in all").wait_for()
        page.get_by_text("Memory is running out.").wait_for()
        page.get_by_text("at step 7 little is left").last.wait_for()
        page.get_by_text("failed, with 1 GB free").wait_for()
        peak_ticks = "[...document.querySelectorAll('.ytick text')].map(tick => tick.textContent).join()"
        wait_until(page, f"{peak_ticks}.includes('second (net.py:4)')", "the last recording")
        page.get_by_text("step 50", exact=True).click()
        wait_until(page, f"{peak_ticks}.includes('first (net.py:3)')", "the recording that was chosen")
    assert watched.errors == []


def test_a_run_on_the_cpu_shows_the_process_and_why_the_rest_is_missing(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    reason = "torch's allocator keeps these figures on CUDA devices alone; this model trains on cpu"
    with server.fresh_store() as store:
        run = record(
            store,
            facts={
                "memory": {"device": "cpu", "total_bytes": 2.4e10},
                "missing/memory/peak_bytes": reason,
                "missing/memory/allocated_bytes": reason,
                "memory/split": {"every": 600, "asked": 100, "cost_seconds": 0.006},
                "missing/memory_peak": "torch records the history of allocations on CUDA devices alone",
            },
            process=5e8,
            parameters=1e8,
        )
        store.end_run(run.id, "finished")
        visit(f"{server.url}/memory?run=memory")
        wait_until(page, f"{NAMES}.includes('this process')", "the process")
        assert page.get_by_test_id("stMetric").count() == 1
        assert page.get_by_text("N/A").count() == 0
        page.get_by_text("torch records the history of allocations on CUDA devices alone").wait_for()
        page.locator("code", has_text="run.record_memory(steps=3)").wait_for()
        page.get_by_text("What was not measured here, and why").click()
        page.get_by_text(f"Allocated, Peak: {reason}").wait_for()
        page.get_by_text("Measured every 600 steps: it takes 6 ms").wait_for()
        assert page.get_by_text("Recording", exact=True).count() == 0
    assert watched.errors == []


def test_a_run_that_has_just_begun_waits_and_one_that_measured_nothing_says_what_to_do(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    with server.fresh_store() as store:
        run = store.start_run("bare", {}, host="here", pid=1)
        visit(f"{server.url}/memory?run=bare")
        page.get_by_text("Waiting for the first step to end.").wait_for()
        store.end_run(run.id, "finished")
        visit(f"{server.url}/memory?run=bare")
        page.get_by_text("This run measured no memory.").wait_for()
        page.locator("code", has_text="torchglass.attach").wait_for()
    assert watched.errors == []


def test_each_rank_has_its_own_memory(server: Server, page: Page, visit: Visit, watched: Watched) -> None:
    with server.fresh_store() as store:
        run = record(store, facts={"memory": {"device": "cuda:0", "total_bytes": 1e9}}, peak=1e8, parameters=1e7)
        record(
            store, facts={"memory": {"device": "cuda:1", "total_bytes": 1e9}}, rank=1, run=run, peak=3e8, parameters=2e7
        )
        store.end_run(run.id, "finished")
        visit(f"{server.url}/memory?run=memory")
        page.get_by_text("cuda:0 · 1 GB in all").wait_for()
        page.get_by_role("radio", name="1").or_(page.get_by_role("button", name="1", exact=True)).first.click()
        page.get_by_text("cuda:1 · 1 GB in all").wait_for()
        wait_until(page, f"{NAMES}.includes('parameters 20 MB')", "the split of the other rank")
    assert watched.errors == []


def test_words_of_strangers_are_shown_and_never_obeyed(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    with server.fresh_store() as store:
        run = record(
            store,
            facts={
                "memory": {"device": HOSTILE, "total_bytes": HOSTILE},
                "missing/memory/peak_bytes": HOSTILE,
                f"missing/memory/{HOSTILE}": HOSTILE,
                "memory/split": {"every": HOSTILE, "cost_seconds": HOSTILE},
                "memory/other devices": {HOSTILE: {HOSTILE: HOSTILE}, "b": HOSTILE},
            },
            allocated=1e8,
            parameters=1e8,
        )
        peak = a_peak(3, f"/me/{HOSTILE}.py:3 {HOSTILE}\n{HOSTILE}")
        store.add_artifact(
            run.id, peak._replace(meta={**peak.meta, "device": HOSTILE, "steps": HOSTILE, "is_cut": True})
        )
        store.end_run(run.id, "finished")
        visit(f"{server.url}/memory?run=memory")
        wait_until(page, f"{NAMES}.includes('activations and other')", "the peak is drawn")
        assert page.locator("a[href*='evil.example'], img[src='x']").count() == 0
    assert watched.errors == []
    assert watched.dialogs == []
    assert watched.foreign_requests == []
