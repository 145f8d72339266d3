"""Values on their way from a device: in order, without waiting, and never asked for during a capture."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from training import Small, batches, facts, recorded, train_step

import torchglass
from torchglass.instrumentation import device_phases as device_phases_module
from torchglass.instrumentation import readings as readings_module
from torchglass.instrumentation import transfer as transfer_module
from torchglass.instrumentation.device_phases import MAX_OPEN_STEPS, CudaClock, DeviceTimeline
from torchglass.instrumentation.profiling import windows as profiling_module
from torchglass.instrumentation.transfer import Transfer


class Device:
    """A GPU that works off its queue only when told to; its events refuse to be asked during a capture."""

    def __init__(self) -> None:
        self.now = 0.0
        self.done_until = -1.0
        self.capturing = False
        self.queries = 0
        self.made = 0
        self.pinned = 0

    def work(self, milliseconds: float) -> None:
        """Queue this much work."""
        self.now += milliseconds

    def catch_up(self) -> None:
        self.done_until = self.now


class Event:
    """A `torch.cuda.Event` of that device."""

    device: Device

    def __init__(self, enable_timing: bool = False) -> None:
        self.at = -1.0
        self.device.made += 1

    def record(self, stream: object = None) -> None:
        assert not self.device.capturing, "recorded into the user's graph"
        self.at = self.device.now

    def query(self) -> bool:
        assert not self.device.capturing, "a query can kill a capture"
        self.device.queries += 1
        return self.at <= self.device.done_until

    def synchronize(self) -> None:
        self.device.catch_up()

    def elapsed_time(self, other: Event) -> float:
        assert max(self.at, other.at) <= self.device.done_until, "read before it was ready"
        return other.at - self.at


class OnGpu(torch.Tensor):
    """A tensor that says it is on a GPU and refuses whatever would make the host wait for it."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda", 0)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        waits = {"item", "tolist", "numpy", "cpu", "__float__", "__bool__", "__int__", "__index__", "nonzero"}
        assert getattr(func, "__name__", "") not in waits, f"{func.__name__} waits for the device"
        return super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]


def on_gpu(value: Any) -> OnGpu:
    return torch.tensor(value).as_subclass(OnGpu)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    device = Device()
    monkeypatch.setattr(Event, "device", device, raising=False)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "device", lambda _device: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: None)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _device: device.catch_up())
    for module in (transfer_module, device_phases_module, profiling_module, readings_module):
        monkeypatch.setattr(module, "is_capturing", lambda _device=None: device.capturing)
    plain = torch.empty

    def empty(*arguments: Any, pin_memory: bool = False, **options: Any) -> torch.Tensor:
        device.pinned += pin_memory
        return plain(*arguments, **options)

    monkeypatch.setattr(transfer_module.torch, "empty", empty)  # type: ignore[attr-defined]
    return device


Arrays = list[list[float]]


def collecting(into: Arrays) -> Any:
    def deliver(array: npt.NDArray[Any]) -> None:
        into.append(np.atleast_1d(array).tolist())

    return deliver


def test_on_the_cpu_a_value_is_delivered_at_once_and_is_a_copy() -> None:
    arrived: list[npt.NDArray[Any]] = []
    tensor = torch.tensor([1.0, 2.0])
    Transfer().submit(tensor, arrived.append)
    tensor.zero_()
    assert arrived[0].tolist() == [1.0, 2.0]


def test_values_arrive_in_order_once_the_device_got_there(device: Device) -> None:
    transfer, arrived = Transfer(), Arrays()
    for value in (1.0, 2.0):
        device.work(1)
        transfer.submit(on_gpu([value]), collecting(arrived))
    transfer.poll()
    assert arrived == []
    device.catch_up()
    device.work(1)
    transfer.submit(on_gpu([3.0]), collecting(arrived))
    transfer.poll()
    assert arrived == [[1.0], [2.0]]
    transfer.drain()
    assert arrived == [[1.0], [2.0], [3.0]]
    assert (transfer.dropped, device.pinned) == (0, 3)  # a copy to memory that is not pinned would wait


