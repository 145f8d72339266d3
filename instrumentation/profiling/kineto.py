"""Raw Kineto events of one profiler window -> the columns of a `Trace`.

`prof.events()` and `key_averages()` cost 40 to 110 microseconds an event; the raw events cost three.
"""

from __future__ import annotations

import json
import time
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch._C._autograd import DeviceType

from torchglass.traces.trace import HOST, MODULE_PREFIX, NO_ID, NO_SEQUENCE, PHASE_PREFIX, Kind, Trace

_WIDTH = 11  # integers of an event

TURN_EVENTS = 250  # read in one go, a millisecond; then the training thread may have the interpreter
PAUSE_SECONDS = 50e-6  # long enough for a thread that waits for the interpreter to take it

_KINDS = {
    "cpu_op": Kind.OPERATOR,
    "user_annotation": Kind.ANNOTATION,
    "gpu_user_annotation": Kind.DEVICE_ANNOTATION,
    "kernel": Kind.KERNEL,
    "concurrent_kernel": Kind.KERNEL,
    "gpu_memcpy": Kind.COPY,
    "gpu_memset": Kind.FILL,
    "cuda_runtime": Kind.RUNTIME,
    "cuda_driver": Kind.RUNTIME,
    "xpu_runtime": Kind.RUNTIME,
    "privateuse1_runtime": Kind.RUNTIME,
    "cuda_sync": Kind.SYNC,
    "overhead": Kind.OVERHEAD,
    "python_function": Kind.ANNOTATION,
}
# The scopes that we open ourselves arrive as operators: the fast way to open one knows no other kind.
_OURS = (MODULE_PREFIX, PHASE_PREFIX)
_COLLECTIVE = ("nccl", "Nccl", "rccl")
_COLLECTIVE_ARGUMENTS = (
    "Collective name",
    "In msg nelems",
    "Out msg nelems",
    "dtype",
    "Group size",
    "Process Group Name",
    "Process Group Description",
    "Seq",
)

Pause = Callable[[float], None]


def read_trace(events: Sequence[Any], facts: dict[str, Any] | None = None, pause: Pause = time.sleep) -> Trace:
    """Take what is needed of each `_KinetoEvent`; every millisecond the other threads get their turn.

    Raises:
        AttributeError: torch's events lack what every version so far has had.
    """
    activity_of = type(events[0]).activity_type if events and hasattr(events[0], "activity_type") else _activity
    columns = _Columns()
    add = columns.add
    rest = iter(events)
    while turn := list(islice(rest, TURN_EVENTS)):
        for event in turn:
            add(event, activity_of(event))
        pause(PAUSE_SECONDS)
    return columns.trace(facts or {})


