"""The memory of this process on the host, and how much of it there may be."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil

_STATM = "/proc/self/statm"


class ProcessMemory:
    """Reads the resident set: what `ps -o rss` prints, in bytes."""

    def __init__(self, statm: str = _STATM) -> None:
        self._page_bytes = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
        self._file: int | None = None
        self._process = psutil.Process()
        with suppress(OSError):  # no Linux: psutil knows another way, at ten times the cost
            self._file = os.open(statm, os.O_RDONLY)

    def read(self) -> int:
        """Return the bytes that are resident now."""
        if self._file is None:
            resident: int = self._process.memory_info().rss
            return resident
        # Kept open and read at its beginning: opening it costs three times as much.
        return int(os.pread(self._file, 128, 0).split(None, 2)[1]) * self._page_bytes

    def close(self) -> None:
        """Close the file; later readings go the other way."""
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)


def host_limit_bytes(root: Path = Path("/")) -> int:
    """Return what this process may have at most: the machine's memory, or less where its control groups say so."""
    limits = [int(psutil.virtual_memory().total), *_group_limits(root)]
    return min(limits)


def _group_limits(root: Path) -> list[int]:
    """Limits of the control groups of this process and of those above them, which a container's memory is bound by."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        base, name = (
            (root / "sys/fs/cgroup", "memory.max")
            if not controllers
            else (root / "sys/fs/cgroup/memory", "memory.limit_in_bytes")
        )
        group = base / path.lstrip("/")
        for place in (group, *group.parents):
            limits.extend(_limit_in(place / name))
            if place == base:
                break
    return limits


def _limit_in(file: Path) -> list[int]:
    try:
        text = file.read_text().strip()
    except OSError:
        return []  # within a container the groups above it are not to be seen
    return [int(text)] if text.isdigit() else []  # "max" is no limit
