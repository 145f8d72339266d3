"""Several processes that train one model: joining them, and agreeing on what the first one found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from torchglass.errors import OptionError
from torchglass.reference_models.learning.placement import Placement

Found = TypeVar("Found")


@contextmanager
def joined(placement: Placement, device: torch.device) -> Iterator[None]:
    """Join the other processes (NCCL on CUDA, gloo elsewhere) for a while; alone there is nothing to join.

    Raises:
        OptionError: nothing says where they meet.
    """
    if not placement.is_shared or distributed.is_initialized():
        yield
        return
    try:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except ValueError as error:  # the environment does not say where they meet
        raise OptionError(f"{placement.world} processes cannot meet ({error}): start them with torchrun") from error
    try:
        yield
    finally:
        distributed.destroy_process_group()


def shared(model: nn.Module, placement: Placement, device: torch.device) -> nn.Module:
    """Wrap the model so that its gradients are averaged over all processes; alone it stays as it is."""
    if not placement.is_shared:
        return model
    return DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)


def from_first(found: Found | None, placement: Placement) -> Found:
    """Return in every process what the first one gives; the others give None."""
    box = [found]
    if placement.is_shared:
        distributed.broadcast_object_list(box, src=0)
    answer = box[0]
    assert answer is not None
    return answer
