"""Tensors that are spread over processes, as this process holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

_ORDINARY = (torch.Tensor, torch.nn.Parameter)


def is_sharded(tensor: torch.Tensor) -> bool:
    """Tell a `DTensor`, without importing what is a heavy import where nobody shards."""
    return hasattr(tensor, "to_local")


def local(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The tensors themselves; of one that is spread over processes the shard of this one. Nothing is communicated."""
    return [each if type(each) in _ORDINARY or not is_sharded(each) else _shard(each) for each in tensors]


def _shard(tensor: Any) -> torch.Tensor:
    shard: torch.Tensor = tensor.detach().to_local()
    return shard
