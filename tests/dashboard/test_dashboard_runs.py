"""The table of runs: what it says of each, which runs a condition leaves, and how little it asks of a large store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browsing import Watched
from driving import Server, wait_until
from streamlit.testing.v1 import AppTest

from torchglass.dashboard.choosing.run_list import read, written
from torchglass.dashboard.choosing.run_question import Question, answer
from torchglass.dashboard.choosing.run_table import Extra, columns, flat, glance, offered
from torchglass.dashboard.pages.runs import PAGE_ROWS
from torchglass.store import Batch, Column, RowBlock, Store

if TYPE_CHECKING:
    from playwright.sync_api import Page

HOSTILE = "<img src=x onerror=alert(1)> ![p](http://evil.example/p.png), [l](http://evil.example)"
STEPS = np.arange(1, 6)


class Clock:
    """A clock that is set by hand."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    return Store(tmp_path / "runs.db", clock=clock)


def record(
    store: Store, name: str, losses: list[float], *, config: dict[str, Any] | None = None, key: str = "loss"
) -> int:
    """A run that logged a loss and an accuracy of ten minus it."""
    run = store.start_run(name, config or {}, host="here", pid=1)
    columns = (Column(key), Column("test/accuracy"), Column("learning_rate"))
    values = np.stack([np.array(losses), 10 - np.array(losses), np.full(len(losses), 0.125)], axis=1)
    rows = RowBlock(columns, STEPS[: len(losses)], 1e9 + STEPS[: len(losses)], values)
    store.write(run.id, 0, Batch(rows=[rows]))
    return run.id


def test_a_row_says_last_and_best_in_the_direction_of_each_name(store: Store, clock: Clock) -> None:
    run_id = record(store, "a", [5.0, 2.0, np.nan, 4.0], config={"optimizer": {"name": "sgd"}, "lr": 0.5})
    clock.now += 127.0
    store.end_run(run_id, "failed", "out of memory")
    store.tag("a", ["x", "y"])
    extras = [Extra("metric", "test/accuracy"), Extra("metric", "learning_rate"), Extra("config", "optimizer.name")]
    cells = {name: values[0] for name, values in columns(glance(store, [run_id]), extras).items()}
    assert cells == {
        "Run": "a",
        "Status": "✗ failed",
        "Last step": 4,
        "Loss": [5.0, 2.0, 4.0],
        "Last loss": 4.0,
        "Best loss": 2.0,
        "Last accuracy": 6.0,
        "Best accuracy": 8.0,
        "last test/accuracy": 6.0,
        "best test/accuracy": 8.0,
        "last learning_rate": 0.125,
        "config.optimizer.name": "sgd",
        "Tags": "x, y",
        "Duration": timedelta(seconds=127),
        "Begun": datetime.fromtimestamp(1_000.0, UTC),
        "Error": "out of memory",
    }


def test_runs_without_metrics_and_lost_ones_have_a_row_with_gaps(store: Store, clock: Clock) -> None:
    ids = [store.start_run("bare", {}, host="here", pid=1).id, record(store, "other", [3.0], key="train/total_loss")]
    clock.now += 60.0
    found = columns(glance(store, [*ids, 999]))
    assert (found["Run"], found["Status"]) == (["bare", "other"], ["? lost", "? lost"])
    assert (found["Last loss"], found["Best accuracy"], found["Loss"]) == ([None, 3.0], [None, 7.0], [None, [3.0]])
    assert found["Last step"] == [None, 1]
    assert "Tags" not in found
    assert "Note" not in found


def test_what_is_kept_of_an_ended_run_is_read_anew_when_it_goes_on(store: Store) -> None:
    run_id = record(store, "a", [5.0, 2.0])
    store.end_run(run_id, "finished")
    assert glance(store, [run_id])[0].scalars["loss"].last == 2.0
    store.rename("a", "b")
    assert glance(store, [run_id])[0].run.name == "b"
    store.resume_run("b", host="here", pid=1)
    rows = [RowBlock.of_series("loss", "scalar", "", np.array([3]), np.array([1e9]), np.array([1.5]))]
    store.write(run_id, 0, Batch(rows=rows))
    assert glance(store, [run_id])[0].scalars["loss"].last == 1.5


def test_columns_are_offered_for_what_the_runs_have(store: Store) -> None:
    ids = [
        record(store, "a", [1.0], config={"lr": 1, "sgd": {"nesterov": True, "none": {}}}),
        record(store, "b", [1.0]),
    ]
    assert [str(each) for each in offered(glance(store, ids))] == [
        "metric:learning_rate",
        "metric:loss",
        "metric:test/accuracy",
        "config:lr",
        "config:sgd.nesterov",
        "config:sgd.none",
    ]
    assert flat({"a": {"b": 1}, "c": {}}) == {"a.b": 1, "c": {}}


@pytest.mark.parametrize(
    ("condition", "order", "names"),
    [
        ("", "", ["c", "b", "a"]),
        ("loss.min < 2.5", "", ["b", "a"]),
        ("test/accuracy > 5 and lr > 0.1", "", ["a"]),
        ("accuracy.max >= 8", "accuracy.max", ["a", "b"]),
        ("", "-loss.min", ["c", "a", "b"]),
        ("steps == 4", "", ["a"]),
        ("'good' in tags", "", ["b"]),
    ],
)
def test_a_condition_and_an_order_are_those_of_the_command_line(
    store: Store, condition: str, order: str, names: list[str]
) -> None:
    record(store, "a", [5.0, 2.0, 4.0], config={"lr": 0.5})
    record(store, "b", [6.0, 1.0], config={"lr": 0.01})
    record(store, "c", [3.0, 3.0])
    store.tag("b", "good")
    found = answer(store, Question(condition, order))
    assert found.refusal is None
    assert [run.name for run in store.runs_with_ids(found.ids)] == names


