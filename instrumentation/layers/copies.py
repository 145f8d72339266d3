"""Small host tensors, copied end to end by one call: what the training thread leaves to the writer's thread.

A call of its own costs a tensor of some thousand values more than copying it, so a model of many small layers is
sampled by copying it; what becomes of the values is computed later, elsewhere.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import torch

SMALL_VALUES = 2**15  # up to here copying is the cheaper way
MAX_COPIED_BYTES = 64_000_000  # at a time; what is beyond is read where it is
MAX_KEPT_BYTES = 2 * MAX_COPIED_BYTES  # of memory that waits to be used again


class CopyAllowance:
    """Decides tensor by tensor, for one sample, which are copied."""

    def __init__(self) -> None:
        self._left_bytes = MAX_COPIED_BYTES

    def covers(self, value_count: int) -> bool:
        """Tell whether a host tensor of so many values is small and within what may be copied; if so it is charged."""
        if value_count > SMALL_VALUES or self._left_bytes <= 0:
            return False
        self._left_bytes -= 4 * value_count
        return True


class Pool:
    """Memory for copies that is used again: fresh memory takes longer to come by than a copy takes.

    Sizes recur, since a model's do. Any thread may give back what another took.
    """

    def __init__(self) -> None:
        self._free: dict[tuple[int, torch.dtype], list[torch.Tensor]] = {}
        self._free_bytes = 0
        self._lock = threading.Lock()

    def copy_end_to_end(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Copy tensors of one type, of any shape, into one (n,)."""
        flat = self._take(sum(tensor.numel() for tensor in tensors), tensors[0].dtype)
        return torch.cat([tensor.reshape(-1) for tensor in tensors], out=flat)

    def give_back(self, flat: torch.Tensor) -> None:
        """Say that nobody reads a copy any more."""
        with self._lock:
            if self._free_bytes + flat.nbytes <= MAX_KEPT_BYTES:
                self._free_bytes += flat.nbytes
                self._free.setdefault((flat.numel(), flat.dtype), []).append(flat)

    def _take(self, size: int, dtype: torch.dtype) -> torch.Tensor:
        with self._lock:
            free = self._free.get((size, dtype))
            if free:
                flat = free.pop()
                self._free_bytes -= flat.nbytes
                return flat
        return torch.empty(size, dtype=dtype)
