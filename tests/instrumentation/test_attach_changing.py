"""Models, optimizers and loops that change or break while they are attached: what follows is still right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from paced import Lap, paced, paced_sgd, parts
from torch import nn
from torch.optim import swa_utils
from training import Small, batches, bits, facts, read, recorded, seeded, train_step

import torchglass
from torchglass.store import Store

QUIET: dict[str, Any] = {"devices": False, "profile": None, "every": 1}
SGD = torch.optim.SGD


def norms(path: Path, name: str, what: str = "gradient_norm") -> dict[int, float]:
    return recorded(path, f"layers/{name}/{what}")


def test_parameters_that_are_unfrozen_later_are_recorded_from_then_on_and_frozen_ones_no_more(tmp_path: Path) -> None:
    model, path = seeded(), tmp_path / "s.db"
    first, second = model.get_submodule("first"), model.get_submodule("second")
    second.requires_grad_(False)
    optimizer = SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=path, **QUIET, histograms=1):
        for step, inputs in enumerate(batches(5)):
            if step == 2:
                second.requires_grad_(True)
            if step == 4:
                first.requires_grad_(False)
            train_step(model, optimizer, inputs)
    assert list(norms(path, "first.weight")) == [0, 1, 2, 3]
    assert list(norms(path, "second.weight")) == [2, 3, 4]
    assert list(norms(path, "second.weight", "update_ratio")) == [2, 3, 4]
    store, run = read(path)
    assert [each.step for each in store.histograms(run.id, "weights/second.weight")] == [2, 3, 4]


def test_a_part_added_with_a_group_of_its_own_is_recorded_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    model = nn.Sequential(nn.Linear(4, 2))
    optimizer = SGD(model.parameters(), lr=0.5)
    with torchglass.attach(model, optimizer, store=path, **QUIET):
        for step, inputs in enumerate(batches(4)):
            if step == 2:
                added = nn.Linear(2, 2)
                model.append(added)
                optimizer.add_param_group({"params": added.parameters(), "lr": 0.25})
            train_step(model, optimizer, inputs)
    assert list(norms(path, "1.weight")) == [2, 3]
    assert recorded(path, "learning_rate") == dict.fromkeys(range(4), 0.5)
    assert recorded(path, "learning_rate/group1") == {2: 0.25, 3: 0.25}


def test_weights_that_were_replaced_are_read_and_not_the_ones_of_old(tmp_path: Path) -> None:
    model, path = nn.Linear(2, 1, bias=False), tmp_path / "s.db"
    optimizer = SGD(model.parameters(), lr=0.5)
    with torchglass.attach(model, optimizer, store=path, **QUIET):
        model.weight = nn.Parameter(torch.tensor([[1.0, 1.0]]))
        optimizer.param_groups[0]["params"] = [model.weight]
        model(torch.tensor([[3.0, 4.0]])).sum().backward()
        optimizer.step()
    assert norms(path, "weight") == {0: 5.0}


def test_patterns_hold_for_what_comes_later_too(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    model = nn.Sequential(nn.Linear(4, 2))
    optimizer = SGD(model.parameters(), lr=0.5)
    with torchglass.attach(model, optimizer, store=path, **QUIET, include=["*.weight"], exclude=["2.*"]):
        for width in (2, 3):
            model.append(nn.Linear(cast(nn.Linear, model[-1]).out_features, width))
            train_step(model, optimizer, batches(1)[0])
    assert list(norms(path, "0.weight")) == list(norms(path, "1.weight")) == [0, 1]
    assert norms(path, "2.weight") == norms(path, "1.bias") == {}


@pytest.mark.parametrize("scheduler", ["step", "one cycle", "plateau", "sequential"])
def test_the_rate_of_each_step_is_the_one_it_was_made_with(tmp_path: Path, scheduler: str) -> None:
    model, path = seeded(), tmp_path / "s.db"
    optimizer = SGD(model.parameters(), lr=0.5, momentum=0.9)
    makers: dict[str, Any] = {
        "step": lambda: torch.optim.lr_scheduler.StepLR(optimizer, 2),
        "one cycle": lambda: torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=6),
        "plateau": lambda: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0),
        "sequential": lambda: torch.optim.lr_scheduler.SequentialLR(
            optimizer,
            [
                torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=3),
                torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5),
            ],
            [3],
        ),
    }
    schedule = makers[scheduler]()
    used = []
    with torchglass.attach(model, optimizer, store=path, **QUIET):
        for inputs in batches(6):
            used.append(optimizer.param_groups[0]["lr"])
            train_step(model, optimizer, inputs)
            schedule.step(*[1.0] * (scheduler == "plateau"))
    assert len(set(used)) > 2
    assert recorded(path, "learning_rate") == dict(enumerate(used))


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_an_averaged_copy_of_an_attached_model_is_not_recorded_and_averages_as_without_us(
    tmp_path: Path, kind: str
) -> None:
    def averaged(store: Path | None) -> list[torch.Tensor]:
        model = seeded()
        optimizer = SGD(model.parameters(), lr=0.1)
        run = store and torchglass.attach(model, optimizer, store=store, **QUIET)
        average: Any = swa_utils.get_ema_multi_avg_fn if kind == "ema" else swa_utils.get_swa_multi_avg_fn
        mean = swa_utils.AveragedModel(model, multi_avg_fn=average())
        outputs = []
        for inputs in batches(4):
            train_step(model, optimizer, inputs)
            mean.update_parameters(model)
            outputs.append(mean(inputs))  # called in training mode, with gradients
        if run:
            run.finish()
        return [*outputs, *mean.parameters()]

    assert bits(averaged(tmp_path / "s.db")) == bits(averaged(None))
    assert list(recorded(tmp_path / "s.db", "phase/step")) == [0, 1, 2, 3]


# What goes wrong


class Failing(Small):
    """Raises in its third call, in forward or on the way back."""

    where = ""
    calls = 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        outputs = super().forward(inputs)
        if self.calls == 3 and self.where == "forward":
            raise ValueError("in forward")
        if self.calls == 3 and self.where == "interrupt":
            raise KeyboardInterrupt
        if self.calls == 3 and self.where == "backward":
            outputs.register_hook(lambda _: [][0])  # type: ignore[no-untyped-call]
        return outputs


@pytest.mark.parametrize("where", ["forward", "backward", "interrupt", "step"])
def test_a_step_that_raised_and_was_tried_again_counts_once_and_learns_as_without_us(
    tmp_path: Path, where: str
) -> None:
    def trained(store: Path | None) -> list[torch.Tensor]:
        model = seeded(Failing)
        model.where = where  # type: ignore[assignment]
        optimizer = SGD(model.parameters(), lr=0.1)
        if where == "step":
            raised = iter([False, False, True])
            optimizer.register_step_pre_hook(lambda *_: 1 / 0 if next(raised, False) else None)  # type: ignore[arg-type]
        run = store and torchglass.attach(model, optimizer, store=store, **QUIET)
        for index, inputs in enumerate(batches(5)):
            for _attempt in range(2):
                try:
                    train_step(model, optimizer, inputs)
                except (ValueError, IndexError, KeyboardInterrupt, ZeroDivisionError):
                    continue
                break
            if run:
                run.log(index=index)
        if run:
            run.finish()
        return list(model.parameters())

    assert bits(trained(tmp_path / "s.db")) == bits(trained(None))
    assert recorded(tmp_path / "s.db", "index") == {step: float(step) for step in range(5)}
    assert list(recorded(tmp_path / "s.db", "phase/step")) == [0, 1, 2, 3, 4]
    assert not [key for key in facts(tmp_path / "s.db") if key.startswith("warnings")]


def test_after_an_interrupted_forward_the_next_ones_are_timed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = paced(monkeypatch)
    calls = iter([False, True, False, False])

    class Interrupted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.lap = nn.Linear(4, 2), Lap(pace, 3, 5)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            if next(calls):
                pace.spend(2)
                raise KeyboardInterrupt  # torch runs no forward hook then, not even those that always run
            outputs: torch.Tensor = self.lap(self.layer(inputs))
            return outputs

    model = Interrupted()
    optimizer = paced_sgd(model, pace)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET) as run:
        loader = run.batches(batches(1) * 3)
        train_step(model, optimizer, batches(1)[0])
        with pytest.raises(KeyboardInterrupt):
            model(batches(1)[0])
        for inputs in loader:
            train_step(model, optimizer, inputs)
            if run.current_step == 2:
                break
    found = parts(tmp_path / "s.db")
    assert found["step"] == [15, 17, 15]
    assert found["forward"][2] == 3
    assert found["backward"] == [5, 5, 5]


def test_a_loader_that_raises_ends_the_run_as_failed_with_its_words(tmp_path: Path) -> None:
    model, path = seeded(), tmp_path / "s.db"
    optimizer = SGD(model.parameters(), lr=0.1)

    def broken() -> Iterator[torch.Tensor]:
        yield from batches(2)
        raise OSError("no more pictures")

    def train() -> None:
        with torchglass.attach(model, optimizer, store=path, **QUIET) as run:
            for inputs in run.batches(broken()):
                train_step(model, optimizer, inputs)

    with pytest.raises(OSError, match="no more pictures"):
        train()
    run = Store(path).run(1)
    assert (run.status, run.error) == ("failed", "OSError: no more pictures")
    assert list(recorded(path, "phase/step")) == [0, 1]


def test_a_loop_that_is_left_early_and_begun_again_goes_on_counting(tmp_path: Path) -> None:
    model, path = seeded(), tmp_path / "s.db"
    optimizer = SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=path, **QUIET) as run:
        for _epoch in range(3):
            for index, inputs in enumerate(run.batches(batches(5))):
                if index == 2:
                    break
                run.log(loss=train_step(model, optimizer, inputs))
    assert list(recorded(path, "loss")) == list(recorded(path, "phase/step")) == [0, 1, 2, 3, 4, 5]
