"""The host: how busy its cores, memory, disks and network are, by psutil."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any

import psutil

from torchglass.instrumentation.devices.rates import Rate
from torchglass.instrumentation.devices.reading import Reading, merged

MAX_CORES = 16  # beyond that a series for each is a crowd: the mean and the busiest tell more
LOOPBACK = ("lo", "lo0")
_FAILURES = (OSError, RuntimeError, NotImplementedError, psutil.Error)  # what psutil raises where a system hides it

Times = Any  # psutil's named tuple of seconds by what the core did


class Host:
    """Cores, memory, swap, disks, network and this process's memory; `clock` in seconds is what rates are taken by.

    With `only_own` the last alone: another process reads what is the machine's. Shares of time are differences of our
    own: psutil's would be mixed up with those that a user asks it for.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, only_own: bool = False) -> None:
        self._clock = clock
        self._only_own = only_own
        self._process = psutil.Process(os.getpid())
        self._cores: Sequence[Times] = ()
        self._rates: dict[str, Rate] = {}
        self.read()  # opens the windows of the first reading

    def facts(self) -> dict[str, Any]:
        """What does not change."""
        return {
            "name": platform.node(),
            # Not platform.platform(), which may ask a child process for the processor: started beside a loop that forks
            # loader workers, its pipe would stay open in them, and this thread wait for as long as they live.
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "cpu_count": psutil.cpu_count(),
            "memory_total_bytes": psutil.virtual_memory().total,
        }

    def read(self) -> Reading:
        """Read once; takes a millisecond or two."""
        own = (("process_memory_bytes",), self._own_memory)
        if self._only_own:
            return _answered(*own).of("host")
        parts = (
            own,
            (("cpu_utilization_percent",), self._processors),
            (("memory_used_bytes", "memory_available_bytes"), _memory),
            (("swap_used_bytes",), _swap),
            (("disk_read_bytes_per_second", "disk_written_bytes_per_second"), self._disks),
            (("network_received_bytes_per_second", "network_sent_bytes_per_second"), self._network),
        )
        return merged(_answered(keys, ask) for keys, ask in parts).of("host")

    def _processors(self) -> Reading:
        before, self._cores = self._cores, psutil.cpu_times(percpu=True)
        if len(before) != len(self._cores):
            return Reading()
        busy = [busy_percent(one, two) for one, two in zip(before, self._cores, strict=True)]
        known = [share for share in busy if share is not None]
        if not known:
            return Reading()
        values = {"cpu_utilization_percent": sum(known) / len(known), "busiest_core_percent": max(known)}
        if len(busy) <= MAX_CORES:
            values |= {f"core{core}_percent": share for core, share in enumerate(busy) if share is not None}
        waits = [wait_percent(one, two) for one, two in zip(before, self._cores, strict=True)]
        told = [share for share in waits if share is not None]
        if not told:
            return Reading(values, {"io_wait_percent": f"{platform.system()} counts no time spent waiting for disks"})
        return Reading({**values, "io_wait_percent": sum(told) / len(told)})

    def _own_memory(self) -> Reading:
        return Reading({"process_memory_bytes": float(self._process.memory_info().rss)})

    def _disks(self) -> Reading:
        counted = psutil.disk_io_counters(nowrap=False)
        if counted is None:
            return _missing(("disk_read_bytes_per_second", "disk_written_bytes_per_second"), "the system shows no disk")
        return self._grown(
            disk_read_bytes_per_second=counted.read_bytes, disk_written_bytes_per_second=counted.write_bytes
        )

    def _network(self) -> Reading:
        cards = psutil.net_io_counters(pernic=True, nowrap=False)
        outside = [card for name, card in cards.items() if name not in LOOPBACK]
        if not outside:
            keys = ("network_received_bytes_per_second", "network_sent_bytes_per_second")
            return _missing(keys, "the system shows no network but its own loopback")
        return self._grown(
            network_received_bytes_per_second=sum(card.bytes_recv for card in outside),
            network_sent_bytes_per_second=sum(card.bytes_sent for card in outside),
        )

    def _grown(self, **counts: float) -> Reading:
        when = self._clock()
        rates = {key: self._rates.setdefault(key, Rate()).take(when, count) for key, count in counts.items()}
        return Reading({key: rate for key, rate in rates.items() if rate is not None})


def busy_percent(before: Times, after: Times) -> float | None:
    """Share of the time between two `psutil.cpu_times` in which a core worked; None where no time passed.

    Waiting for a disk is idling, and what Linux counts for guests is part of "user" and "nice" already, as in `top`.
    """
    spent = _spent(before, after)
    whole = sum(spent.values())
    if whole <= 0:
        return None
    return 100 * (whole - spent.get("idle", 0.0) - spent.get("iowait", 0.0)) / whole


def wait_percent(before: Times, after: Times) -> float | None:
    """Share of the time in which a core had nothing to do but wait for a disk; None where that is not counted."""
    spent = _spent(before, after)
    whole = sum(spent.values())
    return 100 * spent["iowait"] / whole if "iowait" in spent and whole > 0 else None


def _spent(before: Times, after: Times) -> dict[str, float]:
    names = [name for name in after._fields if name not in ("guest", "guest_nice")]
    return {name: max(0.0, getattr(after, name) - getattr(before, name)) for name in names}


def _memory() -> Reading:
    memory = psutil.virtual_memory()
    return Reading({"memory_used_bytes": float(memory.used), "memory_available_bytes": float(memory.available)})


def _swap() -> Reading:
    swap = psutil.swap_memory()
    if not swap.total:
        return _missing(("swap_used_bytes",), "this machine has no swap")
    return Reading({"swap_used_bytes": float(swap.used)})


def _answered(keys: tuple[str, ...], ask: Callable[[], Reading]) -> Reading:
    try:
        return ask()
    except _FAILURES as failure:
        return _missing(keys, f"{type(failure).__name__}: {failure}")


def _missing(keys: tuple[str, ...], reason: str) -> Reading:
    return Reading({}, dict.fromkeys(keys, reason))
