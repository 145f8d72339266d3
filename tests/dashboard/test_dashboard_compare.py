"""The Compare page: two to ten runs are chosen, their address is a link, and what differs is said run by run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import plotly.graph_objects as go
import pytest
from browsing import Watched
from driving import Server, wait_until
from judged import record_judged
from recorded import record_example_run
from streamlit.testing.v1 import AppTest

from torchglass.analysis.settings import Setting
from torchglass.charts.confusion import confusion_data
from torchglass.dashboard.answering.query import BadQueryError, Query
from torchglass.dashboard.answering.tables import TABLES
from torchglass.dashboard.comparing import explanations, kept, scalars, speed
from torchglass.dashboard.comparing.explanations import Subject, at_step, shared
from torchglass.dashboard.comparing.kept import compared as compared_once
from torchglass.dashboard.comparing.quality import Scored, recalls
from torchglass.dashboard.comparing.settings import cell
from torchglass.dashboard.drawing.figures import Source
from torchglass.store import Artifact, Batch, Column, RowBlock, Store, open_store

if TYPE_CHECKING:
    from playwright.sync_api import Page

HOSTILE = "<img src=x onerror=alert(1)> [l](http://evil.example), $x$ :material/home:"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "runs.db")


def record(store: Store, name: str, seconds: float, losses: list[float], config: dict[str, Any]) -> int:
    """A run with so many seconds a step, and a loss and an accuracy (ten minus it) at steps 10, 20, ..."""
    run = store.start_run(name, config, host="here", pid=1)
    at = np.arange(200)
    phases = seconds * np.random.default_rng(1).lognormal(0, 0.05, 200)
    rows = [
        RowBlock.of_series(key, "phase", "s", at, 1.7e9 + at.astype(np.float64), phases)
        for key in ("phase/backward", "phase/step")
    ]
    steps = 10 * np.arange(1, len(losses) + 1)
    values = np.stack([np.array(losses), 10 - np.array(losses)], axis=1)
    rows.append(RowBlock((Column("loss"), Column("test/accuracy")), steps, 1.7e9 + steps, values))
    store.write(run.id, 0, Batch(rows=rows))
    store.end_run(run.id, "finished")
    return run.id


def page_of_comparison(path: str, name: str, step: int | None) -> None:
    import streamlit

    from torchglass.dashboard.pages import compare
    from torchglass.store import open_store

    streamlit.session_state["cursor_step"] = step
    with open_store(path, read_only=True) as store:
        compare.show(store, store.run(streamlit.query_params.get("run", name)))


def visit_compare(store: Store, name: str, step: int | None = None, **query: str) -> AppTest:
    arguments = {"path": str(store.path), "name": name, "step": step}
    app = AppTest.from_function(page_of_comparison, kwargs=arguments, default_timeout=60)
    app.query_params.update(query)
    app.run()
    assert not app.exception
    return app


def table(app: AppTest, first: str) -> Any:
    """The table whose first column is so called."""
    return next(each.value for each in app.dataframe if each.value.columns[0] == first)


def compared(app: AppTest) -> list[str]:
    """Names of the compared runs: the columns behind the first two, without their letters."""
    return [name[2:] for name in table(app, "Scalar").columns[2:]]


def test_three_runs_stand_side_by_side_with_what_differs_and_who_leads(store: Store) -> None:
    record(store, "base", 0.2, [5.0, 2.0, 4.0], {"lr": 0.5, "optimizer": {"name": "sgd", "momentum": 0.9}, "same": 1})
    record(store, "b", 0.1, [3.0, 2.5], {"lr": 0.25, "optimizer": {"name": "sgd"}, "same": 1})
    record(
        store,
        "c",
        0.2,
        [6.0, 7.0, 1.0],
        {"lr": 0.5, "optimizer": {"name": "sgd", "momentum": 0.9}, "new": 2, "same": 1},
    )
    app = visit_compare(store, "c", step=20, runs="base,b,c")
    settings = table(app, "Setting")
    assert settings.to_numpy().tolist() == [
        ["lr", "configuration", "0.5", "≠ 0.25", "0.5"],
        ["optimizer.momentum", "configuration", "0.9", "− not set", "0.9"],
        ["new", "configuration", "–", "–", "+ 2"],
    ]
    assert list(settings.columns[2:]) == ["A base", "B b", "C c"]
    rows = {(row[0], row[1]): row[2:] for row in table(app, "Scalar").to_numpy().tolist()}
    assert rows["loss ↓", "at step 20"] == ["2 ★", "2.5", "7"]
    assert rows["loss ↓", "last"] == ["4", "2.5", "1 ★"]
    assert rows["loss ↓", "best"] == ["2 (at 20)", "2.5 (at 20)", "1 (at 30) ★"]
    assert rows["test/accuracy ↑", "best"] == ["8 (at 20)", "7.5 (at 20)", "9 (at 30) ★"]
    speed = {row[0]: row[1:] for row in table(app, "Measure").to_numpy().tolist()}
    assert speed["step_time"][1].endswith("-50.0 %, faster")
    assert speed["step_time"][2].endswith("+0.0 %, within noise")
    app = app.toggle(key="compared_settings_all").set_value(True).run()
    assert "same" in table(app, "Setting")["Setting"].tolist()


def test_a_step_between_two_recorded_ones_says_which_it_shows(store: Store) -> None:
    record(store, "a", 0.2, [5.0, 2.0, 4.0], {})
    record(store, "b", 0.2, [5.0, 3.0], {})
    app = visit_compare(store, "b", step=26, base="a")
    rows = {(row[0], row[1]): row[2:] for row in table(app, "Scalar").to_numpy().tolist()}
    assert rows["loss ↓", "at step 26"] == ["4 (at 30)", "3 (at 20) ★"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, ["second", "third"]),
        ({"base": "first"}, ["first", "third"]),
        ({"runs": "third,first"}, ["third", "first"]),
        ({"runs": "third,gone,first", "base": "second"}, ["third", "first"]),
        ({"base": "gone"}, ["second", "third"]),
    ],
)
def test_the_address_says_which_runs_are_compared(store: Store, query: dict[str, str], names: list[str]) -> None:
    for name in ("first", "second", "third"):
        record(store, name, 0.1, [1.0], {})
    app = visit_compare(store, "third", **query)
    assert compared(app) == names
    assert app.query_params["runs"] == ",".join(names)
    assert "base" not in app.query_params
    assert ("gone" in " ".join(each.value for each in app.text)) == ("gone" in str(query))


def test_the_picker_and_then_the_sidebar_change_who_is_compared(store: Store) -> None:
    for name in ("first", "second", "third"):
        record(store, name, 0.1, [1.0], {})
    ids = {run.name: run.id for run in store.runs()}
    app = visit_compare(store, "third", base="first")
    app.multiselect(key="compared_picked").set_value([ids["second"], ids["first"]]).run()
    assert compared(app) == ["second", "first"]
    app.query_params["run"] = "first"
    assert compared(app.run()) == ["second", "first"]
    app.query_params["run"] = "third"
    assert compared(app.run()) == ["second", "third"]
    app.multiselect(key="compared_picked").set_value([ids["second"]]).run()
    assert app.info[0].value.startswith("Choose two runs or more above.")


def test_ten_runs_of_like_names_are_compared_and_an_eleventh_is_not(store: Store) -> None:
    names = [f"run-{number}" for number in range(11)]
    for place, name in enumerate(names):
        record(store, name, 0.1, [float(place)], {})
    app = visit_compare(store, names[-1], runs=",".join(names))
    assert compared(app) == names[:10]
    (leader,) = [row for row in table(app, "Scalar").to_numpy().tolist() if row[:2] == ["loss ↓", "last"]]
    assert leader[2:] == ["0 ★", *map(str, range(1, 10))]


def test_runs_of_nothing_and_lost_ones_say_what_is_missing(store: Store) -> None:
    store.start_run("lost", {}, host="here", pid=1)
    store.end_run(store.start_run(HOSTILE, {HOSTILE: HOSTILE}, host="here", pid=1).id, "finished")
    app = visit_compare(store, "lost", base=HOSTILE)
    assert [each.value for each in app.info][:2] == [
        "None of these runs logged a scalar. Log one in the training loop:",
        "None of these runs recorded its devices. They do unless told not to:",
    ]
    assert "There are not steps in both runs that can be compared." in [each.value for each in app.info]
    assert "No step was timed in A and B" in " ".join(each.value for each in app.text)


def test_a_run_without_steps_hides_nothing_of_the_first(store: Store) -> None:
    record(store, "a", 0.2, [5.0], {})
    store.end_run(store.start_run("bare", {}, host="here", pid=1).id, "finished")
    record(store, "c", 0.2, [5.0], {})
    speed = {
        row[0]: row[1:] for row in table(visit_compare(store, "c", runs="a,bare,c"), "Measure").to_numpy().tolist()
    }
    assert speed["step_time"] == ["199.9 ms", "–", "199.9 ms  +0.0 %, within noise"]


def test_steps_are_resampled_once_until_a_run_records_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        record(store, name, 0.2, [5.0], {})
    base, *others = reversed(store.runs())
    first = compared_once(store, base, others, 0)
    monkeypatch.setattr(kept, "measure", lambda *_: pytest.fail("read again"))
    assert compared_once(store, base, others, 0) == first
    monkeypatch.undo()
    rows = [RowBlock.of_series("phase/step", "phase", "s", np.array([200]), np.array([1.8e9]), np.array([9.0]))]
    store.write(others[0].id, 0, Batch(rows=rows))
    again = compared_once(store, base, others, 0)
    assert (again[0].new.steps.recorded, again[1] is first[1]) == (200, True)
    assert again[0] is not first[0]


def test_a_removed_setting_is_told_from_one_that_nobody_has() -> None:
    setting = Setting("lr", ("0.5", None, "0.5", "None"))
    assert [cell(setting, place) for place in range(4)] == ["0.5", "− not set", "0.5", "≠ None"]
    assert [cell(Setting("lr", (None, "1", None)), place) for place in range(3)] == ["–", "+ 1", "–"]


def test_explanations_stand_side_by_side_where_two_runs_have_them() -> None:
    def made(number: int, step: int) -> Artifact:
        return Artifact(number, 1, 0, "explanation", "test/3", step, 0.0, {})

    lime, shap, rise = (Subject("test/3", method) for method in ("lime", "shap", "rise"))
    found = [{lime: [made(1, 5)], shap: [made(2, 5)]}, {shap: [made(3, 5)], rise: [made(4, 5)]}, {lime: [made(5, 5)]}]
    assert shared(found) == [lime, shap]
    several = [made(1, 100), made(2, 200), made(3, 200), made(4, 300)]
    chosen = [at_step(several, step) for step in (None, 0, 210, 250, 10**6)]
    assert [each.id for each in chosen if each is not None] == [4, 1, 3, 3, 4]
    assert at_step([], 3) is None


def test_recall_is_the_share_of_a_class_that_is_answered_so() -> None:
    names = ["cat", "dog", "fox"]
    first = confusion_data(np.array([[3, 1, 0], [4, 4, 0], [0, 0, 0]]), names)
    second = confusion_data(np.array([[1, 3], [0, 5]]), names[:2])
    assert recalls([Scored(1, first, None), None, Scored(1, second, None)]) == {
        "cat": [75.0, None, 25.0],
        "dog": [50.0, None, 100.0],
        "fox": [None, None, None],
    }


def test_the_numbers_behind_the_curves_name_their_run(store: Store) -> None:
    first, second = record(store, "a", 0.1, [5.0, 2.0], {}), record(store, HOSTILE, 0.1, [3.0], {})
    columns = TABLES["runs_series"](store, Query({"runs": f"{second},{first},999", "key": "loss"}))
    told = zip(columns["run"], columns["key"], columns["step"], columns["value"], strict=True)
    assert list(told) == [(HOSTILE, "loss", 10, 3.0), ("a", "loss", 10, 5.0), ("a", "loss", 20, 2.0)]
    phases = TABLES["runs_series"](store, Query({"runs": str(first), "kind": "phase"}))
    assert len(phases["value"]) == 400
    with pytest.raises(BadQueryError, match="a key or a kind"):
        TABLES["runs_series"](store, Query({"runs": str(first)}))


@pytest.mark.browser
def test_every_chart_of_a_comparison_is_drawn_and_hostile_names_are_only_shown(
    server: Server, page: Page, visit: Callable[[str], None], watched: Watched
) -> None:
    with server.fresh_store() as store:
        for seed, name in enumerate(("first", HOSTILE, "third")):
            run = record_example_run(store, name, seed=seed, config={"lr": seed, HOSTILE: name})
            record_judged(store, run.id)
    page.set_viewport_size({"width": 1400, "height": 6000})  # charts are drawn when they come into view
    visit(f"{server.url}/compare?run=third&base=first")
    charts = "document.querySelectorAll('.tg-figure .main-svg').length >= "
    wait_until(page, f"{charts} 18", "four curves, two explanations, three charts of speed; two layers each")
    assert parse_qs(urlsplit(page.url).query)["runs"] == ["first,third"]
    page.get_by_text("Within noise: the 95 % interval").wait_for()
    page.get_by_role("combobox", name="Runs").click()
    page.get_by_role("option", name=HOSTILE).click()
    page.get_by_text("In detail, against A").wait_for()
    wait_until(page, f"{charts} 20", "and a third explanation")
    wait_until(page, "location.search.includes('%252C')", "a comma in a name is escaped")
    assert page.get_by_test_id("stException").count() == 0
    assert page.locator("a[href*='evil.example'], img[src='x']").count() == 0
    assert (watched.errors, watched.dialogs, watched.foreign_requests) == ([], [], [])


def test_the_python_of_each_chart_draws_that_chart(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, name in enumerate(("first", HOSTILE)):
        run = record_example_run(store, name, seed=seed)
        record_judged(store, run.id)
    drawn: list[tuple[go.Figure, Source]] = []

    def note(make: Callable[[bool], go.Figure], key: str, alt: str, source: Source) -> None:
        drawn.append((make(False), source))

    for module in (scalars, speed, explanations):
        monkeypatch.setattr(module, "draw", note)
    visit_compare(store, HOSTILE, base="first")
    shown: list[go.Figure] = []
    monkeypatch.setattr(go.Figure, "show", lambda figure: shown.append(figure))
    for _, source in drawn:
        exec(source.code, {})
        assert len(TABLES[source.table](store, Query({name: str(each) for name, each in source.query.items()})))
    assert len(shown) == 9, "four curves, two explanations, three charts of speed"
    for (figure, _), again in zip(drawn, shown, strict=True):
        assert [trace.type for trace in again.data] == [trace.type for trace in figure.data]
        np.testing.assert_array_equal(values_of(again), values_of(figure))


def values_of(figure: go.Figure) -> list[str]:
    """The heights of all lines and bars, as text where they are not numbers."""
    return [str(value) for trace in figure.data for value in (trace.y if "y" in trace and trace.y is not None else ())]
