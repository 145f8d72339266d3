"""Norms, update ratios and histograms, compared with what numpy makes of the same tensors."""

from __future__ import annotations

import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training import Small, batches, read, recorded, seeded, train_step

import torchglass
from torchglass.instrumentation.buffer import Deferred, Record
from torchglass.instrumentation.layers.statistics import LayerStatistics, select_parameters
from torchglass.instrumentation.transfer import Transfer
from torchglass.store import Batch, Fact


def test_norms_and_the_update_ratio_equal_those_computed_by_hand(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, 4.0]]))
        model.bias.zero_()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, every=1):
        # The loss is 6 w1 + 8 w2 + b: gradients (6, 8) and 1; weights go to (0, 0), the bias to -0.5.
        model(torch.tensor([[6.0, 8.0]])).sum().backward()
        optimizer.step()
    found = {
        name: recorded(tmp_path / "s.db", f"layers/{name}")
        for parameter in ("weight", "bias")
        for name in (f"{parameter}/gradient_norm", f"{parameter}/weight_norm", f"{parameter}/update_ratio")
    }
    assert found == {
        "weight/gradient_norm": {0: 10.0},
        "weight/weight_norm": {0: 0.0},
        "weight/update_ratio": {0: 1.0},  # moved by 5 from a norm of 5
        "bias/gradient_norm": {0: 1.0},
        "bias/weight_norm": {0: 0.5},
        "bias/update_ratio": {},  # it was zero: there is no ratio
    }


def test_statistics_come_at_their_cadence_and_not_in_between(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, every=3, histograms=4):
        for inputs in batches(9):
            train_step(model, optimizer, inputs)
    store, run = read(tmp_path / "s.db")
    for quantity in ("gradient_norm", "weight_norm", "update_ratio"):
        assert list(recorded(tmp_path / "s.db", f"layers/first.weight/{quantity}")) == [0, 3, 6]
    for key in ("weights/second.bias", "gradients/second.bias"):
        assert [each.step for each in store.histograms(run.id, key)] == [0, 4, 8]
    spent = recorded(tmp_path / "s.db", "phase/torchglass")
    # Step 1 is the first whose optimizer has state: what memory it holds is measured there, too.
    assert [step for step, seconds in spent.items() if seconds > 0] == [0, 1, 3, 4, 6, 8]


def test_histograms_hold_the_gradient_before_and_the_weights_after_the_update(tmp_path: Path) -> None:
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, histograms=1):
        model(torch.full((1, 1), 8.0)).sum().backward()
        optimizer.step()
    store, run = read(tmp_path / "s.db")
    assert [each.maximum for each in store.histograms(run.id, "gradients/weight")] == [8.0]
    assert [each.maximum for each in store.histograms(run.id, "weights/weight")] == [-3.0]


def test_patterns_choose_parameters_and_wrappers_prefixes_are_left_out() -> None:
    model = Small()
    model.second.bias.requires_grad_(False)
    names = ["first.weight", "first.bias", "second.weight"]
    assert list(select_parameters(model, None, ())) == names
    assert list(select_parameters(model, ["first.*"], ["*.bias"])) == ["first.weight"]
    assert list(select_parameters(nn.Sequential(model), ["0.second*"], ())) == ["0.second.weight"]

    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = model

    assert list(select_parameters(Wrapper(), None, ())) == names


def test_odd_parameters_do_no_harm(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.empty = nn.Parameter(torch.empty(0, 3))
            self.unused = nn.Parameter(torch.ones(2))
            self.complex = nn.Parameter(torch.ones(2, dtype=torch.complex64))
            self.table = nn.Embedding(4, 2, sparse=True)
            self.wide = nn.Parameter(torch.ones(2, dtype=torch.float64))

        def forward(self) -> torch.Tensor:
            total: torch.Tensor = self.complex.abs().sum() + self.table(torch.tensor([1])).sum() + self.empty.sum()
            return total + self.wide.sum()

    model = Odd()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, every=1, histograms=1):
        for _ in range(2):
            optimizer.zero_grad()
            model().backward()
            optimizer.step()
    store, run = read(tmp_path / "s.db")
    assert "weights/empty" not in store.histogram_keys(run.id)
    assert "gradients/table.weight" not in store.histogram_keys(run.id)
    assert list(recorded(tmp_path / "s.db", "layers/table.weight/weight_norm")) == [0, 1]
    assert recorded(tmp_path / "s.db", "layers/unused/gradient_norm") == {}
    assert recorded(tmp_path / "s.db", "layers/complex/weight_norm")[1] > 0
    assert not [fact for fact in store.facts(run.id) if fact.key.startswith("warnings")]


def test_nan_gradients_are_recorded_as_nan_and_counted(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, every=1, histograms=1):
        train_step(model, optimizer, torch.full((2, 4), torch.nan))
    store, run = read(tmp_path / "s.db")
    assert math.isnan(recorded(tmp_path / "s.db", "layers/second.bias/gradient_norm")[0])
    (histogram,) = store.histograms(run.id, "gradients/second.bias")
    assert (histogram.nan_count, histogram.count) == (2, 2)


def test_an_optimizer_that_reads_no_gradient_at_all_yields_weights_alone() -> None:
    records: list[Record] = []
    statistics = LayerStatistics(dict(Small().named_parameters()).copy, Transfer(), records.append)
    statistics.read_gradients(0, 0.0, norms=True, histograms=True)
    statistics.read_weights(0, 0.0, norms=True, histograms=True)
    batch = written(records)
    assert {block.key.split("/")[0] for block in batch.histograms} == {"weights"}
    (row,) = batch.rows
    assert {column.key.rsplit("/")[-1] for column in row.columns} == {"weight_norm", "update_ratio"}


def written(records: list[Record]) -> Batch:
    """What the writer makes of records."""
    batch = Batch()
    for record in records:
        if isinstance(record, Deferred):
            record.add_to(batch)
        elif isinstance(record, Fact):
            batch.facts.append(record)
    return batch


def test_a_batch_that_is_put_together_again_has_the_norms_of_its_own_sample() -> None:
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    made: list[Record] = []
    statistics = LayerStatistics(lambda: {"w": weight}, Transfer(), made.append)

    def sample(step: int) -> Deferred:
        statistics.read_gradients(step, 0.0, norms=True, histograms=False)
        statistics.read_weights(step, 0.0, norms=True, histograms=False)
        last = made[-1]
        assert isinstance(last, Deferred)
        return last

    refused, again = Batch(), Batch()
    first = sample(0)
    first.add_to(refused)
    with torch.no_grad():
        weight.mul_(100)
    sample(1)  # into the memory that the first gave back
    first.add_to(again)
    assert [block.values[0, 0] for block in (*refused.rows, *again.rows)] == [5.0, 5.0]


def test_after_a_step_that_raised_the_next_one_is_read_whole(tmp_path: Path) -> None:
    class Refusing(torch.optim.SGD):
        refuses = False

        def step(self, closure: Any = None) -> Any:
            if self.refuses:
                raise ValueError("no")
            return super().step(closure)

    model = seeded()
    optimizer = Refusing(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, every=1, profile=None):
        for index, inputs in enumerate(batches(4)):
            optimizer.refuses = index == 1
            with pytest.raises(ValueError, match="no") if optimizer.refuses else nullcontext():
                train_step(model, optimizer, inputs)
    for quantity in ("gradient_norm", "update_ratio"):
        assert list(recorded(tmp_path / "s.db", f"layers/first.weight/{quantity}")) == [0, 1, 2]
