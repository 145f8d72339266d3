"""The original: float32 weights, eager mode."""

from __future__ import annotations

from dataclasses import replace

import torch

from torchglass.reference_models.variants.technique import (
    Learner,
    Predictor,
    Subject,
    Variant,
    plain_learner,
    saved_weights,
)


def predictor(subject: Subject) -> Predictor:
    """Take the model as it is."""
    return Predictor(subject.model, saved_weights(subject.model), _told(subject.device))


def learner(subject: Subject) -> Learner:
    """Take the model as it is."""
    return replace(plain_learner(subject.model, subject.model, subject.device), notes=_told(subject.device))


def _told(device: torch.device) -> tuple[str, ...]:
    """What torch does by default on a GPU: its float32 convolutions keep ten bits of the mantissa."""
    rounds = device.type == "cuda" and torch.backends.cudnn.allow_tf32
    return ("convolutions may round their factors to TF32, torch's default on this GPU",) if rounds else ()


VARIANT = Variant("fp32", "The model as it is, in eager mode: what the others are compared with.", predictor, learner)
