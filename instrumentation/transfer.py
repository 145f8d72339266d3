"""Device tensors to the host without making the training thread wait for the device."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

MAX_PENDING = 4096  # copies under way; a device this far behind is not going to catch up within a step

Deliver = Callable[[npt.NDArray[Any]], None]


@dataclass(frozen=True)
class _Pending:
    host: torch.Tensor
    arrived: Any  # torch.cuda.Event
    deliver: Deliver


class Transfer:
    """Copies small tensors into pinned memory asynchronously and delivers each once its event has passed.

    Events are only ever queried, on the training thread, and never while a CUDA graph is captured: a query from any
    thread can kill a capture. On the CPU a tensor is delivered at once; on devices other than CUDA by a blocking copy.
    """

    def __init__(self) -> None:
        self.pending: deque[_Pending] = deque()  # copies under way, oldest first
        self.dropped = 0
        self._delivering = threading.RLock()  # reentrant, because a signal handler may finish the run

    def accepts(self, device: torch.device) -> bool:
        """Tell whether `submit` would send a tensor of this device now; one that it would not send is counted.

        Ask before computing what is to be sent: during a capture even that would become part of the user's graph.
        """
        if device.type == "cuda" and (is_capturing(device) or len(self.pending) >= MAX_PENDING):
            self.dropped += 1
            return False
        return True

    def submit(self, tensor: torch.Tensor, deliver: Deliver) -> None:
        """Send a detached tensor on its way; `deliver` gets it as an array, now or at a later `poll`."""
        if tensor.device.type != "cuda":
            deliver(tensor.cpu().numpy().copy() if tensor.device.type == "cpu" else tensor.cpu().numpy())
            return
        if not self.accepts(tensor.device):
            return
        with torch.cuda.device(tensor.device):
            # A destination that is not pinned would make this copy wait for the device.
            host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            host.copy_(tensor, non_blocking=True)
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record()
        self.pending.append(_Pending(host, arrived, deliver))

    def poll(self) -> None:
        """Deliver what has arrived, oldest first, without waiting."""
        if not self._delivering.acquire(blocking=False):
            return  # another thread is at it
        try:
            while self.pending and not is_capturing() and self.pending[0].arrived.query():
                self._deliver_oldest()
        finally:
            self._delivering.release()

    def drain(self) -> None:
        """Deliver everything, waiting for the device: for the end of a run, never inside the loop."""
        with self._delivering:
            while self.pending:
                self.pending[0].arrived.synchronize()
                self._deliver_oldest()

    def _deliver_oldest(self) -> None:
        pending = self.pending.popleft()
        # Copied out: the pinned block goes back to the allocator, which may hand it to the next submit.
        pending.deliver(np.array(pending.host.numpy()))


def is_capturing(device: torch.device | None = None) -> bool:
    """Tell whether the current stream records a CUDA graph; false wherever CUDA is not in use."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return False
    with torch.cuda.device(device):
        return torch.cuda.is_current_stream_capturing()
