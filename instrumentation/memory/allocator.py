"""What torch's CUDA allocator says of itself: one call, which asks no device and waits for nothing."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Reading(NamedTuple):
    """Bytes in tensors now, bytes taken from the device now, the most that were in tensors since the process began or
    the program reset that mark; how often the allocator had to give its cache back to find room, and found none.

    The first three are `torch.cuda.memory_allocated()`, `memory_reserved()` and `max_memory_allocated()`.
    """

    allocated_bytes: int
    reserved_bytes: int
    peak_bytes: int
    retries: int
    failures: int


def read_allocator(index: int) -> Reading:
    """Read the statistics of a CUDA device.

    The public `memory_allocated` and its like flatten and sort two hundred numbers at each call; all of them come from
    the nested dictionary that is read here. It is the host's own book-keeping: safe while a CUDA graph is captured.
    """
    read = getattr(torch._C, "_cuda_memoryStats", None) or torch.cuda.memory_stats_as_nested_dict
    statistics = read(index)
    allocated = statistics["allocated_bytes"]["all"]
    return Reading(
        allocated["current"],
        statistics["reserved_bytes"]["all"]["current"],
        allocated["peak"],
        statistics["num_alloc_retries"],
        statistics["num_ooms"],
    )


def device_total_bytes(index: int) -> int:
    """Memory of a CUDA device; `nvidia-smi --query-gpu=memory.total` counts a little more, what the driver keeps."""
    total: int = torch.cuda.get_device_properties(index).total_memory
    return total
