"""The Sweep page: an empty store offers to begin, a sweep is told and drawn, and a trial leads to its run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import plotly.graph_objects as go
import pytest
from browsing import Watched
from driving import Server, wait_until
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from streamlit.testing.v1 import AppTest

from torchglass.dashboard.answering.query import Query
from torchglass.dashboard.answering.tables import TABLES
from torchglass.dashboard.drawing.figures import Source
from torchglass.dashboard.ordering.sweep_order import SweepChoices, arguments_of, searchable
from torchglass.dashboard.pages import sweep
from torchglass.reference_models.catalogue import available
from torchglass.reference_models.sweeping.space import search_space
from torchglass.store import Store
from torchglass.store.trials import open_trials
from torchglass.sweeping import add_sweep

if TYPE_CHECKING:
    from playwright.sync_api import Page

HOSTILE = "<img src=x onerror=alert(1)> [l](http://evil.example) $x$"
SPACE: Mapping[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
    "optimizer": CategoricalDistribution(["adamw", "sgd"]),
}
CHARTS = "document.querySelectorAll('.tg-figure .main-svg').length >= 6"  # plotly draws two layers a chart


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs.db")


def record_sweep(store: Store, name: str, count: int, dataset: str = "digits") -> None:
    """A sweep with `count` complete trials, the last one best, a pruned one, one that runs, and a run for each."""
    own = {"learning_rate": 1e-3, "optimizer": "adamw"}
    means: dict[str, Any] = {
        "model": "lenet5",
        "dataset": dataset,
        "metric": "validation/accuracy",
        "epochs": 3,
        "seed": 0,
        "space": {"learning_rate": {"log": True}},
        "defaults": own,
    }
    with open_trials(store.location) as trials:
        study = optuna.create_study(storage=trials, study_name=name, direction="maximize")
        study.set_user_attr("means", means)
        study.set_user_attr("total", 20)
        for number in range(count):
            values = {"learning_rate": 1e-3 * 1.5**number, "optimizer": ("adamw", "sgd")[number % 2]}
            told = {"run": f"{name}/{number}", "scores": {}}
            study.add_trial(
                create_trial(params=values, distributions=dict(SPACE), value=0.5 + number / 100, user_attrs=told)
            )
            run = store.start_run(f"{name}/{number}", {}, host="h", pid=1)
            store.end_run(run.id, "finished")
        study.add_trial(
            create_trial(state=TrialState.PRUNED, params=own, distributions=dict(SPACE), intermediate_values={1: 0.1})
        )
        study.add_trial(create_trial(state=TrialState.RUNNING))


def page_of_sweeps(path: str) -> None:
    import streamlit

    from torchglass.dashboard.pages import sweep
    from torchglass.store import open_store

    with open_store(path, read_only=True) as store:
        sweep.show(store, lambda name: streamlit.text(f"opened {name}"))


def visit_sweep(store: Store, **query: str) -> AppTest:
    app = AppTest.from_function(page_of_sweeps, kwargs={"path": str(store.path)}, default_timeout=60)
    app.query_params.update(query)
    app.run()
    assert not app.exception
    return app


def field(app: AppTest, label: str) -> Any:
    return next(
        each for each in (*app.selectbox, *app.number_input, *app.multiselect, *app.text_input) if each.label == label
    )


def test_a_store_without_a_sweep_offers_to_start_one(store: Store) -> None:
    app = visit_sweep(store)
    assert app.info[0].value.startswith("No sweep in this store yet.")
    assert app.code[0].value == "torchglass sweep lenet5 --trials=20"
    field(app, "Trials").set_value(5)
    field(app, "Switches").set_value(["learning_rate", "optimizer"])
    field(app, "Name of the sweep").set_value("-x y")
    app.run()
    assert app.code[0].value == ("torchglass sweep lenet5 --trials=5 '--name=-x y' --switches=learning_rate,optimizer")


def test_what_is_ordered_is_what_the_command_line_reads() -> None:
    choices = SweepChoices("simple_cnn", "digits", 7, "--help me", 3, ("learning_rate", "optimizer"), seed=5, limit=100)
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers()
    add_sweep(lambda name, _command, _text: verbs.add_parser(name))
    read = parser.parse_args(arguments_of(choices))
    assert (
        SweepChoices(
            read.model, read.dataset, read.trials, read.name, read.epochs, read.switches, read.seed, read.limit
        )
        == choices
    )
    assert arguments_of(SweepChoices("mlp")) == ["sweep", "mlp", "--trials=20"]


def test_each_model_that_is_offered_can_be_swept_over_all_that_is_offered() -> None:
    for model in available():
        if model.honours("validation") and not model.needs_path:
            for dataset in model.datasets:
                names = searchable(model, dataset)
                assert set(search_space(model, model.source(dataset).recipe, names, dataset=dataset)) == set(names)


def test_a_sweep_is_told_with_its_best_recipe_as_a_command(store: Store) -> None:
    record_sweep(store, "older", 2)
    record_sweep(store, "newer", 8)
    app = visit_sweep(store)
    assert "lenet5 · digits · 9 of 20 trials ended: 8 complete, 1 pruned, 1 running" in [
        each.value for each in app.caption
    ]
    assert "torchglass train lenet5 --dataset digits --epochs 3 --learning-rate 0.01709 --optimizer sgd" in [
        each.value for each in app.code
    ]
    assert [each.value for each in app.metric] == ["0.57", "7", "+0.07"]
    table = app.dataframe[0].value
    assert table["Trial"].tolist()[:3] == [7, 6, 5]
    assert table["State"].tolist()[0] == "✓ complete"
    assert "Refresh" in [each.label for each in app.button]
    assert "3 of 20 trials ended" in " ".join(each.value for each in visit_sweep(store, sweep="older").caption)


def test_the_best_trial_leads_to_its_run_while_there_is_one(store: Store) -> None:
    record_sweep(store, "only", 3)
    app = visit_sweep(store)
    app.button(key="sweep-open-best").click().run()
    assert [each.value for each in app.text] == ["opened only/2"]
    store.delete("only/2")
    app.button(key="sweep-open-best").click().run()
    assert app.info[0].value.startswith("The run of this trial is not in the store")


def test_the_numbers_behind_the_charts_are_those_of_the_trials(store: Store) -> None:
    record_sweep(store, HOSTILE, 7)
    columns = TABLES["trials"](store, Query({"sweep": HOSTILE}))
    assert columns["trial"] == list(range(9))
    assert columns["value"][:2] == [0.5, 0.51]
    assert columns["value"][7:] == [None, None]
    assert columns["state"][6:] == ["complete", "pruned", "running"]
    assert columns["switch learning_rate"][1] == pytest.approx(0.0015)
    assert columns["switch optimizer"][:2] == ["adamw", "sgd"]
    shares = TABLES["importances"](store, Query({"sweep": HOSTILE}))
    assert set(shares["switch"]) == {"learning_rate", "optimizer"}
    assert sum(shares["share"]) == pytest.approx(1)


def test_the_python_of_each_chart_draws_that_chart(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    record_sweep(store, HOSTILE, 8)
    drawn: list[tuple[go.Figure, Source]] = []
    monkeypatch.setattr(sweep, "draw", lambda make, key, alt, source: drawn.append((make(False), source)))
    visit_sweep(store)
    shown: list[go.Figure] = []
    monkeypatch.setattr(go.Figure, "show", lambda figure: shown.append(figure))
    for _, source in drawn:
        exec(source.code, {})  # what a reader would run
    assert [figure.to_json() for figure in shown] == [figure.to_json() for figure, _ in drawn]
    assert [source.table for _, source in drawn] == ["trials", "trials", "importances"]


@pytest.mark.browser
def test_a_sweep_is_drawn_its_names_are_never_obeyed_and_a_click_opens_a_run(
    server: Server, page: Page, visit: Callable[[str], None], watched: Watched
) -> None:
    with server.fresh_store() as store:
        record_sweep(store, HOSTILE, 7, dataset=f"'; rm -rf / {HOSTILE}")
    page.set_viewport_size({"width": 1400, "height": 2200})  # charts are drawn when they come into view
    visit(f"{server.url}/sweep")
    wait_until(page, CHARTS)
    assert page.locator("a[href*='evil.example'], img[src='x']").count() == 0
    command = page.get_by_test_id("stCode").last.inner_text()
    assert "--dataset ''\"'\"'; rm -rf / <img" in " ".join(command.split())
    table = page.get_by_test_id("stDataFrame")
    table.wait_for()
    table.click(position={"x": 300, "y": 52})  # the first row under the heading: the best trial
    page.wait_for_url("**/training?run=*")
    assert (watched.errors, watched.dialogs, watched.foreign_requests) == ([], [], [])
