"""Memory of a GPU, or of an instance of a divided one, as `nvidia-smi` prints it."""

from __future__ import annotations

from typing import Any

from torchglass.instrumentation.devices.driver import Driver, RefusedError


def memory_of(driver: Driver, handle: Any) -> Any:
    """Total and used bytes; of drivers before 510, `used` includes what they keep for themselves.

    Raises:
        RefusedError: the driver does not tell, or the device is gone.
    """
    try:
        return detailed_memory(driver, handle)
    except RefusedError as refusal:
        if refusal.is_gone:
            raise
        return driver.ask("nvmlDeviceGetMemoryInfo", handle)


def detailed_memory(driver: Driver, handle: Any) -> Any:
    """The same, with what the driver keeps for itself apart.

    Raises:
        RefusedError: the driver does not tell, it is too old, or the device is gone.
    """
    return driver.ask("nvmlDeviceGetMemoryInfo", handle, driver.constant("nvmlMemory_v2"))
