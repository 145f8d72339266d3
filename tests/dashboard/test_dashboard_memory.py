"""The memory page: split, live curves, a peak's stacks, each figure at a step, and reasons where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browsing import Watched
from driving import Server, wait_until
from shown import cursor, drawn, figures, names, settled, show, texts, tiles

from torchglass.store import ArtifactBlock, Batch, Fact, RowBlock, Run, Store, open_store

if TYPE_CHECKING:
    from playwright.sync_api import Page

Visit = Callable[[str], None]
HOSTILE = "<img src=x onerror=alert(1)> [l](http://evil.example) %{y} $x$ :material/home:"
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


def record_gpu(store: Store) -> Run:
    """A run on a GPU with two recordings of a peak; its allocated bytes were highest at step 70."""
    facts = {"memory": {"device": "cuda:0", "total_bytes": 1.5e11}, "warnings/memory": "at step 7 little is left"}
    sizes = {"reserved": 8e8, "peak": 9e8, "fragmentation": 4e8}
    parts = {"parameters": 1e8, "gradients": 1e8, "optimizer": 2e8, "activations": 5e8}
    run = record(store, facts=facts, **sizes, **parts)
    allocated = np.full(120, 4e8)
    allocated[70] = 8.5e8
    times = np.full(120, run.created_at)
    row = RowBlock.of_series("memory/allocated_bytes", "memory", "B", np.arange(120), times, allocated)
    store.write(run.id, 0, Batch(rows=[row]))
    store.add_artifact(run.id, a_peak(50, "/me/net.py:3 first"))
    store.add_artifact(run.id, a_peak(90, "/me/net.py:4 second"))
    store.end_run(run.id, "finished")
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


@pytest.mark.browser
def test_live_curves_are_drawn_and_a_recording_is_picked(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    with server.fresh_store() as store:
        record_gpu(store)
    visit(f"{server.url}/memory?run=memory")
    wait_until(page, f"{CAPTIONS}.includes('Activations and other')", "the live charts")
    assert page.locator('.tg-chart[data-key="memory/peak_bytes"] .tg-caption').inner_text() == "Peak"
    page.locator('.tg-chart[data-key="memory/peak_bytes"]').scroll_into_view_if_needed()
    page.locator(".tg-plot .main-svg").first.wait_for()
    page.get_by_text("step 50", exact=True).click()
    ticks = "[...document.querySelectorAll('.ytick text')].map(tick => tick.textContent).join()"
    wait_until(page, f"{ticks}.includes('first (net.py:3)')", "the recording that was chosen")
    assert watched.errors == []


def test_a_run_on_a_gpu_shows_its_split_its_lines_and_what_filled_its_peak(tmp_path: Path) -> None:
    with open_store(tmp_path / "runs.db") as store:
        record_gpu(store)
    app = show(tmp_path / "runs.db", "memory", "memory")
    split = ["parameters 100 MB", "gradients 100 MB", "optimizer state 200 MB", "activations and other 500 MB"]
    assert names(app, "memory_split") == split
    assert names(app, "memory_steps")[3:] == ["activations and other", "allocated", "reserved", "peak"]
    for sentence in (
        "cuda:0 · 150 GB in all",
        "Memory is running out.",
        "at step 7 little is left",
        "failed\\, with 1 GB free",
    ):
        assert sentence in texts(app)
    assert "second (net.py:4)" in str(drawn(app, "memory_peak")["layout"]["yaxis"]["ticktext"])
    assert tiles(app)["Peak"] == "900 MB"


def test_the_chosen_step_has_its_figures_its_split_and_the_nearest_recording(tmp_path: Path) -> None:
    with open_store(tmp_path / "runs.db") as store:
        record_gpu(store)
    app = show(tmp_path / "runs.db", "memory", "memory", 70)
    table = app.dataframe[0].value.set_index("Figure")
    assert table.loc["Allocated", ["At step 70", "Last", "Highest"]].tolist() == ["850 MB", "400 MB", "850 MB"]
    assert table.loc["Allocated", ["Measured at", "Highest at step"]].tolist() == [70, 70]
    assert table.loc["Parameters", "Measured at"] == 100
    assert "Step 100, the recorded one nearest to 70." in texts(app)
    assert "first (net.py:3)" in str(drawn(app, "memory_peak")["layout"]["yaxis"]["ticktext"]), (
        "of 50 and 90 the earlier"
    )
    assert "Highest mark: 900 MB at step 0 (Peak)." in texts(app)
    app.button(key="to-peak").click().run()
    assert cursor(settled(app)) == 0
    assert not [button for button in app.button if button.key == "to-peak"]


def test_a_run_on_the_cpu_shows_the_process_and_why_the_rest_is_missing(tmp_path: Path) -> None:
    reason = "torch's allocator keeps these figures on CUDA devices alone; this model trains on cpu"
    with open_store(tmp_path / "runs.db") as store:
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
    app = show(tmp_path / "runs.db", "memory", "memory")
    assert tiles(app) == {"This process": "500 MB"}
    said = texts(app)
    assert "orch records the history of allocations on CUDA devices alone" in said
    assert f"Allocated, Peak: {reason}" in said
    assert "Measured every 600 steps: it takes 6 ms" in said
    assert "run.record_memory(steps=3)" in app.code[0].value
    assert "memory_peak" not in figures(app)


def test_a_run_that_has_just_begun_waits_and_one_that_measured_nothing_says_what_to_do(tmp_path: Path) -> None:
    with open_store(tmp_path / "runs.db") as store:
        run = store.start_run("bare", {}, host="here", pid=1)
        app = show(tmp_path / "runs.db", "memory", "bare", 5)
        assert figures(app)["torchglass.live"]["waiting"] == "Waiting for the first step to end."
        store.end_run(run.id, "finished")
        app = show(tmp_path / "runs.db", "memory", "bare", 5)
    assert "This run measured no memory." in texts(app)
    assert "torchglass.attach" in app.code[0].value


def test_each_rank_has_its_own_memory(tmp_path: Path) -> None:
    with open_store(tmp_path / "runs.db") as store:
        run = record(store, facts={"memory": {"device": "cuda:0", "total_bytes": 1e9}}, peak=1e8, parameters=1e7)
        other = {"memory": {"device": "cuda:1", "total_bytes": 1e9}}
        record(store, facts=other, rank=1, run=run, peak=3e8, parameters=2e7)
        store.end_run(run.id, "finished")
    app = show(tmp_path / "runs.db", "memory", "memory")
    assert "cuda:0 · 1 GB in all" in texts(app)
    app.button_group[0].set_value(1).run()
    assert "cuda:1 · 1 GB in all" in texts(settled(app))
    assert names(app, "memory_split") == ["parameters 20 MB"]


@pytest.mark.browser
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
        visit(f"{server.url}/memory?run=memory&step=3")
        page.locator(".tg-figure .main-svg").first.wait_for()
        page.get_by_text("Largest allocations of a peak").wait_for()
        assert page.locator("a[href*='evil.example'], img[src='x']").count() == 0
    assert watched.errors == []
    assert watched.dialogs == []
    assert watched.foreign_requests == []
