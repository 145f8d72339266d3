"""The learning rate's course: a short linear rise, then half a cosine down to zero (Loshchilov and Hutter 2017)."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

WARM_UP = 0.1  # share of the steps; on these small pictures a longer rise only delays the first good epoch


def rise_and_fall(optimizer: Optimizer, total_steps: int) -> LambdaLR:
    """Schedule the optimizer's learning rate over `total_steps` optimizer steps, any number from 1."""
    return LambdaLR(optimizer, lambda step: share_of_peak(step, total_steps))


def share_of_peak(step: int, total_steps: int) -> float:
    """Return the learning rate of a step (from 0) as a share of its peak, 0..1."""
    rising = max(1, round(WARM_UP * total_steps))
    if step < rising:
        return (step + 1) / rising
    done = (step - rising) / max(1, total_steps - rising)
    return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
