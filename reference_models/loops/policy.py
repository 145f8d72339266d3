"""Learning to act by proximal policy optimization (PPO; Schulman et al. 2017, algorithm 1).

Each rollout lets the policy act in several environments at once, then a few passes over what it did move the policy
towards what went better than the value network expected, but not far: `surrogate.py` clips what more would gain.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from torchglass.reference_models.data.samples import Samples
from torchglass.reference_models.learning.optimizers import optimizer_for
from torchglass.reference_models.learning.schedule import scheduled
from torchglass.reference_models.lesson import Epoch, Gallery, Setup
from torchglass.reference_models.loops.advantages import explained_variance
from torchglass.reference_models.loops.environments import Environments, Episode
from torchglass.reference_models.loops.playing import greedy, play
from torchglass.reference_models.loops.rollout import Experience, collect, digest, minibatches
from torchglass.reference_models.loops.surrogate import (
    clipped_surrogate,
    entropy,
    log_likelihood,
    standardized,
    value_loss,
)
from torchglass.reference_models.networks.actor_critic import ActorCritic
from torchglass.reference_models.progress import bar
from torchglass.reference_models.recorder import Recorder
from torchglass.reference_models.tasks.scores import Scores

TEST_EPISODES = 20
TEST_SEED, GALLERY_SEED = 1_000_000, 2_000_000  # of the first episode; the same for every run, so runs compare
GALLERY_OBSERVATIONS = 200
BACKGROUND_OBSERVATIONS = 64


@dataclass(frozen=True)
class Practice:
    """How an agent gathers experience, `environments` x `steps` actions a rollout, and how much it makes of it."""

    environment: str
    environments: int = 8
    steps: int = 128
    rollouts: int = 10  # in an epoch
    passes: int = 10  # over each rollout
    discount: float = 0.99
    decay: float = 0.95  # lambda of the advantages
    clip_range: float = 0.2
    value_weight: float = 0.5
    entropy_weight: float = 0.01


class PolicyLesson:
    """Learning by acting. An epoch begins with new episodes that depend on the seed and its number alone."""

    def __init__(self, setup: Setup, practice: Practice) -> None:
        self.model = self.trained = cast("ActorCritic", setup.model)
        self.form = setup.split.form
        self.epochs = setup.recipe.epochs
        self.optimizer = optimizer_for(self.model.parameters(), setup.recipe)
        self._setup, self._practice, self._recipe = setup, practice, setup.recipe
        batches = -(-practice.environments * practice.steps // setup.recipe.batch_size)
        self._steps_of_epoch = practice.rollouts * practice.passes * batches
        self._schedule = scheduled(self.optimizer, setup.recipe, setup.recipe.epochs * self._steps_of_epoch)

    def fit(self, run: Recorder, *, done: int = 0) -> Iterator[Epoch]:
        """Train epoch by epoch and yield each one's scores."""
        practice, show = self._practice, self._setup.progress
        with (
            closing(Environments(practice.environment, practice.environments)) as environments,
            bar("training", self.epochs, "epoch", show=show) as epochs_bar,
        ):
            epochs_bar.update(done)
            for number in range(done + 1, self.epochs + 1):
                finished = self.train_epoch(number, environments, run)
                scores = self.evaluate()
                if finished:
                    scores = Scores({**scores.values, **under("train", finished)})
                epochs_bar.set_postfix_str(f"test return {scores['test/return']:.1f}")
                epochs_bar.update()
                yield Epoch(number, run.current_step, scores)

    def train_epoch(self, number: int, environments: Environments, run: Recorder) -> list[Episode]:
        """Act and learn in turns; return the episodes that ended."""
        practice, ended = self._practice, []
        seeds = np.random.SeedSequence((self._setup.seed, number)).generate_state(practice.environments + 1).tolist()
        generator = torch.Generator().manual_seed(seeds.pop())
        environments.reset(seeds)
        self.model.train()
        for _ in range(practice.rollouts):
            began = perf_counter()
            for batch in run.batches(self.experience(environments, generator)):
                self.learn(batch, run)
            finished = environments.harvest()
            speed = practice.environments * practice.steps / (perf_counter() - began)
            run.log({"environment_steps_per_second": speed} | under("", finished))
            ended += finished
        return ended

    def experience(self, environments: Environments, generator: torch.Generator) -> Iterator[Experience]:
        """Act for one rollout, then deal out what happened in minibatches: the first one waits for the environments."""
        practice = self._practice
        rollout = collect(self.model, environments, practice.steps, generator)
        gathered = digest(rollout, self.model, discount=practice.discount, decay=practice.decay)
        yield from minibatches(gathered, self._recipe.batch_size, practice.passes, generator)

    def learn(self, batch: Experience, run: Recorder) -> None:
        """Take one optimizer step."""
        practice = self._practice
        logits, values = self.model(batch.observations)
        of_policy, approximate_kl, clip_fraction = clipped_surrogate(
            log_likelihood(logits, batch.actions),
            batch.log_probabilities,
            standardized(batch.advantages),
            practice.clip_range,
        )
        of_value, uncertainty = value_loss(values, batch.returns), entropy(logits)
        loss = of_policy + practice.value_weight * of_value - practice.entropy_weight * uncertainty
        loss.backward()  # type: ignore[no-untyped-call]
        clipped = self._clip()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._schedule.step()
        run.log(
            {
                "loss": loss.detach(),
                "loss/policy": of_policy.detach(),
                "loss/value": of_value.detach(),
                "entropy": uncertainty.detach(),
                "approximate_kl": approximate_kl,
                "clip_fraction": clip_fraction,
                "explained_variance": explained_variance(batch.values, batch.returns),
            }
            | clipped
        )

    def evaluate(self) -> Scores:
        """Play some episodes greedily, the same ones each time."""
        with closing(Environments(self._practice.environment, TEST_EPISODES)) as environments:
            seeds = range(TEST_SEED, TEST_SEED + TEST_EPISODES)
            played = play(greedy(self.model.policy), environments, seeds)
        return Scores({"test/return": played.mean_return, "test/episode_length": played.mean_length})

    def state(self) -> dict[str, Any]:
        """Return all that the next epoch depends on; no environment is among it, as epochs begin with new episodes."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was called."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])

    def gallery(self) -> Gallery:
        """Choose what the trained policy sees, evenly over its episodes, with its answers as targets.

        What was seen at random play is the background.
        """
        with closing(Environments(self._practice.environment, 1)) as environment:
            played = play(greedy(self.model.policy), environment, [GALLERY_SEED])
        chosen = np.linspace(0, len(played.actions) - 1, min(GALLERY_OBSERVATIONS, len(played.actions))).round()
        indices = chosen.astype(np.int64)
        samples = Samples(torch.from_numpy(played.observations[indices]), torch.from_numpy(played.actions[indices]))
        return Gallery(samples, self._setup.split.train.inputs[:BACKGROUND_OBSERVATIONS])

    def _clip(self) -> dict[str, Tensor]:
        if self._recipe.clip_norm is None:
            return {}
        return {"gradient_norm": clip_grad_norm_(self.model.parameters(), self._recipe.clip_norm)}


class PolicyScorer(nn.Module):
    """What of an agent is explained: observations (N, F) -> the logits of its actions (N, actions)."""

    def __init__(self, agent: ActorCritic) -> None:
        super().__init__()
        self.policy = agent.policy

    def forward(self, observations: Tensor) -> Tensor:
        logits: Tensor = self.policy(observations)
        return logits


def under(prefix: str, episodes: list[Episode]) -> dict[str, float]:
    """Return the mean return and length of the episodes, by name; nothing where there are none."""
    if not episodes:
        return {}
    return {
        f"{prefix}/return".lstrip("/"): float(np.mean([episode.total_reward for episode in episodes])),
        f"{prefix}/episode_length".lstrip("/"): float(np.mean([episode.length for episode in episodes])),
    }
