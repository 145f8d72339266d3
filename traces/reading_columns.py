"""A trace's events, one dictionary after another -> columns that grow by an event at a time."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

from torchglass.errors import DataError
from torchglass.traces.reading_kinds import (
    COLLECTIVE,
    COLLECTIVE_ARGUMENTS,
    KINDS,
    MARKS,
    PROCESSES,
    PYTHON,
    SILENT,
)
from torchglass.traces.reading_lanes import Lanes
from torchglass.traces.reading_memory import MemoryCurve
from torchglass.traces.reading_values import clean, cleaned, fraction, nanoseconds, number_within, whole
from torchglass.traces.trace import HOST, MODULE_PREFIX, NO_ID, NO_SEQUENCE, PHASE_PREFIX, Kind

MOST_EVENTS = 30_000_000  # 100 bytes of memory each
LONGEST_NAME = 20_000  # characters; templates make names of some thousand
MOST_NAMES = 500_000  # that differ, 3 kilobytes of memory each; a trace of Kineto has some thousand
MOST_NAME_CHARACTERS = 200_000_000  # of those names together
LONGEST_NS = 366 * 24 * 3_600 * 10**9  # of a slice: a year
NO_EVENTS = "values that are no events"
UNKNOWN = -1  # the kind of a slice whose category says nothing to us
_NOTHING: dict[str, Any] = {}
_OPERATORS = (Kind.OPERATOR, Kind.ANNOTATION, UNKNOWN)


class Columns:
    """What was taken of a trace so far. `left_out` counts by reason what was not."""

    def __init__(self, file_name: str) -> None:
        self.file_name = file_name
        self.lanes = Lanes()
        self.memory = MemoryCurve()
        self.left_out: Counter[str] = Counter()
        self.negative_count = 0
        self.names: dict[str, int] = {}
        self._name_characters = 0
        self.name = array("i")
        self.kind = array("b")
        self.start = array("q")
        self.duration = array("q")
        self.device = array("i")
        self.lane = array("q")
        self.identity = array("q")  # an operator's own id, of others that of the operator around
        self.correlation = array("q")
        self.sequence = array("q")
        self.forward = array("q")  # torch's number of the thread that ran the forward operator
        self.details: dict[int, tuple[float, float, float, int]] = {}  # bytes, blocks per SM, occupancy, graph node
        self.grids: dict[int, list[Any]] = {}  # of kernels that say no blocks per SM
        self.texts: dict[int, dict[str, Any]] = {}
        self._modules: dict[str, bool] = {}
        self._open: dict[int, list[tuple[int, dict[str, Any]]]] = {}
        self._categories: dict[Any, int | None] = {}

    def take(self, event: Any) -> None:
        """Take one event, or count why not."""
        phase = event.get("ph") if type(event) is dict else None
        if phase == "X":
            start, duration = nanoseconds(event.get("ts")), nanoseconds(event.get("dur"))
            if start is None or duration is None or duration > LONGEST_NS:
                self.left_out["slices without a usable time"] += 1
            else:
                self._add(event, start, duration)
        elif phase == "B" or phase == "E":
            self._begin_or_end(event, begins=phase == "B")
        elif phase == "M":
            self.lanes.describe(event)
        elif type(phase) is not str:
            self.left_out[NO_EVENTS] += 1
        elif event.get("name") == "[memory]" and (start := nanoseconds(event.get("ts"))) is not None:
            self.memory.take(start, event.get("args"))

    def finish(self) -> None:
        """Count the slices that began and never ended."""
        if unended := sum(map(len, self._open.values())):
            self.left_out["slices that never end"] += unended

    def _begin_or_end(self, event: dict[str, Any], *, begins: bool) -> None:
        time = nanoseconds(event.get("ts"))
        if time is None:
            self.left_out["slices without a usable time"] += 1
            return
        opened = self._open.setdefault(self.lanes.of(event.get("pid"), event.get("tid")), [])
        if begins:
            opened.append((time, event))
        elif opened:
            start, begun = opened.pop()
            self._add(begun, start, time - start)
        else:
            self.left_out["ends of slices that never began"] += 1

    def _add(self, event: dict[str, Any], start: int, duration: int) -> None:
        name = event.get("name")
        if type(name) is not str:
            name = "(no name)" if name is None else str(name)[:LONGEST_NAME]
        elif len(name) > LONGEST_NAME:
            name = name[:LONGEST_NAME]
        kind = self._kind(event, name)
        if kind is None:
            return
        if duration < 0:
            self.negative_count += 1  # begun, and its end was never written: it counts as a call of no length
            duration = 0
        arguments = event.get("args")
        if type(arguments) is not dict:
            arguments = _NOTHING
        known = self.names.get(name)
        if known is None:
            known = self._number(clean(name))
        identity = arguments.get("External id")
        if identity is None:
            identity = arguments.get("external id", NO_ID)
        correlation = arguments.get("correlation", NO_ID)
        sequence = arguments.get("Sequence number", NO_SEQUENCE)
        forward = arguments.get("Fwd thread id", NO_ID)
        row = len(self.start)
        if row >= MOST_EVENTS:
            raise DataError(f"{self.file_name} has more than {MOST_EVENTS:,} events: record fewer steps")
        if kind in _OPERATORS:
            device, lane = HOST, self.lanes.of(event.get("pid"), event.get("tid"))
        elif kind >= Kind.KERNEL or (kind == Kind.SYNC and "stream" in arguments):
            device, lane = _device_and_stream(event, arguments)
            if arguments:
                self._describe(row, kind, arguments)
        else:
            device, lane = HOST, self.lanes.of(event.get("pid"), event.get("tid"))
        if name.startswith(COLLECTIVE) and "Collective name" in arguments:
            self.texts[row] = {key: cleaned(arguments[key]) for key in COLLECTIVE_ARGUMENTS if key in arguments}
        self.name.append(known)
        self.kind.append(kind)
        self.start.append(start)
        self.duration.append(duration)
        self.device.append(device)
        self.lane.append(lane)
        self.identity.append(whole(identity, NO_ID))
        self.correlation.append(whole(correlation, NO_ID))
        self.sequence.append(whole(sequence, NO_SEQUENCE))
        self.forward.append(whole(forward, NO_ID))

    def _number(self, name: str) -> int:
        """The number of a name that may be a new one."""
        if name in self.names:
            return self.names[name]
        self.names[name] = known = len(self.names)
        self._name_characters += len(name)
        if len(self.names) > MOST_NAMES or self._name_characters > MOST_NAME_CHARACTERS:
            raise DataError(
                f"{self.file_name} has more names than memory holds, {len(self.names):,} so far: that is no trace"
            )
        return known

    def _kind(self, event: dict[str, Any], name: str) -> int | None:
        """What an event is; None where it is none of ours."""
        category: Any = event.get("cat")
        try:
            kind = self._categories[category]
        except KeyError:
            kind = self._categories[category] = _kind_of(category)
        except TypeError:
            kind = UNKNOWN
        if kind is None:
            return self._python(name) if category.lower() == PYTHON else None
        if kind == Kind.OPERATOR:
            return Kind.ANNOTATION if name.startswith((*MARKS, MODULE_PREFIX, PHASE_PREFIX)) else kind
        if kind == UNKNOWN and category is None:
            process = event.get("pid")
            return PROCESSES.get(process, UNKNOWN) if isinstance(process, str) else UNKNOWN
        return kind

    def _python(self, name: str) -> int | None:
        if name.startswith(MODULE_PREFIX):
            return Kind.ANNOTATION
        self.left_out["calls of Python functions"] += 1
        return None

    def _describe(self, row: int, kind: int, arguments: dict[str, Any]) -> None:
        blocks, node = arguments.get("blocks per SM"), arguments.get("graph node id", NO_ID)
        self.details[row] = (
            fraction(arguments.get("bytes")),
            fraction(blocks),
            fraction(arguments.get("est. achieved occupancy %")),
            whole(node, NO_ID),
        )
        if kind == Kind.KERNEL and blocks is None and isinstance(grid := arguments.get("grid"), list):
            self.grids[row] = grid[:3]


def _kind_of(category: Any) -> int | None:
    if not isinstance(category, str):
        return UNKNOWN
    word = category.lower()
    return None if word in SILENT or word == PYTHON else KINDS.get(word, UNKNOWN)


def _device_and_stream(event: dict[str, Any], arguments: dict[str, Any]) -> tuple[int, int]:
    device = number_within(arguments.get("device"))
    if device is None or device < 0:
        device = number_within(event.get("pid")) or 0
    stream = number_within(arguments.get("stream"))
    if stream is None:
        stream = number_within(event.get("tid")) or 0
    return (device if 0 <= device < 1 << 16 else 0), stream
