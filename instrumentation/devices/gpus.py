"""The GPUs that this process may use, as the NVIDIA driver shows them; one that is lost takes no other along."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from torchglass.instrumentation.devices.driver import (
    UNINITIALIZED,
    Driver,
    RefusedError,
    open_driver,
    shadowed_bindings,
)
from torchglass.instrumentation.devices.gpu import Gpu
from torchglass.instrumentation.devices.processes import processes_of, with_own
from torchglass.instrumentation.devices.reading import Reading, merged
from torchglass.instrumentation.devices.sharing import Share
from torchglass.instrumentation.devices.visibility import VARIABLE, Known, order_note, visible_devices

ALONE = Share()
OwnBytes = Callable[[int], int | None]


class Gpus:
    """GPUs numbered as `nvidia-smi` does, read through NVML.

    Those that CUDA_VISIBLE_DEVICES hides are described, and read only with `hidden_too`: on a shared machine they are
    somebody else's. Of the others, a process that trains with more of its kind reads its share. `clock` in seconds is
    what rates are taken by.
    """

    def __init__(
        self,
        *,
        hidden_too: bool = False,
        share: Share = ALONE,
        clock: Callable[[], float] = time.monotonic,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.reason: str | None = None
        self.warning = shadowed_bindings()
        self._hidden_too = hidden_too
        self._share = share
        self._clock = clock
        self._environment = environment
        self._driver: Driver | None = None
        self._gpus: list[Gpu] = []
        self._chosen: list[Gpu] = []
        self._refused: dict[int, str] = {}
        try:
            self._driver = open_driver()
            self._enumerate(self._driver)
        except RefusedError as refusal:
            self.reason = str(refusal)

    def close(self) -> None:
        """Let go of the driver's library."""
        driver, self._driver = self._driver, None
        if driver is not None:
            for gpu in self._gpus:
                gpu.close()
            self._gpus, self._chosen, self._refused = [], [], {}
            driver.close()

    def facts(self) -> dict[str, Any]:
        """What does not change, which GPU is which of CUDA's, and why there is none when there is none."""
        numbers = {device: f"cuda:{number}" for number, device in enumerate(self.visible)}
        known = [{**gpu.facts(), "cuda": _cuda_of(gpu, numbers)} for gpu in self._gpus]
        refused = [
            {"index": index, "name": None, "uuid": None, "memory_total_bytes": None, "cuda": None, "reason": reason}
            for index, reason in self._refused.items()
        ]
        return {
            "gpus": sorted(known + refused, key=lambda gpu: int(gpu["index"])),
            "reason": self.reason,
            "visible": list(self.visible),
            "order_note": order_note(self._known(), self._environment),
        }

    @property
    def visible(self) -> tuple[str, ...]:
        """Our names of what CUDA calls cuda:0, cuda:1, ... in this process."""
        parts = [Known(device, uuid, gpu.name) for gpu in self._gpus for device, uuid in gpu.instances]
        return visible_devices(self._known(), parts, self._environment)

    def read(self) -> Reading:
        """Read every GPU once; a figure that the driver refuses is missing with the driver's words."""
        lost = Reading({}, {f"gpu{index}": reason for index, reason in self._refused.items()})
        return merged([lost, *(self._reading_of(gpu) for gpu in self._chosen)])

    def processes(self, own_bytes: OwnBytes = lambda number: None) -> dict[str, Any]:
        """Who uses each GPU; `own_bytes` says what this process holds on cuda:0, cuda:1, ..."""
        found: dict[str, Any] = {}
        numbers = {device.split("-")[0]: number for number, device in enumerate(self.visible)}
        for gpu in self._chosen:
            own = own_bytes(numbers[gpu.device]) if gpu.device in numbers else None
            found[gpu.device] = self._processes_of(gpu, own)
        return found

    def _processes_of(self, gpu: Gpu, own_bytes: int | None) -> dict[str, Any]:
        try:
            listed, reason = processes_of(gpu.driver, gpu.handle, own_bytes), None
        except RefusedError as refusal:
            listed, reason = with_own([], own_bytes), str(refusal)
        return {"processes": [process._asdict() for process in listed], "reason": reason}

    def _enumerate(self, driver: Driver) -> None:
        """Find the GPUs; raises RefusedError if not even their number is told."""
        self._gpus, self._chosen, self._refused, self.reason = [], [], {}, None
        count = driver.ask("nvmlDeviceGetCount")
        for index in range(count):
            try:
                handle = driver.ask("nvmlDeviceGetHandleByIndex", index)
            except RefusedError as refusal:
                self._refused[index] = str(refusal)  # one that fell off the bus hides none of the others
            else:
                self._gpus.append(Gpu(driver, index, handle, self._clock))
        visible = self.visible
        share = [device for number, device in enumerate(visible) if self._share.has_gpu(number, len(visible))]
        in_use = {device.split("-")[0] for device in share}
        self._chosen = [gpu for gpu in self._gpus if self._hidden_too or gpu.device in in_use]
        if not count:
            self.reason = "the NVIDIA driver shows no GPU"
        elif self._gpus and not visible and not self._hidden_too:
            self.reason = f"{VARIABLE}={self._environment.get(VARIABLE)!r} hides every GPU from this process"

    def _reading_of(self, gpu: Gpu) -> Reading:
        try:
            return gpu.read()
        except RefusedError as refusal:
            if refusal.code == UNINITIALIZED:
                self._reopen()
            return Reading({}, {gpu.device: str(refusal)})

    def _reopen(self) -> None:
        """Open the library again, for the next reading: somebody else in this process shut it down."""
        assert self._driver is not None
        try:
            self._driver.reopen()
            for gpu in self._gpus:
                gpu.reopened(self._driver.ask("nvmlDeviceGetHandleByIndex", gpu.index))
        except RefusedError:
            return  # it is asked again at the next reading, and until then the GPUs are missing

    def _known(self) -> list[Known]:
        return [Known(gpu.device, gpu.uuid, gpu.name) for gpu in self._gpus]


def _cuda_of(gpu: Gpu, numbers: Mapping[str, str]) -> str | None:
    names = (gpu.device, *(device for device, _ in gpu.instances))
    return ", ".join(numbers[name] for name in names if name in numbers) or None
