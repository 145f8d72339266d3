"""The memory of each step: the allocator's figures as they are, the split that adds up to the peak, and what is N/A."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from training import batches, facts, seeded, train_step
from training import recorded as stored

import torchglass
from torchglass.instrumentation.buffer import Buffer, Deferred, ScalarRow
from torchglass.instrumentation.cadence import NEVER, Cadence, every
from torchglass.instrumentation.memory.allocator import Reading, read_allocator
from torchglass.instrumentation.memory.meter import MemoryMeter
from torchglass.instrumentation.rows import to_row_blocks
from torchglass.store import Fact

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
NOTHING = Reading(0, 0, 0, 0, 0)


@dataclass
class Attached:
    """A model and its optimizers, held."""

    model: nn.Module | None
    optimizers: Sequence[torch.optim.Optimizer] = ()
    device: torch.device = CPU


@dataclass
class Allocator:
    """Stands in for the one function that reads torch's allocator."""

    now: Reading = NOTHING
    asked: list[int] = field(default_factory=list)

    def read(self, index: int) -> Reading:
        self.asked.append(index)
        return self.now


def meter(
    attached: Attached, cadence: Cadence = NEVER, allocator: Allocator | None = None, cost_ns: int = 0
) -> tuple[MemoryMeter, Buffer]:
    buffer, clock = Buffer(), count(0, cost_ns)
    read = allocator.read if allocator is not None else read_allocator
    made = MemoryMeter(
        attached, cadence, buffer, 0, read=read, total_bytes=lambda _index: 10_000, now_ns=lambda: next(clock)
    )
    return made, buffer


def recorded(buffer: Buffer) -> tuple[dict[str, dict[int, float]], dict[str, object]]:
    """Values by series and step, and facts by key."""
    rows: list[Any] = []
    series: dict[str, dict[int, float]] = {}
    facts: dict[str, object] = {}
    for record in buffer.take():
        match record:
            case ScalarRow():
                for key, value in record.values.items():
                    series.setdefault(key, {})[record.step] = value
            case Fact():
                facts[record.key] = record.value
            case Deferred():
                pass
            case _:
                rows.append(record)
    for block in to_row_blocks(rows):
        for column, values in zip(block.columns, block.values.T, strict=True):
            assert (column.kind, column.unit) == ("memory", "B")
            series.setdefault(column.key, {}).update(zip(block.steps.tolist(), values.tolist(), strict=True))
    return series, facts


def fake_model(device: torch.device = CUDA) -> nn.Module:
    with FakeTensorMode():
        model = nn.Module()
        model.weight = nn.Parameter(torch.empty(100, device=device))
        model.weight.grad = torch.empty(100, device=device)
        model.register_buffer("mean", torch.empty(10, device=device))
    return model


def test_the_allocators_figures_are_recorded_at_each_step_as_they_are() -> None:
    allocator = Allocator()
    watched, buffer = meter(Attached(fake_model(), device=CUDA), allocator=allocator)
    for step, reading in enumerate([(100, 400, 300), (120, 500, 300), (110, 500, 350), (110, 500, 350)]):
        allocator.now = Reading(*reading, 0, 0)
        watched.step_ended(step, 10.0 + step)
    series, told = recorded(buffer)
    assert list(series["memory/allocated_bytes"].values()) == [100, 120, 110, 110]
    assert list(series["memory/reserved_bytes"].values()) == [400, 500, 500, 500]
    assert list(series["memory/peak_bytes"].values()) == [300, 300, 350, 350]
    assert list(series["memory/fragmentation_bytes"].values()) == [300, 380, 390, 390]
    assert series["memory/step_peak_bytes"] == {2: 350}, "where the mark rose it is the step's own, elsewhere unknown"
    assert "memory/process_bytes" not in series
    assert told["memory"]["device"] == "cuda:0"  # type: ignore[index]
    assert not any(key.startswith("missing/") for key in told)


def test_a_mark_that_the_program_reset_is_followed_and_never_reset_by_us() -> None:
    allocator = Allocator()
    watched, buffer = meter(Attached(fake_model(), device=CUDA), allocator=allocator)
    for step, peak in enumerate([300, 200, 250]):
        allocator.now = Reading(100, 400, peak, 0, 0)
        watched.step_ended(step, 0.0)
    series, _ = recorded(buffer)
    assert list(series["memory/peak_bytes"].values()) == [300, 200, 250]
    assert series["memory/step_peak_bytes"] == {2: 250}


def test_retries_are_recorded_when_they_change_and_warned_of_once() -> None:
    allocator = Allocator()
    watched, buffer = meter(Attached(fake_model(), device=CUDA), allocator=allocator)
    for step, (retries, failures) in enumerate([(3, 0), (3, 0), (4, 0), (4, 0), (6, 1)]):
        allocator.now = Reading(1, 1, 1, retries, failures)
        watched.step_ended(step, 0.0)
    series, told = recorded(buffer)
    assert series["memory/allocator_retries"] == {2: 4, 4: 6}
    assert series["memory/allocator_failures"] == {2: 0, 4: 1}
    assert str(told["warnings/memory retries"]).startswith("at step 2 cuda:0 had no room")


