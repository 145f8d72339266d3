"""Lets a model that runs without values believe that it runs where the user's does: its device, and its autocast."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map, tree_map_only

from torchglass.instrumentation.work.flop_tally import LOWERED, META, Tally

# What autocast lowers on every device, by the names of the functions that models call.
_AUTOCAST = frozenset(
    (
        *("__matmul__", "__rmatmul__", "addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "chain_matmul", "conv1d"),
        *("conv2d", "conv3d", "conv_tbc", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "einsum"),
        *("linear", "matmul", "mm", "multi_dot", "mv", "scaled_dot_product_attention"),
    )
)
_DEVICE_OF = torch.Tensor.device.__get__


class PretendedDevice(TorchFunctionMode):
    """Lets tensors say that they are where the user's are: models make tensors there, and ask autocast about it."""

    def __init__(self, device: torch.device, tally: Tally) -> None:
        super().__init__()
        self._device = device
        self._tally = tally

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func == _DEVICE_OF:
            # A checkpoint compares what it saved, out of our sight, with what it saves again.
            return META if sys._getframe(1).f_code.co_name == "_default_meta_extractor" else self._device
        enabled = torch.is_autocast_enabled(self._device.type)
        self._tally.autocast = torch.get_autocast_dtype(self._device.type) if enabled else None
        name, options = getattr(func, "__name__", ""), dict(kwargs or {})
        if name in ("cpu", "cuda"):
            return args[0]
        if name == "to" or "device" in options:  # here already: further down torch would look for the device
            args, options = tree_map(_on_meta, (tuple(args), options))
        if enabled and name in _AUTOCAST:
            args, options = tree_map_only(torch.Tensor, self._lower, (tuple(args), options))
        if name != "scaled_dot_product_attention":
            return func(*args, **options)
        self._tally.attention = (*args, options.get("query"))[0].dtype
        try:
            return func(*args, **options)
        finally:
            self._tally.attention = None

    def _lower(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self._tally.autocast) if tensor.dtype in LOWERED else tensor


@contextmanager
def autocast_to(dtype: torch.dtype | None, device_type: str) -> Iterator[None]:
    """What `torch.autocast` does, but that at the end it empties the cache that all threads share."""
    known = torch.is_autocast_enabled(device_type), torch.get_autocast_dtype(device_type)
    try:
        torch.set_autocast_enabled(device_type, dtype is not None)
        if dtype is not None:
            torch.set_autocast_dtype(device_type, dtype)
        yield
    finally:
        torch.set_autocast_enabled(device_type, known[0])
        torch.set_autocast_dtype(device_type, known[1])


def _on_meta(value: Any) -> Any:
    is_device = isinstance(value, torch.device) or (isinstance(value, str) and value.split(":")[0] in ("cpu", "cuda"))
    return META if is_device else value
