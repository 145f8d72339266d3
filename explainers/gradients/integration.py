"""Integrate a score's gradient along the straight path from a baseline to an input."""

from dataclasses import dataclass

import captum
import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

from torchglass.errors import OptionError

TOLERANCE = 1e-3
"""Miss of the sum, as a share of the difference to share, below which a path counts as finely enough cut."""
FINEST = 1e-6
"""Miss that rounding may leave, relative to the scores themselves."""
COARSEST = 16
"""Fewest points that a path may be asked to take."""
IMPLEMENTATION = f"captum {captum.__version__} IntegratedGradients"


@dataclass(frozen=True, eq=False)
class Integral:
    """Attributions (N, ...) like the inputs, and what they must add up to."""

    values: Tensor
    base: Tensor
    """(N,), the score at the baseline"""
    miss: Tensor
    """(N,), |sum of the values - difference of the scores|"""
    steps: int
    """the finest cut that any of the inputs took"""

    def checks(self, outputs: Tensor) -> dict[str, float]:
        """Give the completeness errors: the worst in score units, and the worst as a share of the difference."""
        difference = (outputs.double() - self.base).abs().clamp(min=1e-12)
        return {
            "completeness_error": float(self.miss.max()),
            "completeness_error_relative": float((self.miss / difference).max()),
        }


def integrate(
    model: nn.Module, starts: Tensor, ends: Tensor, targets: Tensor, *, beside: Tensor | None, steps: int, per_pass: int
) -> Integral:
    """Attribute score(end) - score(start) to the numbers of each end (N, ...), by Gauss-Legendre quadrature.

    All paths are cut alike; those that miss their difference are cut twice as finely again, together, until they add
    up or took `steps` points. `beside` goes to the model as a second argument, row by row. `per_pass` bounds the inputs
    of one forward pass.

    Raises:
        OptionError: steps are too few.
    """
    if steps < COARSEST:
        raise OptionError(f"steps is {steps}: give at least {COARSEST}")
    base, outputs = (_scored(model, points, targets, beside, per_pass) for points in (starts, ends))
    difference = outputs - base
    allowed = torch.maximum(TOLERANCE * difference.abs(), FINEST * (outputs.abs() + base.abs()))
    values = torch.empty_like(ends)
    miss = torch.full_like(base, torch.inf)
    method = IntegratedGradients(model)
    cut = min(4 * COARSEST, steps)
    left = torch.arange(len(ends), device=ends.device)
    while True:
        for rows in torch.split(left, per_pass):
            found = method.attribute(
                ends[rows],
                baselines=starts[rows],
                target=targets[rows],
                additional_forward_args=None if beside is None else (beside[rows],),
                n_steps=cut,
                internal_batch_size=per_pass,
            ).detach()
            values[rows] = found.float()
            miss[rows] = (found.double().flatten(1).sum(1) - difference[rows]).abs()
        left = left[miss[left] > allowed[left]]
        if cut >= steps or len(left) == 0:
            return Integral(values, base, miss, cut)
        cut = min(2 * cut, steps)


def _scored(model: nn.Module, points: Tensor, targets: Tensor, beside: Tensor | None, per_pass: int) -> Tensor:
    """Score each point's target, (N,) in double precision."""
    found = []
    with torch.no_grad():
        for rows in torch.split(torch.arange(len(points), device=points.device), per_pass):
            more = () if beside is None else (beside[rows],)
            found.append(model(points[rows], *more).gather(1, targets[rows, None])[:, 0].double())
    return torch.cat(found)
