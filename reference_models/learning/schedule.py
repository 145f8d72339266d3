"""The learning rate's course: a linear rise, then one of several falls, all as a share of the peak."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from torchglass.reference_models.recipe import Recipe

DROP = 0.1  # what a step multiplies the rate by (He et al. 2016)


def _step(done: float) -> float:
    return DROP ** int(done * 3 + 1e-9)


def _multi_step(done: float) -> float:
    return DROP ** ((done >= 0.5) + (done >= 0.75))


def _cosine(done: float) -> float:
    """Half a cosine down to zero (Loshchilov and Hutter 2017)."""
    return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


FALLS: Mapping[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "step": _step,  # a tenth after each third of what follows the rise
    "multi_step": _multi_step,  # a tenth after a half, and after three quarters of it
    "cosine": _cosine,
}


def scheduled(optimizer: Optimizer, recipe: Recipe, total_steps: int) -> LambdaLR:
    """Schedule the optimizer's learning rate over `total_steps` optimizer steps, any number from 1."""
    return LambdaLR(optimizer, lambda step: share_of_peak(step, total_steps, recipe.schedule, recipe.warm_up))


def share_of_peak(step: int, total_steps: int, schedule: str, warm_up: float) -> float:
    """Return the learning rate of a step (from 0) as a share of its peak, 0..1."""
    rising = round(warm_up * total_steps)
    if step < rising:
        return (step + 1) / rising
    return FALLS[schedule]((step - rising) / max(1, total_steps - rising))