@pytest.mark.parametrize("condition", ["loss <", "lr.mni < 3", "__import__('os')", "(" * 2000])
def test_what_cannot_be_read_is_said_and_all_runs_stay(store: Store, condition: str) -> None:
    record(store, "a", [5.0])
    found = answer(store, Question(condition))
    assert len(found.ids) == 1
    assert found.refusal
    assert "\n" not in found.refusal


def test_a_list_of_runs_survives_the_address_whatever_they_are_called(store: Store) -> None:
    names = ["a", HOSTILE, "a-2", "with & and = and #", "100%, %2C and %252C"]
    runs = [store.start_run(name, {}, host="here", pid=1) for name in names]
    text = written(runs)
    assert read(store, text, 10) == (tuple(runs), ())
    assert read(store, f"a,,gone,a,{text}", 10) == (tuple(runs), ("gone",))
    assert read(store, text, 2).runs == tuple(runs[:2])


def page_of_runs(path: str) -> None:
    import streamlit

    from torchglass.dashboard.pages import runs
    from torchglass.store import open_store

    with open_store(path, read_only=True) as store:
        runs.show(store, lambda name: streamlit.text(f"opened {name}"))


def visit_runs(store: Store, **query: str) -> AppTest:
    app = AppTest.from_function(page_of_runs, kwargs={"path": str(store.path)}, default_timeout=30)
    app.query_params.update(query)
    app.run()
    assert not app.exception
    return app


def test_the_address_filters_sorts_and_turns_pages(store: Store) -> None:
    for number in range(PAGE_ROWS + 3):
        store.start_run(f"run-{number}", {"number": number}, host="here", pid=1)
    app = visit_runs(store, filter="number < 2")
    assert app.dataframe[0].value["Run"].tolist() == ["run-1", "run-0"]
    assert app.caption[-1].value == f"2 of {PAGE_ROWS + 3} runs."
    assert visit_runs(store, sort="number").dataframe[0].value["Run"].tolist()[:2] == ["run-0", "run-1"]
    assert len(visit_runs(store).dataframe[0].value) == PAGE_ROWS
    assert visit_runs(store, page="2").dataframe[0].value["Run"].tolist() == ["run-2", "run-1", "run-0"]
    app = visit_runs(store, filter="<b>no")
    assert "cannot read" in app.error[0].value
    assert len(app.dataframe[0].value) == PAGE_ROWS
    app = visit_runs(store, filter="number > 1000")
    assert app.info[0].value == f"None of {PAGE_ROWS + 3} runs meets that."


def test_the_archive_is_behind_a_switch(store: Store) -> None:
    for name in ("used", "old"):
        store.start_run(name, {}, host="here", pid=1)
    store.archive("old")
    assert visit_runs(store).dataframe[0].value["Run"].tolist() == ["used"]
    assert visit_runs(store, archived="true").dataframe[0].value["Run"].tolist() == ["old"]
    store.archive("used")
    assert visit_runs(store).dataframe[0].value["Run"].tolist() == ["old", "used"]


def test_a_large_store_is_read_a_page_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(PAGE_ROWS + 50):
        store.start_run(f"run-{number}", {}, host="here", pid=1)
    asked: list[str] = []
    execute = store._engine.reading

    class Counting:
        def __init__(self, connection: Any) -> None:
            self._connection = connection

        def execute(self, statement: str, *parameters: Any) -> Any:
            asked.append(statement)
            return self._connection.execute(statement, *parameters)

    class Reading:
        def __enter__(self) -> Counting:
            self._context = execute()
            return Counting(self._context.__enter__())

        def __exit__(self, *exception: Any) -> None:
            self._context.__exit__(*exception)

    monkeypatch.setattr(store._engine, "reading", Reading)
    found = answer(store, Question())
    assert len(glance(store, found.ids[:PAGE_ROWS])) == PAGE_ROWS
    assert len(asked) <= 6, "some statements for all rows, and none for each of them"


@pytest.mark.browser
def test_ticked_runs_are_deleted_brought_back_and_compared(
    server: Server, page: Page, visit: Callable[[str], None], watched: Watched
) -> None:
    with server.fresh_store() as store:
        for name in (HOSTILE, "b", "c"):
            run_id = record(store, name, [5.0, 2.0, 4.0], config={HOSTILE: 1})
            store.end_run(run_id, "finished")
        visit(f"{server.url}/?filter=loss.min+%3D%3D+2")
        table = page.get_by_test_id("stDataFrame")
        table.wait_for()
        tick(page, 0)
        page.get_by_role("button", name="Delete").click()
        page.get_by_text("Deleted c.").wait_for()
        assert store.run_names() == ["b", HOSTILE]
        page.get_by_role("button", name="Undo").click()
        wait_until(page, "!document.body.innerText.includes('Deleted c.')")
        assert store.run_names() == ["c", "b", HOSTILE]
        assert "filter=loss.min" in page.url
        tick(page, 1)
        tick(page, 2)
        page.get_by_role("button", name="Compare").click()
    page.get_by_role("heading", name="Compare").wait_for()
    wait_until(page, "location.search.includes('runs=b%2C%3Cimg+src')")
    complaints: tuple[list[Any], ...] = (watched.errors, watched.dialogs, watched.foreign_requests)
    assert complaints == ([], [], [])


def tick(page: Page, row: int) -> None:
    """Click the box before a row: rows and header are 35 px high."""
    box = page.get_by_test_id("stDataFrame").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 15, box["y"] + 35 + 35 * row + 17)
    page.get_by_role("button", name="Delete").wait_for()
