"""A process that shares a study: `python trial_worker.py STORE TOTAL [hang]`; prints the numbers of its trials."""

from __future__ import annotations

import os
import sys
import time

import optuna

from torchglass.store import open_store
from torchglass.store.location import locate
from torchglass.store.trials import NoTrialLeft, open_trials

STUDY = "shared"


def main(store: str, total: int, *, hangs: bool) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    location = locate(store)
    with open_store(location):
        pass
    with open_trials(location, heartbeat_seconds=1) as trials:
        assert trials is not None
        trials.total, trials.defaults = total, {"x": 0.25}
        study = optuna.create_study(study_name=STUDY, storage=trials, load_if_exists=True, direction="maximize")

        def objective(trial: optuna.Trial) -> float:
            x: float = trial.suggest_float("x", 0, 1)
            trial.set_user_attr("process", os.getpid())
            print(trial.number, flush=True)
            if hangs:
                time.sleep(600)
            return x

        while True:
            try:
                study.optimize(objective, n_trials=1)
            except NoTrialLeft:
                if not study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
                    return
                time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), hangs="hang" in sys.argv[3:])
