"""Kernel SHAP of pictures: share the difference between a picture's score and the background's among its segments."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shap
from torch import Tensor

from torchglass.errors import OptionError
from torchglass.explainers.own import own_implementation
from torchglass.explainers.perturbation.codes import Coalitions, all_coalitions, shapley_weights, stacked
from torchglass.explainers.perturbation.engine import Engine
from torchglass.explainers.perturbation.fill import Fill, averaged
from torchglass.explainers.perturbation.least_squares import Shapley, Values
from torchglass.explainers.perturbation.stopping import Watch, estimated_correlation
from torchglass.explainers.problem import Problem

MOST_AVERAGED = 8
"""Background pictures that each coalition is averaged over where all are asked; drawn ones meet one of all of them."""
FIRST_ROUND = 4
"""Coalitions for each segment before the first look at the errors."""


@dataclass(frozen=True, eq=False)
class SegmentShares:
    """Shapley values of each picture's segments."""

    implementation: str
    values: list[Values]
    """N of (P,)"""
    errors: list[Values] | None
    """one sigma of sampling, zero if exact; None where the library does not say"""
    base: npt.NDArray[np.float64]
    """(N,), the mean score of the background's pictures that were used"""
    parameters: dict[str, Any]

    @property
    def certainty(self) -> float | None:
        """The worst estimated correlation of a picture's values with those of endless sampling."""
        if self.errors is None:
            return None
        return min(estimated_correlation(*pair) for pair in zip(self.values, self.errors, strict=True))


def segment_shares(
    problem: Problem, places: dict[int, Tensor], evaluations: int | None, stop_early: bool, backend: str
) -> SegmentShares:
    """Ask about coalitions of segments, (1, H, W) numbers for each picture, and solve.

    Where `evaluations` reach all coalitions, those are asked and the values are exact, against the mean over the first
    eight background pictures. Else coalitions are drawn in pairs with their complements: with one background picture
    the smallest and largest ones completely first, with several each pair before another one, drawn at random.

    Raises:
        OptionError: evaluations are fewer than sampling needs.
    """
    parts = [int(place.max()) + 1 for place in places.values()]
    most = [2 * count + 2048 if evaluations is None else evaluations for count in parts]
    least = 2 * (max(parts) + 1)
    if min(most) < least:
        raise OptionError(f"evaluations is {min(most)}: give at least {least} for {max(parts)} segments")
    exact = all(2**count <= budget for count, budget in zip(parts, most, strict=True))
    references = problem.background[:MOST_AVERAGED] if exact or backend == "library" else problem.background
    engine = Engine(problem)
    base = _base(engine, problem, references)
    if backend == "library":
        return _by_shap(engine, problem, places, references, base, most)
    games = {
        row: _game(problem, row, count, base[row], most[row], exact, references) for row, count in enumerate(parts)
    }
    sampling = _Sampling(engine, problem, places, references, base, games)
    if exact:
        sampling.ask({row: game.plan.complete for row, game in games.items()}, averaged(references), None)
        taken = "all coalitions"
    else:
        sampling.draw(most, stop_early)
        taken = "drawn in pairs"
    solved = [games[row].solved() for row in places]
    return SegmentShares(
        own_implementation("kernel SHAP"),
        [values for values, _ in solved],
        [errors for _, errors in solved],
        base,
        {
            "evaluations": [game.asked + 2 for game in games.values()],
            "coalitions": taken,
            "references": len(references),
        },
    )


def _base(engine: Engine, problem: Problem, references: Tensor) -> npt.NDArray[np.float64]:
    """Score each picture with nothing shown, the mean over the references: (N,)."""
    rows = range(len(problem.inputs))
    nothing = {row: np.zeros((1, 1), dtype=np.bool_) for row in rows}
    one_part = {row: problem.targets.new_zeros(1, *problem.inputs.shape[2:]) for row in rows}
    return engine.ask(stacked(nothing, one_part), averaged(references))


