"""Environments of gymnasium that are stepped together, with what really followed each action."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchglass.errors import MissingExtraError

if TYPE_CHECKING:
    from gymnasium.vector import SyncVectorEnv

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


class Transition(NamedTuple):
    """What one action in each of E environments led to.

    `observations` (E, F) is what followed, at an episode's end its final observation; `terminated` episodes came to an
    end by themselves, `truncated` ones by a time limit, both (E,).
    """

    observations: Floats
    rewards: Floats
    terminated: Flags
    truncated: Flags


class Episode(NamedTuple):
    """A finished episode: which environment's, the sum of its rewards, and its length in steps."""

    environment: int
    total_reward: float
    length: int


class Environments:
    """Equal environments; one whose episode ends begins the next at once.

    `observations` (E, F) is what the next action answers to; `finished` collects episodes until `harvest` takes them.

    Raises:
        MissingExtraError: when gymnasium is not installed.
    """

    def __init__(self, name: str, count: int) -> None:
        self._environments = make_environments(name, count)
        self.count = count
        self.observations: Floats = np.zeros((count, 0), dtype=np.float32)
        self.finished: list[Episode] = []
        self._rewards = np.zeros(count)
        self._lengths = np.zeros(count, dtype=np.int64)

    def reset(self, seeds: Sequence[int]) -> None:
        """Begin a first episode everywhere, one seed for each environment; all that follows depends on them alone."""
        self.observations, _ = self._environments.reset(seed=list(seeds))
        self.finished = []
        self._rewards[:] = 0
        self._lengths[:] = 0

    def step(self, actions: npt.NDArray[np.int64]) -> Transition:
        """Act once in each environment, actions (E,)."""
        self.observations, rewards, terminated, truncated, notes = self._environments.step(actions)
        self._rewards += rewards
        self._lengths += 1
        followed = self.observations
        ended = np.flatnonzero(terminated | truncated)
        if len(ended):
            followed = followed.copy()
            for index in ended.tolist():
                followed[index] = notes["final_obs"][index]
                self.finished.append(Episode(index, float(self._rewards[index]), int(self._lengths[index])))
            self._rewards[ended] = 0
            self._lengths[ended] = 0
        return Transition(followed, rewards.astype(np.float32), terminated, truncated)

    def harvest(self) -> list[Episode]:
        """Return the episodes that have finished since the last harvest."""
        finished, self.finished = self.finished, []
        return finished

    def close(self) -> None:
        """Release what the environments hold."""
        self._environments.close()


def make_environments(name: str, count: int) -> SyncVectorEnv[Any, Any]:
    """Make `count` environments of that name; without the checker, which triples the time of a small one's step."""
    try:
        import gymnasium
    except ImportError as error:
        raise MissingExtraError("gymnasium", "models") from error

    def make() -> gymnasium.Env[Any, Any]:
        return gymnasium.make(name, disable_env_checker=True)

    # By the default, NEXT_STEP, an ended episode costs a step that is none: its action is ignored.
    return gymnasium.vector.SyncVectorEnv([make] * count, autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP)
