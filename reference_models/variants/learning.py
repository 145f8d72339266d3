"""A learner at work: one optimizer step, the first steps from given weights, and the first gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import AdamW, Optimizer

from torchglass.reference_models.variants.technique import Learner

Batch = tuple[Tensor, Tensor]


def optimizer_of(learner: Learner, *, learning_rate: float, weight_decay: float) -> Optimizer:
    """Return the optimizer of the training loop for what the learner trains."""
    return AdamW(learner.parameters, lr=learning_rate, weight_decay=weight_decay)


def train_step(learner: Learner, optimizer: Optimizer, batch: Batch) -> Tensor:
    """Take one step on a batch in its place and return its loss (0-d), still on the device."""
    images, labels = batch
    loss = functional.cross_entropy(learner.forward(images).float(), labels)
    learner.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    learner.scaler.step(optimizer)
    learner.scaler.update()
    optimizer.zero_grad()
    return loss.detach()


def first_losses(learner: Learner, optimizer: Optimizer, batches: Sequence[Batch]) -> tuple[float | None, ...]:
    """Train on the batches in order and return each one's loss before its step, None where it was not finite."""
    losses = torch.stack([train_step(learner, optimizer, batch) for batch in batches]).tolist()
    return tuple(loss if math.isfinite(loss) else None for loss in losses)


def gradient(learner: Learner, batch: Batch) -> Tensor:
    """Return the gradient of a batch's loss over all parameters (n,), float64 on the CPU; no weight is changed.

    A scaled loss gives a gradient as many times as long, which is undone here.
    """
    images, labels = batch
    loss = functional.cross_entropy(learner.forward(images).float(), labels)
    learner.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    scale = learner.scaler.get_scale()
    parts = [
        torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in learner.parameters
    ]
    for parameter in learner.parameters:
        parameter.grad = None
    return torch.cat([part.detach().double().flatten().cpu() for part in parts]) / scale


def relative_difference(found: Tensor, original: Tensor) -> float | None:
    """Return |found - original| / |original| of two vectors (n,), None where that is no number."""
    difference = float((found - original).norm() / original.norm())
    return difference if math.isfinite(difference) else None
