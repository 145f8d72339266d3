"""Several processes that train together, forked from one that has imported torch: what torchrun starts, only sooner."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

from training import child, end_of

LAUNCHER = """
import os, sys, signal, torch, torchglass, torchglass.instrumentation
import torch._dynamo  # or the first optimizer would import it, in each of the ranks
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP
from training import Small, train_step
torch.set_num_threads(1)
WORLD, RANK, ranks = int(os.environ["WORLD_SIZE"]), None, []
for rank in range(WORLD):
    ranks.append(os.fork())
    if ranks[-1] == 0:
        RANK = rank
        break
if RANK is None:
    endings = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in ranks]
    print(endings)
    sys.exit(int(any(endings)))
os.environ["RANK"] = os.environ["LOCAL_RANK"] = str(RANK)
dist.init_process_group("gloo")
torch.manual_seed(0)
quiet = dict(devices=False, profile=None, every=1)
"""


def launch(script: str, folder: Path, world: int) -> subprocess.Popen[str]:
    """Run a script in `world` processes with the variables that torchrun sets; gloo connects them."""
    return child(
        LAUNCHER + script,
        folder,
        WORLD_SIZE=str(world),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=_free_port(),
        TORCHELASTIC_RUN_ID="none",
        TORCHELASTIC_RESTART_COUNT="0",
    )


def succeed(script: str, folder: Path, world: int) -> None:
    """Run a script in every rank, all of which end well."""
    code, _, errors = end_of(launch(script, folder, world))
    assert code == 0, errors


def endings(script: str, folder: Path, world: int) -> list[int]:
    """Run a script in every rank; exit codes by rank."""
    codes: list[int] = json.loads(end_of(launch(script, folder, world))[1].splitlines()[-1])
    return codes


def _free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])
