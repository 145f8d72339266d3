"""The optimizer that a recipe names."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from torchglass.reference_models.recipe import Recipe

MOMENTUM = 0.9


def optimizer_for(parameters: Iterable[nn.Parameter], recipe: Recipe) -> Optimizer:
    """Make the optimizer; weight decay is decoupled with AdamW and part of the gradient with SGD."""
    wanted = list(parameters)
    if recipe.optimizer == "sgd":
        return SGD(wanted, lr=recipe.learning_rate, momentum=MOMENTUM, nesterov=True, weight_decay=recipe.weight_decay)
    return AdamW(wanted, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
