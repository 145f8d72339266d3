"""Shapley values of a game whose players are the parts of one input, through shap."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shap

from torchglass.errors import OptionError
from torchglass.explainers.explanation import FloatArray
from torchglass.explainers.hiding import Worth
from torchglass.explainers.problem import Attribution

MOST_EXACT = 10
"""Players up to which all coalitions are asked: 1024 of them, fewer than sampling would take."""
DRAWS = 2
"""Independent samplings of more players: their mean is the value, their difference says how far off it may be."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shares:
    """The players' values (P,), which add up to worth(all) - worth(none), and one sigma of sampling, zero if exact."""

    values: Values
    errors: Values
    base: float
    whole: float
    coalitions: str
    """which were asked, in words"""


def shapley_values(worth: Worth, players: int, evaluations: int | None) -> Shares:
    """Share worth(all shown) - worth(none shown) among the players.

    Up to ten players shap's KernelExplainer asks about every coalition, which makes its regression exact. More are
    sampled, without its own choice of ten features; `evaluations` are the coalitions to ask in all, None for twice
    2 P + 2048. Rejected: shap's ExactExplainer, equal values after half a minute of compiling in each process.

    Raises:
        OptionError: evaluations are fewer than sampling needs.
    """
    least = DRAWS * 2 * (players + 1)
    if evaluations is not None and evaluations < least:
        raise OptionError(f"evaluations is {evaluations}: give at least {least} for {players} parts")
    nothing = np.zeros((1, players))

    def game(shown: npt.NDArray[Any]) -> Values:
        return worth(np.asarray(shown) > 0.5)

    kernel = shap.KernelExplainer(game, nothing)
    base, whole = float(kernel.fnull[0]), float(game(nothing + 1)[0])

    def values(coalitions: int) -> Values:
        found = kernel.shap_values(nothing + 1, nsamples=coalitions, l1_reg=False, silent=True)
        return np.asarray(found, dtype=np.float64).reshape(players)

    if players <= MOST_EXACT:
        return Shares(values(2**players), np.zeros(players), base, whole, "all coalitions")
    each = 2 * players + 2048 if evaluations is None else evaluations // DRAWS
    draws = np.stack([values(each) for _ in range(DRAWS)])
    return Shares(draws.mean(axis=0), draws.std(axis=0, ddof=1) / DRAWS**0.5, base, whole, f"{DRAWS} draws")


def as_attribution(found: Iterable[tuple[Shares, FloatArray, FloatArray]], parameters: dict[str, Any]) -> Attribution:
    """Gather the shares of N inputs, each with its values and errors at their places, (T,) or (F,).

    Checks: `completeness_error` and `completeness_error_relative`, the worst of the inputs, and, where players were
    sampled, `sampling_error_relative`: the root mean square of the standard errors over that of the values.
    """
    shares, values, errors = zip(*found, strict=True)
    missed = np.array([abs(one.values.sum() - (one.whole - one.base)) for one in shares])
    differences = np.array([abs(one.whole - one.base) for one in shares])
    checks = {
        "completeness_error": float(missed.max()),
        "completeness_error_relative": float((missed / np.maximum(differences, 1e-12)).max()),
    }
    sampled = any(one.errors.any() for one in shares)
    if sampled:
        size = max(float(np.mean(np.square(values))), 1e-24)
        checks["sampling_error_relative"] = (float(np.mean(np.square(errors))) / size) ** 0.5
    return Attribution(
        values=np.stack(values),
        implementation=f"shap {shap.__version__} KernelExplainer",
        parameters=parameters | {"coalitions": [one.coalitions for one in shares]},
        checks=checks,
        base_values=np.array([one.base for one in shares], dtype=np.float32),
        standard_errors=np.stack(errors) if sampled else None,
    )
