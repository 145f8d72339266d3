"""Who uses a GPU's memory: the processes that the driver names, and always our own.

Read every ten seconds: the driver takes some milliseconds for it. `nvidia-smi --query-compute-apps=pid,used_memory`
prints the same.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import psutil

from torchglass.instrumentation.devices.driver import Driver

NOT_LISTED = (
    "the driver does not list this process (in a container it shows none, or other numbers): "
    "its memory is what torch holds"
)


class GpuProcess(NamedTuple):
    """A process on a GPU; its memory in bytes, None where the driver does not say."""

    pid: int
    name: str | None
    memory_bytes: int | None
    ours: bool
    note: str | None = None


def processes_of(driver: Driver, handle: Any, own_bytes: int | None) -> list[GpuProcess]:
    """The processes that compute on a GPU, the largest first, and ours if it holds `own_bytes` there.

    Raises:
        RefusedError: the driver does not tell.
    """
    listed = driver.ask_first(
        ("nvmlDeviceGetComputeRunningProcesses_v3", handle), ("nvmlDeviceGetComputeRunningProcesses_v2", handle)
    )
    found = [GpuProcess(each.pid, _name(each.pid), each.usedGpuMemory, each.pid == os.getpid()) for each in listed]
    return sorted(with_own(found, own_bytes), key=lambda process: -(process.memory_bytes or 0))


def with_own(found: list[GpuProcess], own_bytes: int | None) -> list[GpuProcess]:
    """The same processes, and ours by what torch holds, where it is not among them and holds memory."""
    if own_bytes is None or any(process.ours for process in found):
        return found
    return [*found, GpuProcess(os.getpid(), _name(os.getpid()), own_bytes, True, NOT_LISTED)]


def _name(pid: int) -> str | None:
    try:
        return str(psutil.Process(pid).name())
    except psutil.Error:
        return None  # of another user, in another container, or gone
