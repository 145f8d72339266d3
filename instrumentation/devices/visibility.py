"""Which of the driver's GPUs are this process's cuda:0, cuda:1, ...: CUDA_VISIBLE_DEVICES, read as CUDA reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

VARIABLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
GUESSED = (
    "the GPUs differ, and CUDA numbers the fastest first where CUDA_DEVICE_ORDER is not PCI_BUS_ID: "
    "which of them is cuda:0 is assumed to be as nvidia-smi numbers them"
)
_NUMBER = re.compile(r"\+?[0-9]+")  # with which an entry begins: what follows it is not looked at


class Known(NamedTuple):
    """A device that the driver shows: our name for it ("gpu0", "gpu0-mig1"), its UUID, and its model."""

    device: str
    uuid: str
    model: str


def visible_devices(
    gpus: Sequence[Known], instances: Sequence[Known], environment: Mapping[str, str]
) -> tuple[str, ...]:
    """Our names of cuda:0, cuda:1, ... in this order.

    Entries are numbers, or beginnings of UUIDs that fit one device; as for CUDA, the first that fits none ends the
    list, and one that is named twice leaves nothing visible. `gpus` are as nvidia-smi orders them, `instances` the MIG
    devices of divided ones.
    """
    asked = environment.get(VARIABLE)
    if asked is None:
        return tuple(gpu.device for gpu in gpus)
    found: list[str] = []
    for entry in asked.split(","):
        device = _device(entry.strip(), gpus, instances)
        if device is None:
            break
        if device in found:
            return ()
        found.append(device)
    return tuple(found)


def order_note(gpus: Sequence[Known], environment: Mapping[str, str]) -> str | None:
    """Say so where numbers do not tell which GPU is meant."""
    asked = environment.get(VARIABLE)
    by_number = asked is None or any(_NUMBER.match(entry.strip()) for entry in asked.split(","))
    if by_number and len({gpu.model for gpu in gpus}) > 1 and environment.get(ORDER) != "PCI_BUS_ID":
        return GUESSED
    return None


def _device(entry: str, gpus: Sequence[Known], instances: Sequence[Known]) -> str | None:
    if number := _NUMBER.match(entry):
        return gpus[int(number[0])].device if int(number[0]) < len(gpus) else None
    if not entry.upper().startswith(("GPU-", "MIG-")):
        return None
    fitting = [known.device for known in (*gpus, *instances) if known.uuid.lower().startswith(entry.lower())]
    return fitting[0] if len(fitting) == 1 else None
