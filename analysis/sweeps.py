"""Sweeps as records: their trials, which is best, which switch mattered, and the command that trains the best one."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from torchglass.errors import MissingExtraError, StoreError
from torchglass.language import mark, tr
from torchglass.store import Location

State = Literal["complete", "pruned", "running", "failed", "lost", "waiting"]

FEWEST_FOR_IMPORTANCE = 6  # complete trials; below that a share says nothing
DIGITS = 4  # significant digits of a number in a command: more would be chance
LOST_REASON = mark("its process ended without a word; the trial is begun anew")


class Trial(NamedTuple):
    """One training run of a sweep.

    `value` is the score after the last epoch, of a complete trial alone; `course` is (epoch, score) of every epoch.
    `scores` are all scores after the last epoch, the test set's among them. `started` and `ended` are seconds since the
    epoch. `retries` is the number of the lost trial whose values this one has.
    """

    number: int
    state: State
    value: float | None
    changes: Mapping[str, Any]
    run: str | None
    scores: Mapping[str, float]
    course: tuple[tuple[int, float], ...]
    started: float | None
    ended: float | None
    reason: str | None
    retries: int | None


class Sweep(NamedTuple):
    """A search for a better recipe, or another study of Optuna's in the same database: then `model` is None.

    `total` is how many trials were ordered; `defaults` are the recipe's own values of what is varied; `logs` names
    what is varied by logarithm; `importances` are shares of the spread of the score, largest first.
    """

    name: str
    model: str | None
    dataset: str | None
    metric: str
    epochs: int | None
    seed: int
    total: int | None
    largest_is_best: bool
    defaults: Mapping[str, Any]
    logs: frozenset[str]
    trials: tuple[Trial, ...]
    importances: Mapping[str, float]

    @property
    def complete(self) -> tuple[Trial, ...]:
        """Trials with a value, in the order in which they began."""
        return tuple(trial for trial in self.trials if trial.state == "complete" and trial.value is not None)

    @property
    def ranked(self) -> tuple[Trial, ...]:
        """All trials, the best first, then those without a value."""
        sign = -1.0 if self.largest_is_best else 1.0

        def place(trial: Trial) -> tuple[bool, float, int]:
            worth = trial.value if trial.state == "complete" else None
            return worth is None, math.inf if worth is None else sign * worth, trial.number

        return tuple(sorted(self.trials, key=place))

    @property
    def best(self) -> Trial | None:
        """The best complete trial."""
        return self.ranked[0] if self.complete else None

    @property
    def of_defaults(self) -> Trial | None:
        """The complete trial of the recipe's own values; None where there is none yet."""
        if not self.defaults:
            return None
        return next((trial for trial in self.complete if dict(trial.changes) == dict(self.defaults)), None)

    @property
    def counts(self) -> Mapping[State, int]:
        """How many trials are in which state; one that was lost and begun anew counts once."""
        repeated = {trial.retries for trial in self.trials}
        return Counter(trial.state for trial in self.trials if trial.number not in repeated)

    @property
    def switches(self) -> tuple[str, ...]:
        """Names of what is varied."""
        found = dict.fromkeys(name for trial in self.trials for name in trial.changes)
        return tuple(self.defaults) or tuple(found)

    @property
    def best_command(self) -> str | None:
        """The command that trains the best recipe on the whole training set; None while there is none."""
        if self.best is None or self.model is None:
            return None
        words = ["torchglass", "train", self.model, *(["--dataset", self.dataset] if self.dataset else [])]
        if self.epochs is not None:
            words += ["--epochs", str(self.epochs)]
        for name, value in self.best.changes.items():
            words += _option(name, value)
        if self.seed:
            words += ["--seed", str(self.seed)]
        return shlex.join(words)


def read_sweeps(location: Location) -> tuple[Sweep, ...]:
    """Read every sweep in a store that exists, the newest first.

    Raises:
        StoreError: the store cannot be read.
        MissingExtraError: Optuna is not installed.
    """
    return _read(location, None)


def read_sweep(location: Location, name: str) -> Sweep:
    """Read one sweep.

    Raises:
        StoreError: there is none of that name, or the store cannot be read.
        MissingExtraError: Optuna is not installed.
    """
    found = _read(location, name)
    if not found:
        raise StoreError(f"no sweep {name!r} in {location}: begin one with `torchglass sweep lenet5 --trials 20`")
    return found[0]


def _read(location: Location, name: str | None) -> tuple[Sweep, ...]:
    try:
        import optuna

        from torchglass.store.trials import open_trials
    except ImportError as missing:
        raise MissingExtraError("optuna", "models") from missing
    with open_trials(location, read_only=True) as trials:
        if trials is None:
            return ()
        known = sorted(trials.get_all_studies(), key=lambda study: study._study_id, reverse=True)
        names = [study.study_name for study in known if name in (None, study.study_name)]
        found = (optuna.load_study(storage=trials, study_name=each) for each in names)
        return tuple(_sweep(study) for study in found if len(study.directions) == 1)


def _sweep(study: Any) -> Sweep:
    from optuna.study import StudyDirection

    told = study.user_attrs
    means = told.get("means", {})
    trials = tuple(_trial(trial) for trial in study.get_trials(deepcopy=False))
    space = means.get("space", {})
    return Sweep(
        name=study.study_name,
        model=means.get("model"),
        dataset=means.get("dataset"),
        metric=means.get("metric", "value"),
        epochs=means.get("epochs"),
        seed=means.get("seed", 0),
        total=told.get("total"),
        largest_is_best=study.direction == StudyDirection.MAXIMIZE,
        defaults=means.get("defaults", {}),
        logs=frozenset(name for name, values in space.items() if values.get("log")),
        trials=trials,
        importances=_importances(study, trials),
    )


def _trial(trial: Any) -> Trial:
    told = trial.user_attrs
    state = _state(trial.state.name, told)
    return Trial(
        number=trial.number,
        state=state,
        value=trial.value if state == "complete" else None,
        changes=dict(trial.params),
        run=told.get("run"),
        scores=told.get("scores", {}),
        course=tuple(sorted(trial.intermediate_values.items())),
        started=trial.datetime_start.timestamp() if trial.datetime_start else None,
        ended=trial.datetime_complete.timestamp() if trial.datetime_complete else None,
        reason=told.get("error") or (tr(LOST_REASON) if state == "lost" else None),
        retries=told.get("retries"),
    )


def _state(name: str, told: Mapping[str, Any]) -> State:
    states: dict[str, State] = {
        "COMPLETE": "complete",
        "PRUNED": "pruned",
        "RUNNING": "running",
        "WAITING": "waiting",
        "FAIL": "failed" if "error" in told else "lost",
    }
    return states[name]


def _importances(study: Any, trials: tuple[Trial, ...]) -> Mapping[str, float]:
    """Shares by PED-ANOVA (Watanabe et al., IJCAI 2023): what tells the better half from all that was searched."""
    import optuna

    values = {trial.value for trial in trials if trial.value is not None}
    count = sum(trial.value is not None for trial in trials)
    if count < FEWEST_FOR_IMPORTANCE or len(values) < 2:
        return {}
    shares: dict[str, float] = optuna.importance.get_param_importances(study)
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _option(name: str, value: Any) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if value is None:
        return [flag, "none"]
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag[2:]}"]
    return [flag, f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)]
