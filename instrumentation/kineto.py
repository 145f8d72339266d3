"""Raw Kineto events of one profiler window -> operator and kernel rows.

`prof.events()` and `key_averages()` cost 40 to 110 microseconds an event; the raw events cost two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from torch._C._autograd import DeviceType

from torchglass.store import ProfilerRow

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


def _is_annotation(event: Any, name: str) -> bool:
    """A `record_function` range is mirrored onto the device's lane; it is no work."""
    told = getattr(event, "is_user_annotation", None)
    return bool(told()) if told is not None else name.startswith(("ProfilerStep#", "Optimizer."))


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
