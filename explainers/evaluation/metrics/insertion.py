"""Insertion: how fast the class comes back while the most valued parts are shown first."""

import torch
import torch.nn.functional as F
from torch import Tensor

from torchglass.explainers.evaluation.case import Case, Measured
from torchglass.explainers.evaluation.curves import areas

COST = "forwards"
BETTER = "high"

KERNEL, SIGMA = 11, 5.0
"""of the blur, in pixels, as in the paper's own code"""


def measure(case: Case) -> Measured:
    """Measure the area under the class's probability while parts come back, normalised to 0..1.

    Pictures begin as a blurred copy: on an empty ground the first pixels would draw shapes of their own. Texts and rows
    begin hidden.

    Source: Petsiuk et al. 2018, RISE (arXiv 1806.07421).
    """
    return areas(case, blurred(case.inputs) if case.inputs.ndim == 4 else case.hidden, case.inputs)


def blurred(pictures: Tensor) -> Tensor:
    """Blur pictures (N, C, H, W) by a Gaussian; the border is continued."""
    count, channels, height, width = pictures.shape
    places = torch.arange(KERNEL, dtype=torch.float32, device=pictures.device) - KERNEL // 2
    weights = torch.exp(-(places**2) / (2 * SIGMA**2))
    weights = weights / weights.sum()
    pages = pictures.reshape(count * channels, 1, height, width)
    pages = F.pad(pages, (KERNEL // 2,) * 4, mode="replicate")
    pages = F.conv2d(F.conv2d(pages, weights.reshape(1, 1, 1, -1)), weights.reshape(1, 1, -1, 1))
    return pages.reshape(pictures.shape)
