"""The thread that reads the devices once a second, beside training and never on its thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from torchglass.instrumentation.buffer import Record, ScalarRow
from torchglass.instrumentation.devices import UNITS, Gpus, Host
from torchglass.store import Fact

INTERVAL_SECONDS = 1.0  # NVML's own sampling is about as slow, and faster polling contends for the driver's lock


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
        """End the thread; it may finish the reading under way."""
        self._stop.set()
        self._thread.join(timeout=5.0)

    def _work(self) -> None:
        try:
            self._watch(Host(), Gpus())
        except Exception as error:
            reason = f"device readings ended: {type(error).__name__}: {error}"
            self._put(Fact(self._rank, "warnings/devices", reason, self._clock()))

    def _watch(self, host: Host, gpus: Gpus) -> None:
        self._put(Fact(self._rank, "devices/host", host.facts(), self._clock()))
        missing: dict[str, str] | None = None
        try:
            while True:
                readings = (host.read(), gpus.read())
                values = {key: value for reading in readings for key, value in reading.values.items()}
                units = {key: UNITS[key.split("/")[1]] for key in values}
                self._put(ScalarRow(self._current_step(), self._clock(), values, "device", units))
                if missing != dict(readings[1].missing):
                    missing = dict(readings[1].missing)
                    facts = {**gpus.facts(), "missing": missing}
                    self._put(Fact(self._rank, "devices/gpu", facts, self._clock()))
                if self._stop.wait(self._interval_seconds):
                    return
        finally:
            gpus.close()
