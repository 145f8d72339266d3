"""Gradients gathered over several backward passes, scaled, clipped or thrown away: steps and norms stay right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from paced import Lap, paced, paced_sgd, parts
from torch import nn
from training import batches, bits, read, recorded, seeded

import torchglass

SGD = torch.optim.SGD
QUIET: dict[str, Any] = {"devices": False, "profile": None}


def line(weights: list[float]) -> nn.Linear:
    """`(N, len(weights)) -> (N, 1)` without bias: the gradient of its summed output is the sum of its inputs."""
    model = nn.Linear(len(weights), 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([weights]))
    return model


def gradient_norms(path: Path, name: str = "weight") -> dict[int, float]:
    return recorded(path, f"layers/{name}/gradient_norm")


def test_the_gradient_of_a_step_is_the_sum_over_its_micro_batches(tmp_path: Path) -> None:
    model = line([1.0, 1.0])
    optimizer = SGD(model.parameters(), lr=0.5)
    micro = [[3.0, 0.0], [0.0, 4.0], [6.0, 0.0], [0.0, 8.0], [100.0, 100.0]]
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET, every=1) as run:
        for index, inputs in enumerate(micro):
            model(torch.tensor([inputs])).sum().backward()
            run.log(micro=index)
            if index % 2 == 1:
                optimizer.step()
                optimizer.zero_grad()
    # (3, 4) and (6, 8); the fifth waits for a step that never comes.
    assert gradient_norms(tmp_path / "s.db") == {0: 5.0, 1: 10.0}
    assert list(recorded(tmp_path / "s.db", "phase/step")) == [0, 1]
    assert recorded(tmp_path / "s.db", "micro") == {0: 1.0, 1: 3.0, 2: 4.0}
    # 1 - 0.5 * (3, 4) = (-0.5, -1), then less 0.5 * (6, 8): (-3.5, -5)
    assert recorded(tmp_path / "s.db", "layers/weight/weight_norm")[1] == pytest.approx((3.5**2 + 5**2) ** 0.5)


@pytest.mark.parametrize("to_none", [True, False])
def test_gradients_that_were_zeroed_in_place_are_those_of_their_step_alone(tmp_path: Path, to_none: bool) -> None:
    model = nn.ModuleDict({"a": line([1.0, 1.0]), "b": line([1.0, 1.0])})
    optimizer = SGD(model.parameters(), lr=0.5)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET, every=1):
        for name, scale in (("a", 1.0), ("b", 2.0), ("a", 3.0)):
            optimizer.zero_grad(set_to_none=to_none)
            model[name](torch.tensor([[3.0, 4.0]]) * scale).sum().backward()
            optimizer.step()
    # Without a gradient there is no norm; a gradient of zeros has norm 0.
    unused = {} if to_none else {1: 0.0}
    assert gradient_norms(tmp_path / "s.db", "a.weight") == {0: 5.0, 2: 15.0} | unused
    unused = {} if to_none else {2: 0.0}
    assert gradient_norms(tmp_path / "s.db", "b.weight") == {1: 10.0} | unused


def test_clipped_gradients_are_read_as_the_optimizer_sees_them(tmp_path: Path) -> None:
    model = line([1.0, 1.0])
    optimizer = SGD(model.parameters(), lr=0.5)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET, every=1):
        model(torch.tensor([[30.0, 40.0]])).sum().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
    assert gradient_norms(tmp_path / "s.db")[0] == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("unscaled", [False, True])
def test_a_scaled_training_records_true_gradients_and_only_the_steps_that_moved_the_weights(
    tmp_path: Path, fused: bool, unscaled: bool
) -> None:
    model = line([1.0, 1.0])
    optimizer = SGD(model.parameters(), lr=0.5, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    factors = [1.0, torch.inf, 2.0, torch.nan, torch.inf, 3.0, 4.0]
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET, every=1, histograms=1) as run:
        for index, factor in enumerate(factors):
            optimizer.zero_grad()
            scaler.scale(model(torch.tensor([[3.0, 4.0]])).sum() * factor).backward()
            if unscaled:
                scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
            run.log(index=index)
    assert gradient_norms(tmp_path / "s.db") == {0: 5.0, 1: 10.0, 2: 15.0, 3: 20.0}
    assert recorded(tmp_path / "s.db", "index") == {0: 0.0, 1: 2.0, 2: 5.0, 3: 6.0}
    assert list(recorded(tmp_path / "s.db", "phase/step")) == [0, 1, 2, 3]
    assert list(recorded(tmp_path / "s.db", "learning_rate")) == [0, 1, 2, 3]
    assert recorded(tmp_path / "s.db", "layers/weight/update_ratio")[0] == pytest.approx(2.5 / 2**0.5)
    store, stored = read(tmp_path / "s.db")
    assert [each.maximum for each in store.histograms(stored.id, "gradients/weight")] == [4.0, 8.0, 12.0, 16.0]
    assert torch.equal(model.weight.detach(), torch.tensor([[1.0 - 15.0, 1.0 - 20.0]]))


@pytest.mark.parametrize("fused", [False, True])
def test_the_time_of_a_skipped_step_is_part_of_the_step_that_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fused: bool
) -> None:
    pace = paced(monkeypatch)
    model = nn.Sequential(line([1.0, 1.0]), Lap(pace, 3, 5))
    optimizer = SGD(model.parameters(), lr=0.5, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET):
        for factor in (1.0, torch.inf, 2.0):
            optimizer.zero_grad()
            scaler.scale(model(torch.ones(1, 2)).sum() * factor).backward()
            scaler.step(optimizer)
            scaler.update()
    found = parts(tmp_path / "s.db")
    assert (found["forward"], found["backward"]) == ([3, 6], [5, 10])


def mixed(store: Path | None, fused: bool) -> list[torch.Tensor]:
    """Losses and weights of a training in bfloat16 and float32, with or without torchglass."""
    model = seeded()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=3)
    run = store and torchglass.attach(model, optimizer, store=store, **QUIET, every=1, histograms=2)
    losses = []
    for index, inputs in enumerate(batches(8)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = model(inputs)
        loss = outputs.float().square().mean() * (torch.inf if index == 4 else 1.0)
        scaler.scale(loss).backward()
        if index % 2 == 1:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=False)
        losses.append(loss.detach())
    if run:
        run.finish()
    return [*losses, *model.parameters()]


@pytest.mark.parametrize("fused", [False, True])
def test_mixed_precision_with_accumulation_is_bit_equal_to_training_without_us(tmp_path: Path, fused: bool) -> None:
    assert bits(mixed(tmp_path / "s.db", fused)) == bits(mixed(None, fused))
    assert list(recorded(tmp_path / "s.db", "phase/step")) == [0, 1, 2]


def test_under_autocast_gradients_are_those_that_autograd_gives(tmp_path: Path) -> None:
    norms = []
    for attached in (True, False):
        model = seeded()
        optimizer = SGD(model.parameters(), lr=0.1)
        run = torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET, every=1) if attached else None
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = model(batches(1)[0])
            assert outputs.dtype == torch.bfloat16
            loss = outputs.float().square().mean()
        loss.backward()
        gradient = model.get_parameter("first.weight").grad
        assert gradient is not None
        norms.append(float(gradient.norm()))
        optimizer.step()
        if run is not None:
            run.finish()
    assert gradient_norms(tmp_path / "s.db", "first.weight")[0] == pytest.approx(norms[1], rel=1e-6)


def test_accumulation_over_a_paced_loop_adds_up_what_each_micro_batch_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = paced(monkeypatch)
    model = nn.Sequential(nn.Linear(4, 2), Lap(pace, 3, 5))
    optimizer = paced_sgd(model, pace)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET):
        for index, inputs in enumerate(batches(7)):
            loss = model(inputs).square().mean()
            pace.spend(0.5)
            loss.backward()
            pace.spend(0.25)
            if index % 3 == 2:
                optimizer.step()
                optimizer.zero_grad()
                pace.spend(0.125)
    found = parts(tmp_path / "s.db")
    assert found["forward"] == [9, 9]
    assert found["backward"] == [15, 15]
    assert found["optimizer"] == [7, 7]
    assert found["other"][0] == 1.5 + 0.25
    assert found["data"] == [0.5, 0.125 + 0.5]  # without run.batches what precedes a forward is called data
