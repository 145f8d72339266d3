"""Occlusion of words: what the score loses when one word is hidden."""

import numpy as np

from torchglass.explainers.perturbation.hiding import without_each, word_places, worth_of_words
from torchglass.explainers.problem import Attribution, Problem


def attribute(problem: Problem) -> Attribution:
    """Hide each word in turn behind the background's token id: f(x) - f(x without the word).

    Values (N, T), zero at padding. They need not add up: of two words that say the same, each may be spared.

    Source: Li et al. 2016, Understanding neural networks through representation erasure (arXiv 1612.08220).
    """
    values = np.zeros(tuple(problem.inputs.shape), dtype=np.float32)
    for i in problem.each():
        places = word_places(problem, i).cpu().numpy()
        values[i, places] = without_each(worth_of_words(problem, i), len(places))
    return Attribution(
        values=values, implementation="torchglass occlusion", parameters={"background": problem.background_name}
    )