def test_two_threads_that_ask_at_once_deliver_each_value_once_and_none_early(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer, arrived = Transfer(), Arrays()
    transfer.submit(on_gpu([1.0]), collecting(arrived))
    device.catch_up()
    device.work(1)
    transfer.submit(on_gpu([2.0]), collecting(arrived))
    answer = Event.query

    def answer_while_another_thread_asks(event: Event) -> bool:
        monkeypatch.setattr(Event, "query", answer)
        other = threading.Thread(target=transfer.poll)
        other.start()
        other.join()
        return event.query()

    monkeypatch.setattr(Event, "query", answer_while_another_thread_asks)
    transfer.poll()
    assert arrived == [[1.0]]
    device.catch_up()
    transfer.poll()
    assert arrived == [[1.0], [2.0]]


def test_during_a_capture_nothing_is_sent_or_asked_and_what_was_given_up_is_counted(device: Device) -> None:
    transfer, arrived = Transfer(), Arrays()
    transfer.submit(on_gpu([1.0]), collecting(arrived))
    device.catch_up()
    device.capturing = True
    transfer.submit(on_gpu([2.0]), collecting(arrived))
    transfer.poll()
    assert (arrived, device.queries, transfer.dropped) == ([], 0, 1)
    device.capturing = False
    transfer.poll()
    assert arrived == [[1.0]]


def test_a_device_too_far_behind_costs_values_and_not_memory(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer_module, "MAX_PENDING", 5)
    transfer, arrived = Transfer(), Arrays()
    device.work(1)
    for value in range(8):
        transfer.submit(on_gpu([float(value)]), collecting(arrived))
    transfer.drain()
    assert (len(arrived), transfer.dropped) == (5, 3)


def test_logging_tensors_on_a_gpu_waits_for_none_of_them_and_all_arrive(tmp_path: Path, device: Device) -> None:
    run = torchglass.attach(Small(), store=tmp_path / "s.db", devices=False)
    for step in range(3):
        device.work(5)
        run.log({"loss": on_gpu(step + 0.5), "accuracy": on_gpu([step]), "plain": 7.0}, step=step)
        run._transfer.poll()
    assert device.done_until < 0
    run.finish()
    assert recorded(tmp_path / "s.db", "loss") == {0: 0.5, 1: 1.5, 2: 2.5}
    assert recorded(tmp_path / "s.db", "accuracy") == {0: 0.0, 1: 1.0, 2: 2.0}


class Operations(TorchDispatchMode):
    """Notes the operators that reach the device."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def operations_of_a_step(path: Path, *, mode: Literal["on", "disabled"], device: Device) -> list[str]:
    model = Small()
    other = {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": on_gpu(0.1)}
    optimizer = torch.optim.SGD([{"params": list(model.parameters())}, other], lr=0.1, foreach=False)
    loss, inputs = on_gpu(3.0), batches(1)[0]
    with torchglass.attach(model, optimizer, store=path, devices=False, every=1, histograms=1, mode=mode) as run:
        device.capturing = True
        with Operations() as operations:
            train_step(model, optimizer, inputs)
            run.log(loss=loss)
        device.capturing = False
    return operations.names


def test_a_loop_that_nothing_watches_passes_on_what_arrived_whenever_it_logs(tmp_path: Path, device: Device) -> None:
    with torchglass.start(store=tmp_path / "s.db", devices=False) as run:
        for step in range(5):
            device.work(1)
            run.log(loss=on_gpu(float(step)), step=step)
            device.catch_up()
        assert len(run._transfer.pending) == 1
    assert recorded(tmp_path / "s.db", "loss") == {step: float(step) for step in range(5)}


def test_nothing_of_ours_becomes_part_of_a_graph_that_the_user_captures(tmp_path: Path, device: Device) -> None:
    path = tmp_path / "s.db"
    watched = operations_of_a_step(path, mode="on", device=device)
    assert watched == operations_of_a_step(path, mode="disabled", device=device)
    assert facts(path)["warnings/device values"].startswith("2 device values were given up")


@pytest.mark.parametrize(
    ("captured", "is_open_after"),
    [(set(), {4, 5, 6}), ({4}, set()), ({5, 7, 8}, {4, 5, 6, 7, 8, 9})],
    ids=["none", "where it would open", "where it would close"],
)
def test_no_profiler_window_opens_or_closes_during_a_capture(
    tmp_path: Path, device: Device, captured: set[int], is_open_after: set[int]
) -> None:
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    window = torchglass.every(100, steps=2)
    opened = set()
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, profile=window) as run:
        for step, inputs in enumerate(batches(12)):
            device.capturing = step in captured
            train_step(model, optimizer, inputs)
            if run._watcher.watched is not None and run._watcher.watched.profiler._profiler is not None:
                opened.add(step)
    assert opened == is_open_after


def timeline_on(device: Device) -> tuple[DeviceTimeline, dict[int, dict[str, float]]]:
    delivered: dict[int, dict[str, float]] = {}

    def deliver(step: int, _time: float, seconds: Mapping[str, float], host_bound_percent: float) -> None:
        delivered[step] = {"step": sum(seconds.values()), **seconds, "host bound": host_bound_percent}

    return DeviceTimeline(CudaClock(torch.device("cuda", 0)), deliver), delivered


def one_step(timeline: DeviceTimeline, device: Device, step: int) -> None:
    device.work(2)
    timeline.mark("forward")
    device.work(3 + step)
    timeline.mark("backward")
    timeline.close_step(step, 0.0)
    timeline.poll()


def test_device_time_is_read_later_in_order_and_sums_to_the_step(device: Device) -> None:
    timeline, delivered = timeline_on(device)
    for step in range(3):
        one_step(timeline, device, step)
    assert delivered == {}
    device.catch_up()
    timeline.poll()
    assert list(delivered) == [0, 1, 2]
    for step, seconds in delivered.items():
        assert seconds["forward"] == pytest.approx(0.002)
        assert seconds["backward"] == pytest.approx((3 + step) / 1e3)
        assert seconds["step"] == seconds["forward"] + seconds["backward"]


def test_a_device_that_had_nothing_left_to_do_at_a_boundary_makes_the_step_host_bound(device: Device) -> None:
    timeline, delivered = timeline_on(device)
    for step, catches_up_before in enumerate([set(), {1}, {0, 1, 2, 3}]):
        for boundary, phase in enumerate(("data", "forward", "backward", "optimizer")):
            if boundary in catches_up_before:
                device.catch_up()
            device.work(1)
            timeline.mark(phase)  # type: ignore[arg-type]
        timeline.close_step(step, 0.0)
    device.catch_up()
    timeline.poll()
    assert [delivered[step]["host bound"] for step in range(3)] == [0.0, 25.0, 100.0]


def test_events_are_used_again_and_never_while_a_step_still_needs_them(device: Device) -> None:
    timeline, delivered = timeline_on(device)
    for step in range(200):
        one_step(timeline, device, step)
        if step % 5 == 4:
            device.catch_up()
            timeline.poll()
    assert device.made < 20
    assert [round(delivered[step]["backward"] * 1e3) for step in range(200)] == [3 + step for step in range(200)]


def test_a_long_step_that_is_added_up_midway_leaves_the_step_before_it_right(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_phases_module, "MAX_OPEN_STAMPS", 4)
    timeline, delivered = timeline_on(device)
    one_step(timeline, device, 0)
    device.catch_up()
    for _ in range(30):
        device.work(1)
        timeline.mark("forward")
        device.work(2)
        timeline.mark("backward")
        device.catch_up()
    timeline.close_step(1, 0.0)
    timeline.poll()
    assert delivered[0]["step"] == pytest.approx(0.005)
    assert delivered[1]["forward"] == pytest.approx(0.030)
    assert delivered[1]["backward"] == pytest.approx(0.060)
    assert device.made < 12


def test_a_step_that_changes_streams_is_read_once_both_are_done(device: Device) -> None:
    timeline, delivered = timeline_on(device)
    device.work(2)
    timeline.mark("forward")
    behind = timeline._stamps[-1]
    behind.at = 50.0  # on a stream of its own, which has more to do
    timeline.mark("backward")
    timeline.close_step(0, 0.0)
    device.done_until = 10.0
    timeline.poll()
    assert delivered == {}
    device.done_until = 60.0
    timeline.poll()
    assert list(delivered) == [0]


def test_steps_of_a_device_that_never_catches_up_are_given_up_and_counted(device: Device) -> None:
    timeline, delivered = timeline_on(device)
    for step in range(MAX_OPEN_STEPS + 10):
        one_step(timeline, device, step)
    assert (delivered, timeline.given_up) == ({}, 10)
    timeline.settle()
    timeline.poll()
    assert list(delivered) == list(range(10, MAX_OPEN_STEPS + 10))
    assert all(round(seconds["backward"] * 1e3) == 3 + step for step, seconds in delivered.items())


def test_a_capture_marks_nothing_and_its_time_goes_to_what_follows(device: Device) -> None:
    timeline, delivered = timeline_on(device)
    one_step(timeline, device, 0)
    device.catch_up()
    device.capturing = True
    one_step(timeline, device, 1)
    device.capturing = False
    one_step(timeline, device, 2)
    device.catch_up()
    timeline.poll()
    assert sum(seconds["step"] for seconds in delivered.values()) == pytest.approx(device.now / 1e3)


def test_a_timeline_that_begins_inside_a_capture_waits_for_its_end(device: Device) -> None:
    device.capturing = True
    timeline, delivered = timeline_on(device)
    one_step(timeline, device, 0)
    device.capturing = False
    for step in (1, 2):
        one_step(timeline, device, step)
    device.catch_up()
    timeline.poll()
    assert round(delivered[2]["step"] * 1e3) == 7
