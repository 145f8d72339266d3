"""A recorded history of allocations -> what was alive at its peak, by the stack that allocated it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

TOP = 50
MAX_FRAMES = 40
MAX_FRAME_CHARACTERS = 300
OTHER = "activations and other"
BEFORE = "(allocated before the recording)"
NO_FRAMES = "(no Python stack: allocated by another thread, as autograd's are in the backward pass)"


class Group(NamedTuple):
    """Allocations of one part from one stack: a line "file:line function" for each frame, the innermost first."""

    part: str
    stack: str
    size_bytes: int
    allocations: int
    largest_bytes: int


class Peak(NamedTuple):
    """The most that was alive at a time, in bytes as asked for: the allocator rounds each up to 512.

    `groups` are the largest first; `rest_bytes` and `rest_count` are of those left out. `part_bytes` are of all. An
    allocation belongs to a part of the model if it is still its storage at the end of the recording. `refused_bytes`
    is the last allocation for which there was no room, with `free_bytes` left on the device; None if there was none.
    """

    peak_bytes: int
    end_bytes: int
    groups: tuple[Group, ...]
    rest_bytes: int
    rest_count: int
    part_bytes: Mapping[str, int]
    event_count: int
    refused_bytes: int | None
    free_bytes: int | None


class _Alive(NamedTuple):
    size_bytes: int
    event: int  # index of the event that allocated it; -1 for those before the first


def peak_of(snapshot: Mapping[str, Any], device_index: int, parts: Mapping[int, str]) -> Peak:
    """Walk a snapshot of `torch.cuda.memory._snapshot()` to the last moment at which most was alive.

    `parts` says which part of the model the storage at an address is, at the time of the snapshot. Of a history that
    was too long for its ring the beginning is missing; what was alive at its first event follows from the end.
    """
    traces = snapshot["device_traces"]
    trace: Sequence[Mapping[str, Any]] = traces[device_index] if device_index < len(traces) else ()
    at_end = _alive_at_end(snapshot["segments"], device_index)
    at_start = _alive_at_start(at_end, trace)
    peak_bytes, moment, last = _find_peak(at_start, trace)
    alive = dict(at_start)
    for _ in _replay(alive, trace[:moment]):
        pass
    groups = _grouped(_described(alive, last, trace, parts))
    refused = next((event for event in reversed(trace) if event["action"] == "oom"), None)
    shares: dict[str, int] = {}
    for group in groups:
        shares[group.part] = shares.get(group.part, 0) + group.size_bytes
    return Peak(
        peak_bytes=peak_bytes,
        end_bytes=sum(each.size_bytes for each in last.values()),
        groups=tuple(groups[:TOP]),
        rest_bytes=sum(group.size_bytes for group in groups[TOP:]),
        rest_count=sum(group.allocations for group in groups[TOP:]),
        part_bytes=shares,
        event_count=len(trace),
        refused_bytes=None if refused is None else refused["size"],
        free_bytes=None if refused is None else refused.get("device_free"),
    )


def _alive_at_end(segments: Iterable[Mapping[str, Any]], device_index: int) -> dict[int, int]:
    return {
        block["address"]: block.get("requested_size", block["size"])
        for segment in segments
        if segment["device"] == device_index
        for block in segment["blocks"]
        if block["state"] == "active_allocated"
    }


def _alive_at_start(at_end: Mapping[int, int], trace: Sequence[Mapping[str, Any]]) -> dict[int, _Alive]:
    """Undo the events, the last one first."""
    sizes = dict(at_end)
    for event in reversed(trace):
        if event["action"] == "alloc":
            sizes.pop(event["addr"], None)
        elif event["action"] == "free_requested":
            sizes[event["addr"]] = event["size"]
    return {address: _Alive(size, -1) for address, size in sizes.items()}


def _find_peak(
    at_start: Mapping[int, _Alive], trace: Sequence[Mapping[str, Any]]
) -> tuple[int, int, dict[int, _Alive]]:
    """Return the most bytes alive, how many events led to the last moment of it, and what is alive at the end."""
    alive = dict(at_start)
    highest, moment = sum(each.size_bytes for each in alive.values()), 0
    for count, total in enumerate(_replay(alive, trace), start=1):
        if total >= highest:
            highest, moment = total, count
    return highest, moment, alive


def _replay(alive: dict[int, _Alive], trace: Sequence[Mapping[str, Any]]) -> Iterator[int]:
    """Let the events happen to what is alive, and yield its bytes after each of them."""
    total = sum(each.size_bytes for each in alive.values())
    for index, event in enumerate(trace):
        if event["action"] == "alloc":
            alive[event["addr"]] = _Alive(event["size"], index)
            total += event["size"]
        elif event["action"] == "free_requested":
            freed = alive.pop(event["addr"], None)
            total -= freed.size_bytes if freed is not None else 0
        yield total


def _described(
    alive: Mapping[int, _Alive],
    last: Mapping[int, _Alive],
    trace: Sequence[Mapping[str, Any]],
    parts: Mapping[int, str],
) -> Iterator[tuple[str, str, int]]:
    """Part, stack and size of each allocation."""
    for address, each in alive.items():
        # An address is given out again and again: only what lived on until the end is what lies there now.
        part = parts.get(address, OTHER) if last.get(address) == each else OTHER
        stack = BEFORE if each.event < 0 else _stack_text(trace[each.event].get("frames") or ())
        yield part, stack, each.size_bytes


def _grouped(allocations: Iterable[tuple[str, str, int]]) -> list[Group]:
    sizes: dict[tuple[str, str], list[int]] = {}
    for part, stack, size in allocations:
        sizes.setdefault((part, stack), []).append(size)
    groups = [Group(part, stack, sum(each), len(each), max(each)) for (part, stack), each in sizes.items()]
    return sorted(groups, key=lambda group: (-group.size_bytes, group.part, group.stack))


def _stack_text(frames: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"{frame['filename']}:{frame['line']} {frame['name']}" for frame in frames[:MAX_FRAMES]]
    return "\n".join(line[-MAX_FRAME_CHARACTERS:] for line in lines) or NO_FRAMES
