"""Step time, kernels and time line as a reader meets them: live, zoomed, incomplete, and with hostile names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browsing import Watched
from driving import wait_until
from profiled import cpu_window, gpu_window, long_window, record_profiled_run

from torchglass.store import Batch, Fact, ProfilerRow, ProfilerWindow, RowBlock, Run, Store

if TYPE_CHECKING:
    from driving import Server
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

Visit = Callable[[str], None]
STACK = "document.querySelector('.tg-chart[data-key=\"phase\"] .tg-plot')"
PROFILED = ("step_time", "kernels", "timeline")


def add_step(store: Store, run: Run, step: int, seconds: float) -> None:
    """One step: as much data as forward."""
    at, times = np.array([step]), np.array([run.created_at + step])
    parts = {"data": seconds / 2, "forward": seconds / 2, "step": seconds}
    rows = [
        RowBlock.of_series(f"phase/{name}", "phase", "s", at, times, np.array([value])) for name, value in parts.items()
    ]
    store.write(run.id, 0, Batch(rows=rows))


def stacked(page: Page) -> dict[str, Any]:
    """What the stack of phases draws: values by name, whether each is stacked, and the mark on its node."""
    drawn: dict[str, Any] = page.evaluate(
        f"""() => {{
            const plot = {STACK};
            const values = Object.fromEntries(plot.data.map((trace) => [trace.name, [...trace.y]]));
            const isStacked = Object.fromEntries(plot.data.map((trace) => [trace.name, Boolean(trace.stackgroup)]));
            return {{ values, isStacked, mark: plot.tgMark, shapes: plot.layout.shapes.length }};
        }}"""
    )
    return drawn


def test_phases_are_one_live_stack_that_sums_to_the_step(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        run = store.start_run("live", {}, host="here", pid=1)
        for step in range(1, 6):
            add_step(store, run, step, 0.01 * step)
        visit(f"{server.url}/step_time?run=live")
        wait_until(page, f"{STACK}?.data?.[0]?.x.length === 5")
        page.evaluate(f"{STACK}.tgMark = 'mine'")
        add_step(store, run, 6, 0.06)
        wait_until(page, f"{STACK}.data[0].x.length === 6")
        drawn = stacked(page)
    assert drawn["mark"] == "mine"
    assert list(drawn["values"]) == ["data wait", "forward", "whole step"]
    assert drawn["isStacked"] == {"data wait": True, "forward": True, "whole step": False}
    sums = np.add(drawn["values"]["data wait"], drawn["values"]["forward"])
    assert sums.tolist() == drawn["values"]["whole step"]
    assert page.locator(".tg-chart").count() == 1


def test_profiler_windows_are_marked_on_the_stack_when_they_come(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        run = store.start_run("live", {}, host="here", pid=1)
        for step in range(1, 20):
            add_step(store, run, step, 0.01)
        visit(f"{server.url}/step_time?run=live")
        wait_until(page, f"{STACK}?.data?.[0]?.x.length === 19")
        assert stacked(page)["shapes"] == 0
        store.write(run.id, 0, Batch(windows=[cpu_window(10)]))
        wait_until(page, f"{STACK}.layout.shapes.length === 1")
        assert page.evaluate(f"[{STACK}.layout.shapes[0].x0, {STACK}.layout.shapes[0].x1]") == [9.5, 12.5]


def test_a_long_stack_is_drawn_coarse_and_zooms_to_every_step(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        record_profiled_run(store, "long", steps=5000)
    visit(f"{server.url}/step_time?run=long")
    wait_until(page, f"{STACK}?.data?.[0]?.x.length > 100")
    assert page.evaluate(f"{STACK}.data[0].x.length") <= 400
    page.evaluate(f"window.Plotly.relayout({STACK}, {{'xaxis.range': [1000, 1100]}})")
    inside = f"[...{STACK}.data[0].x].filter(x => x >= 1000 && x <= 1100).length"
    wait_until(page, f"{inside} === 101")
    lengths = page.evaluate(f"{STACK}.data.map((trace) => trace.x.length)")
    assert len(set(lengths)) == 1


def test_each_rank_has_its_own_stack(server: Server, page: Page, visit: Visit, watched: Watched) -> None:
    with server.fresh_store() as store:
        record_profiled_run(store, "ranks", ranks=2, steps=50)
    visit(f"{server.url}/step_time?run=ranks")
    wait_until(page, f"{STACK}?.data?.length === 9")
    first = stacked(page)["values"]["forward"]
    page.get_by_role("radio", name="1", exact=True).or_(page.get_by_role("button", name="1", exact=True)).first.click()
    wait_until(page, f"{STACK}?.data?.length === 9 && {STACK}.data[2].y[0] !== {first[0]}")
    assert watched.errors == []


def test_a_window_that_is_new_shows_up_by_itself(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        run = store.start_run("live", {}, host="here", pid=1)
        for address, sentence in (("kernels", "From the phase to the kernel"), ("timeline", "slices drawn")):
            fresh = store.start_run(address, {}, host="here", pid=1)
            visit(f"{server.url}/{address}?run={address}")
            page.get_by_text("This run has no profiler window").wait_for()
            store.write(fresh.id, 0, Batch(windows=[gpu_window(10)]))
            page.get_by_text(sentence).first.wait_for()
        assert run.status == "running"


def test_the_button_asks_the_run_for_a_window(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        run = store.start_run("live", {}, host="here", pid=1)
        visit(f"{server.url}/kernels?run=live")
        page.get_by_role("button", name="Profile the next 3 steps").click()
        page.get_by_text("Request 1").wait_for()
        assert store.profile_request(run.id) == (1, 3)
        store.end_run(run.id, "finished")
        visit(f"{server.url}/kernels?run=live")
        page.get_by_text("This run has no profiler window").wait_for()
        assert page.get_by_role("button", name="Profile the next 3 steps").count() == 0


def test_a_window_says_how_far_to_trust_it(server: Server, page: Page, visit: Visit, watched: Watched) -> None:
    poor = gpu_window(10, slowdown=1.7, quality={"launches": 1000, "launches_with_kernel": 950, "clipped": 4})
    with server.fresh_store() as store:
        record_profiled_run(store, windows=[poor])
    visit(f"{server.url}/kernels?run=profiled")
    page.get_by_text("steps took 1.70 times as long as unprofiled ones").wait_for()
    page.get_by_text("95 % of 1,000 launches had their kernel seen").wait_for()
    assert page.get_by_text("4 overlapping slices were clipped").count() == 1
    assert watched.errors == []


@pytest.mark.parametrize("gpu", [True, False])
def test_tables_that_a_window_lacks_are_said_to_be_missing(
    server: Server, page: Page, visit: Visit, watched: Watched, gpu: bool
) -> None:
    with server.fresh_store() as store:
        record_profiled_run(store, windows=[gpu_window(5)] if gpu else [cpu_window(5)], gpu=gpu)
    visit(f"{server.url}/kernels?run=profiled")
    page.get_by_role("heading", name="Operators and kernels").wait_for()
    assert page.get_by_text("no GPU took part in this window").count() == (0 if gpu else 1)
    for section in ("What the GPU did", "Why streams waited", "Copies", "Collectives", "Launches"):
        assert page.get_by_role("heading", name=section).count() == (1 if gpu else 0)
    page.locator(".iciclelayer .slice").first.wait_for()
    assert watched.errors == []


def test_a_window_of_an_old_store_has_rows_alone_and_is_shown_all_the_same(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    window = ProfilerWindow(5, 0.0, 2, 1.0, {}, (ProfilerRow("operator", "aten::mm", 2, 0.1, 0.1),))
    with server.fresh_store() as store:
        record_profiled_run(store, windows=[window])
    visit(f"{server.url}/kernels?run=profiled")
    page.locator(".js-plotly-plot .bars").first.wait_for()
    visit(f"{server.url}/timeline?run=profiled")
    page.get_by_text("This window kept no slices").wait_for()
    assert watched.errors == []


def test_all_windows_can_be_added_up(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        record_profiled_run(store, windows=[gpu_window(5), gpu_window(50)])
    visit(f"{server.url}/kernels?run=profiled")
    page.get_by_text("3 profiled steps").wait_for()
    page.get_by_role("combobox", name="Profiler window").click()
    page.get_by_role("option", name="All 2 windows, added up").click()
    page.get_by_text("6 profiled steps").wait_for()


def test_a_time_line_turns_from_a_map_into_slices_as_the_reader_comes_close(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    with server.fresh_store() as store:
        record_profiled_run(store, windows=[long_window(100_000)], steps=3)
    visit(f"{server.url}/timeline?run=profiled")
    page.wait_for_selector('.tg-timeline[data-mode="map"]')
    page.get_by_text("100,000 slices, too many to draw").wait_for()
    box = page.locator(".tg-timeline-plot").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 600, box["y"] + 60)
    page.get_by_text("mostly with this").wait_for()
    page.locator(".tg-timeline-plot").focus()
    for _ in range(16):
        page.keyboard.press("w")
    page.wait_for_selector('.tg-timeline[data-mode="slices"]')
    narrow = page.locator(".tg-timeline .tg-pill").inner_text()
    page.get_by_role("button", name="Show the whole window").click()
    page.wait_for_selector('.tg-timeline[data-mode="map"]')
    assert "slices drawn" in narrow
    assert watched.errors == []


def test_a_slice_tells_its_name_and_time_where_the_pointer_is(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        record_profiled_run(store, windows=[gpu_window(5)], steps=3)
    visit(f"{server.url}/timeline?run=profiled")
    page.wait_for_selector('.tg-timeline[data-mode="slices"]')
    box = page.locator(".tg-timeline-plot").bounding_box()
    assert box is not None
    gutter, span_ms = 150, 36
    page.mouse.move(box["x"] + gutter + (box["width"] - gutter) * 7 / span_ms, box["y"] + box["height"] - 45)
    page.get_by_text("ncclDevKernel_AllReduce_Sum_bf16_RING_LL").wait_for()
    page.get_by_text("1.4 ms, begins at 6.6 ms").wait_for()
    page.get_by_text("kernel on stream 20 (NCCL)").wait_for()


def test_dragging_moves_and_a_span_of_the_axis_zooms(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        record_profiled_run(store, windows=[gpu_window(5)], steps=3)
    visit(f"{server.url}/timeline?run=profiled")
    page.wait_for_selector('.tg-timeline[data-mode="slices"]')
    axis = page.locator(".tg-timeline-axis").bounding_box()
    assert axis is not None
    plot = axis["width"] - 150
    page.mouse.move(axis["x"] + 150 + plot * 0.25, axis["y"] + 10)
    page.mouse.down()
    page.mouse.move(axis["x"] + 150 + plot * 0.5, axis["y"] + 10, steps=5)
    page.mouse.up()
    pill = "document.querySelector('.tg-timeline .tg-pill').textContent"
    wait_until(page, f"{pill}.startsWith('9 ms') || {pill}.startsWith('8.99') || {pill}.startsWith('9.0')")


HOSTILE = "<img src=x onerror=alert(1)> [l](http://evil.example) %{y} $x$ </script><script>alert(1)</script>\u202e"


def test_names_of_a_window_are_shown_and_never_obeyed(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    with server.fresh_store() as store:
        record_profiled_run(store, windows=[hostile_window()])
    for address in PROFILED:
        visit(f"{server.url}/{address}?run=profiled")
        page.locator(".main-svg, .tg-timeline-plot").first.wait_for()
        page.wait_for_timeout(300)
        assert page.locator("a[href*='evil.example'], img[src='x']").count() == 0
        assert page.get_by_test_id("stException").count() == 0
        assert page.get_by_text("This page failed").count() == 0
        assert (watched.errors, watched.dialogs, watched.foreign_requests) == ([], [], [])


def hostile_window() -> ProfilerWindow:
    """A window whose every text is hostile."""
    window = gpu_window(5, note=HOSTILE, missing=dict.fromkeys(("copies", "breakdown", "slices", "work"), HOSTILE))
    tables = {
        name: {
            column: np.full(len(values), HOSTILE) if values.dtype.kind == "U" and column != "kernel" else values
            for column, values in table.items()
        }
        for name, table in window.tables.items()
        if name not in ("copies", "breakdown")
    }
    rows = tuple(row._replace(name=HOSTILE) for row in window.rows)
    return ProfilerWindow(5, 0.0, 3, 1.0, window.facts, rows, tables=tables)


def test_energy_has_tiles_where_a_gpu_told_it(server: Server, page: Page, visit: Visit, watched: Watched) -> None:
    at, times = np.arange(20), 1.7e9 + np.arange(20.0)
    series = {"phase/forward": 0.5, "phase/step": 0.5, "work/samples_per_second": 64.0}
    units = {"phase": "s", "work": "1/s"}
    with server.fresh_store() as store:
        for name, joules in (("thirsty", 16.0), ("untold", None)):
            run = store.start_run(name, {}, host="here", pid=1)
            rows: list[RowBlock] = []
            for key, value in series.items():
                kind: Any = key.partition("/")[0]
                rows.append(RowBlock.of_series(key, kind, units[kind], at, times, np.full(20, value)))
            if joules:
                key = "gpu0/energy_per_step_joules"
                rows.append(RowBlock.of_series(key, "device", "J", at, times, np.full(20, joules)))
            store.write(run.id, 0, Batch(rows=rows))
            store.end_run(run.id, "finished")
    visit(f"{server.url}/step_time?run=thirsty")
    tiles = "[...document.querySelectorAll('[data-testid=stMetric]')].map(one => one.innerText.replace(/\\s+/g, ' '))"
    wait_until(page, f"{tiles}.includes('Energy a step 16 J')")
    assert "Energy a sample 500 mJ" in page.evaluate(tiles)
    visit(f"{server.url}/step_time?run=untold")
    wait_until(page, f"{tiles}.some(tile => tile.startsWith('Mean step'))")
    assert page.get_by_text("Energy").count() == 0
    assert watched.errors == []


def test_a_trace_that_names_steps_and_no_phases_has_their_mean_and_no_empty_figures(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    at, times = np.arange(10, 13), 1.7e9 + np.arange(3.0)
    with server.fresh_store() as store:
        run = store.start_run("imported", {}, host="here", pid=1)
        for rank in (0, 1):
            row = RowBlock.of_series("phase/step", "phase", "s", at, times, np.full(3, 0.25 * (rank + 1)))
            store.write(run.id, rank, Batch(rows=[row], windows=[gpu_window(10)]))
        store.end_run(run.id, "finished")
    visit(f"{server.url}/step_time?run=imported")
    wait_until(page, "document.querySelector('[data-testid=stMetric]')?.innerText.includes('250 ms')")
    page.get_by_text("2 ranks with 3 steps in common: too few to compare them.").wait_for()
    assert page.get_by_text("Nothing recorded").count() == 0
    assert watched.errors == []


def test_a_count_of_operations_that_failed_says_why(server: Server, page: Page, visit: Visit, watched: Watched) -> None:
    with server.fresh_store() as store:
        run = record_profiled_run(store, "uncounted", windows=[cpu_window(10)])
        store.write(run.id, 0, Batch(facts=[Fact(0, "missing/work/flops", f"odd {HOSTILE}", 0.0)]))
    for address in ("kernels", "step_time"):
        visit(f"{server.url}/{address}?run=uncounted")
        page.get_by_text("The operations of some step were not counted: odd").wait_for()
        assert page.locator("img[src='x']").count() == 0
    assert watched.errors == []
