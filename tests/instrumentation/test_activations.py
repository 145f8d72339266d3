"""What modules return in sampled steps: dead units told on numbers, training left bit for bit as it was, no trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from training import Small, batches, bits, facts, read, recorded, seeded, train_step

import torchglass
from torchglass.errors import OptionError
from torchglass.instrumentation import activations, every
from torchglass.instrumentation.activations import leaves

QUIET: dict[str, Any] = {"devices": False, "every": None, "histograms": None, "profile": None}


class Convolving(nn.Module):
    """A convolution of 4 channels, of which `dead` are switched off, called twice through one ReLU."""

    def __init__(self, dead: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 1)
        self.act = nn.ReLU()
        self.drop = nn.Dropout(0.5)
        self.last = nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.bias[:] = torch.tensor([-100.0] * dead + [2.0] * (4 - dead))  # type: ignore[index]

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, 4) -> (N, 2)."""
        seen = self.drop(self.act(self.conv(inputs[:, None, None])))
        outputs: torch.Tensor = self.last(self.act(seen.mean(dim=(2, 3)) * 0 + torch.tensor([1.0, 1.0, -1.0, 3.0])))
        return outputs


def run_steps(model: nn.Module, store: Path, steps: int = 4, **options: Any) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with torchglass.attach(model, optimizer, store=store, **QUIET, **options):
        for inputs in batches(steps):
            train_step(model, optimizer, inputs)


def test_a_relu_whose_bias_is_far_below_zero_is_dead_altogether_and_sampled_as_asked(tmp_path: Path) -> None:
    model = seeded()
    with torch.no_grad():
        model.first.bias.fill_(-100.0)  # type: ignore[union-attr, operator]
    run_steps(model, tmp_path / "s.db", activations=every(3))
    assert recorded(tmp_path / "s.db", "layers/act/dead_percent") == {0: 100.0, 3: 100.0}
    assert recorded(tmp_path / "s.db", "layers/act/zero_percent") == {0: 100.0, 3: 100.0}
    assert recorded(tmp_path / "s.db", "layers/first/dead_percent") == {0: 0.0, 3: 0.0}
    store, run = read(tmp_path / "s.db")
    series = store.find_series(run.id, "layers/act/dead_percent", 0)
    assert series is not None
    assert (series.kind, series.unit) == ("layer", "%")


def test_channels_of_a_convolution_are_units_and_a_module_that_is_called_twice_is_told_twice(tmp_path: Path) -> None:
    run_steps(Convolving(dead=1), tmp_path / "s.db", 1, activations=True)
    value = lambda key: recorded(tmp_path / "s.db", f"layers/{key}").get(0)  # noqa: E731
    assert value("act/dead_percent") == 25.0
    assert value("act/zero_percent") == 25.0
    assert value("act/activation_mean") == pytest.approx(1.5)
    assert value("act/activation_std") == pytest.approx(np.std([0, 2, 2, 2]))
    assert value("act:2/dead_percent") == 25.0  # the third feature of the linear layer's input
    assert value("act:2/activation_mean") == pytest.approx(5 / 4)
    store, run = read(tmp_path / "s.db")
    named = {one.key.split("/")[1] for one in store.series_of(run.id, kind="layer")}
    assert named == {"conv", "act", "act:2", "last"}


