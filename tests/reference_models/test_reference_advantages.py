"""Generalized advantage estimation: by hand, and against the definition written out as a double sum."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from torchglass.reference_models.loops.advantages import explained_variance, generalized_advantages


def slow_advantages(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    *,
    discount: float,
    decay: float,
) -> Tensor:
    """Equation 16 of Schulman et al. 2016 as it stands: for each step the sum over what follows in its episode."""
    steps, environments = rewards.shape
    advantages = torch.zeros_like(rewards)
    for environment in range(environments):
        for start in range(steps):
            weight = 1.0
            for step in range(start, steps):
                future = 0.0 if terminated[step, environment] else float(next_values[step, environment])
                surprise = float(rewards[step, environment]) + discount * future - float(values[step, environment])
                advantages[start, environment] += weight * surprise
                if terminated[step, environment] or truncated[step, environment]:
                    break
                weight *= discount * decay
    return advantages


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def flags(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.bool).unsqueeze(1)


def test_three_steps_by_hand_with_a_termination_and_a_truncation() -> None:
    # discount 1/2, lambda 1/2, so what follows counts a quarter.
    # Step 0 goes on: 1 + 8/2 - 2 = 3.        Step 1 terminates: 2 - 8 = -6 (its next value, 100, is nobody's).
    # Step 2 is truncated: 1 + 6/2 - 3 = 1.   Step 3 is cut by the end of the rollout: 4 + 10/2 - 1 = 8.
    found = generalized_advantages(
        column(1, 2, 1, 4),
        column(2, 8, 3, 1),
        column(8, 100, 6, 10),
        flags(0, 1, 0, 0),
        flags(0, 0, 1, 0),
        discount=0.5,
        decay=0.5,
    )
    assert found.squeeze(1).tolist() == [3 - 6 / 4, -6, 1, 8]


def test_an_episode_that_both_terminated_and_ran_out_of_time_has_no_future() -> None:
    found = generalized_advantages(column(1), column(0), column(50), flags(1), flags(1), discount=0.9, decay=0.9)
    assert found.item() == 1


@pytest.mark.parametrize(("discount", "decay"), [(0.99, 0.95), (0.9, 0.0), (1.0, 1.0), (0.5, 1.0)])
def test_it_agrees_with_the_double_sum_on_random_episodes(discount: float, decay: float) -> None:
    generator = torch.Generator().manual_seed(3)
    rewards, values, next_values = torch.randn(3, 40, 5, generator=generator, dtype=torch.float64)
    ends = torch.rand(40, 5, generator=generator)
    terminated, truncated = ends < 0.1, (ends > 0.05) & (ends < 0.2)  # some are both
    given = (rewards, values, next_values, terminated, truncated)
    fast = generalized_advantages(*given, discount=discount, decay=decay)
    torch.testing.assert_close(fast, slow_advantages(*given, discount=discount, decay=decay))


def test_with_lambda_one_advantage_plus_value_is_the_discounted_return() -> None:
    rewards, values = column(1, 2, 3), column(5, -1, 7)
    found = generalized_advantages(
        rewards, values, column(-1, 7, 4), flags(0, 0, 1), flags(0, 0, 0), discount=0.5, decay=1.0
    )
    assert (found + values).squeeze(1).tolist() == [1 + 2 / 2 + 3 / 4, 2 + 3 / 2, 3]


def test_explained_variance_is_one_for_right_values_zero_for_a_constant_and_below_for_wrong_ones() -> None:
    returns = torch.tensor([1.0, 2.0, 3.0, 6.0])
    assert explained_variance(returns + 5, returns).item() == 1  # a constant error explains all that varies
    assert explained_variance(torch.zeros(4), returns).item() == 0
    assert explained_variance(-returns, returns).item() == -3  # the errors are twice the returns: 1 - 4
    assert math.isnan(explained_variance(returns, torch.ones(4)).item())
