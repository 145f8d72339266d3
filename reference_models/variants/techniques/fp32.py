"""The original: float32 weights, eager mode."""

from __future__ import annotations

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
    return Predictor(subject.model, saved_weights(subject.model))


def learner(subject: Subject) -> Learner:
    """Take the model as it is."""
    return plain_learner(subject.model, subject.model, subject.device)


VARIANT = Variant("fp32", "The model as it is, in eager mode: what the others are compared with.", predictor, learner)
