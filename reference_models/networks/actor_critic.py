"""The two networks of a policy-gradient agent, which share nothing: one acts, the other says how well that will go."""

from __future__ import annotations

from collections import OrderedDict
from math import sqrt

from torch import Tensor, nn

TIMID_GAIN = 0.01  # of the policy's last layer: at first all actions are about equally likely
LINEAR_GAIN = 1.0


class ActorCritic(nn.Module):
    """Observations (N, features) -> action logits (N, actions) and values (N,); each network also serves by itself."""

    def __init__(self, features: int, actions: int, width: int = 64) -> None:
        super().__init__()
        self.policy = perceptron(features, actions, width, gain=TIMID_GAIN)
        self.value = perceptron(features, 1, width, gain=LINEAR_GAIN)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        return self.policy(observations), self.value(observations).squeeze(-1)


def perceptron(inputs: int, outputs: int, width: int, *, gain: float) -> nn.Sequential:
    """Build two hidden layers of tanh, with orthogonal weights as Engstrom et al. 2020 found PPO to need them."""
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            hidden1=orthogonal(nn.Linear(inputs, width), sqrt(2)),
            tanh1=nn.Tanh(),
            hidden2=orthogonal(nn.Linear(width, width), sqrt(2)),
            tanh2=nn.Tanh(),
            output=orthogonal(nn.Linear(width, outputs), gain),
        )
    )


def orthogonal(layer: nn.Linear, gain: float) -> nn.Linear:
    """Draw the weights orthogonal, times `gain`, and set the bias to zero; return the layer."""
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
