"""Optuna: each trial that ends becomes a run with its parameters, values and intermediate values.

from torchglass.bridges.optuna import TorchglassCallback

study.optimize(objective, n_trials=100, callbacks=[TorchglassCallback()])
"""

from __future__ import annotations

import os
from typing import Any

from torchglass.instrumentation import start
from torchglass.instrumentation.guard import Guard, tell


class TorchglassCallback:
    """Record a study: a run for each trial, named `<study>/<number>`, once the trial has ended.

    Its config holds the parameters; "value" (or "value/0", ...) and "intermediate" are series; state and user
    attributes are facts. A trial that failed reads as failed, one that was pruned as finished, with the fact "trial".

    Args:
        name: in place of the study's.
        store, mode: as for `torchglass.start`.
    """

    def __init__(
        self, name: str | None = None, *, store: str | os.PathLike[str] | None = None, mode: Any = None
    ) -> None:
        self._name = name
        self._options: dict[str, Any] = {"store": store, "mode": mode, "devices": False}
        self._guard = Guard(tell)

    def __call__(self, study: Any, trial: Any) -> None:
        """Record a trial that ended; never raises."""
        self._guard.call(self._record, study, trial)

    def _record(self, study: Any, trial: Any) -> None:
        run = start(f"{self._name or study.study_name}/{trial.number}", config=dict(trial.params), **self._options)
        state = trial.state.name.lower()
        told = {"state": state, "number": trial.number, "study": study.study_name, "user_attrs": dict(trial.user_attrs)}
        run.state("trial", told)
        began = trial.datetime_start.timestamp() if trial.datetime_start else None
        ended = trial.datetime_complete.timestamp() if trial.datetime_complete else None
        for step, value in trial.intermediate_values.items():
            run.log({"intermediate": value}, step=step, time=began)
        values = list(trial.values or ())
        last = max(trial.intermediate_values, default=0)
        for index, value in enumerate(values):
            run.log({"value" if len(values) == 1 else f"value/{index}": value}, step=last, time=ended)
        if state == "fail":
            run.finish("failed", f"trial {trial.number} failed")
        else:
            run.finish()
