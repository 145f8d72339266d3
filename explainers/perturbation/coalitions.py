"""Shapley values of a game whose players are the parts of one input."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import captum
import numpy as np
import numpy.typing as npt
import shap
import torch
from captum.attr import ShapleyValueSampling
from torch import Tensor

from torchglass.errors import OptionError
from torchglass.explainers.explanation import FloatArray
from torchglass.explainers.pace import Pace
from torchglass.explainers.perturbation.hiding import Worth
from torchglass.explainers.perturbation.permutations import walks
from torchglass.explainers.perturbation.stopping import estimated_correlation
from torchglass.explainers.problem import Attribution

MOST_ASKED = 16
"""Players up to which "exact" asks about all coalitions, where asked by name: 65,536."""
FEWEST_ROUNDS, MOST_ROUNDS = 2, 8
"""Independent samplings: their mean is the value, their spread says how far off it may be."""
CERTAIN = 0.998
"""Estimated correlation with what endless sampling would give, at which drawing stops: words and columns are few and
read as numbers, so that more is asked than their order."""
FEWEST_ORDERS = 4
"""Pairs of orders in a round of "sampling": of fewer, the spread says little."""

Algorithm = Literal["auto", "exact", "kernel", "sampling"]
Backend = Literal["own", "library"]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """How the coalitions are chosen that a game is asked about; see `shapley_values`."""

    algorithm: Algorithm = "auto"
    evaluations: int | None = None
    stop_early: bool = True
    backend: Backend = "own"
    seed: int = 0
    pace: Pace = field(default_factory=Pace)

    def __post_init__(self) -> None:
        if self.algorithm not in get_args(Algorithm):
            raise OptionError(
                f"algorithm is {self.algorithm!r}: choose one of {', '.join(get_args(Algorithm))} for coalitions"
            )
        if self.backend not in get_args(Backend):
            raise OptionError(f"backend is {self.backend!r}: choose 'own' or 'library'")


@dataclass(frozen=True, eq=False)
class Shares:
    """The players' values (P,), which add up to worth(all) - worth(none), and one sigma of sampling, zero if exact.

    `errors` is None where the sampler does not say.
    """

    values: Values
    errors: Values | None
    base: float
    whole: float
    coalitions: str
    """which were asked, in words"""
    implementation: str


def shapley_values(worth: Worth, players: int, asked: Asked) -> Shares:
    """Share worth(all shown) - worth(none shown) among the players.

    "exact" asks about every coalition and "kernel" draws them, both by shap's KernelExplainer, whose regression is
    exact when none is left out, and which is asked without its own choice of ten features. "sampling" walks random
    orders of entrance, each with its reverse; backend "library" leaves them to captum's ShapleyValueSampling, which
    draws single orders and tells no error. "auto" is exact where `evaluations` reach all coalitions, which
    those of None do up to twelve players, else kernel. Rejected: shap's ExactExplainer, equal values after half a
    minute of compiling in each process.

    What is drawn is drawn in up to eight rounds; with `stop_early` none is begun once the values are certain enough,
    and never one when the time is up. `evaluations` are the coalitions to ask at most, None for twice 2 P + 2048.

    Raises:
        OptionError: evaluations are fewer than sampling needs, or the players too many for "exact".
    """
    everything = 2**players
    if asked.algorithm == "exact" and players > MOST_ASKED:
        raise OptionError(
            f"algorithm is 'exact' for {players} parts, {everything:,} coalitions: give at most {MOST_ASKED} parts, or "
            "choose 'kernel' or 'sampling'"
        )
    most = 2 * (2 * players + 2048) if asked.evaluations is None else asked.evaluations
    if asked.algorithm == "sampling":
        return _orders(worth, players, most, asked)
    if asked.algorithm == "exact" or most >= everything:
        return _kernel(worth, players, everything, asked)
    least = FEWEST_ROUNDS * 2 * (players + 1)
    if most < least:
        raise OptionError(f"evaluations is {most}: give at least {min(least, everything)} for {players} parts")
    return _kernel(worth, players, most, asked)


def _kernel(worth: Worth, players: int, evaluations: int, asked: Asked) -> Shares:
    nothing = np.zeros((1, players))

    def game(shown: npt.NDArray[Any]) -> Values:
        return worth(np.asarray(shown) > 0.5)

    np.random.seed(
        asked.seed % 2**32
    )  # KernelExplainer draws from the global generator, which the front door gives back
    kernel = shap.KernelExplainer(game, nothing)
    base, whole = float(kernel.fnull[0]), float(game(nothing + 1)[0])

    def values(coalitions: int) -> Values:
        found = kernel.shap_values(nothing + 1, nsamples=coalitions, l1_reg=False, silent=True)
        return np.asarray(found, dtype=np.float64).reshape(players)

    made_by = f"shap {shap.__version__} KernelExplainer"
    if evaluations >= 2**players:
        return Shares(values(evaluations), np.zeros(players), base, whole, "all coalitions", made_by)
    rounds = min(MOST_ROUNDS, max(FEWEST_ROUNDS, evaluations // (16 * (players + 1))))
    drawn = _until_certain((values(evaluations // rounds)[None] for _ in range(rounds)), asked)
    said = f"{len(drawn)} draws of {evaluations // rounds}"
    return Shares(drawn.mean(axis=0), _standard_errors(drawn), base, whole, said, made_by)


def _orders(worth: Worth, players: int, evaluations: int, asked: Asked) -> Shares:
    base, whole = worth(np.repeat([[False], [True]], players, axis=1)).tolist()
    if asked.backend == "library":
        values, orders = _captum_orders(worth, players, evaluations, asked.seed)
        made_by = f"captum {captum.__version__} ShapleyValueSampling"
        return Shares(values, None, base, whole, f"{orders} orders", made_by)
    orders = evaluations // (2 * max(1, players - 1))
    if orders < FEWEST_ORDERS:
        least = FEWEST_ORDERS * 2 * max(1, players - 1)
        raise OptionError(f"evaluations is {evaluations}: give at least {least} for {players} parts")
    rounds = min(MOST_ROUNDS, orders // FEWEST_ORDERS)
    draw = np.random.RandomState(asked.seed % 2**32)
    drawn = _until_certain((walks(worth, players, orders // rounds, draw) for _ in range(rounds)), asked)
    said = f"{len(drawn)} orders and their reverses"
    return Shares(drawn.mean(axis=0), _standard_errors(drawn), base, whole, said, "torchglass permutations")


def _captum_orders(worth: Worth, players: int, evaluations: int, seed: int) -> tuple[Values, int]:
    def game(shown: Tensor) -> Tensor:
        return torch.as_tensor(worth(shown.numpy() > 0.5))

    torch.default_generator.manual_seed(seed)  # the front door gives it back
    orders = max(1, evaluations // players)
    shown = torch.ones(1, players, dtype=torch.float64)
    found = ShapleyValueSampling(game).attribute(
        shown, baselines=0 * shown, n_samples=orders, perturbations_per_eval=players
    )
    return found[0].numpy(), orders


def _until_certain(rounds: Iterator[Values], asked: Asked) -> Values:
    """Gather independent estimates (R, P), a round at a time, until their mean is certain enough or the time is up."""
    drawn = next(rounds)
    for more in rounds:
        drawn = np.concatenate((drawn, more))
        certain = estimated_correlation(drawn.mean(axis=0), _standard_errors(drawn)) >= CERTAIN
        if (asked.stop_early and certain) or asked.pace.is_over():
            break
    return drawn


def _standard_errors(drawn: Values) -> Values:
    if len(drawn) < 2:
        return np.zeros(drawn.shape[1])
    errors: Values = drawn.std(axis=0, ddof=1) / len(drawn) ** 0.5
    return errors


def as_attribution(
    found: Iterable[tuple[Shares, FloatArray, FloatArray | None]], parameters: dict[str, Any]
) -> Attribution:
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
    told = all(one is not None for one in errors)
    sampled = told and any(one.errors.any() for one in shares)
    if sampled:
        size = max(float(np.mean(np.square(values))), 1e-24)
        checks["sampling_error_relative"] = (float(np.mean(np.square(errors))) / size) ** 0.5
    return Attribution(
        values=np.stack(values),
        implementation=shares[0].implementation,
        parameters=parameters | {"coalitions": [one.coalitions for one in shares]},
        checks=checks,
        base_values=np.array([one.base for one in shares], dtype=np.float32),
        standard_errors=np.stack(errors) if sampled else None,
    )
