"""Probes are explained between the steps of a training that does not notice, and rest for what they cost."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ranks import succeed
from torch import nn
from training import bits, facts, recorded

import torchglass
from torchglass.errors import ExplainError, OptionError
from torchglass.instrumentation.buffer import ScalarRow
from torchglass.instrumentation.probing import FRAMES_AT_A_STRIDE, ProbeTurns
from torchglass.store import ArtifactBlock, Fact, Store


class Seeing(nn.Module):
    """Dropout, batch norm and an in-place activation: whatever a careless look would disturb."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.3)
        self.last = nn.Linear(4 * 36, 3)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, 1, 6, 6) -> (N, 3)."""
        scores: torch.Tensor = self.last(self.drop(self.act(self.norm(self.first(pictures)))).flatten(1))
        return scores


def pictures(count: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 1, 6, 6, generator=torch.Generator().manual_seed(seed))


def trained(store: Path, probes: torchglass.Probes | None, steps: int = 7, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    model = Seeing()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    settings = {"devices": False, "profile": None, **options}
    with torchglass.attach(model, optimizer, store=store, probes=probes, **settings):
        torch.manual_seed(3)
        for step in range(steps):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(pictures(8, step)), torch.randint(0, 3, (8,)))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return model


def test_weights_buffers_and_random_state_are_bit_equal_with_and_without_probes(tmp_path: Path) -> None:
    outcomes = []
    for probes in (torchglass.Probes(pictures(3), every=1, budget=1.0, methods=["gradcam"]), None):
        model = trained(tmp_path / f"{probes is None}.db", probes)
        outcomes.append(bits([*model.parameters(), *model.buffers(), torch.get_rng_state()]))
        assert model.training
        assert all(part.training for part in model.modules())
        assert not any(len(part._forward_hooks) + len(part._backward_hooks) for part in model.modules())
    assert outcomes[0] == outcomes[1]
    assert len(recorded(tmp_path / "False.db", "explanation/gradcam/size")) > 1


def test_looks_are_at_the_first_step_every_so_many_and_at_the_end(tmp_path: Path) -> None:
    probes = torchglass.Probes(pictures(2), targets=[0, 2], every=3, budget=1.0, truth=pictures(2)[:, 0] > 0.5)
    trained(tmp_path / "s.db", probes, steps=9)
    assert sorted(recorded(tmp_path / "s.db", "explanation/gradcam/size")) == [0, 3, 6, 8]
    drift = recorded(tmp_path / "s.db", "explanation/gradcam/drift")
    assert sorted(drift) == [3, 6, 8]
    assert all(0 <= value <= 2 for value in drift.values())
    assert all(0 < value < 1 for value in recorded(tmp_path / "s.db", "explanation/gradcam/entropy").values())
    assert len(recorded(tmp_path / "s.db", "explanation/gradcam/truth_share")) == 4
    with Store(tmp_path / "s.db", read_only=True) as store:
        kept = store.artifacts(1, kind="explanation")
        arrays = store.arrays(kept[-1].id)
    assert [(one.key, one.step) for one in kept] == [(f"probe/{i}", step) for step in (0, 3, 6, 8) for i in (0, 1)]
    assert {one.meta["layer"] for one in kept} == {kept[0].meta["layer"]}
    assert kept[-1].meta["label"] == kept[-1].meta["target"] == 2
    assert arrays["attributions"].shape == (1, 1, 6, 6)
    assert arrays["truth"].shape == (1, 6, 6)
    assert facts(tmp_path / "s.db")["probes"]["looks"] == 4


def test_no_look_falls_into_a_profiler_window(tmp_path: Path) -> None:
    probes = torchglass.Probes(pictures(1), every=1, budget=1.0)
    trained(tmp_path / "s.db", probes, steps=12, profile=torchglass.every(1000, steps=3))
    looked = set(recorded(tmp_path / "s.db", "explanation/gradcam/size"))
    assert 0 in looked
    assert not looked & {5, 6, 7}
    assert "window" not in str(facts(tmp_path / "s.db"))


def test_a_disabled_run_explains_nothing_and_misuse_raises_at_once(tmp_path: Path) -> None:
    model, store = Seeing(), tmp_path / "s.db"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torchglass.attach(model, optimizer, store=store, probes=torchglass.Probes(pictures(1)), mode="disabled").finish()
    assert not store.exists()
    with pytest.raises(OptionError, match=r"probes is a Tensor: give torchglass.Probes"):
        torchglass.attach(model, optimizer, store=store, probes=pictures(1))  # type: ignore[arg-type]
    with pytest.raises(ExplainError, match=r"cannot run on inputs of shape \(1, 2, 6, 6\)"):
        torchglass.attach(model, optimizer, store=store, probes=torchglass.Probes(torch.rand(1, 2, 6, 6)))
    with pytest.raises(ExplainError, match="target class 3 is out of range"):
        torchglass.attach(model, optimizer, store=store, probes=torchglass.Probes(pictures(1), targets=3))
    assert not store.exists()


def diverged(store: Path) -> None:
    """A network whose weights are infinite after its first step."""
    model, probes = Seeing(), torchglass.Probes(pictures(1), every=1, budget=1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=math.inf)
    with torchglass.attach(model, optimizer, store=store, probes=probes, devices=False):
        for _ in range(4):
            optimizer.zero_grad()
            model(pictures(4)).square().mean().backward()
            optimizer.step()


def test_a_network_that_diverges_is_told_of_once_and_trains_on(tmp_path: Path) -> None:
    with pytest.warns(RuntimeWarning, match="scores are not finite") as told:
        diverged(tmp_path / "s.db")
    assert len(told) == 1
    assert len(recorded(tmp_path / "s.db", "learning_rate")) == 4
    assert "not finite" in facts(tmp_path / "s.db")["warnings/probes gradcam"]


# The turns alone, with a clock of the test's and looks of a known cost


@dataclass
class Found:
    values: dict[str, float]
    frames: list[Any]
    notices: list[str]


@dataclass
class Kept:
    key: str = "probe/0"
    meta: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


class Costly:
    """Looks that take a second of a clock which the test turns."""

    def __init__(self, every: int, budget: float, error: Exception | None = None) -> None:
        self.every, self.budget, self.now, self.error = every, budget, 0.0, error

    def begin(self, _model: nn.Module) -> Costly:
        return self

    def look(self, _model: nn.Module) -> Found:
        if self.error is not None:
            raise self.error
        self.now += 1.0
        return Found({"gradcam/size": 1.0}, [Kept()], [])

    def turns(self, put: Any) -> ProbeTurns:
        return ProbeTurns(self, self, 0, put, lambda: 0.0, lambda: self.now)


def steps(turns: ProbeTurns, looks: Costly, count: int, seconds: float) -> Iterator[int]:
    """Steps at which was looked, each step taking so many seconds."""
    model = nn.Linear(1, 1)
    for step in range(count):
        looks.now += seconds
        if step >= turns.wakes_at and turns.step_ended(step, model):
            yield step


def test_looks_take_no_more_of_the_time_than_their_budget() -> None:
    looks = Costly(every=10, budget=0.05)
    turns = looks.turns(lambda record: None)
    taken = list(steps(turns, looks, 2000, seconds=0.3))
    assert taken[:4] == [0, 70, 140, 210]  # a look of 1 s, then 19 s of rest: 64 steps, and the next tenth
    assert len(taken) / looks.now <= 0.05
    free = Costly(every=10, budget=1.0)
    assert list(steps(free.turns(lambda record: None), free, 41, seconds=0.2)) == [0, 10, 20, 30, 40]


def test_the_maps_of_a_long_training_are_thinned_while_its_numbers_go_on() -> None:
    looks, put = Costly(every=1, budget=1.0), []
    turns = looks.turns(put.append)
    total = FRAMES_AT_A_STRIDE * 7
    assert len(list(steps(turns, looks, total, seconds=1.0))) == total
    kept = [record.step for record in put if isinstance(record, ArtifactBlock)]
    assert len([record for record in put if isinstance(record, ScalarRow)]) == total
    assert kept == [
        *range(FRAMES_AT_A_STRIDE),
        *range(FRAMES_AT_A_STRIDE, 3 * FRAMES_AT_A_STRIDE, 2),
        *range(3 * FRAMES_AT_A_STRIDE, total, 4),
    ]
    turns.finish(total + 1, nn.Linear(1, 1))
    assert [record.step for record in put if isinstance(record, ArtifactBlock)][-1] == total + 1


def test_the_maps_of_the_last_look_are_kept_also_where_thinning_left_them_out() -> None:
    looks, put = Costly(every=1, budget=1.0), []
    turns = looks.turns(put.append)
    last = len(list(steps(turns, looks, FRAMES_AT_A_STRIDE + 2, seconds=1.0))) - 1
    kept = [record.step for record in put if isinstance(record, ArtifactBlock)]
    assert kept[-1] == last - 1
    turns.finish(last, nn.Linear(1, 1))
    assert [record.step for record in put if isinstance(record, ArtifactBlock)] == [*kept, last]


def test_a_look_that_fails_altogether_is_the_last_and_reaches_nobody() -> None:
    looks, put = Costly(every=1, budget=1.0, error=torch.OutOfMemoryError("no room\nfor it")), []
    turns = looks.turns(put.append)
    with pytest.warns(RuntimeWarning, match="no more after step 0: OutOfMemoryError: no room"):
        assert list(steps(turns, looks, 5, seconds=1.0)) == [0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        turns.finish(9, nn.Linear(1, 1))
    (fact,) = put
    assert isinstance(fact, Fact)
    assert fact.key == "warnings/probes"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without torch.distributed")
def test_of_several_ranks_the_first_one_looks_and_all_learn_the_same(tmp_path: Path) -> None:
    succeed(
        """
model = DDP(nn.Linear(3, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
probes = torchglass.Probes(torch.eye(3), every=1, budget=1.0)
with torchglass.attach(model, optimizer, **quiet, run="two", probes=probes):
    for step in range(3):
        optimizer.zero_grad()
        model(torch.full((2, 3), 1.0 + RANK)).square().mean().backward()
        optimizer.step()
weights = [torch.empty(2, 3) for _ in range(WORLD)]
dist.all_gather(weights, model.module.weight.detach())
assert torch.equal(*weights)
""",
        tmp_path,
        2,
    )
    key = "explanation/gradient_x_input/size"
    assert sorted(recorded(tmp_path / "store.db", key, rank=0)) == [0, 1, 2]
    assert recorded(tmp_path / "store.db", key, rank=1) == {}
