"""The live contract: charts grow without a click, in the same node, at the reader's zoom, to the last digit."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from driving import by_torchglass_ui, free_port, running, wait_until

from torchglass.store import Batch, RowBlock, Run, Store, open_store

if TYPE_CHECKING:
    from pathlib import Path

    from driving import Server
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

LOSS = '.tg-chart[data-key="loss"] .tg-plot'
DRAWN = f"document.querySelector('{LOSS}')?.data?.[0]?.x.length"
Visit = Callable[[str], None]


def block(key: str, steps: list[int], values: list[float]) -> RowBlock:
    return RowBlock.of_series(
        key, "scalar", "", np.array(steps), time.time() + np.array(steps) / 1000, np.array(values)
    )


def write(store: Store, run: Run, key: str, steps: list[int], values: list[float]) -> None:
    store.write(run.id, 0, Batch(rows=[block(key, steps, values)]))


def test_a_value_that_never_changes_is_told_from_zero_until_it_does(server: Server, page: Page, visit: Visit) -> None:
    lowest = f"document.querySelector('{LOSS}')._fullLayout?.yaxis.range[0]"
    with server.fresh_store() as store:
        run = store.start_run("live", {}, host="here", pid=1)
        write(store, run, "loss", [1, 2], [5.0, 5.0])
        visit(f"{server.url}/training?run=live")
        wait_until(page, f"{DRAWN} === 2")
        assert page.evaluate(lowest) == 0
        write(store, run, "loss", [3], [5.5])
        wait_until(page, f"{DRAWN} === 3 && {lowest} > 4", "an axis of its values alone")


@contextmanager
def training_in_the_background(path: Any, run: Run, first_step: int) -> Iterator[None]:
    """Another connection appends a point to the loss again and again."""
    stop = threading.Event()

    def train() -> None:
        with open_store(path) as store:
            step = first_step
            while not stop.wait(0.05):
                write(store, run, "loss", [step], [1 / step + 1e-9 * math.sin(step)])
                step += 1

    thread = threading.Thread(target=train)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def state_of(page: Page) -> dict[str, Any]:
    """What the loss chart holds: a mark on its node, its horizontal range, its last point."""
    state: dict[str, Any] = page.evaluate(
        f"""() => {{
            const plot = document.querySelector('{LOSS}');
            const raw = plot.data[0];
            const {{ range, autorange }} = plot._fullLayout.xaxis;
            return {{ mark: plot.tgMark, range: [...range], autorange, points: raw.x.length,
                     lastStep: raw.x.at(-1), lastValue: raw.y.at(-1) }};
        }}"""
    )
    return state


def drag_a_box(page: Page, selector: str) -> None:
    """Zoom as a reader does: press, move, release."""
    box = page.locator(f"{selector} .nsewdrag").first.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.3, y - 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, y, steps=4)
    page.mouse.move(box["x"] + box["width"] * 0.7, y + 60, steps=4)
    page.mouse.up()


def test_a_zoomed_chart_grows_in_place_to_the_stored_value(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        run = store.start_run("live", {}, host="here", pid=1)
        write(store, run, "loss", list(range(1, 101)), [1 / step for step in range(1, 101)])
        visit(f"{server.url}/training?run=live")
        wait_until(page, f"{DRAWN} === 100")
        page.evaluate(f"document.querySelector('{LOSS}').tgMark = 'mine'")
        drag_a_box(page, LOSS)
        wait_until(page, f"document.querySelector('{LOSS}')._fullLayout.xaxis.autorange === false")
        zoomed = state_of(page)
        assert 1 < zoomed["range"][0] < zoomed["range"][1] < 100

        with training_in_the_background(store.path, run, 101):
            wait_until(page, f"{DRAWN} > 120")
        last = store.points(state_id(store, run)).steps[-1]
        wait_until(page, f"document.querySelector('{LOSS}').data[0].x.at(-1) === {last}")

        grown = state_of(page)
        assert grown["mark"] == "mine"
        assert grown["range"] == zoomed["range"]
        assert grown["points"] > 120
        assert grown["lastValue"] == store.points(state_id(store, run)).values[-1]


def state_id(store: Store, run: Run) -> int:
    found = store.find_series(run.id, "loss")
    assert found is not None
    return found.id


def test_a_series_that_is_new_shows_up_by_itself(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        run = store.start_run("live", {}, host="here", pid=1)
        visit(f"{server.url}/training?run=live")
        page.get_by_text("Waiting for the first value").wait_for()
        write(store, run, "loss", [1], [2.5])
        page.wait_for_selector('.tg-chart[data-key="loss"] .main-svg')
        write(store, run, "test/accuracy", [1], [0.5])
        page.wait_for_selector('.tg-chart[data-key="test/accuracy"] .main-svg')
        assert page.locator(".tg-title").all_text_contents() == ["General", "test"]


def test_the_loss_stands_first_whatever_was_logged_before_it(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        run = store.start_run("live", {}, host="here", pid=1)
        write(store, run, "learning_rate", [1], [0.1])
        write(store, run, "epoch", [1], [1.0])
        write(store, run, "test/accuracy", [1], [0.5])
        visit(f"{server.url}/training?run=live")
        page.wait_for_selector('.tg-chart[data-key="learning_rate"] .main-svg')
        for key in ("loss", "test/loss"):
            write(store, run, key, [1], [2.5])
            page.wait_for_selector(f'.tg-chart[data-key="{key}"] .main-svg')
        drawn = page.locator(".tg-caption").all_text_contents()
        assert drawn == ["loss", "learning_rate", "epoch", "test/loss", "test/accuracy"]


def test_what_probes_show_stands_below_what_was_learnt_though_it_was_recorded_first(
    server: Server, page: Page, visit: Visit
) -> None:
    with server.fresh_store() as store:
        run = store.start_run("live", {}, host="here", pid=1)
        write(store, run, "loss", [1, 2], [5.0, 4.0])
        write(store, run, "explanation/gradcam/drift", [1, 2], [0.5, 0.2])
        write(store, run, "test/accuracy", [1, 2], [0.1, 0.4])
        visit(f"{server.url}/training?run=live")
        wait_until(page, f"{DRAWN} === 2")
        titles = page.locator(".tg-title").all_text_contents()
        assert titles == ["General", "test", "Probes explained during training"]


def test_a_value_that_is_not_finite_is_marked_and_not_drawn(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        run = store.start_run("live", {}, host="here", pid=1)
        write(store, run, "loss", [1, 2, 3], [1.0, math.nan, 0.5])
        visit(f"{server.url}/training?run=live")
        wait_until(page, f"{DRAWN} === 3")
        write(store, run, "loss", [4, 5], [math.inf, -math.inf])
        wait_until(page, f"{DRAWN} === 5")
        marks = wait_until(
            page,
            f"""() => {{
                const marks = document.querySelector('{LOSS}').data.at(-1);
                return marks.x.length === 3 && [[...marks.x], marks.text, marks.marker.color];
            }}""",
        )
        assert marks == [[2, 4, 5], ["NaN", "+∞", "−∞"], "#cc3311"]


def test_a_step_out_of_order_redraws_the_series_in_order(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        run = store.start_run("live", {}, host="here", pid=1)
        write(store, run, "loss", [10, 20, 30], [3.0, 2.0, 1.0])
        visit(f"{server.url}/training?run=live")
        wait_until(page, f"{DRAWN} === 3")
        write(store, run, "loss", [25, 20], [1.5, 7.0])
        wait_until(page, f"{DRAWN} === 4")
        drawn = page.evaluate(
            f"(() => {{ const {{x, y}} = document.querySelector('{LOSS}').data[0]; return [[...x], [...y]]; }})()"
        )
        assert drawn == [[10, 20, 25, 30], [3.0, 7.0, 1.5, 1.0]]


def test_zooming_into_a_reduced_series_fetches_every_point_there(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        run = store.start_run("long", {}, host="here", pid=1)
        steps = list(range(50_000))
        write(store, run, "loss", steps, [math.sin(step / 50) for step in steps])
        store.end_run(run.id, "finished")
        visit(f"{server.url}/training?run=long")
        wait_until(page, f"{DRAWN} > 100")
        assert state_of(page)["points"] <= 2100
        page.evaluate(f"window.Plotly.relayout(document.querySelector('{LOSS}'), {{'xaxis.range': [20000, 20500]}})")
        inside = f"[...document.querySelector('{LOSS}').data[0].x].filter(x => x >= 20000 && x <= 20500).length"
        wait_until(page, f"{inside} === 501")
        page.evaluate(f"window.Plotly.relayout(document.querySelector('{LOSS}'), {{'xaxis.autorange': true}})")
        wait_until(page, f"{inside} < 100")


def test_an_ended_run_is_asked_for_no_more(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        run = store.start_run("short", {}, host="here", pid=1)
        write(store, run, "loss", [1, 2], [2.0, 1.0])
        visit(f"{server.url}/training?run=short")
        page.wait_for_selector('.tg-pill[data-state="live"]')
        store.end_run(run.id, "finished")
        page.wait_for_selector('.tg-pill[data-state="ended"]')
        assert page.locator(".tg-pill").inner_text() == "Finished"
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/api/v1/series" in request.url else None)
        page.wait_for_timeout(2500)
        assert asked == []


def test_pause_stops_the_questions_and_resume_catches_up(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        run = store.start_run("live", {}, host="here", pid=1)
        write(store, run, "loss", [1, 2], [2.0, 1.0])
        visit(f"{server.url}/training?run=live")
        wait_until(page, f"{DRAWN} === 2")
        page.get_by_role("button", name="Pause").click()
        page.wait_for_selector('.tg-pill[data-state="paused"]')
        write(store, run, "loss", [3], [0.5])
        page.get_by_role("button", name="Resume").click()
        wait_until(page, f"{DRAWN} === 3")


def test_smoothing_leaves_a_constant_alone_and_the_raw_line_behind_it(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        run = store.start_run("live", {}, host="here", pid=1)
        write(store, run, "loss", list(range(1, 51)), [0.7] * 50)
        visit(f"{server.url}/training?run=live")
        wait_until(page, f"{DRAWN} === 50")
        page.get_by_label("Smoothing").fill("0.9")
        wait_until(page, f"document.querySelector('{LOSS}').data[1].visible === true")
        raw, smooth, opacity = page.evaluate(
            f"(() => {{ const [raw, smooth] = document.querySelector('{LOSS}').data;"
            " return [[...raw.y], [...smooth.y], raw.opacity]; })()"
        )
        assert raw == smooth == [0.7] * 50
        assert opacity < 0.5


def test_the_page_says_itself_that_the_server_is_lost(server: Server, page: Page, visit: Visit) -> None:
    with server.fresh_store() as store:
        run = store.start_run("live", {}, host="here", pid=1)
        write(store, run, "loss", [1, 2], [2.0, 1.0])
        visit(f"{server.url}/training?run=live")
        wait_until(page, f"{DRAWN} === 2")
        page.route("**/api/v1/series*", lambda route: route.abort())
        page.get_by_text("Server lost").wait_for()
        page.unroute("**/api/v1/series*")
        page.wait_for_selector('.tg-pill[data-state="live"]', timeout=15_000)


def test_a_page_goes_on_when_its_server_was_started_again(tmp_path: Path, page: Page) -> None:
    command, path = by_torchglass_ui(free_port()), tmp_path / "runs.db"
    with open_store(path) as store:
        run = store.start_run("live", {}, host="here", pid=1)
        write(store, run, "loss", [1, 2], [2.0, 1.0])
        with running(command, path, tmp_path) as server:
            page.goto(f"{server.url}/training?run=live")
            wait_until(page, f"{DRAWN} === 2")
        page.get_by_text("Server lost").wait_for()
        write(store, run, "loss", [3], [0.5])
        with running(command, path, tmp_path):
            page.wait_for_selector('.tg-pill[data-state="live"], .tg-pill[data-state="silent"]', timeout=60_000)
            wait_until(page, f"{DRAWN} === 3")
