"""Whatever a model takes and returns: its phases are seen, and what it returns is handed on untouched."""

from __future__ import annotations

import dataclasses
import warnings
from collections import OrderedDict, UserDict, namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from paced import Lap, Pace, paced, paced_sgd, parts
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence
from training import batches, recorded

import torchglass

QUIET: dict[str, Any] = {"devices": False, "profile": None, "every": 1}
Named = namedtuple("Named", ["hidden", "logits"])


@dataclasses.dataclass
class Loose:
    """As a detector returns."""

    boxes: list[dict[str, torch.Tensor]]
    score: torch.Tensor | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    """Has no `__dict__`."""

    name: str
    logits: torch.Tensor


class Plain:
    """An object of no known kind that holds its tensors as attributes, as many libraries return."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits


class Output(OrderedDict[str, Any]):
    """A mapping whose items are attributes too, as transformers returns."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


Wrap = Callable[[torch.Tensor], Any]
SHAPES: dict[str, tuple[Wrap, Callable[[Any], torch.Tensor]]] = {
    "tensor": (lambda out: out, lambda given: given),
    "tuple": (lambda out: (out.detach(), out), lambda given: given[1]),
    "list of lists": (lambda out: [[None], [out]], lambda given: given[1][0]),
    "dict": (lambda out: {"loss": 0.0, "logits": out}, lambda given: given["logits"]),
    "nested dict": (lambda out: {"heads": {"a": out.detach(), "b": (out,)}}, lambda given: given["heads"]["b"][0]),
    "user dict": (lambda out: UserDict(logits=out), lambda given: given["logits"]),
    "mapping with attributes": (lambda out: Output(logits=out), lambda given: given.logits),
    "named tuple": (lambda out: Named(None, out), lambda given: given.logits),
    "dataclass": (lambda out: Loose([{"box": out}]), lambda given: given.boxes[0]["box"]),
    "dataclass with slots": (lambda out: Slotted("a", out), lambda given: given.logits),
    "object": (Plain, lambda given: given.logits),
    "packed sequence": (
        lambda out: pack_padded_sequence(out.unsqueeze(0), torch.tensor([len(out)]), batch_first=True),
        lambda given: given.data,
    ),
}


class Wrapping(nn.Module):
    """3 s forward, 5 s backward, and a result in some wrapping."""

    def __init__(self, pace: Pace, wrap: Wrap) -> None:
        super().__init__()
        self.layer, self.lap, self.wrap = nn.Linear(4, 2), Lap(pace, 3, 5), wrap

    def forward(self, inputs: torch.Tensor, *, scale: float = 1.0) -> Any:
        self.last = self.wrap(self.lap(self.layer(inputs) * scale))
        return self.last


@pytest.mark.parametrize("shape", SHAPES)
def test_forward_and_backward_are_seen_and_the_result_is_the_models_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    wrap, unwrap = SHAPES[shape]
    pace = paced(monkeypatch)
    model = Wrapping(pace, wrap)
    optimizer = paced_sgd(model, pace)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET):
        for inputs in batches(2):
            result = model(inputs, scale=2.0)
            assert result is model.last
            if isinstance(result, PackedSequence):
                assert result.batch_sizes.sum() == len(inputs)
            pace.spend(0.5)
            unwrap(result).square().mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    found = parts(tmp_path / "s.db")
    assert (found["forward"], found["optimizer"]) == ([3, 3], [7, 7])
    assert (found["backward"], found["other"]) == ([5, 5], [0.5, 0.5])


def test_a_loss_on_a_second_output_alone_is_backward_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = paced(monkeypatch)

    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Sequential(nn.Linear(4, 2), Lap(pace, 1, 2))
            self.two = nn.Sequential(nn.Linear(4, 2), Lap(pace, 3, 5))

        def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.one(inputs), self.two(inputs)

    model = Heads()
    optimizer = paced_sgd(model, pace)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET):
        for index, inputs in enumerate(batches(3)):
            one, two = model(inputs)
            (two if index else one + two).square().mean().backward()
            optimizer.step()
    found = parts(tmp_path / "s.db")
    assert found["backward"] == [7, 5, 5]


def test_a_result_may_be_changed_in_place_by_the_loop(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET):
        for inputs in batches(2):
            outputs = model(inputs)
            outputs.view(-1)[:5].add_(1)
            outputs.mul_(2).relu_()
            outputs.sum().backward()
            optimizer.step()
    assert all(seconds > 0 for seconds in recorded(tmp_path / "s.db", "phase/backward").values())


def test_a_result_may_be_saved_without_a_word_about_hooks(tmp_path: Path) -> None:
    model = nn.Linear(4, 4)
    with torchglass.attach(model, store=tmp_path / "s.db", **QUIET):
        outputs = model(batches(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            torch.save(outputs, tmp_path / "outputs.pt")
    assert torch.load(tmp_path / "outputs.pt").tolist() == outputs.tolist()


def test_a_model_that_only_measures_is_called_without_a_trace(tmp_path: Path) -> None:
    class Metric(nn.Module):
        def forward(self, inputs: torch.Tensor) -> float:
            return float(inputs.mean())

    metric = Metric()
    with torchglass.attach(metric, store=tmp_path / "s.db", **QUIET) as run:
        for inputs in batches(3):
            with run.step():
                run.log(mean=metric(inputs))
    assert recorded(tmp_path / "s.db", "mean") == {i: float(inputs.mean()) for i, inputs in enumerate(batches(3))}
    assert recorded(tmp_path / "s.db", "phase/backward") == {0: 0.0, 1: 0.0, 2: 0.0}
