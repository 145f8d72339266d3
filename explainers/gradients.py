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

    A path that misses its difference is cut twice as finely again, until it adds up or took `steps` points.
    `beside` goes to the model as a second argument, row by row. `per_pass` bounds the inputs of one forward pass.

    Raises:
        OptionError: steps are too few.
    """
    if steps < COARSEST:
        raise OptionError(f"steps is {steps}: give at least {COARSEST}")
    found = [
        _one(model, starts[i : i + 1], ends[i : i + 1], targets[i : i + 1], _row(beside, i), steps, per_pass)
        for i in range(len(ends))
    ]
    return Integral(
        torch.cat([one.values for one in found]),
        torch.cat([one.base for one in found]),
        torch.cat([one.miss for one in found]),
        max(one.steps for one in found),
    )


COARSEST = 16


def _one(
    model: nn.Module, start: Tensor, end: Tensor, target: Tensor, beside: Tensor | None, most: int, per_pass: int
) -> Integral:
    more = () if beside is None else (beside,)
    with torch.no_grad():
        base, output = (model(point, *more).gather(1, target[:, None])[:, 0].double() for point in (start, end))
    allowed = torch.maximum(TOLERANCE * (output - base).abs(), FINEST * (output.abs() + base.abs()))
    steps = min(4 * COARSEST, most)
    method = IntegratedGradients(model)
    while True:
        values = method.attribute(
            end,
            baselines=start,
            target=target,
            additional_forward_args=more or None,
            n_steps=steps,
            internal_batch_size=per_pass,
        ).detach()
        miss = (values.double().flatten(1).sum(1) - (output - base)).abs()
        if steps >= most or bool(miss <= allowed):
            return Integral(values.float(), base, miss, steps)
        steps = min(2 * steps, most)


def _row(beside: Tensor | None, i: int) -> Tensor | None:
    return None if beside is None else beside[i : i + 1]
