"""Which process this is: host, process id, and its rank when several train together."""

from __future__ import annotations

import os
import platform
import uuid
from collections import Counter
from dataclasses import dataclass

from torch import distributed

LAUNCH_KEY = "torchglass/launch"


_begun: Counter[str] = Counter()


@dataclass(frozen=True)
class Identity:
    """`launch_id` is equal in all ranks that record a run together and in no other; None for a process on its own."""

    host: str
    pid: int
    rank: int
    world_size: int
    launch_id: str | None


def identify(run: str) -> Identity:
    """Read the identity from torch.distributed where it is up, else from the variables that torchrun sets.

    Those (RANK, WORLD_SIZE, TORCHELASTIC_RUN_ID, MASTER_PORT, ...) tell launches apart on one machine; ranks on several
    machines share a run if each attaches after `init_process_group`. Ranks that begin the n-th run of that name in
    their launch record it together.
    """
    is_up = distributed.is_available() and distributed.is_initialized()
    if is_up:
        rank, world_size = distributed.get_rank(), distributed.get_world_size()
    else:
        rank, world_size = int(os.environ.get("RANK") or 0), int(os.environ.get("WORLD_SIZE") or 1)
    launch_id = None
    if world_size > 1:
        launch = _agreed_launch_id() if is_up else _launch_id_of_this_machine()
        launch_id = f"{launch}/{run}/{_begun[f'{launch}/{run}']}"
        _begun[f"{launch}/{run}"] += 1
    return Identity(platform.node(), os.getpid(), rank, world_size, launch_id)


def _agreed_launch_id() -> str:
    """What the first rank that asks puts into the process group's own key-value store; no rank waits for another."""
    store = distributed.distributed_c10d._get_default_store()
    agreed: bytes = store.compare_set(LAUNCH_KEY, "", uuid.uuid4().hex)
    return agreed.decode()


def _launch_id_of_this_machine() -> str:
    names = ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT")
    # The parent is the launcher: equal in ranks of one machine, different in a later launch on the same port.
    return "/".join([*(os.environ.get(name, "") for name in names), str(os.getppid())])
