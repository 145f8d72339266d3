"""Raw Kineto events of one profiler window -> the columns of a `Trace`.

`prof.events()` and `key_averages()` cost 40 to 110 microseconds an event; the raw events cost three.
"""

from __future__ import annotations

import json
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch._C._autograd import DeviceType

from torchglass.store import ProfilerRow
from torchglass.traces.trace import HOST, MODULE_PREFIX, NO_ID, NO_SEQUENCE, PHASE_PREFIX, Kind, Trace

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
_COLLECTIVE_ARGUMENTS = ("Collective name", "In msg nelems", "dtype", "Group size", "Process Group Name", "Seq")

Pause = Callable[[float], None]


def read_trace(events: Sequence[Any], facts: dict[str, Any] | None = None, pause: Pause = time.sleep) -> Trace:
    """Take what is needed of each `_KinetoEvent`; every millisecond the other threads get their turn.

    Raises:
        AttributeError: torch's events lack what every version so far has had.
    """
    columns = _Columns()
    add = columns.add
    rest = iter(events)
    while turn := list(islice(rest, TURN_EVENTS)):
        for event in turn:
            add(event)
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
    """Grows by an event at a time."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._ours: dict[str, bool] = {}
        self._left_out: Counter[str] = Counter()
        self._threads: dict[int, int] = {}  # torch's own number of a thread -> the system's, which is its lane
        self._integers = [array("q") for _ in range(11)]
        self._appends = [each.append for each in self._integers]
        self._details: dict[int, dict[str, Any]] = {}
        self._count = 0

    def add(self, event: Any) -> None:
        activity = event.activity_type() if hasattr(event, "activity_type") else _activity(event)
        kind = _KINDS.get(activity)
        if kind is None:
            self._left_out[activity] += 1  # moments, counters, another view of what is there already
            return
        name = event.name()
        names = self._names
        known = names.get(name)
        if known is None:
            known = names[name] = len(names)
            self._ours[name] = name.startswith(_OURS)
        if kind == Kind.OPERATOR and self._ours[name]:
            kind = Kind.ANNOTATION
        lane = event.device_resource_id()
        operator = external = correlation = NO_ID
        sequence, forward, device = NO_SEQUENCE, NO_ID, HOST
        if kind <= Kind.ANNOTATION:
            operator = event.correlation_id()
            sequence = event.sequence_nr()
            if sequence >= 0:
                forward = event.fwd_thread_id()
                self._threads[event.start_thread_id()] = lane
        else:
            external, correlation = event.linked_correlation_id(), event.correlation_id()
            if kind >= Kind.KERNEL:
                device = event.device_index()
                self._describe(event, kind)
        for append, value in zip(
            self._appends,
            (
                known,
                kind,
                event.start_ns(),
                event.duration_ns(),
                device,
                lane,
                operator,
                external,
                correlation,
                sequence,
                forward,
            ),
            strict=True,
        ):
            append(value)
        self._count += 1

    def _describe(self, event: Any, kind: int) -> None:
        """Keep the arguments of device work; torch gives them from 2.9 on, where a window asked for them."""
        told = event.metadata_json() if hasattr(event, "metadata_json") else ""
        if told:
            try:
                self._details[self._count] = json.loads("{" + told.strip().rstrip(",") + "}")
            except ValueError:
                self._details[self._count] = {"unreadable": True}
        elif kind != Kind.KERNEL and hasattr(event, "nbytes") and event.nbytes():
            self._details[self._count] = {"bytes": event.nbytes()}

    def trace(self, facts: dict[str, Any]) -> Trace:
        (name, kind, start, duration, device, lane, operator, external, correlation, sequence, forward) = (
            np.frombuffer(each, np.int64) if each else np.empty(0, np.int64) for each in self._integers
        )
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


MAX_ROWS = 400  # of a kind; the rest is summed into one row that says how many it stands for


class Span(NamedTuple):
    """One event: where it ran (`lane` is a thread on the host, a stream on a device) and when, in nanoseconds."""

    name: str
    on_device: bool
    lane: int
    start_ns: int
    duration_ns: int


def read_spans(events: Iterable[Any]) -> list[Span]:
    """Take what is needed of each `_KinetoEvent`; asynchronous markers and annotations on the device are left out."""
    spans = []
    for event in events:
        on_device = event.device_type() != DeviceType.CPU
        name = event.name()
        if on_device and _is_annotation(event, name):
            continue
        lane = event.device_resource_id() if on_device else event.start_thread_id()
        spans.append(Span(name, on_device, lane, event.start_ns(), event.duration_ns()))
    return spans


def operator_rows(spans: Iterable[Span]) -> list[ProfilerRow]:
    """Host operators by name; self time leaves out the operators called inside, on the same thread."""
    lanes: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        if not span.on_device:
            lanes[span.lane].append(span)
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for lane in lanes.values():
        for span, self_ns in _calls(lane):
            entry = totals[span.name]
            entry[0] += 1
            entry[1] += self_ns
            entry[2] += span.duration_ns
    rows = [
        ProfilerRow("operator", name, calls, self_ns / 1e9, total_ns / 1e9)
        for name, (calls, self_ns, total_ns) in totals.items()
        if not name.startswith("ProfilerStep#")
    ]
    return _capped(rows)


def kernel_rows(spans: Iterable[Span]) -> list[ProfilerRow]:
    """Device work (kernels, copies, fills) by name."""
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for span in spans:
        if span.on_device:
            totals[span.name][0] += 1
            totals[span.name][1] += span.duration_ns
    return _capped([ProfilerRow("kernel", name, calls, ns / 1e9, ns / 1e9) for name, (calls, ns) in totals.items()])


def _calls(lane: list[Span]) -> list[tuple[Span, int]]:
    """The calls of one thread, each with the nanoseconds that no call nested in it covers.

    A call whose only nested call has its own name is one call, as torch.profiler counts: an operator that a dispatch
    key wraps appears twice.
    """
    lane.sort(key=lambda span: (span.start_ns, -span.duration_ns))
    parents = _parents(lane)
    self_ns = [span.duration_ns for span in lane]
    children = [0] * len(lane)
    for index, parent in enumerate(parents):
        if parent is not None:
            children[parent] += 1
            # Clipped: a child that outlives its parent (clock jitter) takes no more than the parent had.
            self_ns[parent] -= min(_end(lane[index]), _end(lane[parent])) - lane[index].start_ns
    stands_for = list(range(len(lane)))
    for index, parent in enumerate(parents):
        if parent is not None and children[parent] == 1 and lane[index].name == lane[parent].name:
            stands_for[index] = stands_for[parent]
            self_ns[stands_for[parent]] += self_ns[index]
    return [(span, self_ns[index]) for index, span in enumerate(lane) if stands_for[index] == index]


def _parents(lane: list[Span]) -> list[int | None]:
    """Index of the innermost span that each begins in; the lane is sorted, parents first."""
    parents: list[int | None] = []
    open_spans: list[int] = []
    for index, span in enumerate(lane):
        while open_spans and _end(lane[open_spans[-1]]) <= span.start_ns:
            open_spans.pop()
        parents.append(open_spans[-1] if open_spans else None)
        open_spans.append(index)
    return parents


def _end(span: Span) -> int:
    return span.start_ns + span.duration_ns


def _capped(rows: list[ProfilerRow]) -> list[ProfilerRow]:
    rows.sort(key=lambda row: row.self_seconds, reverse=True)
    kept, rest = rows[:MAX_ROWS], rows[MAX_ROWS:]
    if rest:
        kept.append(
            ProfilerRow(
                rest[0].kind,
                f"({len(rest)} more names)",
                sum(row.calls for row in rest),
                sum(row.self_seconds for row in rest),
                sum(row.total_seconds for row in rest),
            )
        )
    return kept
