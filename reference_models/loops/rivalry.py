"""What generator and discriminator minimise (Goodfellow et al. 2014), and the judgement that both are read from."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def discriminator_loss(of_real: Tensor, of_generated: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the mean cross entropy of both judgements in nats, 0-d: 2 ln 2 where the discriminator only guesses.

    Both are logits (N, 1) that a picture is real. `smoothing` takes that share from the target of real pictures alone
    (Salimans et al. 2016, section 3.4): a discriminator that is sure of all it knows teaches nothing.
    """
    real = functional.binary_cross_entropy_with_logits(of_real, torch.full_like(of_real, 1 - smoothing))
    generated = functional.binary_cross_entropy_with_logits(of_generated, torch.zeros_like(of_generated))
    return real + generated


def generator_loss(of_generated: Tensor) -> Tensor:
    """Return the non-saturating loss -ln D(G(z)), 0-d, of logits (N, 1) that generated pictures are real.

    Its gradient is largest where the discriminator is not deceived; that of ln(1 - D(G(z))) vanishes there.
    """
    return functional.binary_cross_entropy_with_logits(of_generated, torch.ones_like(of_generated))
