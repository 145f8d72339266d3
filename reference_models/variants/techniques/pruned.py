"""Global magnitude pruning (Han et al. 2015): the smallest weights of all layers together become zero."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import prune

from torchglass.errors import OptionError
from torchglass.reference_models.variants.technique import (
    Learner,
    Predictor,
    Subject,
    Variant,
    plain_learner,
    saved_weights,
)

PRUNED_SHARE = 0.5
Layer = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear


def predictor(subject: Subject) -> Predictor:
    """Prune, and make the zeros part of the weights.

    Raises:
        OptionError: the model has no convolution and no linear layer.
    """
    layers = _prune(subject.model)
    for layer in layers:
        prune.remove(layer, "weight")  # type: ignore[no-untyped-call]
    return Predictor(subject.model, saved_weights(subject.model), (_told(layers),))


def learner(subject: Subject) -> Learner:
    """Prune, and train what is left: each pass multiplies the weights with a mask.

    Raises:
        OptionError: the model has no convolution and no linear layer.
    """
    names = [name for name, _ in subject.model.named_parameters()]
    layers = _prune(subject.model)
    masked = dict(subject.model.named_parameters())
    parameters = tuple(masked[name] if name in masked else masked[f"{name}_orig"] for name in names)
    plain = plain_learner(subject.model, subject.model, subject.device)
    return Learner(plain.forward, parameters, plain.scaler, (_told(layers),))


def _prune(model: nn.Module) -> tuple[Layer, ...]:
    layers = tuple(module for module in model.modules() if isinstance(module, Layer))
    if not layers:
        raise OptionError("pruning takes the weights of convolutions and linear layers: this model has none")
    prune.global_unstructured(
        [(layer, "weight") for layer in layers], pruning_method=prune.L1Unstructured, amount=PRUNED_SHARE
    )
    return layers


def _told(layers: tuple[Layer, ...]) -> str:
    weights = torch.cat([layer.weight.detach().flatten() for layer in layers])
    zeros, count = int((weights == 0).sum()), len(weights)
    return f"{zeros:,} of {count:,} weights are zero ({zeros / count:.1%})"


VARIANT = Variant(
    "pruned",
    "The smaller half of all weights set to zero: dense kernels multiply zeros too, so expect no gain in time and, "
    "of the file, only in its compressed size.",
    predictor,
    learner,
)
