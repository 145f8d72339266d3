"""Phases sum to their step exactly, and a known duration lands in the phase where it was spent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.checkpoint import checkpoint
from training import batches, facts, recorded, train_step

import torchglass
from torchglass.instrumentation import front_door
from torchglass.instrumentation.guard import Guard
from torchglass.instrumentation.phases import PHASES, HostTimeline, Phase

SECOND = 1_000_000_000


class FakeTime:
    """Nanoseconds that pass only when told to."""

    def __init__(self) -> None:
        self.ns = 12_345

    def __call__(self) -> int:
        return self.ns

    def spend(self, seconds: float) -> None:
        self.ns += round(seconds * SECOND)


def closed(timeline: HostTimeline, step: int = 0) -> dict[str, float]:
    """Close the running step and return its seconds."""
    return dict(zip(PHASES, timeline.close_step(step, 0.0).seconds(), strict=True))


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(st.lists(st.tuples(st.sampled_from(PHASES), st.integers(0, 10**9)), max_size=30), max_size=5),
)
def test_the_phases_of_any_step_hold_what_was_spent(steps: list[list[tuple[Phase, int]]]) -> None:
    now = FakeTime()
    timeline = HostTimeline(now())
    for marks in steps:
        for phase, nanoseconds in marks:
            now.ns += nanoseconds
            timeline.mark(phase, now())
        found = closed(timeline)
        for phase in PHASES:
            assert found[phase] == sum(ns for each, ns in marks if each == phase) / 1e9


# The real hooks on a real loop, whose parts take known time


class Slow(nn.Module):
    """Its forward takes 3 s, its backward 5 s."""

    def __init__(self, now: FakeTime) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))
        self._now = now

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self._now.spend(3 if self.training else 11)
        return _Slow.apply(inputs * self.weight, self._now)  # type: ignore[no-any-return, no-untyped-call]


class _Slow(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, now: FakeTime) -> torch.Tensor:
        ctx.now = now
        return inputs.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        ctx.now.spend(5)
        return gradients[0], None


class SlowOptimizer(torch.optim.SGD):
    """Its step takes 7 s."""

    now: FakeTime

    def step(self, closure: Any = None) -> Any:
        self.now.spend(7)
        return super().step(closure)


class SlowLoader:
    """Each batch takes 2 s to arrive."""

    def __init__(self, now: FakeTime, count: int) -> None:
        self._now = now
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[torch.Tensor]:
        for inputs in batches(self._count):
            self._now.spend(2)
            yield inputs


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr(front_door, "Guard", lambda on_failure: Guard(on_failure, fake))
    return fake


def parts(path: Path) -> dict[str, list[float]]:
    """Seconds of each phase, step by step."""
    return {name: list(recorded(path, f"phase/{name}").values()) for name in ("step", *PHASES)}


def slow_pair(now: FakeTime) -> tuple[Slow, SlowOptimizer]:
    model = Slow(now)
    optimizer = SlowOptimizer(model.parameters(), lr=0.1)
    optimizer.now = now
    return model, optimizer


def test_each_part_of_a_loop_lands_in_its_phase(tmp_path: Path, now: FakeTime) -> None:
    model, optimizer = slow_pair(now)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False) as run:
        loader = run.batches(SlowLoader(now, 3))
        assert len(loader) == 3
        for inputs in loader:
            now.spend(0.25)  # to the device
            output = model(inputs)
            now.spend(0.5)  # the loss
            output.sum().backward()
            now.spend(0.125)  # clipping
            optimizer.step()
            now.spend(0.0625)  # logging
    found = parts(tmp_path / "s.db")
    # The first loader call opens the timeline; logging after a step belongs to the one that follows.
    assert found["data"] == [2, 2, 2]
    assert found["forward"] == [3, 3, 3]
    assert found["backward"] == [5, 5, 5]
    assert found["optimizer"] == [7, 7, 7]
    assert found["other"] == [0.875, 0.9375, 0.9375]
    assert found["step"] == [17.875, 17.9375, 17.9375]
    assert facts(tmp_path / "s.db")["phases"]["clock"] == "host"


@pytest.mark.parametrize("moves", ["loader", "loop"])
def test_moving_the_batch_is_a_phase_where_it_is_named(tmp_path: Path, now: FakeTime, moves: str) -> None:
    model, optimizer = slow_pair(now)

    class Batch:
        def to(self, device: torch.device) -> torch.Tensor:
            assert device == torch.device("cpu")
            now.spend(0.75)
            return torch.ones(3, 4)

    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False) as run:
        for given in run.batches([Batch(), Batch()], "cpu" if moves == "loader" else None):
            now.spend(0.25)  # ours is what follows
            if isinstance(given, Batch):
                with run.to_device():
                    inputs = given.to(torch.device("cpu"))
            else:
                inputs = given
            train_step(model, optimizer, inputs)
    found = parts(tmp_path / "s.db")
    assert found["to_device"] == [0.75, 0.75]
    assert found["other"] == [0.25, 0.25]
    assert found["step"] == [16, 16]


def test_a_loader_that_nobody_records_brings_batches_to_the_device_all_the_same() -> None:
    class Pair(NamedTuple):
        inputs: torch.Tensor
        labels: list[Any]

    made = [Pair(torch.ones(2), [{"a": torch.ones(1), "b": "text"}, 7])]
    model = nn.Linear(1, 1)
    run = torchglass.attach(model, mode="disabled")
    loader = run.batches(made, device="meta")
    assert len(loader) == 1
    for _epoch in range(2):
        (batch,) = loader
        assert type(batch) is Pair
        assert (batch.inputs.device.type, batch.labels[0]["a"].device.type) == ("meta", "meta")
        assert (batch.labels[0]["b"], batch.labels[1]) == ("text", 7)
    assert made[0].inputs.device.type == "cpu"


def test_without_batches_the_gap_before_a_forward_counts_as_data(tmp_path: Path, now: FakeTime) -> None:
    model, optimizer = slow_pair(now)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False):
        for inputs in SlowLoader(now, 3):
            train_step(model, optimizer, inputs)
    found = parts(tmp_path / "s.db")
    assert found["data"][1:] == [2, 2]
    assert found["other"] == [0, 0, 0]


def test_gradient_accumulation_adds_its_parts_up_in_one_step(tmp_path: Path, now: FakeTime) -> None:
    model, optimizer = slow_pair(now)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False) as run:
        for index, inputs in enumerate(run.batches(SlowLoader(now, 8))):
            model(inputs).sum().backward()
            if index % 4 == 3:
                optimizer.step()
    found = parts(tmp_path / "s.db")
    assert found["data"] == [8, 8]
    assert found["forward"] == [12, 12]
    assert found["backward"] == [20, 20]
    assert found["optimizer"] == [7, 7]
    assert found["step"] == [47, 47]
    assert recorded(tmp_path / "s.db", "work/micro_steps") == {0: 4, 1: 4}


def test_evaluation_in_between_is_neither_data_nor_forward(tmp_path: Path, now: FakeTime) -> None:
    model, optimizer = slow_pair(now)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False) as run:
        for inputs in run.batches(SlowLoader(now, 2)):
            train_step(model, optimizer, inputs)
            model.eval()
            with torch.no_grad():
                for _ in range(3):
                    model(inputs)
            model.train()
    found = parts(tmp_path / "s.db")
    assert found["forward"] == [3, 3]
    assert found["data"] == [2, 2]
    assert found["other"] == [0, 33]


def test_two_losses_and_two_backwards_are_both_backward(tmp_path: Path, now: FakeTime) -> None:
    model, optimizer = slow_pair(now)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False):
        output = model(batches(1)[0])
        output.sum().backward(retain_graph=True)
        now.spend(0.5)
        output.square().sum().backward()
        optimizer.step()
    found = parts(tmp_path / "s.db")
    assert (found["backward"], found["other"]) == ([10], [0.5])


def test_two_forwards_before_one_backward_are_told_apart(tmp_path: Path, now: FakeTime) -> None:
    model, optimizer = slow_pair(now)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False):
        one, two = batches(2)
        (model(one) - model(two)).square().sum().backward()
        optimizer.step()
    found = parts(tmp_path / "s.db")
    assert (found["forward"], found["backward"], found["optimizer"]) == ([6], [10], [7])


def test_a_closure_that_the_optimizer_calls_again_is_forward_and_backward_and_one_step(
    tmp_path: Path, now: FakeTime
) -> None:
    model = Slow(now)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4, tolerance_grad=0, tolerance_change=0)
    inputs, calls = batches(1)[0], 0

    def closure() -> torch.Tensor:
        nonlocal calls
        calls += 1
        now.spend(0.5)
        optimizer.zero_grad()
        loss: torch.Tensor = model(inputs).square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False):
        for _ in range(2):
            optimizer.step(closure)  # type: ignore[no-untyped-call]
    found = parts(tmp_path / "s.db")
    assert calls >= 4
    assert sum(found["forward"]) == 3 * calls
    assert sum(found["backward"]) == 5 * calls
    assert sum(found["optimizer"]) == 0.5 * calls
    assert len(found["step"]) == 2


def test_a_model_that_is_recomputed_in_backward_keeps_that_time_in_backward(tmp_path: Path, now: FakeTime) -> None:
    model, optimizer = slow_pair(now)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False):
        for inputs in batches(2):
            checkpoint(model, inputs, use_reentrant=False).sum().backward()
            optimizer.step()
    found = parts(tmp_path / "s.db")
    assert found["forward"] == [3, 3]
    assert found["backward"] == [8, 8]


def test_a_forward_or_backward_that_raises_leaves_the_next_step_right(tmp_path: Path, now: FakeTime) -> None:
    model, optimizer = slow_pair(now)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False):
        with pytest.raises(RuntimeError):
            model(torch.ones(3, 5))
        with pytest.raises(RuntimeError):
            model(batches(1)[0]).backward()  # no scalar
        failing = model(batches(1)[0]).sum()
        failing.register_hook(lambda _gradient: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            failing.backward()
        train_step(model, optimizer, batches(1)[0])
        train_step(model, optimizer, batches(1)[0])
    found = parts(tmp_path / "s.db")
    assert (found["forward"][1], found["backward"][1], found["optimizer"][1]) == (3, 5, 7)