def test_the_split_adds_up_to_the_peak_at_that_moment() -> None:
    allocator = Allocator(Reading(1000, 2000, 3000, 0, 0))
    watched, buffer = meter(Attached(fake_model(), device=CUDA), every(100), allocator)
    assert watched.wakes_at == 0
    watched.before_optimizer(0)
    allocator.now = Reading(1000, 2000, 4500, 0, 0)  # what the optimizer's step takes on top is not the split's
    watched.step_ended(0, 5.0)
    series, told = recorded(buffer)
    parts = {key: values[0] for key, values in series.items() if key.split("/")[1].split("_")[0] in PARTS}
    assert parts == {
        "memory/parameters_bytes": 400,
        "memory/gradients_bytes": 400,
        "memory/buffers_bytes": 40,
        "memory/activations_bytes": 3000 - 840,
    }
    assert "no optimizer was attached" in str(told["missing/memory/optimizer_bytes"])


PARTS = ("parameters", "gradients", "optimizer", "buffers", "activations")


def test_the_split_is_taken_at_the_cadence_and_at_the_second_step() -> None:
    watched, buffer = meter(Attached(seeded()), every(10))
    for step in range(25):
        watched.before_optimizer(step)
        watched.step_ended(step, 0.0)
    assert list(recorded(buffer)[0]["memory/parameters_bytes"]) == [0, 1, 10, 20]


def test_the_second_split_has_the_optimizers_state() -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    watched, buffer = meter(Attached(model, [optimizer]), every(100))
    optimizer.register_step_pre_hook(lambda *_: watched.before_optimizer(steps[-1]))
    steps = []
    for step, inputs in enumerate(batches(2)):
        steps.append(step)
        train_step(model, optimizer, inputs)
        optimizer.zero_grad()
        watched.step_ended(step, 0.0)
    series, _ = recorded(buffer)
    size = 4 * (4 * 8 + 8 + 8 * 2 + 2)
    assert series["memory/optimizer_bytes"] == {0: 0, 1: size}
    assert series["memory/gradients_bytes"] == {0: size, 1: size}, "seen before zero_grad freed them"


def test_of_two_optimizers_of_a_step_neither_hides_the_others_gradients() -> None:
    model = nn.Linear(3, 2, bias=False)
    watched, buffer = meter(Attached(model), every(100))
    model.weight.grad = torch.zeros(2, 3)
    watched.before_optimizer(0)
    model.weight.grad = None
    watched.before_optimizer(0)
    watched.step_ended(0, 0.0)
    assert recorded(buffer)[0]["memory/gradients_bytes"] == {0: 24}


def test_a_split_without_an_optimizers_step_says_that_gradients_were_not_seen() -> None:
    watched, buffer = meter(Attached(seeded()), every(100))
    watched.step_ended(0, 0.0)
    series, told = recorded(buffer)
    assert "memory/gradients_bytes" not in series
    assert "no gradient was left" in str(told["missing/memory/gradients_bytes"])
    assert series["memory/parameters_bytes"] == {0: 4 * 58}


def test_a_costly_split_is_taken_more_seldom_and_says_so() -> None:
    watched, buffer = meter(Attached(seeded()), every(100), cost_ns=2_500_000)
    steps = []
    for step in range(1001):
        if step >= watched.wakes_at:
            steps.append(step)
            watched.before_optimizer(step)
        watched.step_ended(step, 0.0)
    assert steps == [0, 1, 300, 600, 900], "2.5 ms are 10 µs for each of 250 steps"
    assert recorded(buffer)[1]["memory/split"] == {"every": 300, "asked": 100, "cost_seconds": 0.0025}


def test_other_devices_are_stated_apart() -> None:
    model = fake_model()
    with FakeTensorMode():
        model.elsewhere = nn.Parameter(torch.empty(7, device="cuda:1"))
    watched, buffer = meter(Attached(model, device=CUDA), every(10), Allocator(Reading(0, 0, 5000, 0, 0)))
    for step in range(2):
        watched.before_optimizer(step)
        watched.step_ended(step, 0.0)
    series, told = recorded(buffer)
    assert series["memory/parameters_bytes"][0] == 400
    assert told["memory/other devices"] == {"cuda:1": {"parameters": 28, "buffers": 0, "gradients": 0, "optimizer": 0}}


