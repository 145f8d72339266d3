"""TPE whose dice are loaded by the trial's number: processes that share a sweep then never throw the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from optuna.samplers import BaseSampler, TPESampler

STARTUP_TRIALS = 6  # chosen at random, before TPE has seen enough; Optuna's own 10 would be half of a small sweep


class NumberedSampler(BaseSampler):  # type: ignore[misc]  # Optuna is not read by the type checker
    """Draw the values of each trial by TPE (Bergstra et al., NeurIPS 2011), seeded by `seed` and the trial's number.

    A sweep in one process is then repeatable, even when it was interrupted and resumed between two trials.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._sampler = TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)

    def before_trial(self, study: Any, trial: Any) -> None:
        """Take the dice of this trial."""
        seed = int.from_bytes(hashlib.sha256(f"{self._seed}/{trial.number}".encode()).digest()[:4], "little")
        self._sampler = TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)

    def reseed_rng(self) -> None:
        """Keep the seeds, which differ by trial already."""

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """Return what is drawn together."""
        space: dict[str, Any] = self._sampler.infer_relative_search_space(study, trial)
        return space

    def sample_relative(self, study: Any, trial: Any, search_space: dict[str, Any]) -> dict[str, Any]:
        """Draw values together."""
        values: dict[str, Any] = self._sampler.sample_relative(study, trial, search_space)
        return values

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """Draw one value alone."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Any, trial: Any, state: Any, values: Sequence[float] | None) -> None:
        """Let TPE finish."""
        self._sampler.after_trial(study, trial, state, values)
