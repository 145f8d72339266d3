"""SHAP of a text: share the difference between its score and that of a text of hidden words among the words."""

from collections.abc import Iterator

import numpy as np

from torchglass.explainers.coalitions import Shares, as_attribution, shapley_values
from torchglass.explainers.explanation import FloatArray
from torchglass.explainers.hiding import word_places, worth_of_words
from torchglass.explainers.problem import Attribution, Problem


def attribute(problem: Problem, *, evaluations: int | None = None) -> Attribution:
    """Give each word its Shapley value in the game whose coalitions are the words that are shown.

    A word that is not shown is replaced by the background's token id, in its place. Values (N, T), zero at padding;
    they add up to f(x) - f(all words hidden), the base value. Up to ten words all coalitions are asked, more words are
    sampled twice, and the difference of the two is in `standard_errors`. Checks: see coalitions.as_attribution.

    Args:
        evaluations: coalitions to ask of a text of more than ten words; None for twice 2 T + 2048.

    Raises:
        OptionError: evaluations are fewer than sampling needs.

    Source: Lundberg and Lee 2017 (arXiv 1705.07874), through shap.
    """

    def each() -> Iterator[tuple[Shares, FloatArray, FloatArray]]:
        for i, text in enumerate(problem.inputs):
            places = word_places(problem, i).cpu().numpy()
            shares = shapley_values(worth_of_words(problem, i), len(places), evaluations)
            values, errors = np.zeros((2, len(text)), dtype=np.float32)
            values[places], errors[places] = shares.values, shares.errors
            yield shares, values, errors

    return as_attribution(each(), {"evaluations": evaluations, "background": problem.background_name})
