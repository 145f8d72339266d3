"""Which process this is: host, process id, and its rank when several train together."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """`launch_id` is equal in all ranks of one launch and in no other; None for a process on its own."""

    host: str
    pid: int
    rank: int
    world_size: int
    launch_id: str | None


def identify() -> Identity:
    """Read the identity from the variables that torchrun sets (RANK, WORLD_SIZE, TORCHELASTIC_RUN_ID, MASTER_PORT)."""
    environment = os.environ
    world_size = int(environment.get("WORLD_SIZE") or 1)
    launch_id = None
    if world_size > 1:
        parts = (environment.get(name, "") for name in ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT"))
        # The parent is the launcher: equal in ranks of one machine, different in a later launch on the same port.
        launch_id = "/".join([*parts, environment.get("TORCHELASTIC_RESTART_COUNT", ""), str(os.getppid())])
    return Identity(platform.node(), os.getpid(), int(environment.get("RANK") or 0), world_size, launch_id)
