"""What was alive at a peak, by stack, in a snapshot as torch makes it; and a recording always switched off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import torchglass
from torchglass.errors import OptionError
from torchglass.instrumentation.buffer import Deferred, Record
from torchglass.instrumentation.memory.history import KIND, MAX_STEPS, CudaRecording, MemoryHistory
from torchglass.instrumentation.memory.peak import BEFORE, NO_FRAMES, OTHER, TOP, Group, Peak, peak_of
from torchglass.store import Batch, Fact

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 1)
LINEAR = [
    {"filename": "linear.py", "line": 125, "name": "forward"},
    {"filename": "train.py", "line": 7, "name": "step"},
]
LINEAR_TEXT = "linear.py:125 forward\ntrain.py:7 step"
RELU = [{"filename": "relu.py", "line": 9, "name": "forward"}]


def alloc(address: int, size: int, frames: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    return {"action": "alloc", "addr": address, "size": size, "stream": 0, "frames": list(frames)}


def free(address: int, size: int) -> list[dict[str, Any]]:
    requested = {"action": "free_requested", "addr": address, "size": size, "stream": 0, "frames": []}
    return [requested, {**requested, "action": "free_completed"}]


def snapshot(alive: Mapping[int, int], *events: dict[str, Any] | list[dict[str, Any]]) -> dict[str, Any]:
    """Of device 1, where a segment of another device and blocks that are free lie about."""
    blocks = [
        {"address": address, "size": -(-size // 512) * 512, "requested_size": size, "state": "active_allocated"}
        for address, size in alive.items()
    ]
    free_blocks = [
        {"address": 1, "size": 5120, "requested_size": 5000, "state": "inactive"},
        {"address": 2, "size": 5120, "requested_size": 5000, "state": "active_awaiting_free"},
    ]
    foreign = {"address": 77, "size": 512, "requested_size": 500, "state": "active_allocated"}
    trace = [event for each in events for event in (each if isinstance(each, list) else [each])]
    return {
        "segments": [{"device": 0, "blocks": [foreign]}, {"device": 1, "blocks": [*blocks, *free_blocks]}],
        "device_traces": [[alloc(77, 500)], trace],
    }


def test_the_peak_is_between_and_what_was_alive_then_is_known_by_its_stack() -> None:
    found = peak_of(
        snapshot(
            {100: 1000, 300: 50},
            alloc(200, 400, LINEAR),
            alloc(201, 600, LINEAR),
            alloc(202, 300, RELU),
            free(201, 600),
            free(200, 400),
            alloc(300, 50, RELU),
            free(202, 300),
        ),
        1,
        {100: "parameters"},
    )
    assert found == Peak(
        peak_bytes=2300,
        end_bytes=1050,
        groups=(
            Group(OTHER, LINEAR_TEXT, 1000, 2, 600),
            Group("parameters", BEFORE, 1000, 1, 1000),
            Group(OTHER, "relu.py:9 forward", 300, 1, 300),
        ),
        rest_bytes=0,
        rest_count=0,
        part_bytes={OTHER: 1300, "parameters": 1000},
        event_count=10,
        refused_bytes=None,
        free_bytes=None,
    )


def test_of_a_history_without_its_beginning_the_rest_follows_from_the_end() -> None:
    found = peak_of(snapshot({100: 10}, free(500, 700), alloc(100, 10, LINEAR)), 1, {})
    assert found.peak_bytes == 700
    assert found.groups == (Group(OTHER, BEFORE, 700, 1, 700),)


def test_an_address_that_was_given_out_again_is_no_part_of_the_model_before() -> None:
    found = peak_of(
        snapshot(
            {100: 10, 101: 20}, alloc(100, 900, LINEAR), free(100, 900), alloc(100, 10, RELU), alloc(101, 20, RELU)
        ),
        1,
        {100: "gradients"},
    )
    assert found.groups == (Group(OTHER, LINEAR_TEXT, 900, 1, 900),)
    assert found.part_bytes == {OTHER: 900}


def test_of_equal_peaks_the_last_is_shown_whose_gradients_are_still_known() -> None:
    step = [alloc(100, 50, LINEAR), alloc(200, 30, RELU), *free(200, 30)]
    found = peak_of(snapshot({100: 50}, step, free(100, 50), step), 1, {100: "gradients"})
    assert found.peak_bytes == 80
    assert found.part_bytes == {"gradients": 50, OTHER: 30}


def test_groups_and_rest_are_all_that_was_alive() -> None:
    events = [
        alloc(1000 + line, 10 + line, [{"filename": "a.py", "line": line, "name": "f"}]) for line in range(TOP + 20)
    ]
    found = peak_of(snapshot({1000 + line: 10 + line for line in range(TOP + 20)}, *events), 1, {})
    assert len(found.groups) == TOP
    assert found.groups[0].size_bytes == 10 + TOP + 19
    assert found.rest_count == 20
    assert sum(group.size_bytes for group in found.groups) + found.rest_bytes == found.peak_bytes
    assert sum(found.part_bytes.values()) == found.peak_bytes


def test_allocations_of_the_backward_pass_say_why_they_have_no_stack() -> None:
    (group,) = peak_of(snapshot({5: 8}, alloc(5, 8)), 1, {}).groups
    assert group.stack == NO_FRAMES


def test_an_allocation_that_was_refused_is_told() -> None:
    refused = {"action": "oom", "size": 4096, "device_free": 512, "stream": 0, "frames": LINEAR}
    found = peak_of(snapshot({5: 8}, alloc(5, 8), refused), 1, {})
    assert (found.refused_bytes, found.free_bytes, found.peak_bytes) == (4096, 512, 8)


def test_a_device_without_events_shows_what_it_holds() -> None:
    found = peak_of(snapshot({5: 8}), 1, {})
    assert (found.peak_bytes, found.event_count) == (8, 0)
    assert peak_of({"segments": [], "device_traces": []}, 0, {}).peak_bytes == 0


@dataclass
class Attached:
    """A model on a device of which only the name is needed."""

    model: nn.Module | None = None
    optimizers: Sequence[torch.optim.Optimizer] = ()
    device: torch.device = CUDA


@dataclass
class Torch:
    """Stands in for torch's recording."""

    found: Mapping[str, Any] = field(default_factory=lambda: snapshot({5: 8}, alloc(5, 8, LINEAR)))
    is_running: bool = False
    calls: list[str] = field(default_factory=list)
    fails_at: str = ""

    def is_on(self) -> bool:
        return self.is_running

    def start(self) -> None:
        self._call("start")
        self.is_running = True

    def snapshot(self) -> Mapping[str, Any]:
        self._call("snapshot")
        assert self.is_running
        return self.found

    def stop(self) -> None:
        self._call("stop")
        self.is_running = False

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name == self.fails_at:
            raise RuntimeError(f"no {name}\nC++ frames")