def test_on_the_cpu_the_process_is_measured_and_the_rest_says_why_not() -> None:
    watched, buffer = meter(Attached(seeded()), every(10))
    for step in range(3):
        watched.step_ended(step, float(step))
    watched.close()
    watched.step_ended(3, 3.0)
    series, told = recorded(buffer)
    assert list(series["memory/process_bytes"]) == [0, 1, 2]
    assert min(series["memory/process_bytes"].values()) > 10_000_000
    for name in ("allocated", "reserved", "peak", "fragmentation"):
        assert f"memory/{name}_bytes" not in series
        assert "this model trains on cpu" in str(told[f"missing/memory/{name}_bytes"])
    assert "counts no allocations on cpu" in str(told["missing/memory/activations_bytes"])


def test_the_process_is_read_ten_times_a_second_at_most() -> None:
    watched, buffer = meter(Attached(seeded()))
    for step in range(9):
        watched.step_ended(step, 1000 + step / 32)
    series, told = recorded(buffer)
    assert list(series["memory/process_bytes"]) == [0, 4, 8]
    assert told["memory"]["seconds_between_readings"] == 0.1  # type: ignore[index]


def test_an_allocator_that_cannot_be_read_is_not_available_and_stops_nothing() -> None:
    def read(_index: int) -> Reading:
        raise RuntimeError("pluggable allocators keep no statistics")

    buffer = Buffer()
    watched = MemoryMeter(Attached(fake_model(), device=CUDA), every(10), buffer, 0, read=read)
    for step in range(3):
        watched.before_optimizer(step)
        watched.step_ended(step, 0.0)
    series, told = recorded(buffer)
    assert set(series) == {"memory/parameters_bytes", "memory/buffers_bytes", "memory/gradients_bytes"}
    assert "pluggable allocators keep no statistics" in str(told["missing/memory/peak_bytes"])


def test_a_model_that_moves_is_followed() -> None:
    attached = Attached(fake_model(CPU))
    allocator = Allocator(Reading(7, 8, 9, 0, 0))
    watched, buffer = meter(attached, every(2), allocator)
    for step in range(5):
        if step == 2:
            attached.device, attached.model = CUDA, fake_model()
        watched.before_optimizer(step)
        watched.step_ended(step, float(step))
    watched.close()
    series, _ = recorded(buffer)
    assert list(series["memory/process_bytes"]) == [0, 1]
    assert list(series["memory/allocated_bytes"]) == [2, 3, 4]


def test_a_forgotten_model_is_measured_no_more() -> None:
    attached = Attached(seeded())
    watched, buffer = meter(attached, every(1))
    watched.step_ended(0, 0.0)
    attached.model = None
    watched.step_ended(1, 0.0)
    assert watched.wakes_at == math.inf
    assert list(recorded(buffer)[0]["memory/parameters_bytes"]) == [0]


def test_a_tensor_that_shows_no_storage_ends_the_split_with_its_reason() -> None:
    class Opaque(torch.Tensor):
        def __tensor_flatten__(self) -> tuple[list[str], None]:
            raise RuntimeError("opaque")

    model = nn.Module()
    model.register_buffer("weight", torch.zeros(3).as_subclass(Opaque))
    watched, buffer = meter(Attached(model), every(1))
    for step in range(3):
        watched.before_optimizer(step)
        watched.step_ended(step, 0.0)
    series, told = recorded(buffer)
    assert list(series) == ["memory/process_bytes"]
    assert "RuntimeError: opaque" in str(told["missing/memory/parameters_bytes"])


def test_the_allocator_is_read_by_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    nested = {
        "allocated_bytes": {"all": {"current": 11, "peak": 13}, "large_pool": {"current": 1, "peak": 2}},
        "reserved_bytes": {"all": {"current": 17, "peak": 19}},
        "num_alloc_retries": 23,
        "num_ooms": 29,
    }
    asked = []

    def read(index: int) -> object:
        asked.append(index)
        return nested

    monkeypatch.setattr(torch._C, "_cuda_memoryStats", read, raising=False)
    assert read_allocator(3) == Reading(11, 17, 13, 23, 29)
    assert asked == [3]


def test_without_the_private_call_the_public_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch._C, "_cuda_memoryStats", raising=False)
    with pytest.raises(KeyError):  # what torch returns where CUDA was never initialised is empty
        read_allocator(0)


def test_an_attached_run_stores_the_memory_of_each_step_and_the_split_with_gradients(tmp_path: Path) -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    place = tmp_path / "store.db"
    with torchglass.attach(model, optimizer, store=place, every=1000, devices=False, profile=None):
        for inputs in batches(5):
            train_step(model, optimizer, inputs)
            optimizer.zero_grad()
    size = 4 * (4 * 8 + 8 + 8 * 2 + 2)
    assert stored(place, "memory/parameters_bytes") == {0: size, 1: size}
    assert stored(place, "memory/gradients_bytes") == {0: size, 1: size}
    assert stored(place, "memory/optimizer_bytes") == {0: 0, 1: size}
    assert set(stored(place, "memory/process_bytes")) <= set(range(5))
    assert "CUDA devices alone" in facts(place)["missing/memory/peak_bytes"]
