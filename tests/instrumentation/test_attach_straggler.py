"""Four processes that train together, one of them slowed on purpose: the analysis names it, and the phase."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch.distributed
from ranks import succeed

from torchglass.analysis.ranks import read_ranks
from torchglass.analysis.stragglers import find_straggler, straggler_text
from torchglass.store import Store

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without torch.distributed"),
]

SLOW_RANK, SLOW_SECONDS = 2, 0.04
TRAINING = f"""
import time

class Slowed(Small):
    def forward(self, inputs):
        if RANK == {SLOW_RANK} and slowed == "forward":
            time.sleep({SLOW_SECONDS})
        return super().forward(inputs)

def batches():
    for _ in range(25):
        if RANK == {SLOW_RANK} and slowed == "data":
            time.sleep({SLOW_SECONDS})
        yield torch.ones(2, 4)

for slowed in ("forward", "data"):
    model = DDP(Slowed())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with torchglass.attach(model, optimizer, **quiet, run=slowed) as run:
        for inputs in run.batches(batches()):
            train_step(model, optimizer, inputs)
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of four ranks that trained twice, the same rank slow in another phase."""
    folder = tmp_path_factory.mktemp("straggler")
    succeed(TRAINING, folder, 4)
    return folder / "store.db"


@pytest.mark.parametrize("phase", ["forward", "data"])
def test_the_rank_that_sleeps_is_named_with_the_phase_in_which_it_does(trained: Path, phase: str) -> None:
    with Store(trained, read_only=True) as store:
        ranks = read_ranks(store, store.run(phase).id)
    straggler = find_straggler(ranks)
    assert straggler is not None
    assert ranks.ranks == (0, 1, 2, 3)
    assert (straggler.kind, straggler.rank, straggler.phase) == ("persistent", SLOW_RANK, phase)
    # A sleep is never shorter than asked for; how much longer depends on who else uses this machine.
    assert straggler.phase_seconds > 0.8 * SLOW_SECONDS
    assert straggler.lost_seconds[SLOW_RANK] < straggler.lost_seconds[[0, 1, 3]].min()
    assert straggler_text(ranks, straggler).startswith(f"Rank {SLOW_RANK} is the slowest in ")


def test_what_the_others_wait_is_what_the_slow_one_works_longer(trained: Path) -> None:
    with Store(trained, read_only=True) as store:
        ranks = read_ranks(store, store.run("forward").id)
    waiting = ranks.medians[:, ranks.phases.index(ranks.waits_in)]
    assert (waiting[[0, 1, 3]] > waiting[SLOW_RANK] + 0.5 * SLOW_SECONDS).all()
