"""A device as a measurement needs it: a name, a way to wait for it, and random numbers that are put back."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

CPU_INFO = Path("/proc/cpuinfo")


def waiting_for(device: torch.device) -> Callable[[], None]:
    """Return a function that returns when the device has done what it was given."""
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    if device.type == "mps":
        return torch.mps.synchronize
    return lambda: None


def device_name(device: torch.device) -> str:
    """Return the name of the chip."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _processor_in(CPU_INFO) or platform.processor() or platform.machine()


def _processor_in(path: Path) -> str:
    """The processor's name as Linux tells it, empty elsewhere; Python itself knows no more than "x86_64" there."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


@contextmanager
def seeded_on(device: torch.device, seed: int) -> Iterator[None]:
    """Seed torch's generators for a while; afterwards they are as they were before."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
