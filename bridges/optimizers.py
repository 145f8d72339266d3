"""Find the optimizer that trains a model, where nobody names it: at the first step that one takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook


class OptimizerSearch:
    """Waits for the first step of an optimizer that holds a parameter of the model; then calls back, once."""

    def __init__(self, model: nn.Module, found: Callable[[torch.optim.Optimizer], None]) -> None:
        self._model = model
        self._found: Callable[[torch.optim.Optimizer], None] | None = found
        self._handle = register_optimizer_step_pre_hook(self._before_step)

    def stop(self) -> None:
        """Take the hook off again; must not be called from within an optimizer's step."""
        self._found = None
        self._handle.remove()

    def _before_step(self, optimizer: torch.optim.Optimizer, *_ignored: Any) -> None:
        # The hook stays on after the find: taken off here, it would break the loop over hooks that called it.
        if self._found is not None and _trains(optimizer, self._model):
            found, self._found = self._found, None
            found(optimizer)


def _trains(optimizer: torch.optim.Optimizer, model: nn.Module) -> bool:
    own = {id(parameter) for parameter in model.parameters()}
    return any(id(parameter) in own for group in optimizer.param_groups for parameter in group["params"])
