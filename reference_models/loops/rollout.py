"""A policy-gradient agent's buffer: what it did in some steps of its environments, and what it learns from that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from torchglass.reference_models.loops.advantages import generalized_advantages
from torchglass.reference_models.loops.environments import Environments
from torchglass.reference_models.loops.surrogate import log_likelihood
from torchglass.reference_models.networks.actor_critic import ActorCritic


@dataclass(frozen=True, eq=False)
class Rollout:
    """T steps of E environments, all (T, E) but the observations (T, E, F), on the model's device.

    `followed` are the observations that the actions led to, final ones at an episode's end; `log_probabilities` are
    those of the actions by the policy that chose them.
    """

    observations: Tensor
    actions: Tensor
    log_probabilities: Tensor
    rewards: Tensor
    followed: Tensor
    terminated: Tensor
    truncated: Tensor


@dataclass(frozen=True, eq=False)
class Experience:
    """What is learnt from, one row for each action: observations (N, F), the others (N,).

    `values` is what the value network said of the observations before this update, `returns` what it should have said.
    """

    observations: Tensor
    actions: Tensor
    log_probabilities: Tensor
    advantages: Tensor
    values: Tensor
    returns: Tensor

    def __len__(self) -> int:
        return len(self.actions)

    def rows(self, indices: Tensor) -> Experience:
        """Return the rows of these indices."""
        return Experience(
            self.observations[indices],
            self.actions[indices],
            self.log_probabilities[indices],
            self.advantages[indices],
            self.values[indices],
            self.returns[indices],
        )


@torch.no_grad()
def collect(model: ActorCritic, environments: Environments, steps: int, generator: torch.Generator) -> Rollout:
    """Let the policy act for so many steps; actions are drawn on the CPU, so they are equal on every device.

    The two networks are called by themselves: what watches the model's own call then sees training alone.
    """
    device = next(model.parameters()).device
    observations, actions, logits, transitions = [], [], [], []
    for _ in range(steps):
        seen = torch.from_numpy(environments.observations)
        scores = model.policy(seen.to(device)).cpu()
        chosen = torch.multinomial(scores.softmax(-1), 1, generator=generator).squeeze(-1)
        transitions.append(environments.step(chosen.numpy()))
        observations.append(seen)
        actions.append(chosen)
        logits.append(scores)
    rewards, followed, terminated, truncated = (
        torch.stack([torch.from_numpy(each) for each in column])
        for column in (
            [transition.rewards for transition in transitions],
            [transition.observations for transition in transitions],
            [transition.terminated for transition in transitions],
            [transition.truncated for transition in transitions],
        )
    )
    taken = torch.stack(actions)
    return Rollout(
        observations=torch.stack(observations).to(device),
        actions=taken.to(device),
        log_probabilities=log_likelihood(torch.stack(logits), taken).to(device),
        rewards=rewards.to(device),
        followed=followed.to(device),
        terminated=terminated.to(device),
        truncated=truncated.to(device),
    )


@torch.no_grad()
def digest(rollout: Rollout, model: ActorCritic, *, discount: float, decay: float) -> Experience:
    """Weigh each action by its advantage and lay all of them out in one row, environments within steps."""
    values, next_values = (model.value(seen).squeeze(-1) for seen in (rollout.observations, rollout.followed))
    advantages = generalized_advantages(
        rollout.rewards,
        values,
        next_values,
        rollout.terminated,
        rollout.truncated,
        discount=discount,
        decay=decay,
    )
    return Experience(
        observations=rollout.observations.flatten(0, 1),
        actions=rollout.actions.flatten(),
        log_probabilities=rollout.log_probabilities.flatten(),
        advantages=advantages.flatten(),
        values=values.flatten(),
        returns=(advantages + values).flatten(),
    )


def minibatches(experience: Experience, size: int, passes: int, generator: torch.Generator) -> Iterator[Experience]:
    """Yield each row once in every pass, in a new order each time; the last minibatch of a pass may be smaller."""
    for _ in range(passes):
        order = torch.randperm(len(experience), generator=generator)
        for indices in torch.split(order, size):
            yield experience.rows(indices.to(experience.actions.device))
