"""`torch.compile`: the model's operations fused into generated code."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

from torchglass.errors import OptionError
from torchglass.reference_models.variants.technique import (
    Forward,
    Learner,
    Predictor,
    Subject,
    Variant,
    plain_learner,
    saved_weights,
)


def predictor(subject: Subject) -> Predictor:
    """Compile the model."""
    return Predictor(compiled(subject.model), saved_weights(subject.model))


def learner(subject: Subject) -> Learner:
    """Compile the model; its backward pass is compiled with it."""
    return plain_learner(subject.model, compiled(subject.model), subject.device)


def compiled(model: nn.Module) -> Forward:
    """Return the compiled model; its first call compiles, and fails unless that gave a graph.

    Code that was compiled before in this process is forgotten: beyond a number of recompilations torch would run
    the model eagerly and say so only in its log.
    """
    torch.compiler.reset()
    fast = cast("Forward", torch.compile(model))
    graphs_before = counters["stats"]["unique_graphs"]

    def forward(images: Tensor) -> Tensor:
        logits = fast(images)
        if counters["stats"]["unique_graphs"] == graphs_before:
            raise OptionError("torch.compile found nothing in this model to compile and ran it eagerly")
        return logits

    return forward


VARIANT = Variant(
    "compile",
    "torch.compile with its default backend: pays its time to compile at the first call; ships the weights alone.",
    predictor,
    learner,
)
