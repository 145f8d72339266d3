"""The hooks are safe on any model: training with them is training without them, bit for bit."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from training import Small, batches, bits, recorded, seeded, train_step

import torchglass
from torchglass.instrumentation import every


class Checkpointed(Small):
    """Its first half is recomputed in backward."""

    reentrant = False

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        inputs = inputs.requires_grad_()

        def first_half(given: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.act(self.first(given))
            return result

        hidden = checkpoint(first_half, inputs, use_reentrant=self.reentrant)
        outputs: torch.Tensor = self.second(hidden)
        return outputs


class Reentrant(Checkpointed):
    reentrant = True


class Dropping(Small):
    """Draws random numbers in its forward."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(super().forward(inputs), 0.5, self.training)


class InplaceOnOutput(Small):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs).relu_()


def trained(make: Callable[[], nn.Module], steps: int, store: Path | None) -> list[torch.Tensor]:
    """Losses and final weights of a training with or without torchglass."""
    model = seeded(make)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    run = None
    if store is not None:
        run = torchglass.attach(
            model, optimizer, store=store, every=2, histograms=3, profile=every(5, steps=2), devices=False
        )
    torch.manual_seed(7)
    losses = []
    for inputs in batches(steps):
        loss = train_step(model, optimizer, inputs)
        losses.append(loss.detach())
        if run is not None:
            run.log(loss=loss)
    if run is not None:
        run.finish()
    return [*losses, *model.parameters()]


@pytest.mark.parametrize(
    "make",
    [Small, lambda: Small(inplace=True), Checkpointed, Reentrant, Dropping, InplaceOnOutput],
    ids=["plain", "in-place ReLU", "checkpoint", "reentrant checkpoint", "dropout", "in-place output"],
)
def test_losses_and_weights_are_bit_equal_to_training_without_us(tmp_path: Path, make: Callable[[], nn.Module]) -> None:
    assert bits(trained(make, 12, tmp_path / "s.db")) == bits(trained(make, 12, None))
    assert list(recorded(tmp_path / "s.db", "phase/backward")) == list(range(12))
    assert all(seconds > 0 for seconds in recorded(tmp_path / "s.db", "phase/backward").values())


def test_finishing_leaves_no_hook_on_model_or_optimizer(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    untouched = Small()
    torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False).finish()
    torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, mode="disabled").finish()
    for name, value in vars(untouched).items():
        if "hook" in name:
            assert vars(model)[name] == value, name
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


def test_a_model_that_returns_its_own_parameter_keeps_no_hook_on_it(tmp_path: Path) -> None:
    class Latent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.code = nn.Parameter(torch.ones(3))

        def forward(self) -> torch.Tensor:
            return self.code

    model = Latent()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False):
        for _ in range(3):
            model().square().sum().backward()
            optimizer.step()
            assert len(model.code._backward_hooks or {}) == 1
    assert not model.code._backward_hooks
    assert list(recorded(tmp_path / "s.db", "phase/backward")) == [0, 1, 2]


class Pair(NamedTuple):
    """What some models return."""

    name: str
    logits: torch.Tensor


@pytest.mark.parametrize(
    "wrap",
    [
        lambda out: (None, out),
        lambda out: {"labels": None, "logits": [out.detach(), out]},
        lambda out: Pair("x", out),
        lambda out: out,
    ],
)
def test_backward_is_found_behind_whatever_a_model_returns(tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
    class Wrapped(Small):
        def forward(self, inputs: torch.Tensor) -> Any:
            self.kept = super().forward(inputs)
            return wrap(self.kept)

    model = Wrapped()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False):
        model(batches(1)[0])
        model.kept.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert recorded(tmp_path / "s.db", "phase/backward")[0] > 0


def test_a_model_whose_output_needs_no_gradient_trains_on(tmp_path: Path) -> None:
    model = nn.Identity()
    weight = nn.Parameter(torch.ones(4))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, every=1):
        (model(torch.ones(4)) * weight).sum().backward()
        optimizer.step()
    assert recorded(tmp_path / "s.db", "phase/backward") == {0: 0.0}


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "torch.save"])
def test_a_copy_of_an_attached_model_works_and_records_nothing(tmp_path: Path, how: str) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False) as run:
        train_step(model, optimizer, batches(1)[0])
        if how == "deepcopy":
            twin, its_optimizer = copy.deepcopy((model, optimizer))
        elif how == "pickle":
            twin, its_optimizer = pickle.loads(pickle.dumps((model, optimizer)))
        else:
            buffer = io.BytesIO()
            torch.save((model, optimizer), buffer)
            buffer.seek(0)
            twin, its_optimizer = torch.load(buffer, weights_only=False)
        for inputs in batches(5):
            train_step(twin, its_optimizer, inputs)
        assert run.current_step == 0
        train_step(model, optimizer, batches(1)[0])
    assert list(recorded(tmp_path / "s.db", "phase/step")) == [0, 1]


def test_a_copy_of_what_holds_a_run_holds_a_run_that_records_nothing(tmp_path: Path) -> None:
    with torchglass.attach(Small(), store=tmp_path / "s.db", devices=False, config={"a": 1}) as run:
        for twin in (copy.deepcopy(run), pickle.loads(pickle.dumps(run))):
            twin.log(loss=1.0)
            twin.finish()
            assert twin.config == {"a": 1}
    assert recorded(tmp_path / "s.db", "loss") == {}


@pytest.mark.slow
def test_a_compiled_model_is_watched_from_outside(tmp_path: Path) -> None:
    model = torch.compile(seeded(), backend="eager", fullgraph=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)  # type: ignore[attr-defined]
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, every=1):  # type: ignore[arg-type]
        for inputs in batches(3):
            train_step(model, optimizer, inputs)  # type: ignore[arg-type]
    assert list(recorded(tmp_path / "s.db", "phase/forward")) == [0, 1, 2]
    assert list(recorded(tmp_path / "s.db", "layers/first.weight/weight_norm")) == [0, 1, 2]
