"""The callback in a real Optuna study: every trial is a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from bridged import facts_of, points_of, run_of

from torchglass.bridges.optuna import TorchglassCallback
from torchglass.store import Store


def objective(trial: Any) -> float:
    rate = trial.suggest_float("lr", 0.1, 1.0)
    for step in range(3):
        trial.report(rate * step, step)
    if trial.number == 1:
        raise optuna.TrialPruned
    if trial.number == 2:
        raise ValueError("diverged")
    return float(rate)


def test_each_trial_is_a_run_with_its_parameters_and_values(path: Path) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(study_name="search", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=3, callbacks=[TorchglassCallback()], catch=(ValueError,))
    with Store(path) as store:
        found = {run.name: (run.status, run.error) for run in store.runs()}
    assert found == {
        "search/0": ("finished", None),
        "search/1": ("finished", None),
        "search/2": ("failed", "trial 2 failed"),
    }
    rate = study.trials[0].params["lr"]
    assert run_of(path, "search/0").config == {"lr": rate}
    assert points_of(path, "search/0") == {
        "intermediate": {0: 0.0, 1: rate, 2: 2 * rate},
        "value": {2: rate},
    }
    assert facts_of(path, "search/1")["trial"]["state"] == "pruned"
    assert "value" not in points_of(path, "search/2")


def test_a_study_of_two_goals_has_two_series_and_a_bad_store_stops_no_study(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["minimize", "maximize"])
    study.optimize(lambda trial: (1.0, 2.0), n_trials=1, callbacks=[TorchglassCallback("two")])
    assert points_of(path, "two/0") == {"value/0": {0: 1.0}, "value/1": {0: 2.0}}
    monkeypatch.setenv("TORCHGLASS_STORE", str(path.parent / "no" / "store.db"))
    with pytest.warns(RuntimeWarning, match="does not exist"):
        study.optimize(lambda trial: (1.0, 2.0), n_trials=2, callbacks=[TorchglassCallback()])
    assert len(study.trials) == 3
