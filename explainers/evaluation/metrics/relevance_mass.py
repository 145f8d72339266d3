"""Relevance mass: which share of what speaks for the class lies on what decides."""

from torch import Tensor

from torchglass.explainers.evaluation.case import Case, Measured, judged
from torchglass.explainers.evaluation.truth import NOTHING, known, unless_nothing_decides

COST = "nothing"
BETTER = "high"


def measure(case: Case) -> Measured:
    """Measure the positive attributions on the truth, as a share of all positive ones.

    Source: Arras et al. 2022, CLEVR-XAI (arXiv 2003.07258), relevance mass accuracy.
    """

    def mass_inside(draws: Tensor, i: int) -> Tensor:
        positive, decides = draws.double().clamp(min=0), known(case, i)
        return unless_nothing_decides((positive * decides).sum(dim=1) / positive.sum(dim=1), decides)

    return Measured(judged(case, mass_inside), f"{NOTHING}, or nothing speaks for the class")
