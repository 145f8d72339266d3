"""What a policy sees that acts at random: generated in a moment by gymnasium, the same by seed."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.samples import Samples, Split

TRAIN_EPISODES, TEST_EPISODES = 40, 10

CARTPOLE = "CartPole-v1"
CARTPOLE_FORM = DataForm(
    kind="observations",
    task="control",
    shape=(4,),
    class_names=("push left", "push right"),
    feature_names=("cart position", "cart velocity", "pole angle", "pole angular velocity"),
)


def load_cartpole_split(request: DataRequest) -> Split:
    """Play CartPole at random; inputs are observations (N, 4), targets the actions that answered them.

    Positions are in metres, velocities in metres per second, angles in radians, angular velocities in radians per
    second. An agent does not learn from these: they are what "any observation" means when its answers are explained.

    Raises:
        MissingExtraError: when gymnasium is not installed.
    """
    train_seed, test_seed = np.random.SeedSequence(request.seed).generate_state(2).tolist()
    return Split(CARTPOLE_FORM, _played(TRAIN_EPISODES, train_seed), _played(TEST_EPISODES, test_seed))


def _played(episodes: int, seed: int) -> Samples:
    import torch

    from torchglass.reference_models.loops.environments import Environments
    from torchglass.reference_models.loops.playing import at_random, play

    seeds = np.random.SeedSequence(seed).generate_state(episodes).tolist()
    with closing(Environments(CARTPOLE, episodes)) as environments:
        played = play(at_random(CARTPOLE_FORM.outputs, seed), environments, seeds)
    order = np.random.default_rng(seed).permutation(len(played.actions))
    return Samples(torch.from_numpy(played.observations[order]), torch.from_numpy(played.actions[order]))
