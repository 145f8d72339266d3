"""FSDP2: each rank holds a piece of every parameter, records that piece, and never waits for the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch.distributed
from ranks import succeed
from training import facts, read, recorded

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without torch.distributed"),
]

SCRIPT = """
from torch.distributed.fsdp import fully_shard
from torch.distributed.device_mesh import init_device_mesh
mesh = init_device_mesh("cpu", (WORLD,))
def train(attached):
    torch.manual_seed(0)
    model = Small()
    for part in (model.first, model.second):
        fully_shard(part, mesh=mesh)
    fully_shard(model, mesh=mesh)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = torchglass.attach(model, optimizer, **quiet, histograms=1) if attached and RANK == 0 else None
    losses = [train_step(model, optimizer, torch.ones(2, 4)).detach() for _ in range(3)]
    if run:
        run.log(shard=model.first.weight.grad.to_local().norm())
        run.finish()
    return [each.numpy().tobytes() for each in [*losses, *(p.detach().to_local() for p in model.parameters())]]
# Rank 0 alone records: whatever of ours waited for the other would wait for ever.
assert train(True) == train(False)
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of two ranks that hold half of each parameter."""
    folder = tmp_path_factory.mktemp("sharded")
    succeed(SCRIPT, folder, 2)
    return folder / "store.db"


def test_phases_of_a_sharded_model_are_seen(sharded: Path) -> None:
    assert not [value for key, value in facts(sharded).items() if key.startswith("warnings")]
    for name in ("forward", "backward", "optimizer"):
        seconds = recorded(sharded, f"phase/{name}")
        assert list(seconds) == [0, 1, 2]
        assert all(value > 0 for value in seconds.values())


def test_norms_and_histograms_are_those_of_the_rank_s_own_shard(sharded: Path) -> None:
    assert recorded(sharded, "layers/first.weight/gradient_norm")[2] == pytest.approx(recorded(sharded, "shard")[2])
    assert list(recorded(sharded, "layers/second.bias/update_ratio")) == [0, 1, 2]
    store, run = read(sharded)
    assert [each.count for each in store.histograms(run.id, "weights/first.weight")] == [16, 16, 16]  # half of 8 x 4


def test_that_a_norm_is_a_shard_s_is_stated(sharded: Path) -> None:
    assert "shard" in facts(sharded)["sharded"]
