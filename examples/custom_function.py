"""An autograd Function of one's own, checked and watched: python examples/custom_function.py, then torchglass ui.

It stands in the run's autograd graph under its own name, beside those of torch.
"""

from typing import Any

import torch
from sklearn.datasets import load_wine
from torch import Tensor, nn

import torchglass


class SignedLogarithm(torch.autograd.Function):
    """sign(x) ln(1 + |x|): odd and smooth, and tame for large values. Its derivative is 1 / (1 + |x|)."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.copysign(x.abs().log1p(), x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient / (1 + x.abs())


class Network(nn.Module):
    """Three sorts of wine by thirteen measurements."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(13, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(SignedLogarithm.apply(self.first(x)))


torch.manual_seed(0)
assert torch.autograd.gradcheck(SignedLogarithm.apply, torch.randn(8, dtype=torch.float64, requires_grad=True))

wine = load_wine()
measurements = torch.tensor(wine.data, dtype=torch.float32)
measurements, labels = (measurements - measurements.mean(0)) / measurements.std(0), torch.tensor(wine.target)
model = Network()
optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
with torchglass.attach(model, optimizer, run="custom-function") as run:
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(measurements), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        run.log(loss=loss)

accuracy = (model(measurements).argmax(1) == labels).float().mean()
print(f"accuracy {accuracy:.1%}, on what it was trained with")
print("look at the run 'custom-function': torchglass ui")