def test_a_unit_that_lives_in_one_of_several_forwards_of_a_step_is_alive_and_their_numbers_are_one(
    tmp_path: Path,
) -> None:
    model = nn.Sequential(nn.ReLU(), nn.Linear(2, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", activations=1, **QUIET):
        for rows in ([[-1.0, -1.0]], [[4.0, -1.0], [4.0, -1.0]]):
            model(torch.tensor(rows)).sum().backward()
        model.eval()
        model(torch.ones(5, 2))  # an evaluation is no part of the step
        model.train()
        optimizer.step()
    found = {
        name: recorded(tmp_path / "s.db", f"layers/0/{name}")[0]
        for name in ("dead_percent", "zero_percent", "activation_mean", "activation_std")
    }
    seen = np.array([0, 0, 4, 0, 4, 0])
    assert found["dead_percent"] == 50.0
    assert found["zero_percent"] == pytest.approx(100 * 4 / 6)
    assert found["activation_mean"] == pytest.approx(seen.mean())
    assert found["activation_std"] == pytest.approx(seen.std())


class Tokens(nn.Module):
    """A sequence model: features stand last."""

    def __init__(self) -> None:
        super().__init__()
        self.inward = nn.Linear(4, 4)
        self.act = nn.ReLU()
        with torch.no_grad():
            self.inward.bias[:] = torch.tensor([-100.0, -100.0, -100.0, 100.0])

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, 4) -> (1, N, 4)."""
        outputs: torch.Tensor = self.act(self.inward(inputs[None]))
        return outputs


def test_features_of_a_sequence_are_its_last_axis(tmp_path: Path) -> None:
    run_steps(Tokens(), tmp_path / "s.db", 1, activations=1)
    assert recorded(tmp_path / "s.db", "layers/act/dead_percent") == {0: 75.0}


def trained(make: Callable[[], nn.Module], store: Path | None) -> list[torch.Tensor]:
    model = seeded(make)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    run = store and torchglass.attach(model, optimizer, store=store, activations=1, devices=False, every=1)
    torch.manual_seed(3)
    losses = [train_step(model, optimizer, inputs) for inputs in batches(6)]
    if run:
        run.finish()
    return [*losses, *model.parameters()]


@pytest.mark.parametrize(
    "make", [Small, lambda: Small(inplace=True), Convolving], ids=["plain", "in place", "dropout and weight norm"]
)
def test_training_is_bit_equal_and_no_module_keeps_a_hook(tmp_path: Path, make: Callable[[], nn.Module]) -> None:
    assert bits(trained(make, tmp_path / "s.db")) == bits(trained(make, None))
    model = seeded(make)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    hooked: list[int] = []
    leaf = next(module for _, module in leaves(model))
    leaf.register_forward_pre_hook(lambda module, _arguments: hooked.append(len(module._forward_hooks)))
    with torchglass.attach(model, optimizer, store=tmp_path / "t.db", activations=2, **QUIET):
        for inputs in batches(4):
            train_step(model, optimizer, inputs)
    assert hooked == [1, 0, 1, 0]
    assert all(not module._forward_hooks for _, module in leaves(model))


def test_a_forward_that_raises_leaves_no_hook(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", activations=1, **QUIET):
        with pytest.raises(RuntimeError):
            model(torch.ones(2, 7))
        assert all(not module._forward_hooks for _, module in leaves(model))
        train_step(model, optimizer, batches(1)[0])
    assert list(recorded(tmp_path / "s.db", "layers/act/dead_percent")) == [0]


def test_a_compiled_model_is_left_alone_and_that_is_told(tmp_path: Path) -> None:
    model = seeded()
    compiled: Any = torch.compile(model, backend="eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = torchglass.attach(compiled, optimizer, store=tmp_path / "s.db", activations=1, **QUIET)
    with pytest.warns(RuntimeWarning, match="activations of a compiled model are not recorded"):
        train_step(compiled, optimizer, batches(1)[0])
    train_step(compiled, optimizer, batches(1)[0])
    run.finish()
    assert recorded(tmp_path / "s.db", "layers/act/dead_percent") == {}
    assert "compiled model" in facts(tmp_path / "s.db")["warnings/activations"]


def test_a_compiled_part_is_left_alone_and_the_rest_is_read(tmp_path: Path) -> None:
    model = nn.Sequential(Small(), nn.ReLU())
    model[0].compile(backend="eager")
    assert [name for name, _ in leaves(model)] == ["1"]
    run_steps(model, tmp_path / "s.db", 2, activations=1)
    assert len(recorded(tmp_path / "s.db", "layers/1/dead_percent")) == 2


def test_of_very_many_modules_the_first_are_read_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activations, "MAX_MODULES", 2)
    with pytest.warns(RuntimeWarning, match="the first 2 of 3 modules"):
        run_steps(seeded(), tmp_path / "s.db", 1, activations=1)
    assert recorded(tmp_path / "s.db", "layers/act/dead_percent")
    assert recorded(tmp_path / "s.db", "layers/second/dead_percent") == {}


def test_a_result_that_is_no_tensor_of_numbers_is_passed_over(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.LSTM(4, 3, batch_first=True)
            self.words = Worded()

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            self.words(inputs)
            outputs: torch.Tensor = self.cell(inputs[None])[0]
            return outputs

    class Worded(nn.Module):
        def forward(self, inputs: torch.Tensor) -> Any:
            return {"rows": len(inputs)}

    run_steps(Odd(), tmp_path / "s.db", 1, activations=1)
    store, run = read(tmp_path / "s.db")
    assert {one.key.split("/")[1] for one in store.series_of(run.id, kind="layer")} == {"cell"}


@pytest.mark.parametrize("wrong", ["often", 0, 1.5], ids=str)
def test_a_cadence_that_is_none_is_refused_at_the_call(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(OptionError):
        torchglass.attach(seeded(), store=tmp_path / "s.db", activations=wrong)


def test_nothing_is_read_unless_asked(tmp_path: Path) -> None:
    run_steps(seeded(), tmp_path / "s.db", 2)
    run_steps(seeded(), tmp_path / "t.db", 2, activations=False)
    for name in ("s.db", "t.db"):
        assert recorded(tmp_path / name, "layers/act/dead_percent") == {}
