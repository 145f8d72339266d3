"""Sparseness: on how few parts the attributions lie."""

import torch
from torch import Tensor

from torchglass.explainers.evaluation.case import Case, Measured, judged

COST = "nothing"
BETTER = None


def measure(case: Case) -> Measured:
    """Measure the Gini index of the absolute attributions: 0 when all are equal, near 1 when one part has all.

    Source: Chalasani et al. 2020, Concise explanations of neural networks (arXiv 1810.06583).
    """
    return Measured(judged(case, lambda draws, _i: gini(draws.abs())), "the attributions are zero everywhere")


def gini(values: Tensor) -> Tensor:
    """Give the Gini index of non-negative values (D, P): (D,), NaN where all are zero."""
    parts = values.shape[1]
    ordered = values.double().sort(dim=1).values
    weights = 2 * torch.arange(1, parts + 1, device=values.device, dtype=torch.float64) - parts - 1
    return (ordered @ weights) / (parts * ordered.sum(dim=1))
