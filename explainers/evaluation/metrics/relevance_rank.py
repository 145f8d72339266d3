"""Relevance rank: how many of the most valued parts lie on what decides."""

from torch import Tensor

from torchglass.explainers.evaluation.case import Case, Measured, judged
from torchglass.explainers.evaluation.ordering import places_in_order
from torchglass.explainers.evaluation.truth import NOTHING, known

COST = "nothing"
BETTER = "high"


def measure(case: Case) -> Measured:
    """Measure which share of the K most valued parts lies on the truth, K being the truth's own size.

    Source: Arras et al. 2022, CLEVR-XAI (arXiv 2003.07258), relevance rank accuracy.
    """

    def first_inside(draws: Tensor, i: int) -> Tensor:
        decides = known(case, i)
        first = places_in_order(draws, case.seed) < decides.sum()
        return (first & decides).sum(dim=1) / decides.sum()

    return Measured(judged(case, first_inside), NOTHING)
