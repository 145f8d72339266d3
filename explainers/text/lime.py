"""LIME of a text: a linear model of the score around it, whose features are words shown or hidden."""

import numpy as np
import numpy.typing as npt
from lime.lime_base import LimeBase

from torchglass.errors import OptionError
from torchglass.explainers.perturbation.hiding import Shown, word_places, worth_of_words
from torchglass.explainers.perturbation.surrogate import Surrogate, as_attribution, check_samples
from torchglass.explainers.problem import Attribution, Problem


def attribute(problem: Problem, *, samples: int = 1000, kernel_width: float = 25.0) -> Attribution:
    """Give each word its weight in a ridge regression of the score on which words are shown.

    As LimeTextExplainer does, each sample hides from one word to all of them, however many with equal chance, and
    weighs sqrt(exp(-d^2 / width^2)) at a hundred times its cosine distance d; unlike there, a word that occurs twice
    counts twice, and a hidden one leaves the background's token id in its place. Values (N, T), zero at padding, base
    value the intercept: everything hidden. Checks: see surrogate.as_attribution.

    Args:
        samples: texts with hidden words per text.
        kernel_width: of a sample's weight, in hundredths of cosine distance.

    Raises:
        OptionError: a number is out of its range.

    Source: Ribeiro et al. 2016 (arXiv 1602.04938), through lime's LimeBase.
    """
    if not kernel_width > 0:
        raise OptionError(f"kernel_width is {kernel_width}: give a width above 0")
    found = [_surrogate(problem, i, samples, kernel_width) for i in problem.each()]
    parameters = {"samples": samples, "kernel_width": kernel_width, "background": problem.background_name}
    return as_attribution(found, problem.outputs, "LimeBase", parameters)


def _surrogate(problem: Problem, i: int, samples: int, kernel_width: float) -> Surrogate:
    places = word_places(problem, i).cpu().numpy()
    check_samples(samples, len(places))
    # One generator per text: its explanation does not depend on its neighbours in the batch.
    draw = np.random.RandomState(problem.seed % 2**32)

    def weight(distances: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(np.sqrt(np.exp(-(distances**2) / kernel_width**2)))

    shown = shown_words(samples, len(places), draw)
    distances = 100 * (1 - np.sqrt(shown.mean(axis=1)))
    intercept, weights, r2, prediction = LimeBase(weight, random_state=draw).explain_instance_with_data(
        shown.astype(np.float64),
        worth_of_words(problem, i)(shown)[:, None],
        distances,
        label=0,
        num_features=len(places),
        feature_selection="none",
    )
    values = np.zeros(problem.inputs.shape[1], dtype=np.float32)
    for part, value in weights:
        values[places[part]] = value
    return Surrogate(values, float(intercept), float(r2), float(prediction[0]))


def shown_words(samples: int, words: int, draw: np.random.RandomState) -> Shown:
    """Draw which words each sample shows, (samples, words): the first shows all, the others miss one to all of them."""
    missing = draw.randint(1, words + 1, size=samples)
    missing[0] = 0
    shown: Shown = draw.random_sample((samples, words)).argsort(axis=1).argsort(axis=1) >= missing[:, None]
    return shown
