"""Who this process is among those that train together, on one machine or on several."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from training import HERE, recorded

from torchglass.instrumentation.identity import identify
from torchglass.store import Store

RANK = """
import sys, torchglass
from torch import distributed
place, rank = sys.argv[1], int(sys.argv[2])
distributed.init_process_group("gloo", init_method=f"file://{place}.meeting", rank=rank, world_size=2)
run = torchglass.start("r", store=place, devices=False)
run.log(loss=10.0 + rank, step=1)
distributed.barrier()
run.finish()
"""


def test_a_process_on_its_own_belongs_to_no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    found = identify("r")
    assert (found.rank, found.world_size, found.launch_id) == (0, 1, None)


def test_ranks_with_different_parents_agree_on_one_run_through_their_process_group(tmp_path: Path) -> None:
    place = tmp_path / "store.db"
    # As on two machines: each has a launcher of its own, here a shell.
    shell = ["sh", "-c", '"$0" "$@"; exit $?', sys.executable, "-c", RANK, str(place)]
    ranks = [subprocess.Popen([*shell, str(rank)], cwd=HERE) for rank in range(2)]
    assert [rank.wait(120) for rank in ranks] == [0, 0]
    with Store(place, read_only=True) as store:
        assert [run.status for run in store.runs()] == ["finished"]
    assert [recorded(place, "loss", rank) for rank in range(2)] == [{1: 10.0}, {1: 11.0}]
