"""MIG: a GPU that is divided into instances, of which each has memory and multiprocessors of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torchglass.instrumentation.devices.driver import Driver, RefusedError, text
from torchglass.instrumentation.devices.gpm import Gpm
from torchglass.instrumentation.devices.memory import memory_of
from torchglass.instrumentation.devices.reading import Reading, merged

# Complaint of many: monitors show 0 % here. The driver has no such figure for a divided GPU.
NO_UTILIZATION = "MIG is on: the driver gives no utilisation of a divided GPU; see its instances"
UTILIZATION = (
    "utilization_percent",
    "memory_utilization_percent",
    "encoder_percent",
    "decoder_percent",
    "jpeg_percent",
    "optical_flow_percent",
)


class Instance(NamedTuple):
    """One MIG device: its place, by which `nvidia-smi -L` numbers it, handle, UUID, and GPM's name for it."""

    place: int
    handle: Any
    uuid: str
    gpu_instance: int


def is_divided(driver: Driver, handle: Any) -> bool:
    """Whether MIG is on, as in `nvidia-smi --query-gpu=mig.mode.current`.

    Raises:
        RefusedError: the device is gone.
    """
    try:
        return bool(driver.ask("nvmlDeviceGetMigMode", handle)[0])
    except RefusedError as refusal:
        if refusal.is_gone:
            raise
        return False  # a GPU without MIG


def instances(driver: Driver, handle: Any) -> Iterator[Instance]:
    """The MIG devices of a divided GPU; places that hold none are left out."""
    try:
        count = driver.ask("nvmlDeviceGetMaxMigDeviceCount", handle)
    except RefusedError:
        return  # as above
    for place in range(count):
        try:
            part = driver.ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, place)
            uuid = text(driver.ask("nvmlDeviceGetUUID", part))
            yield Instance(place, part, uuid, driver.ask("nvmlDeviceGetGpuInstanceId", part))
        except RefusedError:
            continue  # NVML: "Not Found", an empty place


class Divided:
    """The instances of one GPU, read."""

    def __init__(self, driver: Driver, handle: Any, clock: Callable[[], float]) -> None:
        self.instances = tuple(instances(driver, handle))
        self._driver = driver

        def taker(instance: Instance) -> Callable[[Any], object]:
            return lambda sample: driver.ask("nvmlGpmMigSampleGet", handle, instance.gpu_instance, sample)

        self._gpms = [Gpm(driver, handle, taker(instance), clock) for instance in self.instances]

    def read(self, device: str) -> Reading:
        """Memory and activity of each, below "gpu0-mig1" and so on.

        Raises:
            RefusedError: the device is gone.
        """
        parts = []
        for instance, gpm in zip(self.instances, self._gpms, strict=True):
            name = f"{device}-mig{instance.place}"
            parts += [self._memory(instance).of(name), gpm.read().of(name)]
        return merged(parts)

    def _memory(self, instance: Instance) -> Reading:
        try:
            memory = memory_of(self._driver, instance.handle)
        except RefusedError as refusal:
            if refusal.is_gone:
                raise
            return Reading({}, {"memory_used_bytes": str(refusal)})
        return Reading({"memory_used_bytes": float(memory.used)})

    def close(self) -> None:
        """Give back what reading took."""
        for gpm in self._gpms:
            gpm.close()
