"""Pointing game: whether the peak of the map lies on what decides."""

from torch import Tensor

from torchglass.explainers.evaluation.case import Case, Measured, judged
from torchglass.explainers.evaluation.truth import NOTHING, known, unless_nothing_decides

COST = "nothing"
BETTER = "high"


def measure(case: Case) -> Measured:
    """Measure which share of the parts that share the largest value lies on the truth: 1 or 0 for a single peak.

    A map of segments has many equal peaks, and a constant one nothing else: it gets what a guess among them would.

    Source: Zhang et al. 2016, Excitation backprop (arXiv 1608.00507), without tolerance.
    """

    def peaks_inside(draws: Tensor, i: int) -> Tensor:
        peaks, decides = draws == draws.max(dim=1, keepdim=True).values, known(case, i)
        return unless_nothing_decides((peaks & decides).sum(dim=1) / peaks.sum(dim=1), decides)

    return Measured(judged(case, peaks_inside), NOTHING)
