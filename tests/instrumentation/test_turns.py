"""A byte budget for a sampled step: every parameter has its turn, and the run says that there are turns."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training import batches, facts, recorded, seeded, train_step

import torchglass
from torchglass.errors import OptionError
from torchglass.instrumentation.buffer import Deferred, Record
from torchglass.instrumentation.layers.statistics import LayerStatistics
from torchglass.instrumentation.layers.turns import Turns
from torchglass.instrumentation.transfer import Transfer
from torchglass.store import Batch, Fact


def parameters(*sizes: int) -> dict[str, nn.Parameter]:
    """Float32 parameters a, b, c and so on, of so many elements."""
    return {name: nn.Parameter(torch.ones(size)) for name, size in zip("abcdefgh", sizes, strict=False)}


def turns(budget_bytes: int, *sizes: int) -> list[list[str]]:
    """Names by turn, over one round."""
    found = Turns(parameters(*sizes), budget_bytes)
    names = []
    for _ in range(len(found)):
        names.append(list(found.now()))
        found.advance()
    return names


def test_within_the_budget_all_parameters_are_read_at_each_sample() -> None:
    assert turns(8 * 60, 10, 20, 30) == [["a", "b", "c"]]


def test_a_parameter_costs_its_own_bytes_and_its_gradients() -> None:
    assert turns(8 * 60 - 1, 10, 20, 30) == [["a", "b"], ["c"]]
    assert Turns(parameters(10, 20, 30), 1).read_bytes == 480


def test_one_that_exceeds_the_budget_alone_has_a_turn_to_itself() -> None:
    assert turns(8 * 20, 10, 1000, 10, 10, 1) == [["a"], ["b"], ["c", "d"], ["e"]]


def test_nothing_and_empty_parameters_are_no_turns() -> None:
    assert turns(100) == [[]]
    assert turns(100, 0, 5, 0) == [["b"]]


def sample(
    statistics: LayerStatistics, records: list[Record], step: int, *, histograms: bool
) -> tuple[set[str], set[str]]:
    """Names whose norms and whose histograms a step read."""
    records.clear()
    statistics.read_gradients(step, 0.0, norms=True, histograms=histograms)
    statistics.read_weights(step, 0.0, norms=True, histograms=histograms)
    batch = Batch()
    for record in records:
        if isinstance(record, Deferred):
            record.add_to(batch)
    return (
        {column.key.split("/")[1] for row in batch.rows for column in row.columns},
        {block.key.split("/")[1] for block in batch.histograms},
    )


def test_norms_and_histograms_take_their_turns_each_at_their_own_pace() -> None:
    records: list[Record] = []
    statistics = LayerStatistics(parameters(10, 10).copy, Transfer(), records.append, budget_bytes=80)
    norms: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    for step in range(8):
        # Histograms at every second sample of norms: with one count of turns they would always meet the same half.
        of_norms, of_histograms = sample(statistics, records, step, histograms=step % 2 == 0)
        norms.update(of_norms)
        counted.update(of_histograms)
    assert norms == {"a": 4, "b": 4}
    assert counted == {"a": 2, "b": 2}


def test_the_run_says_once_that_parameters_take_turns() -> None:
    records: list[Record] = []
    statistics = LayerStatistics(parameters(10, 10).copy, Transfer(), records.append, rank=2, budget_bytes=80)
    stated = []
    for step in range(3):
        sample(statistics, records, step, histograms=True)
        stated += [record for record in records if isinstance(record, Fact) and record.key.startswith("layers/")]
    assert [(fact.rank, fact.key) for fact in stated] == [(2, "layers/norms"), (2, "layers/histograms")]
    assert all("160 bytes" in fact.value and "80" in fact.value and "2 turns" in fact.value for fact in stated)


def test_within_the_budget_nothing_is_said() -> None:
    records: list[Record] = []
    sample(LayerStatistics(parameters(10).copy, Transfer(), records.append), records, 0, histograms=False)
    assert not [record for record in records if isinstance(record, Fact)]


def test_the_budget_is_an_option_of_attach(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    path = tmp_path / "s.db"
    # 4 x 8 and 8 weights, 8 x 2 and 2: the first takes half of the bytes.
    with torchglass.attach(model, optimizer, store=path, devices=False, every=1, budget_bytes=2 * 4 * 32):
        for inputs in batches(4):
            train_step(model, optimizer, inputs)
    assert list(recorded(path, "layers/first.weight/weight_norm")) == [0, 2]
    assert list(recorded(path, "layers/second.bias/weight_norm")) == [1, 3]
    assert "2 turns" in facts(path)["layers/norms"]


@pytest.mark.parametrize("budget", [0, -1, 1.5, "1 GB", None])
def test_a_budget_that_is_none_is_refused_at_the_call(budget: Any) -> None:
    with pytest.raises(OptionError, match=r"budget_bytes=.*give a number of bytes"):
        torchglass.attach(seeded(), budget_bytes=budget)
