"""How much better an action was than expected: generalized advantage estimation (Schulman et al. 2016, equation 16)."""

from __future__ import annotations

import torch
from torch import Tensor


def generalized_advantages(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    *,
    discount: float,
    decay: float,
) -> Tensor:
    """Return the advantage (T, E) of each action over what the value network expected; all arguments are (T, E).

    `next_values` are the values of what each action led to: at an episode's end of its final observation, never of the
    first one of the episode that follows. An episode that terminated has no future, so that value counts for nothing;
    one that was truncated by a time limit would have gone on, so it counts. Either way the sum stops there. `decay` is
    the paper's lambda: 0 trusts the values, 1 the rewards.
    """
    surprises = rewards + discount * next_values * ~terminated - values
    carries_on = discount * decay * (~(terminated | truncated)).to(rewards)
    advantages = torch.empty_like(surprises)
    following = torch.zeros_like(surprises[0])
    for step in reversed(range(len(surprises))):
        following = surprises[step] + carries_on[step] * following
        advantages[step] = following
    return advantages


def explained_variance(values: Tensor, returns: Tensor) -> Tensor:
    """Return the share of the returns' variance that the values foretold, 0-d: 1 all of it, 0 or less none.

    NaN where all returns are equal, as then there is nothing to explain.
    """
    spread = returns.var(unbiased=False)
    return torch.where(spread > 0, 1 - (returns - values).var(unbiased=False) / spread, torch.nan)
