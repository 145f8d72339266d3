"""This process among those that train one model together (torchrun)."""

from __future__ import annotations

import os
from dataclasses import dataclass

from torchglass.errors import OptionError


@dataclass(frozen=True)
class Placement:
    """Process `rank` of `world`, the `local_rank`-th on its machine."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def is_shared(self) -> bool:
        """Tell whether there are other processes."""
        return self.world > 1

    @property
    def is_first(self) -> bool:
        """Tell whether this is the process that speaks for all."""
        return self.rank == 0


ALONE = Placement()


def find_placement() -> Placement:
    """Read what torchrun says in the environment; alone where it says nothing.

    Raises:
        OptionError: the variables contradict each other.
    """
    try:
        rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        local = int(os.environ.get("LOCAL_RANK", "0"))
    except ValueError:
        rank, world, local = -1, -1, -1
    if not 0 <= rank < world or local < 0:
        found = {name: os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
        raise OptionError(f"the environment says {found}, which is no place among processes: start with torchrun")
    return Placement(rank, world, local)