def _game(problem: Problem, row: int, parts: int, base: float, most: int, exact: bool, references: Tensor) -> Shapley:
    difference = float(problem.outputs[row]) - base
    if exact:
        everyone = all_coalitions(parts)
        sizes = everyone.sum(axis=1)
        weights = shapley_weights(parts)[sizes - 1] / np.bincount(sizes)[sizes]
        return Shapley(Coalitions(parts, everyone, weights, np.zeros(parts - 1)), difference)
    # A complete size would meet one drawn reference each, and never again: drawing it anew averages over them.
    return Shapley(Coalitions.planned(parts, most - 2 if len(references) == 1 else 0), difference)


class _Sampling:
    """Ask all pictures' games together, and each until its values are certain enough."""

    def __init__(
        self,
        engine: Engine,
        problem: Problem,
        places: dict[int, Tensor],
        references: Tensor,
        base: npt.NDArray[np.float64],
        games: dict[int, Shapley],
    ) -> None:
        self._engine, self._problem, self._places = engine, problem, places
        self._references, self._base, self._games = references, base, games
        # One generator per picture: a picture's explanation does not depend on its neighbours in the batch.
        self._draws = [np.random.default_rng(problem.seed % 2**32) for _ in places]

    def ask(self, codes: dict[int, npt.NDArray[np.bool_]], fill: Fill, watch: Watch | None) -> None:
        """Ask about coalitions of some pictures, and hand each game its own scores."""
        asked = self._engine.ask(stacked(codes, self._places), fill, None if watch is None else watch.tell)
        ends = np.cumsum([len(shown) for shown in codes.values()])
        for (row, shown), scores in zip(codes.items(), np.split(asked, ends[:-1]), strict=True):
            self._games[row].add(shown, scores - self._base[row])

    def draw(self, most: list[int], stop_early: bool) -> None:
        """Draw pairs of coalitions, round by round."""
        watch = Watch(self._problem.pace, len(most), max(most), stop_early)
        complete = {row: game.plan.complete for row, game in self._games.items() if len(game.plan.complete)}
        if complete:
            self.ask(complete, averaged(self._references), watch)
        left = [budget - 2 - len(self._games[row].plan.complete) for row, budget in enumerate(most)]
        first = FIRST_ROUND * max(game.plan.parts for game in self._games.values())
        for pairs in watch.rounds(max(2, min(left)) // 2, max(1, first // 2)):
            codes = {row: self._games[row].plan.drawn(pairs, self._draws[row]) for row in watch.active}
            self.ask(codes, self._behind(codes), watch)
            solved = {row: self._games[row].solved() for row in codes}
            watch.round_is_over(
                2 * pairs * len(codes), {row: estimated_correlation(*one) for row, one in solved.items()}
            )

    def _behind(self, codes: dict[int, npt.NDArray[np.bool_]]) -> Fill:
        references = len(self._references)
        if references == 1:
            return averaged(self._references)
        # Both of a pair meet the same reference, else their errors would not cancel.
        drawn = [
            np.repeat(self._draws[row].integers(references, size=len(shown) // 2), 2) for row, shown in codes.items()
        ]
        return Fill(self._references, np.concatenate(drawn))


def _by_shap(
    engine: Engine,
    problem: Problem,
    places: dict[int, Tensor],
    references: Tensor,
    base: npt.NDArray[np.float64],
    most: list[int],
) -> SegmentShares:
    found = []
    for row, place in places.items():
        players = int(place.max()) + 1

        def game(shown: npt.NDArray[Any], row: int = row) -> npt.NDArray[np.float64]:
            return engine.ask(stacked({row: np.asarray(shown) > 0.5}, places), averaged(references))

        np.random.seed(problem.seed % 2**32)  # it draws from the global generator, which the front door gives back
        kernel = shap.KernelExplainer(game, np.zeros((1, players)))
        values = kernel.shap_values(np.ones((1, players)), nsamples=most[row] - 2, l1_reg=False, silent=True)
        found.append(np.asarray(values, dtype=np.float64).reshape(players))
    parameters = {"evaluations": most, "references": len(references), "backend": "library"}
    return SegmentShares(f"shap {shap.__version__} KernelExplainer", found, None, base, parameters)