def device_properties() -> list[dict[str, Any]]:
    """What a trace file says of each CUDA device, in its words; empty without one."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return []
    return [
        {"id": index, "name": each.name, "numSms": each.multi_processor_count, "totalGlobalMem": each.total_memory}
        for index, each in enumerate(map(torch.cuda.get_device_properties, range(torch.cuda.device_count())))
    ]


class _Columns:
    """Grows by an event at a time; all of an event's integers in one call, which is most of what reading costs."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._ours: list[bool] = []  # by name
        self._left_out: Counter[str] = Counter()
        self._threads: dict[int, int] = {}  # torch's own number of a thread -> the system's, which is its lane
        self._integers = array("q")
        self._details: dict[int, dict[str, Any]] = {}
        self._asynchronous: list[int] = []

    def add(self, event: Any, activity: str) -> None:
        kind = _KINDS.get(activity)
        if kind is None:
            self._left_out[activity] += 1  # moments, counters, another view of what is there already
            return
        name, lane = event.name(), event.device_resource_id()
        known = self._names.get(name)
        if known is None:
            known = self._names[name] = len(self._ours)
            self._ours.append(name.startswith(_OURS))
        if kind <= Kind.ANNOTATION:
            if self._ours[known]:
                kind = Kind.ANNOTATION
            sequence, forward, thread = event.sequence_nr(), NO_ID, event.start_thread_id()
            if sequence >= 0:
                forward = event.fwd_thread_id()
                self._threads[thread] = lane
            if event.is_async() or event.end_thread_id() != thread:
                self._asynchronous.append(len(self._integers) // _WIDTH)
            ids = (HOST, lane, event.correlation_id(), NO_ID, NO_ID, sequence, forward)
        else:
            device = event.device_index() if kind >= Kind.KERNEL else HOST
            ids = (device, lane, NO_ID, event.linked_correlation_id(), event.correlation_id(), NO_SEQUENCE, NO_ID)
            if kind >= Kind.KERNEL:
                self._describe(event, kind)
        self._integers.extend((known, kind, event.start_ns(), event.duration_ns(), *ids))

    def _describe(self, event: Any, kind: int) -> None:
        """Keep the arguments of device work; torch gives them from 2.9 on, where a window asked for them."""
        row = len(self._integers) // _WIDTH
        told = event.metadata_json() if hasattr(event, "metadata_json") else ""
        if told:
            try:
                self._details[row] = json.loads("{" + told.strip().rstrip(",") + "}")
            except ValueError:
                self._details[row] = {"unreadable": True}
        elif kind != Kind.KERNEL and hasattr(event, "nbytes") and event.nbytes():
            self._details[row] = {"bytes": event.nbytes()}

    def trace(self, facts: dict[str, Any]) -> Trace:
        cells = np.array(self._integers, np.int64).reshape(-1, _WIDTH)
        name, kind, start, duration, device, lane, operator, external, correlation, sequence, forward = cells.T
        count = len(start)
        bytes_moved, blocks, occupancy = (np.full(count, np.nan) for _ in range(3))
        graph_node = np.zeros(count, np.int64)
        multiprocessors = {each["id"]: each["numSms"] for each in facts.get("deviceProperties", ())}
        for row, details in self._details.items():
            bytes_moved[row] = _number(details.get("bytes"))
            blocks[row] = _blocks_per_sm(details, multiprocessors.get(int(device[row])))
            occupancy[row] = _number(details.get("est. achieved occupancy %"))
            graph_node[row] = int(details.get("graph node id") or 0)
        order = np.argsort(start, kind="stable")
        place = np.empty(count, np.int64)
        place[order] = np.arange(count)
        names = tuple(self._names)
        notes = {
            "unreadable_arguments": sum("unreadable" in details for details in self._details.values()),
            "left_out": dict(self._left_out),
        }
        return Trace(
            names=names,
            name=name[order].astype(np.int32),
            kind=kind[order].astype(np.int8),
            start_ns=start[order],
            duration_ns=duration[order],
            device=device[order].astype(np.int32),
            lane=lane[order],
            operator_id=operator[order],
            external=external[order],
            correlation=correlation[order],
            sequence=sequence[order],
            forward_lane=self._lanes_of(forward)[order],
            bytes_moved=bytes_moved[order],
            blocks_per_sm=blocks[order],
            occupancy_percent=occupancy[order],
            graph_node=graph_node[order],
            texts={
                int(place[row]): {key: details[key] for key in _COLLECTIVE_ARGUMENTS if key in details}
                for row, details in self._details.items()
                if names[name[row]].startswith(_COLLECTIVE)
            },
            asynchronous=frozenset(place[self._asynchronous].tolist()),
            facts={**facts, **{key: value for key, value in notes.items() if value}},
        )

    def _lanes_of(self, threads: np.ndarray) -> np.ndarray:
        """Torch's numbers of threads -> the lanes that they are, where one is known."""
        numbers, places = np.unique(threads, return_inverse=True)
        lanes = np.array([self._threads.get(int(number), NO_ID) for number in numbers], np.int64)
        return lanes[places] if len(numbers) else threads


def _activity(event: Any) -> str:
    """The kind of an event by what older versions of torch say of it."""
    on_device = event.device_type() != DeviceType.CPU
    name = event.name()
    if _is_annotation(event, name):
        return "gpu_user_annotation" if on_device else "user_annotation"
    if on_device:
        return next(
            (kind for start, kind in (("Memcpy", "gpu_memcpy"), ("Memset", "gpu_memset")) if name.startswith(start)),
            "kernel",
        )
    return "cuda_runtime" if name.startswith(("cuda", "cuLaunch", "hip")) else "cpu_op"


def _is_annotation(event: Any, name: str) -> bool:
    told = getattr(event, "is_user_annotation", None)
    return bool(told()) if told is not None else name.startswith(("ProfilerStep#", "Optimizer."))


def _blocks_per_sm(details: dict[str, Any], multiprocessors: int | None) -> float:
    told, grid = details.get("blocks per SM"), details.get("grid")
    if told is not None:
        return _number(told)
    if isinstance(grid, list) and multiprocessors:
        return float(np.prod([float(each) for each in grid])) / multiprocessors
    return float("nan")


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
