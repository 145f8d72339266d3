"""Activation checkpointing: what is recomputed in backward is backward, however and wherever it is checkpointed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from paced import Lap, Pace, paced, paced_sgd, parts
from torch import nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential
from training import batches, bits, recorded, seeded

import torchglass

QUIET: dict[str, Any] = {"devices": False, "profile": None}
REENTRANT = pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "not reentrant"])


class Blocks(nn.Module):
    """Two checkpointed blocks; with a pace each takes 3 s forward and 5 s backward, the head 1 s and 2 s."""

    def __init__(self, reentrant: bool = False, pace: Pace | None = None, nested: bool = False) -> None:
        super().__init__()
        self.reentrant = reentrant
        self.nested = nested
        self.blocks = nn.ModuleList([self._block(pace), self._block(pace)])
        self.head = nn.Sequential(Lap(pace, 1, 2) if pace else nn.Identity(), nn.Linear(4, 2))

    def _block(self, pace: Pace | None) -> nn.Sequential:
        # The lap comes first: a recomputation that is not reentrant stops once it has what backward needs.
        lap = Lap(pace, 3, 5) if pace else nn.Identity()
        return nn.Sequential(lap, nn.Linear(4, 4), nn.Dropout(0.2), nn.ReLU(inplace=True))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, 4) -> (N, 2)."""
        hidden = inputs.requires_grad_()
        hidden = self._checkpointed(self._both, hidden) if self.nested else self._both(hidden)
        outputs: torch.Tensor = self.head(hidden)
        return outputs

    def _both(self, hidden: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            hidden = self._checkpointed(block, hidden)
        return hidden

    def _checkpointed(self, function: Any, hidden: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = checkpoint(function, hidden, use_reentrant=self.reentrant)
        return result


@REENTRANT
def test_blocks_that_are_recomputed_take_their_time_in_backward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reentrant: bool
) -> None:
    pace = paced(monkeypatch)
    model = Blocks(reentrant, pace)
    optimizer = paced_sgd(model, pace)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET):
        for inputs in batches(3):
            model(inputs).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    found = parts(tmp_path / "s.db")
    assert found["forward"] == [3 + 3 + 1] * 3
    assert found["backward"] == [2 + 2 * (3 + 5)] * 3
    assert found["optimizer"] == [7] * 3
    assert found["other"] == [0] * 3


@REENTRANT
def test_a_whole_model_checkpointed_by_the_loop_keeps_its_counts_and_loses_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reentrant: bool
) -> None:
    pace = paced(monkeypatch)
    model = nn.Sequential(Lap(pace, 3, 5), nn.Linear(4, 2))
    optimizer = paced_sgd(model, pace)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET, every=1):
        for inputs in batches(3):
            optimizer.zero_grad()
            loss = checkpoint(model, inputs.requires_grad_(), use_reentrant=reentrant).square().mean()
            loss.backward()
            optimizer.step()
    found = parts(tmp_path / "s.db")
    assert found["step"] == [3 + 3 + 5 + 7] * 3
    assert found["optimizer"] == [7] * 3
    assert list(recorded(tmp_path / "s.db", "layers/1.weight/gradient_norm")) == [0, 1, 2]
    assert found["forward"] == [3] * 3
    assert found["backward"] == [3 + 5] * 3


@REENTRANT
def test_a_checkpointed_sequence_is_one_forward_and_one_backward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reentrant: bool
) -> None:
    pace = paced(monkeypatch)

    class Sequence(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(*(nn.Sequential(Lap(pace, 1, 2), nn.Linear(4, 4)) for _ in range(4)))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            outputs: torch.Tensor = checkpoint_sequential(  # type: ignore[no-untyped-call]
                self.layers, 2, inputs.requires_grad_(), use_reentrant=reentrant
            )
            return outputs

    model = Sequence()
    optimizer = paced_sgd(model, pace)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET):
        for inputs in batches(2):
            model(inputs).square().mean().backward()
            optimizer.step()
    found = parts(tmp_path / "s.db")
    assert found["forward"] == [4, 4]
    assert found["backward"] == [2 * 1 + 4 * 2] * 2  # the last of the two segments is not checkpointed


def trained(reentrant: bool, nested: bool, store: Path | None) -> list[torch.Tensor]:
    """Losses and weights of a training with dropout inside checkpoints."""
    model = seeded(lambda: Blocks(reentrant, nested=nested))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    run = store and torchglass.attach(model, optimizer, store=store, **QUIET, every=1, histograms=2)
    losses = []
    for inputs in batches(6):
        optimizer.zero_grad()
        loss = model(inputs).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    if run:
        run.finish()
    return [*losses, *model.parameters()]


@REENTRANT
@pytest.mark.parametrize("nested", [False, True])
def test_checkpointed_training_is_bit_equal_to_training_without_us(
    tmp_path: Path, reentrant: bool, nested: bool
) -> None:
    assert bits(trained(reentrant, nested, tmp_path / "s.db")) == bits(trained(reentrant, nested, None))
    assert list(recorded(tmp_path / "s.db", "phase/step")) == list(range(6))


@REENTRANT
def test_gradients_through_a_checkpoint_are_those_computed_by_hand(tmp_path: Path, reentrant: bool) -> None:
    first, second = nn.Linear(2, 1, bias=False), nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 1.0]]))
        second.weight.fill_(10.0)

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = first, second

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            outputs: torch.Tensor = self.second(checkpoint(self.first, inputs, use_reentrant=reentrant))
            return outputs

    model = Pair()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET, every=1):
        # d/d first = 10 x (3, 4), d/d second = first(x) = 7
        model(torch.tensor([[3.0, 4.0]], requires_grad=True)).sum().backward()
        optimizer.step()
    assert recorded(tmp_path / "s.db", "layers/first.weight/gradient_norm") == {0: 50.0}
    assert recorded(tmp_path / "s.db", "layers/second.weight/gradient_norm") == {0: 7.0}
