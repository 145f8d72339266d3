"""torch.compile beside attach, in either order: nothing of ours breaks a graph, and steps and phases are recorded."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters
from training import Small, batches, bits, facts, recorded, seeded, train_step

import torchglass

QUIET: dict[str, Any] = {"devices": False, "profile": None, "every": 1}


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def wrapped(model: nn.Module, **how: Any) -> nn.Module:
    """`torch.compile(model)`: another object, which the loop calls."""
    return cast(nn.Module, torch.compile(model, **how))


def in_place(model: nn.Module, **how: Any) -> nn.Module:
    """`model.compile()`: the same object, compiled."""
    model.compile(**how)
    return model


Compile = Callable[..., nn.Module]
COMPILED = pytest.mark.parametrize("compiled", [wrapped, in_place])


def phases_of(path: Path) -> dict[str, list[int]]:
    """Steps in which each phase took time."""
    return {
        name: [step for step, seconds in recorded(path, f"phase/{name}").items() if seconds > 0]
        for name in ("forward", "backward", "optimizer")
    }


@COMPILED
def test_a_compiled_model_that_is_attached_runs_as_one_graph_and_every_phase_is_seen(
    tmp_path: Path, compiled: Compile
) -> None:
    model = compiled(seeded(), backend="aot_eager", fullgraph=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET):
        for inputs in batches(4):
            train_step(model, optimizer, inputs)
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] == 1
    assert phases_of(tmp_path / "s.db") == {phase: [0, 1, 2, 3] for phase in ("forward", "backward", "optimizer")}
    assert list(recorded(tmp_path / "s.db", "layers/first.weight/gradient_norm")) == [0, 1, 2, 3]


@COMPILED
def test_an_attached_model_may_be_compiled_later_as_one_graph(tmp_path: Path, compiled: Compile) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET):
        called = compiled(model, backend="aot_eager", fullgraph=True)
        for inputs in batches(4):
            train_step(called, optimizer, inputs)
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] == 1
    assert list(recorded(tmp_path / "s.db", "phase/step")) == [0, 1, 2, 3]
    assert list(recorded(tmp_path / "s.db", "layers/first.weight/gradient_norm")) == [0, 1, 2, 3]
    # The call of the first step went by unseen; the step's end found what the loop calls.
    assert phases_of(tmp_path / "s.db") == {"forward": [1, 2, 3], "backward": [1, 2, 3], "optimizer": [0, 1, 2, 3]}


@COMPILED
def test_compiling_between_steps_changes_no_count(tmp_path: Path, compiled: Compile) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET):
        train_step(model, optimizer, batches(1)[0])
        called = compiled(model, backend="aot_eager", fullgraph=True)
        for inputs in batches(3):
            train_step(called, optimizer, inputs)
    assert not counters["graph_break"]
    assert list(recorded(tmp_path / "s.db", "phase/step")) == [0, 1, 2, 3]
    assert phases_of(tmp_path / "s.db")["forward"] == [0, 2, 3]


@COMPILED
def test_finishing_leaves_a_compiled_model_as_it_was(tmp_path: Path, compiled: Compile) -> None:
    model = seeded()
    called = compiled(model, backend="aot_eager", fullgraph=True)
    implementation = model._compiled_call_impl
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(called, optimizer, store=tmp_path / "s.db", **QUIET):
        train_step(called, optimizer, batches(1)[0])
    assert model._compiled_call_impl is implementation
    for module in (model, called):
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    train_step(called, optimizer, batches(1)[0])
    assert not counters["graph_break"]


@COMPILED
def test_evaluation_of_a_compiled_model_is_no_forward(tmp_path: Path, compiled: Compile) -> None:
    model = compiled(seeded(), backend="aot_eager", fullgraph=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET) as run:
        for inputs in batches(3):
            train_step(model, optimizer, inputs)
            model.eval()
            with torch.no_grad():
                model(inputs)
            run.log(accuracy=1.0)
            model.train()
    assert not counters["graph_break"]
    assert list(recorded(tmp_path / "s.db", "accuracy")) == [0, 1, 2]
    assert list(recorded(tmp_path / "s.db", "phase/step")) == [0, 1, 2]


@pytest.mark.filterwarnings("ignore:torchglass")  # it says that it does not see the call: judged below
def test_a_loss_compiled_around_the_model_is_one_graph_and_its_steps_are_counted(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    @torch.compile(backend="aot_eager", fullgraph=True)
    def loss_of(inputs: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = model(inputs).square().mean()
        return loss

    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET) as run:
        for index, inputs in enumerate(batches(4)):
            optimizer.zero_grad()
            loss_of(inputs).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            run.log(index=index)
    assert not counters["graph_break"]
    assert recorded(tmp_path / "s.db", "index") == {0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0}
    assert list(recorded(tmp_path / "s.db", "layers/first.weight/gradient_norm")) == [0, 1, 2, 3]


class Breaking(Small):
    """Breaks its own graph once."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = self.act(self.first(inputs))
        torch._dynamo.graph_break()
        outputs: torch.Tensor = self.second(hidden)
        return outputs


