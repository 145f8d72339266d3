"""Explain an agent over an episode: what of each observation made it act, and what it thinks the episode is worth."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchglass.errors import OptionError
from torchglass.explainers import Explanation, explain, method_names
from torchglass.reference_models.data.random_play import CARTPOLE
from torchglass.reference_models.loops.environments import Environments
from torchglass.reference_models.networks.actor_critic import ActorCritic
from torchglass.store import ArtifactBlock, open_store
from torchglass.trained_runs import Trained, load_trained

ARTIFACT_KIND = "episode"
MOST_STEPS = 500
"""Of an episode; CartPole ends there by itself."""


@dataclass(frozen=True)
class EpisodeRequest:
    """Which run, by which methods, and the seed of the environment's beginning."""

    run: str
    methods: tuple[str, ...] = ("shap",)
    seed: int = 0
    steps: int = MOST_STEPS


@dataclass(frozen=True, eq=False)
class Played:
    """One episode of T steps as the agent saw it, the likeliest action taken at each."""

    observations: npt.NDArray[np.float32]
    """(T, F)"""
    actions: npt.NDArray[np.int64]
    """(T,)"""
    rewards: npt.NDArray[np.float32]
    """(T,)"""
    finished: bool
    """whether the episode came to its end within the steps"""


def explain_episode(location: str | os.PathLike[str] | None, request: EpisodeRequest) -> Iterator[str]:
    """Play one episode with a run's trained policy, explain it, store an artifact and yield a line for each method.

    Raises:
        OptionError: the run is not of an agent, or the method or a number does not suit it.
        NoStoreError: there is no store.
        RunNotFoundError: no such run, or it kept no checkpoint of a reference model, or no samples.
        MissingExtraError: gymnasium is not installed.
    """
    if not 1 <= request.steps <= MOST_STEPS:
        raise OptionError(f"steps is {request.steps}: give 1 to {MOST_STEPS}")
    for method in request.methods:
        if method not in method_names("table"):
            raise OptionError(f"method {method!r} explains no rows: choose among {', '.join(method_names('table'))}")
    with open_store(location, read_only=True):
        pass  # of a mistyped address no store is made
    with open_store(location) as store:
        trained = load_trained(store, request.run)
        if trained.form.task != "control":
            raise OptionError(f"{trained.run.name!r} is a run of {trained.exhibit.name}, which plays no episodes")
        agent = cast(ActorCritic, trained.network)
        played = play_episode(agent, CARTPOLE, seed=request.seed, most_steps=request.steps)
        background = trained.inputs("background", slice(None))
        for method in request.methods:
            action, value = explain_agent(agent, played, background, method=method, seed=request.seed)
            store.add_artifact(trained.run.id, _to_block(trained, request, played, action, value))
            yield _describe(trained, request, played, action, value)


def play_episode(agent: ActorCritic, environment: str, *, seed: int, most_steps: int) -> Played:
    """Play one episode in an environment of gymnasium, from a beginning that the seed decides."""
    observations: list[npt.NDArray[np.float32]] = []
    actions: list[int] = []
    rewards: list[float] = []
    device = next(agent.parameters()).device
    finished = False
    with closing(Environments(environment, 1)) as world, torch.no_grad():
        world.reset([seed])
        while len(actions) < most_steps and not finished:
            seen = world.observations.copy()
            action = agent.policy(torch.from_numpy(seen).to(device)).argmax(dim=-1).cpu().numpy()
            observations.append(seen[0])
            actions.append(int(action[0]))
            rewards.append(float(world.step(action).rewards[0]))
            finished = bool(world.harvest())
    return Played(np.stack(observations), np.array(actions), np.array(rewards, dtype=np.float32), finished)


def explain_agent(
    agent: ActorCritic, played: Played, background: Tensor, *, method: str, seed: int
) -> tuple[Explanation, Explanation]:
    """Explain the logit of the action that was taken at each step, and the value of what was seen there.

    Both are of T rows of F observations, against the same background.
    """
    seen = torch.from_numpy(played.observations)
    action = explain(agent.policy, seen, played.actions, method, kind="table", background=background, seed=seed)
    value = explain(cast(nn.Module, agent.value), seen, 0, method, kind="table", background=background, seed=seed)
    return action, value


def _to_block(
    trained: Trained, request: EpisodeRequest, played: Played, action: Explanation, value: Explanation
) -> ArtifactBlock:
    names = trained.form.feature_names or tuple(f"observation {i}" for i in range(played.observations.shape[1]))
    meta: dict[str, Any] = {
        "model": trained.exhibit.name,
        "environment": CARTPOLE,
        "seed": request.seed,
        "method": action.method,
        "implementation": action.implementation,
        "feature_names": list(names),
        "class_names": list(trained.form.class_names),
        "finished": played.finished,
        "total_reward": float(played.rewards.sum()),
        "action_checks": dict(action.checks),
        "value_checks": dict(value.checks),
        "seconds": action.seconds + value.seconds,
        "model_evaluations": action.model_evaluations + value.model_evaluations,
        "checkpoint_step": trained.checkpoint.step,
    }
    arrays: dict[str, npt.NDArray[Any]] = {
        "observations": played.observations,
        "actions": played.actions,
        "rewards": played.rewards,
        "logits": action.outputs,
        "values": value.outputs,
        "action_attributions": action.attributions,
        "value_attributions": value.attributions,
    }
    return ArtifactBlock(ARTIFACT_KIND, f"seed {request.seed}", trained.checkpoint.step, time.time(), meta, arrays)


def _describe(
    trained: Trained, request: EpisodeRequest, played: Played, action: Explanation, value: Explanation
) -> str:
    end = "" if played.finished else ", cut off"
    sizes = np.abs(action.attributions).mean(axis=0)
    names = trained.form.feature_names or tuple(f"observation {i}" for i in range(len(sizes)))
    most = names[int(sizes.argmax())]
    return (
        f"episode with seed {request.seed}: {len(played.actions)} steps{end}, return {played.rewards.sum():.0f}; "
        f"{most} moved the chosen action most ({100 * sizes.max() / max(sizes.sum(), 1e-12):.0f} %); "
        f"{action.method} by {action.implementation} in {action.seconds + value.seconds:.2f} s"
    )
