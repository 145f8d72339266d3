"""Whole episodes by a policy that no longer learns: to score it, and to see what it sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from torchglass.reference_models.loops.environments import Environments, Episode, Floats

Actions = npt.NDArray[np.int64]
Choose = Callable[[Floats], Actions]  # observations (E, F) -> actions (E,)


class Play(NamedTuple):
    """One episode of each environment, and all that was seen in them (N, F) with the answers to it (N,)."""

    episodes: tuple[Episode, ...]
    observations: Floats
    actions: Actions

    @property
    def mean_return(self) -> float:
        """Return the mean sum of an episode's rewards."""
        return float(np.mean([episode.total_reward for episode in self.episodes]))

    @property
    def mean_length(self) -> float:
        """Return the mean length of an episode, in steps."""
        return float(np.mean([episode.length for episode in self.episodes]))


def play(choose: Choose, environments: Environments, seeds: Sequence[int]) -> Play:
    """Play the first episode of every environment to its end, one seed for each; later ones are played and not told."""
    environments.reset(seeds)
    first: dict[int, Episode] = {}
    seen, answered = [], []
    while len(first) < environments.count:
        running = np.array([index not in first for index in range(environments.count)])
        actions = choose(environments.observations)
        seen.append(environments.observations[running])
        answered.append(actions[running])
        environments.step(actions)
        for episode in environments.harvest():
            first.setdefault(episode.environment, episode)
    episodes = tuple(first[index] for index in range(environments.count))
    return Play(episodes, np.concatenate(seen), np.concatenate(answered))


def greedy(policy: nn.Module) -> Choose:
    """Choose the likeliest action by the policy's logits."""
    device = next(policy.parameters()).device

    @torch.no_grad()
    def choose(observations: Floats) -> Actions:
        chosen: Actions = policy(torch.from_numpy(observations).to(device)).argmax(-1).cpu().numpy()
        return chosen

    return choose


def at_random(actions: int, seed: int) -> Choose:
    """Choose any of so many actions."""
    generator = np.random.default_rng(seed)
    return lambda observations: generator.integers(actions, size=len(observations))
