"""Say how far an effect exceeds that of random spots, and how sure that is."""

import numpy as np

from torchglass.explainers.shortcuts.interventions import Change
from torchglass.explainers.shortcuts.suspect import Effect

SURE = 0.95
DRAWS = 4000
"""Resamplings of the pictures; the bounds lie at their outer quantiles."""


def effect_of(change: Change, questions: int, draw: np.random.Generator) -> Effect:
    """Compare the first place's gains with those of the others, picture by picture.

    The bounds are those of the mean difference under resampling of the pictures (percentile bootstrap), for `questions`
    that are asked together (Bonferroni). p is the rank of the first place's mean among those of all: under the
    hypothesis that it is a place like any other each rank is as likely.
    """
    spot, others = change.gains[0], change.gains[1:]
    differences = spot - others.mean(axis=0)
    drawn = draw.integers(len(spot), size=(DRAWS, len(spot)))
    tail = (1 - SURE) / questions / 2
    low, high = np.quantile(differences[drawn].mean(axis=1), [tail, 1 - tail])
    means = change.gains.mean(axis=1)
    return Effect(
        pictures=len(spot),
        mean=float(means[0]),
        control=float(means[1:].mean()),
        low=float(low),
        high=float(high),
        p=float((means >= means[0]).mean()),
        changed=float(change.changed[0].mean()),
        control_changed=float(change.changed[1:].mean()),
    )
