"""What PPO minimises: by hand, and its gradients where the clip holds and where it does not."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchglass.reference_models.loops.surrogate import (
    clipped_surrogate,
    entropy,
    log_likelihood,
    standardized,
    value_loss,
)


def logs(*ratios: float) -> Tensor:
    return torch.tensor(ratios, dtype=torch.float64).log().requires_grad_()


def test_a_gain_is_counted_up_to_the_clip_and_a_loss_beyond_it() -> None:
    # Ratios to the old policy, which gave every action probability 1 here, so its logarithms are 0.
    # 1.5 with advantage 2: clipped at 1.2, 2.4.     1.5 with -2: not clipped, -3.
    # 0.5 with 2: not clipped, 1.                    0.5 with -2: clipped at 0.8, -1.6.     1.1 with 10: 11.
    advantages = torch.tensor([2.0, -2.0, 2.0, -2.0, 10.0], dtype=torch.float64)
    found = clipped_surrogate(logs(1.5, 1.5, 0.5, 0.5, 1.1), torch.zeros(5, dtype=torch.float64), advantages, 0.2)
    assert math.isclose(found.loss.item(), -(2.4 - 3 + 1 - 1.6 + 11) / 5)
    assert math.isclose(found.clip_fraction.item(), 4 / 5, rel_tol=1e-6)


def test_no_gradient_passes_where_the_clip_holds() -> None:
    new = logs(1.5, 1.5, 0.5, 0.5)
    advantages = torch.tensor([2.0, -2.0, 2.0, -2.0], dtype=torch.float64)
    clipped_surrogate(new, torch.zeros(4, dtype=torch.float64), advantages, 0.2).loss.backward()  # type: ignore[no-untyped-call]
    assert new.grad is not None
    torch.testing.assert_close(new.grad, -torch.tensor([0, -3.0, 1.0, 0], dtype=torch.float64) / 4)  # ratio x advantage


def test_the_gradient_of_the_surrogate_is_the_numerical_one() -> None:
    generator = torch.Generator().manual_seed(0)
    new, old, advantages = torch.randn(3, 8, generator=generator, dtype=torch.float64)
    new.requires_grad_()
    assert torch.autograd.gradcheck(lambda given: clipped_surrogate(given, old, advantages, 0.2).loss, (new,))


def test_the_gradients_of_values_and_of_entropy_are_the_numerical_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    values = torch.randn(4, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(entropy, (logits,))
    assert torch.autograd.gradcheck(lambda given: value_loss(given, torch.ones(4, dtype=torch.float64)), (values,))
    assert torch.autograd.gradcheck(lambda given: log_likelihood(given, torch.tensor([0, 2, 1, 1])), (logits,))


def test_the_approximate_kl_is_zero_without_a_change_and_never_negative() -> None:
    old = torch.log(torch.tensor([0.5, 0.25]))
    nothing = clipped_surrogate(old, old, torch.ones(2), 0.2)
    assert (nothing.approximate_kl.item(), nothing.clip_fraction.item()) == (0, 0)
    changed = clipped_surrogate(old + math.log(2), old, torch.ones(2), 0.2)
    assert math.isclose(changed.approximate_kl.item(), 1 - math.log(2), rel_tol=1e-6)  # (2 - 1) - ln 2


def test_entropy_is_ln_of_the_actions_when_all_are_equally_likely_and_zero_when_one_is_sure() -> None:
    assert math.isclose(entropy(torch.zeros(5, 4)).item(), math.log(4), rel_tol=1e-6)
    assert abs(entropy(torch.tensor([[100.0, 0.0]])).item()) < 1e-6
    skewed = entropy(torch.log(torch.tensor([[0.25, 0.75]]))).item()
    assert math.isclose(skewed, -0.25 * math.log(0.25) - 0.75 * math.log(0.75), rel_tol=1e-6)


def test_value_loss_is_half_the_mean_square() -> None:
    assert value_loss(torch.tensor([1.0, 5.0]), torch.tensor([4.0, 4.0])).item() == (9 + 1) / 2 / 2


def test_standardized_advantages_have_mean_zero_and_deviation_one() -> None:
    found = standardized(torch.tensor([10.0, 20.0, 60.0]))
    assert abs(found.mean().item()) < 1e-6
    assert math.isclose(found.std().item(), 1, rel_tol=1e-6)


def test_a_single_advantage_has_nothing_to_be_compared_with_and_says_nothing() -> None:
    assert standardized(torch.tensor([3.0])).tolist() == [0]
