"""Small host tensors, copied end to end by one call: what the training thread leaves to the writer's thread.

A call of its own costs a tensor of some thousand values more than copying it, so a model of many small layers is
sampled by copying it; what becomes of the values is computed later, elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

SMALL_VALUES = 2**15  # up to here copying is the cheaper way
MAX_COPIED_BYTES = 64_000_000  # at a time; what is beyond is read where it is


class CopyAllowance:
    """Decides tensor by tensor, for one sample, which are copied."""

    def __init__(self) -> None:
        self._left_bytes = MAX_COPIED_BYTES

    def covers(self, tensor: torch.Tensor) -> bool:
        """Tell whether a tensor is small, on the host, and within what may be copied; if so it is charged."""
        if tensor.device.type != "cpu" or tensor.numel() > SMALL_VALUES or self._left_bytes <= 0:
            return False
        self._left_bytes -= tensor.nbytes
        return True


def copy_end_to_end(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Copy dense tensors of one type, of any shape, into one (n,)."""
    if len(tensors) == 1:
        return tensors[0].detach().reshape(-1).clone()  # of a single tensor the call below makes no copy
    flat: torch.Tensor = torch._C._nn.flatten_dense_tensors(list(tensors))
    return flat.detach()
