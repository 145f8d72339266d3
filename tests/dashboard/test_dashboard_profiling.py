"""Step time, kernels and time line in a browser: live, zoomed, pointed at, and with hostile names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browsing import Watched
from driving import wait_until
from profiled import cpu_window, gpu_window, long_window, record_profiled_run

from torchglass.store import Batch, Fact, ProfilerWindow, RowBlock, Run, Store

if TYPE_CHECKING:
    from driving import Server
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

Visit = Callable[[str], None]
STACK = "document.querySelector('.tg-chart[data-key=\"phase\"] .tg-plot')"
PILL = "document.querySelector('.tg-timeline .tg-pill').textContent"
PROFILED = ("step_time", "kernels", "timeline")
GUTTER = 150


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


def test_phases_are_one_live_stack_that_sums_to_the_step_and_marks_windows_when_they_come(
    server: Server, page: Page, visit: Visit
) -> None:
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
        assert drawn["shapes"] == 0
        store.write(run.id, 0, Batch(windows=[cpu_window(3)]))
        wait_until(page, f"{STACK}.layout.shapes.length === 1")
        assert page.evaluate(f"[{STACK}.layout.shapes[0].x0, {STACK}.layout.shapes[0].x1]") == [2.5, 5.5]
    assert drawn["mark"] == "mine"
    assert list(drawn["values"]) == ["data wait", "forward", "whole step"]
    assert drawn["isStacked"] == {"data wait": True, "forward": True, "whole step": False}
    sums = np.add(drawn["values"]["data wait"], drawn["values"]["forward"])
    assert sums.tolist() == drawn["values"]["whole step"]
    assert page.locator(".tg-chart").count() == 1


def test_a_chart_gives_its_picture_by_the_plotly_that_drew_it_whichever_is_the_page_s_own(
    server: Server, page: Page, visit: Visit, tmp_path: Path
) -> None:
    with server.fresh_store() as store:
        record_profiled_run(store, "example", steps=20)
    visit(f"{server.url}/kernels?run=example")
    menu = page.get_by_role("button", name="icicle").last
    menu.scroll_into_view_if_needed()
    page.locator(".iciclelayer .slice").first.wait_for()
    page.evaluate("delete window.Plotly")
    menu.click()
    with page.expect_download() as event:
        page.get_by_role("menuitem", name="SVG picture").click()
    event.value.save_as(tmp_path / "icicle.svg")
    assert "slice" in (tmp_path / "icicle.svg").read_text()


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


def test_a_window_is_asked_for_by_a_button_and_shows_up_by_itself(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        run = store.start_run("live", {}, host="here", pid=1)
        visit(f"{server.url}/kernels?run=live")
        page.get_by_text("This run has no profiler window").wait_for()
        page.get_by_role("button", name="Profile the next 3 steps").click()
        page.get_by_text("Request 1").wait_for()
        assert store.profile_request(run.id) == (1, 3)
        store.write(run.id, 0, Batch(windows=[gpu_window(10)]))
        page.get_by_text("From the phase to the kernel").first.wait_for()


def test_a_time_line_turns_from_a_map_into_slices_as_the_reader_comes_close(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    with server.fresh_store() as store:
        record_profiled_run(store, windows=[long_window(100_000)], steps=3)
    visit(f"{server.url}/timeline?run=profiled")
    page.wait_for_selector('.tg-timeline[data-mode="map"]')
    page.locator(".tg-pill", has_text="100,000 slices, too many to draw").wait_for()
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


def test_a_time_line_tells_slices_at_the_pointer_zooms_to_a_span_and_moves_the_cursor_to_a_step(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    with server.fresh_store() as store:
        record_profiled_run(store, windows=[gpu_window(5)], steps=3)
    visit(f"{server.url}/timeline?run=profiled")
    page.wait_for_selector('.tg-timeline[data-mode="slices"]')
    told = page.locator(".tg-timeline-plot").get_attribute("aria-describedby")
    assert "Lanes: thread 4242 (training), thread 4301 (autograd), stream 7" in page.locator(f"#{told}").inner_text()
    box = page.locator(".tg-timeline-plot").bounding_box()
    axis = page.locator(".tg-timeline-axis").bounding_box()
    assert box is not None
    assert axis is not None
    plot, span_ms = box["width"] - GUTTER, 36
    page.mouse.move(box["x"] + GUTTER + plot * 7 / span_ms, box["y"] + box["height"] - 45)
    page.get_by_text("ncclDevKernel_AllReduce_Sum_bf16_RING_LL").first.wait_for()
    page.get_by_text("1.4 ms, begins at 6.6 ms").wait_for()
    page.get_by_text("kernel on stream 20 (NCCL)").wait_for()
    page.mouse.click(axis["x"] + GUTTER + plot * 18 / span_ms, axis["y"] + 8)
    wait_until(page, "location.search.endsWith('step=6')", "the cursor is at the step that was clicked")
    page.get_by_text("Window of steps 5 to 7.").wait_for()
    page.get_by_role("button", name="Step 6", exact=True).click()
    wait_until(page, f"{PILL}.startsWith('12 ms')")
    page.get_by_role("button", name="Show the whole window").click()
    wait_until(page, f"{PILL}.startsWith('36 ms')")
    axis = page.locator(".tg-timeline-axis").bounding_box()  # a line about the step has come above it
    assert axis is not None
    page.mouse.move(axis["x"] + GUTTER + plot * 0.25, axis["y"] + 10)
    page.mouse.down()
    page.mouse.move(axis["x"] + GUTTER + plot * 0.5, axis["y"] + 10, steps=5)
    page.mouse.up()
    wait_until(page, f"{PILL}.startsWith('9 ms') || {PILL}.startsWith('8.99') || {PILL}.startsWith('9.0')")
    assert page.evaluate("location.search").endswith("step=6")
    assert watched.errors == []


HOSTILE = "<img src=x onerror=alert(1)> [l](http://evil.example) %{y} $x$ </script><script>alert(1)</script>\u202e"


def test_names_of_a_window_are_shown_and_never_obeyed(
    server: Server, page: Page, visit: Visit, watched: Watched
) -> None:
    with server.fresh_store() as store:
        run = record_profiled_run(store, windows=[hostile_window()])
        store.write(run.id, 0, Batch(facts=[Fact(0, "missing/work/flops", f"odd {HOSTILE}", 0.0)]))
    for address in PROFILED:
        visit(f"{server.url}/{address}?run=profiled&step=6")
        page.locator(".main-svg, .tg-timeline-plot").first.wait_for()
        if address != "timeline":
            page.get_by_text("The operations of some step were not counted: odd").wait_for()
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
