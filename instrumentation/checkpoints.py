"""Activation checkpoints: let what they compute again leave the random numbers of the process alone.

`torch.utils.checkpoint` sets the generator that all threads share back to where it was in the forward pass. On a copy
without values nothing is drawn, so that is for nothing; and what the training thread draws meanwhile would be lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from torchglass.errors import OptionError

_SWITCH = "preserve_rng_state"
_top_hooks = torch._C._autograd._top_saved_tensors_default_hooks


def keep_random_numbers() -> None:
    """To be called at an operator: if it runs within a checkpoint, switch its setting of random numbers off.

    Raises:
        OptionError: it cannot be, because this torch keeps its checkpoints otherwise.
    """
    hooks = _top_hooks(False)
    if hooks is None or not getattr(hooks[0], "__qualname__", "").startswith("_checkpoint_hook"):
        return
    frame = _cells(hooks[0]).get("frame")
    switch = _cells(frame.cell_contents.recompute_fn).get(_SWITCH) if frame is not None else None
    if switch is None:
        raise OptionError("recomputing a checkpoint would set the random numbers of the whole process back")
    switch.cell_contents = False


def keep_random_numbers_of(results: Iterable[torch.Tensor]) -> None:
    """The same for reentrant checkpoints, each of which is a node of the graph behind these results."""
    waiting: list[Any] = [each.grad_fn for each in results]
    seen = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, _SWITCH):
            setattr(node, _SWITCH, False)
        waiting.extend(next_node for next_node, _ in node.next_functions)


def _cells(function: Any) -> dict[str, Any]:
    """The variables of a function that belong to the one around it."""
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
