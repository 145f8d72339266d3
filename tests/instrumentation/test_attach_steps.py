"""Which step a number lands on, and what the optimizer's settings leave behind."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from training import Small, batches, facts, read, recorded, seeded, train_step

import torchglass
from torchglass.instrumentation import Run

Attached = tuple[nn.Module, torch.optim.SGD, Run, Path]


@pytest.fixture
def attached(tmp_path: Path) -> Iterator[Attached]:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    path = tmp_path / "store.db"
    run = torchglass.attach(model, optimizer, store=path, devices=False, profile=None)
    yield model, optimizer, run, path
    run.finish()


def test_a_value_logged_before_or_after_the_optimizers_step_lands_on_the_same_step(attached: Attached) -> None:
    model, optimizer, run, path = attached
    for index, inputs in enumerate(batches(3)):
        loss = model(inputs).sum()
        run.log(before=index)
        loss.backward()
        optimizer.step()
        run.log(after=index)
        assert run.current_step == index
    run.finish()
    assert recorded(path, "before") == recorded(path, "after") == {0: 0.0, 1: 1.0, 2: 2.0}


@pytest.mark.parametrize("watched", [True, False])
def test_several_forwards_and_backwards_are_one_step_until_the_optimizer_moves(
    attached: Attached, watched: bool
) -> None:
    model, optimizer, run, path = attached
    loader = run.batches(batches(12)) if watched else batches(12)
    for index, inputs in enumerate(loader):
        model(inputs).sum().backward()
        run.log(micro=index)
        if index % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()
    run.finish()
    assert recorded(path, "micro") == {0: 3.0, 1: 7.0, 2: 11.0}
    assert list(recorded(path, "phase/step")) == [0, 1, 2]


def test_an_evaluation_between_two_steps_begins_none(attached: Attached) -> None:
    model, optimizer, run, path = attached
    for index, inputs in enumerate(batches(3)):
        train_step(model, optimizer, inputs)
        model.eval()
        model(inputs)
        model.train()
        with torch.no_grad():
            model(inputs)
        run.log({"test": {"accuracy": index / 10}})
    run.finish()
    assert recorded(path, "test/accuracy") == {0: 0.0, 1: 0.1, 2: 0.2}


class Doubled(torch.optim.SGD):
    """A subclass whose step calls the step of its base: torch then runs the hooks of both."""

    def step(self, closure: Any = None) -> Any:
        return super().step(closure)


@pytest.mark.filterwarnings("error")
def test_a_step_whose_class_calls_its_base_counts_once(tmp_path: Path) -> None:
    model = seeded()
    torch.optim.SGD(model.parameters(), lr=0.5)  # from now on the base class's step runs hooks as well
    optimizer = Doubled(model.parameters(), lr=0.5)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, every=1) as run:
        for index, inputs in enumerate(batches(3)):
            train_step(model, optimizer, inputs)
            assert run.current_step == index
    assert list(recorded(tmp_path / "s.db", "phase/step")) == [0, 1, 2]
    assert list(recorded(tmp_path / "s.db", "layers/first.weight/update_ratio")) == [0, 1, 2]
    store, stored = read(tmp_path / "s.db")
    assert {series.count for series in store.series_of(stored.id, kind="phase")} == {3}


def test_an_optimizer_step_that_raises_is_no_step_and_the_next_one_counts(attached: Attached) -> None:
    model, optimizer, run, path = attached

    def failing() -> float:
        raise ValueError("no")

    train_step(model, optimizer, batches(1)[0])
    with pytest.raises(ValueError, match="no"):
        optimizer.step(failing)
    for inputs in batches(2):
        train_step(model, optimizer, inputs)
    run.finish()
    assert list(recorded(path, "phase/step")) == [0, 1, 2]


def test_a_step_may_be_given_and_the_last_value_of_a_step_counts(attached: Attached) -> None:
    _, _, run, path = attached
    run.log(loss=1.0, step=40)
    run.log(loss=2.0, step=np.int64(7))
    run.log(loss=3.0, step=40)
    run.finish()
    assert recorded(path, "loss") == {7: 2.0, 40: 3.0}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3.0),
        (True, 1.0),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.array([[2.5]]), 2.5),
        (torch.tensor(0.1), float(np.float32(0.1))),
        (torch.tensor([[7]]), 7.0),
        (torch.tensor(1.5, requires_grad=True), 1.5),
        (torch.tensor(0.1, dtype=torch.bfloat16), 0.10009765625),
        (float("inf"), float("inf")),
        (-0.0, -0.0),
    ],
)
def test_numbers_and_tensors_of_one_element_are_logged_as_they_are(
    attached: Attached, value: Any, expected: float
) -> None:
    _, _, run, path = attached
    run.log(value=value)
    run.log({"nested": {"deeper": value}})
    run.finish()
    for key in ("value", "nested/deeper"):
        assert np.array(list(recorded(path, key).values())).tobytes() == np.array([expected]).tobytes()


def test_nan_and_infinity_are_kept_and_counted(attached: Attached) -> None:
    _, _, run, path = attached
    for step, value in enumerate((float("nan"), torch.tensor(torch.inf), -np.inf)):
        run.log(loss=value, step=step)
    run.finish()
    values = list(recorded(path, "loss").values())
    assert np.isnan(values[0])
    assert values[1:] == [np.inf, -np.inf]


def test_the_learning_rate_of_every_group_is_recorded_as_the_step_used_it(tmp_path: Path) -> None:
    model = Small()
    groups: list[dict[str, Any]] = [
        {"params": model.first.parameters()},
        {"params": model.second.parameters(), "lr": 0.25},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.5)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False):
        for inputs in batches(3):
            train_step(model, optimizer, inputs)
            schedule.step()
    assert recorded(tmp_path / "s.db", "learning_rate") == {0: 0.5, 1: 0.25, 2: 0.125}
    assert recorded(tmp_path / "s.db", "learning_rate/group1") == {0: 0.25, 1: 0.125, 2: 0.0625}


@pytest.mark.parametrize("rate", [1, np.float32(0.5), np.float64(0.25)])
def test_a_learning_rate_of_whatever_kind_of_number_is_recorded(tmp_path: Path, rate: Any) -> None:
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.125)
    optimizer.param_groups[0]["lr"] = rate
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False):
        train_step(model, optimizer, batches(1)[0])
    assert recorded(tmp_path / "s.db", "learning_rate") == {0: float(rate)}


def test_a_learning_rate_that_is_a_tensor_is_read_at_its_step(tmp_path: Path) -> None:
    model = Small()
    rate = torch.tensor(0.5)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, foreach=False, capturable=False)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False):
        for inputs in batches(2):
            train_step(model, optimizer, inputs)
            optimizer.param_groups[0]["lr"].mul_(0.5)
    assert recorded(tmp_path / "s.db", "learning_rate") == {0: 0.5, 1: 0.25}


def test_a_loop_without_an_optimizer_names_its_steps(tmp_path: Path) -> None:
    model = Small()
    with torchglass.attach(model, store=tmp_path / "s.db", devices=False) as run:
        for index, inputs in enumerate(batches(3)):
            with run.step() as step:
                assert step == index
                model(inputs).sum().backward()
                run.log(value=index * 2)
    assert recorded(tmp_path / "s.db", "value") == {0: 0.0, 1: 2.0, 2: 4.0}
    assert list(recorded(tmp_path / "s.db", "phase/backward")) == [0, 1, 2]


def test_named_steps_around_an_optimizer_count_each_step_once(attached: Attached) -> None:
    model, optimizer, run, path = attached
    for inputs in batches(3):
        with run.step():
            train_step(model, optimizer, inputs)
    run.finish()
    assert list(recorded(path, "phase/step")) == [0, 1, 2]


def test_a_scaler_that_skips_steps_does_no_harm_and_skipped_steps_are_not_counted(attached: Attached) -> None:
    model, optimizer, run, path = attached
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=1000)
    for index, inputs in enumerate(batches(4)):
        loss = model(inputs).sum() * (torch.inf if index == 1 else 1.0)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        run.log(index=index)
    run.finish()
    assert recorded(path, "index") == {0: 0.0, 1: 2.0, 2: 3.0}
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_gradients_are_read_as_the_optimizer_sees_them_after_unscaling(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, every=1):
        scaler.scale(model(batches(1)[0]).sum()).backward()
        scaler.step(optimizer)
    twin = seeded()
    twin(batches(1)[0]).sum().backward()
    expected = float(dict(twin.named_parameters())["first.weight"].grad.norm())  # type: ignore[union-attr]
    assert recorded(tmp_path / "s.db", "layers/first.weight/gradient_norm")[0] == pytest.approx(expected, rel=1e-6)


def test_gradients_that_a_fused_optimizer_unscales_itself_are_read_unscaled(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, every=1, histograms=1) as run:
        scaler.scale(model(batches(1)[0]).sum()).backward()
        scaler.step(optimizer)
    twin = seeded()
    twin(batches(1)[0]).sum().backward()
    expected = dict(twin.named_parameters())["first.weight"].grad
    assert expected is not None
    norm = recorded(tmp_path / "s.db", "layers/first.weight/gradient_norm")[0]
    assert norm == pytest.approx(float(expected.norm()), rel=1e-6)
    store, _ = read(tmp_path / "s.db")
    (histogram,) = store.histograms(run.id, "gradients/first.weight")
    assert histogram.maximum == pytest.approx(float(expected.max()), rel=1e-6)


def test_an_optimizer_that_never_steps_is_told_about_once_and_costs_bounded_memory(tmp_path: Path) -> None:
    model, path = seeded(), tmp_path / "s.db"
    idle = torch.optim.SGD(model.parameters(), lr=0.1)
    run = torchglass.attach(model, idle, store=path, devices=False)

    def train_without_steps() -> None:
        for inputs in batches(16) * 200:
            model(inputs).sum().backward()

    with pytest.warns(RuntimeWarning, match="200 forward passes without a step") as told:
        train_without_steps()
    run.finish()
    assert len(told) == 1
    assert "200 forward passes" in facts(path)["warnings/steps"]


def test_what_is_logged_after_the_end_is_refused_with_one_warning(attached: Attached) -> None:
    _, _, run, path = attached
    run.log(loss=1.0)
    run.finish()
    with pytest.warns(RuntimeWarning, match="is finished: what is logged now is not kept"):
        run.log(loss=2.0, step=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run.log(loss=3.0, step=2)
    assert recorded(path, "loss") == {0: 1.0}
