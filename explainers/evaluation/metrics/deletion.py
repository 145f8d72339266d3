"""Deletion: how much of the class is left while the most valued parts are hidden first."""

from torchglass.explainers.evaluation.case import Case, Measured
from torchglass.explainers.evaluation.curves import areas

COST = "forwards"
BETTER = "low"


def measure(case: Case) -> Measured:
    """Measure the area under the class's probability while parts give way to the background, normalised to 0..1.

    Of a model with one output the area is that of the output above the background's, in units of their distance.

    Source: Petsiuk et al. 2018, RISE (arXiv 1806.07421).
    """
    return areas(case, case.inputs, case.hidden)
