"""What PPO minimises (Schulman et al. 2017, equations 7 and 9), and the figures that say how far an update went."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class PolicyLoss(NamedTuple):
    """All 0-d; `loss` alone carries gradients.

    `approximate_kl` estimates how far the new policy is from the one that acted, in nats, by Schulman's estimator
    (r - 1) - ln r, which is never negative; `clip_fraction` is the share of actions whose ratio r left the clip range.
    """

    loss: Tensor
    approximate_kl: Tensor
    clip_fraction: Tensor


def clipped_surrogate(
    log_probabilities: Tensor, old_log_probabilities: Tensor, advantages: Tensor, clip_range: float
) -> PolicyLoss:
    """Compare the new policy with the one that acted; all arguments are (N,), `clip_range` is the paper's epsilon.

    What an action gains by becoming more likely, or loses by becoming less so, is counted only within the range.
    """
    log_ratios = log_probabilities - old_log_probabilities
    ratios = log_ratios.exp()
    clipped = ratios.clamp(1 - clip_range, 1 + clip_range)
    loss = -torch.minimum(ratios * advantages, clipped * advantages).mean()
    with torch.no_grad():
        approximate_kl = (ratios - 1 - log_ratios).mean()
        clip_fraction = ((ratios - 1).abs() > clip_range).float().mean()
    return PolicyLoss(loss, approximate_kl, clip_fraction)


def value_loss(values: Tensor, returns: Tensor) -> Tensor:
    """Return half the mean squared error of the values (N,), 0-d."""
    return (returns - values).square().mean() / 2


def log_likelihood(logits: Tensor, actions: Tensor) -> Tensor:
    """Return the log probability (N,) of each action under the logits (N, actions)."""
    return logits.log_softmax(-1).gather(-1, actions.unsqueeze(-1)).squeeze(-1)


def entropy(logits: Tensor) -> Tensor:
    """Return the policies' mean entropy in nats, 0-d: ln(actions) where all are equally likely, 0 where one is sure."""
    log_probabilities = logits.log_softmax(-1)
    return -(log_probabilities.exp() * log_probabilities).sum(-1).mean()


def standardized(advantages: Tensor) -> Tensor:
    """Return the advantages with mean 0 and deviation 1, so that the loss does not depend on the size of rewards.

    A single one, as the last of a pass may be, is 0: it is neither above nor below the others.
    """
    deviation = advantages.std(correction=min(1, len(advantages) - 1))
    return (advantages - advantages.mean()) / (deviation + 1e-8)
