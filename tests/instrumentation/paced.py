"""A clock that moves only when told to, and layers that take known time: what a phase must hold can be foretold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training import recorded

from torchglass.instrumentation import front_door
from torchglass.instrumentation.guard import Guard
from torchglass.instrumentation.phases import PHASES

SECOND = 1_000_000_000


class Pace:
    """Nanoseconds that pass only when spent."""

    def __init__(self) -> None:
        self.ns = 12_345

    def __call__(self) -> int:
        return self.ns

    def spend(self, seconds: float) -> None:
        """Let time pass."""
        self.ns += round(seconds * SECOND)


def paced(monkeypatch: pytest.MonkeyPatch) -> Pace:
    """Have what is attached from now on read a clock of ours."""
    pace = Pace()
    monkeypatch.setattr(front_door, "Guard", lambda on_failure: Guard(on_failure, pace))
    return pace


class _Lap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, pace: Pace, forward: float, backward: float) -> torch.Tensor:
        ctx.pace, ctx.seconds = pace, backward
        pace.spend(forward)
        return inputs.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        ctx.pace.spend(ctx.seconds)
        return gradients[0], None, None, None


class Lap(nn.Module):
    """The identity, which takes `forward` seconds, and `backward` seconds on the way back."""

    def __init__(self, pace: Pace, forward: float, backward: float) -> None:
        super().__init__()
        self.pace = pace
        self.seconds = (forward, backward)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(...) -> the same."""
        return _Lap.apply(inputs, self.pace, *self.seconds)  # type: ignore[no-any-return, no-untyped-call]


class PacedSGD(torch.optim.SGD):
    """Its step takes 7 s."""

    pace: Pace

    def step(self, closure: Any = None) -> Any:
        """Update the weights."""
        self.pace.spend(7)
        return super().step(closure)


def paced_sgd(model: nn.Module, pace: Pace, rate: float = 0.1) -> PacedSGD:
    """An optimizer whose step takes 7 s."""
    optimizer = PacedSGD(model.parameters(), lr=rate)
    optimizer.pace = pace
    return optimizer


def parts(path: Path, run: str | int = 1) -> dict[str, list[float]]:
    """Seconds of each phase, step by step; that they sum to their step is judged on the way."""
    found = {name: list(recorded(path, f"phase/{name}", run=run).values()) for name in ("step", *PHASES)}
    for whole, *phases in zip(*found.values(), strict=True):
        assert whole == sum(phases)
    return found
