"""SHAP of a text: share the difference between its score and that of a text of hidden words among the words."""

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np

from torchglass.errors import OptionError
from torchglass.explainers.explanation import FloatArray
from torchglass.explainers.perturbation.coalitions import Asked, Shares, as_attribution, shapley_values
from torchglass.explainers.perturbation.hiding import word_places, worth_of_words
from torchglass.explainers.perturbation.partition import owen_values
from torchglass.explainers.problem import Attribution, Problem

PARTITION_EVALUATIONS = 500

Algorithm = Literal["auto", "exact", "kernel", "partition"]


def attribute(
    problem: Problem, *, algorithm: Algorithm = "auto", evaluations: int | None = None, stop_early: bool = True
) -> Attribution:
    """Give each word its Shapley value in the game whose coalitions are the words that are shown.

    A word that is not shown is replaced by the background's token id, in its place. Values (N, T), zero at padding;
    they add up to f(x) - f(all words hidden), the base value. "exact" asks all coalitions and "kernel" draws them in
    rounds, whose spread is in `standard_errors`; see coalitions.py. "partition" gives Owen values of the text's halves
    and theirs: fewer evaluations for a long text, but a word is judged only beside its neighbours. Checks: see
    coalitions.as_attribution.

    Args:
        algorithm: one of those; "auto" is exact where the evaluations reach all coalitions, else kernel.
        evaluations: coalitions to ask at most about a text; None for twice 2 T + 2048, of "partition" 500.
        stop_early: end drawing once the values are certain enough; a budget of `explain` ends it in any case.

    Raises:
        OptionError: an option has a value that it cannot take.

    Source: Lundberg and Lee 2017 (arXiv 1705.07874), through shap.
    """
    if algorithm not in get_args(Algorithm):
        raise OptionError(f"algorithm is {algorithm!r}: choose one of {', '.join(get_args(Algorithm))}")

    def share(i: int, words: int) -> Shares:
        worth = worth_of_words(problem, i)
        if algorithm == "partition":
            return owen_values(worth, words, PARTITION_EVALUATIONS if evaluations is None else evaluations)
        return shapley_values(
            worth, words, Asked(algorithm, evaluations, stop_early, seed=problem.seed, pace=problem.pace)
        )

    def each() -> Iterator[tuple[Shares, FloatArray, FloatArray | None]]:
        for i in problem.each():
            places = word_places(problem, i).cpu().numpy()
            shares = share(i, len(places))
            values, errors = np.zeros((2, problem.inputs.shape[1]), dtype=np.float32)
            values[places] = shares.values
            if shares.errors is not None:
                errors[places] = shares.errors
            yield shares, values, None if shares.errors is None else errors

    parameters = {"algorithm": algorithm, "evaluations": evaluations, "background": problem.background_name}
    return as_attribution(each(), parameters)
