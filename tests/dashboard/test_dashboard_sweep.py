"""The Sweep page in a browser: an empty store says how to begin, a sweep is drawn, and a trial leads to its run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import optuna
import pytest
from browsing import Watched
from driving import Server, wait_until
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from torchglass.store import Store
from torchglass.store.trials import open_trials

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)> [l](http://evil.example) $x$"
SPACE: Mapping[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
    "optimizer": CategoricalDistribution(["adamw", "sgd"]),
}
CHARTS = "document.querySelectorAll('.tg-figure .main-svg').length >= 6"  # plotly draws two layers a chart


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


def test_a_store_without_a_sweep_says_how_to_begin_one(
    server: Server, page: Page, visit: Callable[[str], None], watched: Watched
) -> None:
    with server.fresh_store() as store:
        store.end_run(store.start_run("bare", {}, host="here", pid=1).id, "finished")
    visit(f"{server.url}/sweep")
    page.get_by_text("No sweep in this store yet").wait_for()
    page.locator("code", has_text="torchglass sweep lenet5 --trials 20").wait_for()
    assert watched.errors == []


def test_a_sweep_is_drawn_with_its_best_recipe_as_a_command(
    server: Server, page: Page, visit: Callable[[str], None], watched: Watched
) -> None:
    with server.fresh_store() as store:
        record_sweep(store, "older", 2)
        record_sweep(store, "newer", 8)
    visit(f"{server.url}/sweep")
    wait_until(page, CHARTS)
    page.get_by_text("9 of 20 trials ended: 8 complete, 1 pruned, 1 running").wait_for()
    command = "torchglass train lenet5 --dataset digits --epochs 3 --learning-rate 0.01709 --optimizer sgd"
    wait_until(page, f"document.querySelector('[data-testid=stCode]').innerText.includes({command!r})")
    page.get_by_text("+0.07", exact=True).wait_for()
    page.get_by_role("button", name="Refresh").wait_for()
    visit(f"{server.url}/sweep?sweep=older")
    page.get_by_text("3 of 20 trials ended").wait_for()
    page.get_by_text("Too few trials are complete").wait_for()
    assert watched.errors == []


def test_a_click_on_a_trial_opens_its_run(
    server: Server, page: Page, visit: Callable[[str], None], watched: Watched
) -> None:
    with server.fresh_store() as store:
        record_sweep(store, "only", 3)
    visit(f"{server.url}/sweep")
    table = page.get_by_test_id("stDataFrame")
    table.wait_for()
    table.click(position={"x": 300, "y": 52})  # the first row under the heading: the best trial
    page.wait_for_url("**/training?run=only%2F2")
    assert watched.errors == []


def test_names_from_a_sweep_are_shown_and_never_obeyed(
    server: Server, page: Page, visit: Callable[[str], None], watched: Watched
) -> None:
    with server.fresh_store() as store:
        record_sweep(store, HOSTILE, 7, dataset=f"'; rm -rf / {HOSTILE}")
    visit(f"{server.url}/sweep")
    wait_until(page, CHARTS)
    assert page.locator("a[href*='evil.example']").count() == 0
    assert page.locator("img[src='x']").count() == 0
    command = page.locator("[data-testid=stCode]").first.inner_text()
    assert "--dataset ''\"'\"'; rm -rf / <img" in " ".join(command.split())
    assert watched.dialogs == []
    assert watched.errors == []
