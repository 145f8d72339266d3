"""Automatic mixed precision: matrix products in 16 bits, weights and sums in 32."""

from __future__ import annotations

from torch import Tensor, nn

from torchglass.reference_models.learning.precision import Precision, choose_precision
from torchglass.reference_models.variants.technique import (
    Forward,
    Learner,
    Predictor,
    Subject,
    Variant,
    saved_weights,
)


def predictor(subject: Subject) -> Predictor:
    """Run the model under autocast.

    Raises:
        OptionError: on MPS.
    """
    precision = choose_precision(subject.device, amp="auto")
    return Predictor(_autocast(subject.model, precision), saved_weights(subject.model), (_told(precision),))


def learner(subject: Subject) -> Learner:
    """Run the model under autocast, with a scaled loss where the format is fp16.

    Raises:
        OptionError: on MPS.
    """
    precision = choose_precision(subject.device, amp="auto")
    parameters = tuple(subject.model.parameters())
    return Learner(_autocast(subject.model, precision), parameters, precision.scaler, (_told(precision),))


def _autocast(model: nn.Module, precision: Precision) -> Forward:
    def forward(images: Tensor) -> Tensor:
        with precision.autocast():
            logits: Tensor = model(images)
        return logits.float()

    return forward


def _told(precision: Precision) -> str:
    return f"products in {str(precision.dtype).removeprefix('torch.')}"


VARIANT = Variant(
    "amp",
    "Automatic mixed precision: bf16 (fp16 on older GPUs) products; the weights stay in float32, so does the file. "
    "On a CPU it pays where the processor has bf16 instructions.",
    predictor,
    learner,
)
