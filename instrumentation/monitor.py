"""The thread that reads the devices once a second, beside training and never on its thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable

import torch

from torchglass.instrumentation.buffer import Record
from torchglass.instrumentation.devices.gpus import Gpus
from torchglass.instrumentation.devices.host import Host
from torchglass.instrumentation.devices.records import DeviceRecords
from torchglass.instrumentation.devices.sharing import share_of
from torchglass.store import Fact

INTERVAL_SECONDS = 1.0  # NVML's own sampling is about as slow, and faster polling contends for the driver's lock
PATIENCE_SECONDS = 5.0  # with a reading under way: a driver that recovers from an error may answer late, or never


class DeviceMonitor:
    """Reads host and GPUs every second into the buffer, stamped with the step that training has reached."""

    def __init__(
        self,
        put: Callable[[Record], None],
        rank: int,
        current_step: Callable[[], int],
        clock: Callable[[], float],
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._put = put
        self._rank = rank
        self._current_step = current_step
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="torchglass-devices", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Read a last time and end the thread; it may finish the reading under way before, within bounds."""
        self._stop.set()
        self._thread.join(timeout=PATIENCE_SECONDS)
        if self._thread.is_alive():
            reason = (
                f"the driver hangs: a reading of the devices did not return within {PATIENCE_SECONDS:g} s of the end"
            )
            self._put(Fact(self._rank, "warnings/devices", reason, self._clock()))

    def _work(self) -> None:
        try:
            share = share_of(os.environ)
            self._watch(Host(only_own=not share.has_host), Gpus(share=share))
        except Exception as error:
            reason = f"device readings ended: {type(error).__name__}: {error}"
            self._put(Fact(self._rank, "warnings/devices", reason, self._clock()))

    def _watch(self, host: Host, gpus: Gpus) -> None:
        records = DeviceRecords(self._rank, host, gpus, held_by_torch)
        try:
            self._put_all(records.opening(self._clock()))
            ends = False
            while not ends:
                self._put_all(records.take(self._current_step(), self._clock()))
                ends = self._stop.wait(self._interval_seconds)
            # Shares and rates are of the time since the reading before: a short run has them from here alone.
            self._put_all(records.take(self._current_step(), self._clock()))
        finally:
            gpus.close()

    def _put_all(self, records: Iterable[Record]) -> None:
        for record in records:
            self._put(record)


def held_by_torch(number: int) -> int | None:
    """Bytes that torch's allocator holds on cuda:`number` in this process; None where CUDA is not in use.

    Asks the allocator's own count: it starts no CUDA context, waits for nothing and may run while a graph is captured.
    """
    is_up: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    if not is_up or number >= torch.cuda.device_count():
        return None
    return int(torch.cuda.memory_reserved(number)) or None