def history(recording: Torch, attached: Attached | None = None) -> tuple[MemoryHistory, list[Record]]:
    records: list[Record] = []
    clock = count(0, 1_500_000_000)
    made = MemoryHistory(attached or Attached(), records.append, 0, recording=recording, now_ns=lambda: next(clock))
    return made, records


def stored(records: list[Record]) -> Batch:
    batch = Batch()
    for record in records:
        if isinstance(record, Deferred):
            record.add_to(batch)
        elif isinstance(record, Fact):
            batch.facts.append(record)
    return batch


def test_the_steps_asked_for_are_recorded_and_their_peak_is_stored() -> None:
    recording = Torch()
    recorder, records = history(recording)
    recorder.begin(3, 40, 1.0)
    for step in range(40, 50):
        recorder.step_ended(step, 2.0 + step)
    assert recording.calls == ["start", "snapshot", "stop"]
    batch = stored(records)
    (artifact,) = batch.artifacts
    assert (artifact.kind, artifact.key, artifact.step, artifact.time) == (KIND, "cuda:1", 42, 44.0)
    assert {name: values.tolist() for name, values in artifact.arrays.items()} == {
        "parts": [OTHER],
        "stacks": [LINEAR_TEXT],
        "bytes": [8],
        "counts": [1],
        "largest_bytes": [8],
    }
    assert artifact.meta["peak_bytes"] == 8
    assert (artifact.meta["first_step"], artifact.meta["steps"]) == (40, 3)
    assert artifact.meta["snapshot_seconds"] == 1.5
    assert batch.facts == []


def test_an_end_before_its_time_stores_what_there_is_and_switches_off() -> None:
    recording = Torch()
    recorder, records = history(recording)
    recorder.begin(3, 0, 1.0)
    recorder.step_ended(0, 2.0)
    recorder.close(3.0)
    recorder.close(4.0)
    assert recording.calls == ["start", "snapshot", "stop"]
    (artifact,) = stored(records).artifacts
    assert (artifact.meta["steps"], artifact.meta["asked_steps"]) == (1, 3)


