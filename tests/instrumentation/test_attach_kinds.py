"""Modules that are not quite modules, and what torch makes of an attached one: watched, refused in words, or let be."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import func, fx, nn
from training import Small, batches, facts, recorded, seeded, train_step

import torchglass
from torchglass.errors import OptionError

QUIET: dict[str, Any] = {"devices": False, "profile": None, "every": 1}
# torch warns that its scripts are deprecated; people have them all the same.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Scripted(nn.Module):
    """A module around a script."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.jit.script(nn.Sequential(nn.Linear(4, 2)))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, 4) -> (N, 2)."""
        outputs: torch.Tensor = self.inner(inputs)
        return outputs


KINDS: dict[str, Callable[[], nn.Module]] = {
    "wrapped script": Scripted,
    "trace": lambda: torch.jit.trace(Small(), torch.ones(1, 4)),  # type: ignore[no-untyped-call]
    "graph module": lambda: fx.symbolic_trace(Small()),
    "data parallel": lambda: nn.DataParallel(Small()),
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 2)),
    "lazy": lambda: nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 1)),
    "float64": lambda: Small().double(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_phase_of_an_odd_kind_of_module_is_seen(tmp_path: Path, kind: str) -> None:
    model = KINDS[kind]()
    if kind == "lazy":
        model(batches(1)[0])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET):
        for inputs in batches(3):
            train_step(model, optimizer, inputs.double() if kind == "float64" else inputs)
    for phase in ("forward", "backward", "optimizer"):
        seconds = recorded(tmp_path / "s.db", f"phase/{phase}")
        assert list(seconds) == [0, 1, 2]
        assert all(value > 0 for value in seconds.values())
    assert not [key for key in facts(tmp_path / "s.db") if key.startswith("warnings")]


@pytest.mark.parametrize("inside", [False, True])
def test_a_scripted_module_is_refused_with_the_way_out_and_nothing_is_left_behind(tmp_path: Path, inside: bool) -> None:
    script = torch.jit.script(nn.Sequential(nn.Linear(4, 2)))
    with pytest.raises(OptionError, match=r"scripted module.*wrap it in a torch\.nn\.Module"):
        torchglass.attach(nn.ModuleList([script]) if inside else script, store=tmp_path / "s.db")
    assert os.listdir(tmp_path) == []


@pytest.fixture
def attached(tmp_path: Path) -> Iterator[tuple[nn.Module, torchglass.Run]]:
    model = seeded()
    with torchglass.attach(model, store=tmp_path / "s.db", **QUIET) as run:
        yield model, run
    assert not [key for key in facts(tmp_path / "s.db") if key.startswith("warnings")]


Attached = tuple[nn.Module, torchglass.Run]


def test_an_attached_model_can_be_exported_and_traced(attached: Attached) -> None:
    model, _ = attached
    inputs = batches(1)[0]
    exported = torch.export.export(model, (inputs,)).module()
    graph = fx.symbolic_trace(model)
    traced = torch.jit.trace(model, inputs)  # type: ignore[no-untyped-call]
    for made in (exported, graph, traced):
        assert torch.equal(made(inputs), model(inputs))


def test_gradients_per_sample_of_an_attached_model_are_right(attached: Attached) -> None:
    model, _ = attached
    parameters = {name: each.detach() for name, each in model.named_parameters()}

    def loss_of(weights: dict[str, torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = func.functional_call(model, weights, (inputs,))
        return outputs.sum()

    inputs = batches(1)[0]
    each = func.vmap(func.grad(loss_of), in_dims=(None, 0))(parameters, inputs)
    model(inputs).sum().backward()
    gradient = model.get_parameter("first.weight").grad
    assert gradient is not None
    torch.testing.assert_close(each["first.weight"].sum(dim=0), gradient)


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_a_copy_of_an_attached_model_compiles_as_one_graph(attached: Attached, how: str) -> None:
    model, _ = attached
    twin = copy.deepcopy(model) if how == "deepcopy" else pickle.loads(pickle.dumps(model))
    torch._dynamo.reset()
    compiled = torch.compile(twin, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(batches(1)[0]), model(batches(1)[0]))


def test_a_model_moved_converted_and_loaded_while_attached_is_read_as_it_is(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET):
        train_step(model, optimizer, batches(1)[0])
        model.double()
        model.load_state_dict({name: 2 * value for name, value in model.state_dict().items()})
        train_step(model, optimizer, batches(1)[0].double())
        model.float()
        train_step(model, optimizer, batches(1)[0])
    norms = recorded(tmp_path / "s.db", "layers/second.weight/weight_norm")
    assert norms == pytest.approx({0: norms[0], 1: 2 * norms[0], 2: 2 * norms[0]}, rel=1e-6)