@COMPILED
@pytest.mark.parametrize("first", ["attach", "compile"])
def test_a_model_that_breaks_its_own_graph_breaks_it_no_more_often_with_us(
    tmp_path: Path, compiled: Compile, first: str
) -> None:
    def breaks(attached: bool) -> int:
        torch._dynamo.reset()
        counters.clear()
        model = seeded(Breaking)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        called = compiled(model, backend="aot_eager") if first == "compile" else model
        run = torchglass.attach(called, optimizer, store=tmp_path / "s.db", **QUIET) if attached else None
        called = called if first == "compile" else compiled(model, backend="aot_eager")
        for inputs in batches(3):
            train_step(called, optimizer, inputs)
        if run is not None:
            run.finish()
        return sum(counters["graph_break"].values())

    assert breaks(attached=True) == breaks(attached=False)
    assert list(recorded(tmp_path / "s.db", "phase/step")) == [0, 1, 2]
    for inside in ("forward", "backward"):
        assert {1, 2} <= set(phases_of(tmp_path / "s.db")[inside])


def trained(compiled: Compile, backend: str, store: Path | None, first: str) -> list[torch.Tensor]:
    """Losses and weights of a compiled training, with or without torchglass."""
    torch._dynamo.reset()
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    called = compiled(model, backend=backend) if first == "compile" else model
    run = store and torchglass.attach(called, optimizer, store=store, **QUIET, histograms=2)
    called = called if first == "compile" else compiled(model, backend=backend)
    losses = [train_step(called, optimizer, inputs).detach() for inputs in batches(5)]
    if run:
        run.finish()
    return [*losses, *model.parameters()]


@COMPILED
@pytest.mark.parametrize("first", ["attach", "compile"])
def test_compiled_training_is_bit_equal_to_compiled_training_without_us(
    tmp_path: Path, compiled: Compile, first: str
) -> None:
    with_us = trained(compiled, "aot_eager", tmp_path / "s.db", first)
    assert bits(with_us) == bits(trained(compiled, "aot_eager", None, first))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@COMPILED
def test_inductors_code_is_one_graph_and_bit_equal_too(tmp_path: Path, compiled: Compile) -> None:
    with_us = trained(compiled, "inductor", tmp_path / "s.db", "compile")
    assert not counters["graph_break"]
    assert bits(with_us) == bits(trained(compiled, "inductor", None, "compile"))
    assert phases_of(tmp_path / "s.db")["forward"] == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_a_compiled_optimizer_step_is_counted(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    step = torch.compile(optimizer.step, backend="aot_eager")
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET) as run:
        for index, inputs in enumerate(batches(3)):
            optimizer.zero_grad()
            model(inputs).square().mean().backward()
            step()
            run.log(index=index)
    assert recorded(tmp_path / "s.db", "index") == {0: 0.0, 1: 1.0, 2: 2.0}
    assert list(recorded(tmp_path / "s.db", "phase/step")) == [0, 1, 2]


def test_a_model_whose_calls_cannot_be_seen_is_told_about_once(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    unseen = torch.compile(lambda inputs: model(inputs).square().mean(), backend="aot_eager", fullgraph=True)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET):
            for inputs in batches(10):
                unseen(inputs).backward()
                optimizer.step()
    assert [str(each.message) for each in told if "without a call of the attached model" in str(each.message)]
    assert len([each for each in told if "torchglass" in str(each.message)]) == 1
    assert "without a call" in facts(tmp_path / "s.db")["warnings/forward"]
