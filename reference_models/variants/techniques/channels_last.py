"""Channels-last memory format: the channels of a pixel lie side by side, as fast convolutions want them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
    """Lay out weights and pictures channels last.

    Raises:
        OptionError: the model has no two-dimensional convolution, or its inputs are not pictures.
    """
    return Predictor(_laid_out(subject), saved_weights(subject.model))


def learner(subject: Subject) -> Learner:
    """Lay out weights and pictures channels last.

    Raises:
        OptionError: the model has no two-dimensional convolution, or its inputs are not pictures.
    """
    return plain_learner(subject.model, _laid_out(subject), subject.device)


def _laid_out(subject: Subject) -> Forward:
    convolves = any(isinstance(module, nn.Conv2d) for module in subject.model.modules())
    if subject.images.dim() != 4 or not convolves:
        raise OptionError("channels last is a layout of pictures for 2-d convolutions, and this model has none")
    model = subject.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(images: Tensor) -> Tensor:
        logits: Tensor = model(images.to(memory_format=torch.channels_last))
        return logits

    return forward


VARIANT = Variant(
    "channels_last",
    "Weights and pictures in channels-last order: the same numbers; pays off with tensor cores and many channels.",
    predictor,
    learner,
)
