"""An agent that learns to balance a pole on a cart by proximal policy optimization (Schulman et al. 2017).

gymnasium's CartPole-v1 (Barto, Sutton, Anderson 1983): push the cart left or right; one point for each of at most 500
steps until the pole leans over 12 degrees or the cart leaves the track. A policy that acts at random gets about 22.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torchglass.reference_models.data.random_play import CARTPOLE, load_cartpole_split
from torchglass.reference_models.exhibit import Blueprint, DataSource, ExplainTarget, QualityBar, ReferenceModel
from torchglass.reference_models.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from torchglass.reference_models.lesson import Lesson, Setup
    from torchglass.reference_models.networks.actor_critic import ActorCritic


def build_agent(blueprint: Blueprint) -> nn.Module:
    """Build policy and value network: (N, 4) observations to (N, 2) logits and (N,) values, 9,155 parameters."""
    from torchglass.reference_models.networks.actor_critic import ActorCritic

    return ActorCritic(blueprint.form.shape[0], blueprint.form.outputs)


def prepare(setup: Setup) -> Lesson:
    """Prepare the agent's own training loop."""
    from torchglass.reference_models.loops.policy import PolicyLesson, Practice

    return PolicyLesson(setup, Practice(CARTPOLE))


def policy_alone(model: nn.Module) -> nn.Module:
    """Return the part that acts, as a model of its own: observations (N, 4) to logits (N, 2)."""
    from torchglass.reference_models.loops.policy import PolicyScorer

    return PolicyScorer(cast("ActorCritic", model))


RECIPE = Recipe(
    epochs=10,
    batch_size=256,
    learning_rate=1e-3,
    schedule="cosine",
    warm_up=0.0,
    clip_norm=0.5,
    cpu_threads=1,
)

EXHIBIT = ReferenceModel(
    name="ppo",
    title="PPO on CartPole",
    summary="An agent that learns to balance a pole: a policy and a value network, and eight carts to try them on.",
    builder=build_agent,
    sources=(DataSource("cartpole", load_cartpole_split, RECIPE),),
    bar=QualityBar("test/return", 450.0),
    explain=ExplainTarget(methods=("shap", "integrated_gradients", "lime"), scorer=policy_alone),
    lesson=prepare,
    switches=frozenset(
        {
            "epochs",
            "batch_size",
            "learning_rate",
            "optimizer",
            "weight_decay",
            "schedule",
            "warm_up",
            "clip_norm",
            "initialization",
            "cpu_threads",
        }
    ),
)
