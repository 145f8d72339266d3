"""Threads and streams as a trace names them -> the numbers of their lanes."""

from __future__ import annotations

from typing import Any

from torchglass.traces.reading_values import clean, number_within
from torchglass.traces.trace import HOST

MOST_NAMES = 10_000  # of lanes; a trace of more is made to be a burden
LONGEST_NAME = 200


class Lanes:
    """Gives each thread of each process a lane of its own: the thread's number, where no other has it."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, Any], int] = {}  # by the ids as the file spells them
        self._lanes: dict[tuple[object, object], int] = {}
        self._taken: set[int] = set()
        self._threads: dict[tuple[object, object], str] = {}
        self._processes: dict[object, str] = {}

    def of(self, process: Any, thread: Any) -> int:
        """The lane of a thread of the host."""
        try:
            return self._known[process, thread]
        except KeyError:
            lane = self._known[process, thread] = self._lane(_plain(process), _plain(thread))
        except TypeError:  # a list or an object in the place of an id
            lane = self._lane(_plain(process), _plain(thread))
        return lane

    def _lane(self, process: object, thread: object) -> int:
        lane = self._lanes.get((process, thread))
        if lane is None:
            lane = thread if isinstance(thread, int) else len(self._taken) + 1
            while lane in self._taken:
                lane = min(lane, -len(self._taken)) - 1
            self._lanes[process, thread] = lane
            self._taken.add(lane)
        return lane

    def describe(self, event: dict[str, Any]) -> None:
        """Take the name that a metadata event gives to a process or a thread."""
        told = event.get("args")
        name = told.get("name") if isinstance(told, dict) else None
        if not isinstance(name, str) or len(self._threads) + len(self._processes) > MOST_NAMES:
            return
        process = _plain(event.get("pid"))
        if event.get("name") == "thread_name":
            self._threads[process, _plain(event.get("tid"))] = clean(name[:LONGEST_NAME])
        elif event.get("name") == "process_name":
            self._processes[process] = clean(name[:LONGEST_NAME])

    def names(self) -> dict[tuple[int, int], str]:
        """What to call each lane of the host, as far as the trace says."""
        several = len({process for process, _ in self._lanes}) > 1
        found = {}
        for (process, thread), lane in self._lanes.items():
            name = self._threads.get((process, thread))
            if name is None:
                name = thread if isinstance(thread, str) and thread else f"thread {thread}"
            if several:
                name = f"{self._processes.get(process, process)}: {name}"
            found[HOST, lane] = name
        return found


def _plain(identity: object) -> object:
    """An id as a number, where it is one: old traces give the same thread as a text here and a number there."""
    if isinstance(identity, str):
        return int(identity) if identity.isdecimal() and len(identity) < 19 else clean(identity[:LONGEST_NAME])
    if isinstance(identity, int):
        return number_within(identity)
    return repr(identity)[:LONGEST_NAME]
