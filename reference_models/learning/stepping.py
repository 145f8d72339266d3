"""An optimizer's step from gradients that may be scaled, and may be too long."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from torchglass.reference_models.learning.precision import Precision
from torchglass.reference_models.recorder import Recorder


def take_step(
    optimizer: Optimizer,
    parameters: Iterable[nn.Parameter],
    precision: Precision,
    clip_norm: float | None,
    run: Recorder,
) -> None:
    """Clip the gradients where that is asked, recording their norm before, step, and empty them."""
    scaler = precision.scaler
    if clip_norm is not None:
        scaler.unscale_(optimizer)
        run.log({"gradient_norm": clip_grad_norm_(parameters, clip_norm)})
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
