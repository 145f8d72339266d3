"""Activation checkpoints: let what they compute again leave the random numbers of the process alone.

`torch.utils.checkpoint` sets the generator that all threads share back to where it was in the forward pass. On a copy
without values nothing is drawn, so that is for nothing; and what the training thread draws meanwhile would be lost.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

import torch
from torch.utils import checkpoint

from torchglass.errors import OptionError

_SWITCH = "preserve_rng_state"
_top_hooks = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)  # from torch 2.8 on


def keep_random_numbers() -> None:
    """To be called at an operator: if it runs within a checkpoint, switch its setting of random numbers off.

    Raises:
        OptionError: it cannot be, because this torch keeps its checkpoints otherwise.
    """
    for recompute in _recomputations_by_hooks() if _top_hooks is not None else _recomputations_by_frames():
        switch = _cells(recompute).get(_SWITCH)
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


def _recomputations_by_hooks() -> Iterator[Any]:
    """What the innermost checkpoint will call, which packs the tensors that are saved now."""
    hooks = _top_hooks(False) if _top_hooks is not None else None
    if hooks is not None and getattr(hooks[0], "__qualname__", "").startswith("_checkpoint_hook"):
        frame = _cells(hooks[0]).get("frame")
        yield frame.cell_contents.recompute_fn if frame is not None else None


def _recomputations_by_frames() -> Iterator[Any]:
    """The same of all checkpoints that are being called, each of which keeps a generator."""
    caller: FrameType | None = sys._getframe(1)
    while caller is not None:
        if caller.f_code.co_name == "checkpoint" and caller.f_code.co_filename == checkpoint.__file__:
            generator = caller.f_locals.get("gen")
            if generator is not None and generator.gi_frame is not None:
                yield generator.gi_frame.f_locals.get("recompute_fn")
        caller = caller.f_back


def _cells(function: Any) -> dict[str, Any]:
    """The variables of a function that belong to the one around it; of anything else none."""
    code = getattr(function, "__code__", None)
    return dict(zip(code.co_freevars, function.__closure__ or (), strict=True)) if code is not None else {}