def test_a_recording_of_the_programs_own_is_left_alone() -> None:
    recording = Torch(is_running=True)
    recorder, records = history(recording)
    with pytest.warns(RuntimeWarning, match="left alone"):
        recorder.begin(3, 0, 1.0)
    recorder.step_ended(0, 2.0)
    recorder.close(3.0)
    assert recording.calls == []
    (fact,) = stored(records).facts
    assert fact.key == "missing/memory_peak"


def test_on_the_cpu_a_fact_says_why_nothing_is_recorded() -> None:
    recording = Torch()
    recorder, records = history(recording, Attached(device=CPU))
    with pytest.warns(RuntimeWarning, match="CUDA devices alone; this model trains on cpu"):
        recorder.begin(3, 0, 1.0)
    assert recording.calls == []
    assert len(stored(records).facts) == 1


@pytest.mark.parametrize(
    ("fails_at", "calls"),
    [("start", ["start"]), ("snapshot", ["start", "snapshot", "stop"]), ("stop", ["start", "snapshot", "stop"])],
)
@pytest.mark.filterwarnings("ignore:torchglass recorded no memory history")
def test_what_torch_refuses_is_a_fact_and_no_exception(fails_at: str, calls: list[str]) -> None:
    recording = Torch(fails_at=fails_at)
    recorder, records = history(recording)
    recorder.begin(1, 0, 1.0)
    recorder.step_ended(0, 2.0)
    recorder.close(3.0)
    assert recording.calls == calls
    (fact,) = stored(records).facts
    assert fact.value.endswith(f"RuntimeError: no {fails_at}")


def test_a_snapshot_of_an_unknown_form_is_a_fact() -> None:
    recorder, records = history(Torch(found={"blocks": []}))
    recorder.begin(1, 0, 1.0)
    recorder.step_ended(0, 2.0)
    batch = stored(records)
    assert batch.artifacts == []
    assert "KeyError: 'device_traces'" in batch.facts[0].value


@pytest.mark.parametrize("steps", [0, -1, MAX_STEPS + 1, True, 2.0, "3", None])
def test_a_number_of_steps_that_is_none_is_refused_at_the_call(steps: Any) -> None:
    recording = Torch()
    with pytest.raises(OptionError, match="record_memory"):
        history(recording)[0].begin(steps, 0, 1.0)
    assert recording.calls == []


def test_asking_again_changes_nothing_of_what_is_under_way() -> None:
    recording = Torch()
    recorder, _ = history(recording)
    recorder.begin(2, 0, 1.0)
    with pytest.warns(RuntimeWarning, match="goes on as it was"):
        recorder.begin(50, 0, 1.0)
    recorder.step_ended(0, 2.0)
    recorder.step_ended(1, 3.0)
    assert recording.calls == ["start", "snapshot", "stop"]


def test_torch_is_asked_for_python_stacks_of_allocations_in_a_bounded_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        torch.cuda.memory, "_record_memory_history", lambda *given, **named: asked.append((given, named))
    )
    monkeypatch.setattr(torch.cuda.memory, "_snapshot", lambda: {"segments": []})
    monkeypatch.setattr(torch._C, "_cuda_isHistoryEnabled", lambda: True, raising=False)
    recording = CudaRecording()
    assert recording.is_on()
    recording.start()
    assert recording.snapshot() == {"segments": []}
    recording.stop()
    assert asked == [(("all",), {"context": "alloc", "stacks": "python", "max_entries": 100_000}), ((None,), {})]


def test_a_run_on_the_cpu_says_why_there_is_nothing_to_record_and_trains_on(tmp_path: Path) -> None:
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, profile=None) as run:
        with pytest.warns(RuntimeWarning, match="recorded no memory history"):
            run.record_memory(steps=2)
        for _step in range(4):
            model(torch.ones(3, 4)).sum().backward()
            optimizer.step()
        with pytest.raises(OptionError, match="from 1 to 100"):
            run.record_memory(steps=0)
    with torchglass.open_store(tmp_path / "s.db", read_only=True) as store:
        stored = store.run(run.name)
        told = {fact.key: fact.value for fact in store.facts(stored.id)}
        assert store.artifacts(stored.id, kind="memory_peak") == []
    assert any("CUDA devices alone" in str(value) for value in told.values())
    with torchglass.start(store=tmp_path / "t.db", devices=False) as alone, pytest.raises(OptionError, match="attach"):
        alone.record_memory()
