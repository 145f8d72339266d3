"""The memory of each step: what torch's allocator has handed out, and from time to time which part holds how much."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import nn

from torchglass.instrumentation.buffer import Buffer, ScalarRow
from torchglass.instrumentation.cadence import Cadence
from torchglass.instrumentation.memory.allocator import Reading, device_total_bytes, read_allocator
from torchglass.instrumentation.memory.meanings import (
    MEANINGS,
    NO_ACTIVATIONS,
    NO_ALLOCATOR,
    NO_GRADIENTS,
    NO_OPTIMIZER,
    PROCESS_MEANINGS,
)
from torchglass.instrumentation.memory.process import ProcessMemory, host_limit_bytes
from torchglass.instrumentation.memory.split import Split, split_by_device
from torchglass.instrumentation.memory.warnings import MemoryWarnings
from torchglass.instrumentation.rows import Layout
from torchglass.store import Column, Fact

PROCESS_SECONDS = 0.1  # between two readings of the process: each is a call of the system
AFFORDABLE_NS = 10_000  # that the split may cost a step, on average; one that costs more is taken more seldom

_UNREADABLE = (RuntimeError, AttributeError, KeyError, TypeError, AssertionError)  # an allocator not torch's own
_ALLOCATOR = ("allocated_bytes", "reserved_bytes", "peak_bytes", "fragmentation_bytes")


class Attached(Protocol):
    """What is measured: a model and its optimizers, as long as they live, and where the model is."""

    @property
    def model(self) -> nn.Module | None:
        """The model; None once nobody else holds it."""

    @property
    def optimizers(self) -> Sequence[torch.optim.Optimizer]:
        """Those of its optimizers that are alive."""

    @property
    def device(self) -> torch.device:
        """Where the model is now."""


class MemoryMeter:
    """Reads the allocator at each step's end, and what the model's parts hold at the steps of a cadence.

    The split is that of the moment before the optimizer's step, when gradients exist: call `before_optimizer` from step
    `wakes_at` on. Besides the cadence's it takes the second step, the first whose optimizer has state. One that costs
    more than 10 µs for each of the steps between is taken more seldom. Nothing waits for a device, and the marks that
    the program may reset are read only.
    """

    def __init__(
        self,
        attached: Attached,
        cadence: Cadence,
        buffer: Buffer,
        rank: int,
        *,
        read: Callable[[int], Reading] = read_allocator,
        total_bytes: Callable[[int], int] = device_total_bytes,
        now_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self._attached = attached
        self._interval = cadence.interval
        self._buffer = buffer
        self._rank = rank
        self._read = read
        self._total_bytes = total_bytes
        self._now_ns = now_ns
        self.wakes_at: float = 0 if cadence.interval is not None else math.inf
        self._note: Callable[[int, float], None] = self._begin
        self._notes_from = -math.inf
        self._device = torch.device("cpu")
        self._process: ProcessMemory | None = None
        self._last: Reading | None = None
        self._warnings: MemoryWarnings | None = None
        self._found: dict[torch.device, Split] | None = None
        self._others: dict[str, dict[str, int]] = {}
        self._unsplittable = ""
        self._has_gradients = False
        self._peak_at_split: int | None = None
        self._cost_ns = 0
        self._is_first_split = True
        self._told: set[str] = set()

    def before_optimizer(self, step: int) -> None:
        """Measure the parts if it is this step's turn: gradients are as the optimizer will see them."""
        if step >= self.wakes_at:
            self._measure(has_gradients=True)

    def step_ended(self, step: int, when: float) -> None:
        """Record a step; `when` is in seconds since the epoch."""
        if when >= self._notes_from:
            self._note(step, when)
        if step >= self.wakes_at:
            if self._found is None:
                self._measure(has_gradients=False)
            self._record_split(step, when)

    def close(self) -> None:
        """Let go of what was opened."""
        if self._process is not None:
            self._process.close()
        self._note = _note_nothing
        self.wakes_at = math.inf

    # Each step

    def _begin(self, step: int, when: float) -> None:
        """Choose what to read, at the end of the first step: by then the model is on the device where it trains."""
        self._device = self._attached.device
        if self._process is not None:
            self._process.close()
        self._note = self._begin_allocator(when) if self._device.type == "cuda" else self._begin_process(when)
        self._note(step, when)

    def _begin_allocator(self, when: float) -> Callable[[int, float], None]:
        index = self._index()
        try:
            self._read(index)
            total = self._total_bytes(index)
        except _UNREADABLE as error:
            for name in (*_ALLOCATOR, "activations_bytes"):
                self._miss(name, f"torch's allocator could not be read: {error}", when)
            return _note_nothing
        where = f"cuda:{index}"
        self._warnings = MemoryWarnings(total, where, self._rank, self._buffer.put)
        self._state({"device": where, "total_bytes": total, "meanings": MEANINGS}, when)
        return self._note_allocator

    def _begin_process(self, when: float) -> Callable[[int, float], None]:
        for name in _ALLOCATOR:
            self._miss(name, NO_ALLOCATOR.format(device=self._device), when)
        self._process = ProcessMemory()
        limit = host_limit_bytes()
        self._warnings = MemoryWarnings(limit, "the host", self._rank, self._buffer.put)
        self._state(
            {
                "device": str(self._device),
                "total_bytes": limit,
                "seconds_between_readings": PROCESS_SECONDS,
                "meanings": PROCESS_MEANINGS,
            },
            when,
        )
        return self._note_process

    def _note_allocator(self, step: int, when: float) -> None:
        reading = self._read(self._index())
        allocated, reserved, peak, retries, failures = reading
        last, self._last = self._last, reading
        if last is not None and peak > last.peak_bytes:
            packed = _RISEN.pack(step, when, allocated, reserved, peak, reserved - allocated, peak)
            self._buffer.add((_RISEN.text, packed), _RISEN.row_bytes)
        else:
            packed = _LEVEL.pack(step, when, allocated, reserved, peak, reserved - allocated)
            self._buffer.add((_LEVEL.text, packed), _LEVEL.row_bytes)
        if self._warnings is not None:
            self._warnings.note(step, when, allocated, reserved)
            if last is not None and (retries, failures) != (last.retries, last.failures):
                counts = {"memory/allocator_retries": float(retries), "memory/allocator_failures": float(failures)}
                self._buffer.put(ScalarRow(step, when, counts, "memory"))
                self._warnings.note_retries(step, when, retries, failures)

    def _note_process(self, step: int, when: float) -> None:
        process = self._process
        if process is not None:
            resident = process.read()
            self._notes_from = when + PROCESS_SECONDS
            self._buffer.add((_PROCESS.text, _PROCESS.pack(step, when, resident)), _PROCESS.row_bytes)
            if self._warnings is not None:
                self._warnings.note(step, when, resident, resident)

    # The split

    def _measure(self, *, has_gradients: bool) -> None:
        began = self._now_ns()
        self._has_gradients = has_gradients
        self._follow(self._attached.device)
        before = self._found or {}
        try:
            found = split_by_device(self._attached.model, self._attached.optimizers)
        except (
            RuntimeError,
            AttributeError,
            TypeError,
        ) as error:  # a tensor of a kind that keeps its storage to itself
            self._unsplittable = f"the model's tensors could not be measured: {type(error).__name__}: {error}"
            return
        # Of several optimizers each has gradients that the others' zero_grad may have taken.
        self._found = {device: _with_gradients(split, before.get(device)) for device, split in found.items()}
        self._peak_at_split = self._peak_now()
        self._cost_ns += self._now_ns() - began

    def _record_split(self, step: int, when: float) -> None:
        found, self._found = self._found or {}, None
        if self._unsplittable or self._attached.model is None:
            self.wakes_at = math.inf
            if self._unsplittable:
                self._miss("parameters_bytes", self._unsplittable, when)
            return
        place = self._place()
        split = found.get(place, Split(0, 0, 0, 0))
        values = {"parameters_bytes": split.parameters, "buffers_bytes": split.buffers}
        if self._has_gradients or split.gradients:
            values["gradients_bytes"] = split.gradients
        else:
            self._miss("gradients_bytes", NO_GRADIENTS, when)
        if self._attached.optimizers:
            values["optimizer_bytes"] = split.optimizer
        else:
            self._miss("optimizer_bytes", NO_OPTIMIZER, when)
        if self._peak_at_split is not None:
            values["activations_bytes"] = max(0, self._peak_at_split - split.total)
        else:
            self._miss("activations_bytes", NO_ACTIVATIONS.format(device=place), when)
        numbers = {f"memory/{name}": float(value) for name, value in values.items()}
        self._buffer.put(ScalarRow(step, when, numbers, "memory", dict.fromkeys(numbers, "B")))
        self._tell_others({str(device): each._asdict() for device, each in found.items() if device != place}, when)
        self._plan(step, when)

    def _plan(self, step: int, when: float) -> None:
        """Choose the step of the next split."""
        interval = self._interval or 1
        affordable = -(-self._cost_ns // AFFORDABLE_NS)
        every = interval * max(1, -(-affordable // interval))
        self.wakes_at = step + 1 if self._is_first_split else (step // every + 1) * every
        if every > interval and not self._is_first_split and "split" not in self._told:
            self._told.add("split")
            plan = {"every": every, "asked": interval, "cost_seconds": self._cost_ns / 1e9}
            self._buffer.put(Fact(self._rank, "memory/split", plan, when))
        self._is_first_split = False
        self._cost_ns = 0

    def _follow(self, device: torch.device) -> None:
        """Read where the model is: it may have been moved."""
        if device != self._device:
            self._device, self._last, self._note = device, None, self._begin
            self._notes_from = -math.inf

    def _peak_now(self) -> int | None:
        if self._device.type != "cuda":
            return None
        try:
            return self._read(self._index()).peak_bytes
        except _UNREADABLE:
            return None  # `_begin_allocator` says why

    def _tell_others(self, others: dict[str, dict[str, int]], when: float) -> None:
        if others != self._others:
            self._others = others
            self._buffer.put(Fact(self._rank, "memory/other devices", others, when))

    def _place(self) -> torch.device:
        return torch.device("cuda", self._index()) if self._device.type == "cuda" else self._device

    def _index(self) -> int:
        return self._device.index if self._device.index is not None else torch.cuda.current_device()

    def _miss(self, name: str, reason: str, when: float) -> None:
        if name not in self._told:
            self._told.add(name)
            self._buffer.put(Fact(self._rank, f"missing/memory/{name}", reason, when))

    def _state(self, value: object, when: float) -> None:
        self._buffer.put(Fact(self._rank, "memory", value, when))


def _layout(*names: str) -> Layout:
    return Layout([Column(f"memory/{name}", "memory", "B") for name in names])


_LEVEL = _layout(*_ALLOCATOR)
_RISEN = _layout(*_ALLOCATOR, "step_peak_bytes")
_PROCESS = _layout("process_bytes")


def _with_gradients(split: Split, earlier: Split | None) -> Split:
    return split if earlier is None else split._replace(gradients=max(split.gradients, earlier.gradients))


def _note_nothing(_step: int, _when: float) -> None:
    """Stand in for a reading that is not to be had."""
