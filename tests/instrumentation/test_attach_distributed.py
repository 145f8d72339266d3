"""Several processes that train one model: one run, a series per rank, and an end that tells the truth."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from statistics import median

import pytest
import torch.distributed
from ranks import endings, succeed
from training import child, end_of, read, recorded

from torchglass.store import LOST_AFTER_SECONDS, Run, Store

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without torch.distributed"),
]

TOGETHER = """
import time
def four_ranks():
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    model = DDP(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with torchglass.attach(model, optimizer, **quiet, run="four") as run:
        for step in range(4):
            # The ranks' gradients are 3 r and 4 r, r = 0..3, times step + 1: their mean is 1.5 (3, 4) (step + 1).
            inputs = torch.tensor([[3.0, 4.0]]) * RANK * (step + 1)
            optimizer.zero_grad()
            if step == 2:
                with model.no_sync():
                    (model(inputs).sum() / 2).backward()
                (model(inputs).sum() / 2).backward()
            else:
                model(inputs).sum().backward()
            optimizer.step()
            run.log(rank=RANK, step_squared=step * step)


def a_rank_that_makes_the_others_wait():
    class Late(torch.autograd.Function):
        @staticmethod
        def forward(ctx, inputs):
            return inputs.clone()

        @staticmethod
        def backward(ctx, gradient):
            time.sleep(0.2 if RANK == 1 else 0)
            return gradient

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, inputs):
            return Late.apply(self.inner(inputs))

    model = DDP(Model())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, **quiet, run="waiting"):
        for _step in range(5):
            train_step(model, optimizer, torch.ones(2, 4))


def bits_of_a_training(attached):
    torch.manual_seed(0)
    model = DDP(Small(inplace=True), find_unused_parameters=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    run = torchglass.attach(model, optimizer, **quiet, histograms=1, run="bits") if attached else None
    generator = torch.Generator().manual_seed(RANK)
    losses = [train_step(model, optimizer, torch.randn(3, 4, generator=generator)) for _ in range(6)]
    if run:
        run.finish()
    return [each.detach().numpy().tobytes() for each in [*losses, *model.parameters()]]


def attached(name, **options):
    model = DDP(Small())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, optimizer, torchglass.attach(model, optimizer, **quiet, run=name, **options)


def one_rank_alone():
    model, optimizer, run = attached("alone", mode="on" if RANK == 1 else "disabled")
    for step in range(3):
        train_step(model, optimizer, torch.ones(2, 4))
    run.finish()


def two_models_and_two_folds():
    pairs = [attached("generator"), attached("critic")]
    for model, optimizer, run in pairs:
        train_step(model, optimizer, torch.ones(2, 4))
    for model, optimizer, run in pairs:
        run.finish()
    for fold in range(2):
        model, optimizer, run = attached("fold")
        train_step(model, optimizer, torch.ones(2, 4))
        run.log(fold=fold)
        run.finish()


def without_variables():
    for name in [name for name in os.environ if name.startswith(("RANK", "LOCAL_", "WORLD_", "MASTER_", "TORCHE"))]:
        del os.environ[name]
    model, optimizer, run = attached("spawned")
    train_step(model, optimizer, torch.ones(2, 4))
    run.log(rank=RANK)
    run.finish()


four_ranks()
a_rank_that_makes_the_others_wait()
assert bits_of_a_training(True) == bits_of_a_training(False)
one_rank_alone()
dist.barrier()
two_models_and_two_folds()
without_variables()
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of four ranks that trained one thing after another."""
    folder = tmp_path_factory.mktemp("together")
    succeed(TOGETHER, folder, 4)
    return folder / "store.db"


def runs_named(path: Path, beginning: str) -> list[Run]:
    return [run for run in Store(path, read_only=True).runs() if run.name.startswith(beginning)]


def test_four_ranks_of_ddp_are_one_run_with_a_series_for_each(together: Path) -> None:
    (run,) = runs_named(together, "four")
    assert run.status == "finished"
    for rank in range(4):
        assert recorded(together, "rank", rank, "four") == dict.fromkeys(range(4), float(rank))
        assert recorded(together, "step_squared", rank, "four") == {0: 0.0, 1: 1.0, 2: 4.0, 3: 9.0}
        for name in ("step", "forward", "backward", "optimizer"):
            seconds = recorded(together, f"phase/{name}", rank, "four")
            assert list(seconds) == [0, 1, 2, 3]
            assert all(value > 0 for value in seconds.values())
    facts = Store(together, read_only=True).facts(run.id)
    worlds = {fact.rank: fact.value["world_size"] for fact in facts if fact.key == "environment"}
    assert worlds == dict.fromkeys(range(4), 4)
    assert not [fact for fact in facts if fact.key.startswith("warnings")]


def test_each_rank_reads_the_gradients_that_ddp_has_averaged(together: Path) -> None:
    for rank in range(4):
        found = recorded(together, "layers/weight/gradient_norm", rank, "four")
        assert found == pytest.approx({0: 7.5, 1: 15.0, 2: 22.5, 3: 30.0})


def test_waiting_for_a_slow_rank_is_the_others_gradient_sync_and_its_own_backward(together: Path) -> None:
    medians = {
        phase: [median(recorded(together, f"phase/{phase}", rank, "waiting").values()) for rank in range(4)]
        for phase in ("backward", "gradient_sync")
    }
    # It sleeps 0.2 s in each backward.
    assert medians["backward"][1] >= 0.2
    assert medians["gradient_sync"][1] < 0.1
    for rank in (0, 2, 3):
        assert medians["gradient_sync"][rank] > 0.1
        assert medians["backward"][rank] < 0.1


def test_ddp_trains_bit_for_bit_as_without_us(together: Path) -> None:
    # The bits were compared where they arose, in each rank; here only that they were recorded meanwhile.
    for rank in range(4):
        assert list(recorded(together, "phase/backward", rank, "bits")) == [0, 1, 2, 3, 4, 5]


def test_one_rank_may_record_while_the_others_do_not(together: Path) -> None:
    (run,) = runs_named(together, "alone")
    assert run.status == "finished"
    assert list(recorded(together, "phase/step", 1, "alone")) == [0, 1, 2]
    assert {series.rank for series in Store(together, read_only=True).series_of(run.id)} == {1}


def test_two_attached_models_of_one_launch_are_two_runs_and_so_are_two_in_turn(together: Path) -> None:
    assert [run.name for run in runs_named(together, "fold")] == ["fold-2", "fold"]
    for rank in range(4):
        for name in ("generator", "critic", "fold", "fold-2"):
            assert list(recorded(together, "phase/step", rank, name)) == [0]
        assert recorded(together, "fold", rank, "fold-2") == {0: 1.0}


def test_ranks_that_no_variable_names_are_one_run_too(together: Path) -> None:
    (run,) = runs_named(together, "spawned")
    assert run.status == "finished"
    for rank in range(4):
        assert recorded(together, "rank", rank, "spawned") == {0: float(rank)}


DYING = """
model = DDP(Small())
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
with torchglass.attach(model, optimizer, **quiet) as run:
    for step in range(100):
        if step == 3:
            die()
        train_step(model, optimizer, torch.ones(2, 4))
"""


def test_a_rank_that_raises_makes_the_run_failed_with_its_reason(tmp_path: Path) -> None:
    die = "def die():\n    if RANK == 2:\n        raise ValueError('bad batch on rank 2')\n"
    assert all(code != 0 for code in endings(die + DYING, tmp_path, 3))
    run = read(tmp_path / "store.db")[1]
    assert run.status == "failed"
    assert run.error == "ValueError: bad batch on rank 2"  # what the others then met is its echo
    for rank in range(3):
        assert set(recorded(tmp_path / "store.db", "phase/step", rank)) >= {0, 1, 2}


def test_a_killed_rank_makes_the_run_failed_where_the_others_notice(tmp_path: Path) -> None:
    die = "def die():\n    if RANK == 2:\n        os.kill(os.getpid(), signal.SIGKILL)\n"
    assert endings(die + DYING, tmp_path, 3)[2] == -signal.SIGKILL
    run = read(tmp_path / "store.db")[1]
    assert run.status == "failed"
    assert run.error is not None
    assert "RuntimeError" in run.error


@pytest.mark.slow
def test_ranks_that_are_all_killed_leave_a_lost_run(tmp_path: Path) -> None:
    die = "def die():\n    dist.barrier()\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    assert endings(die + DYING, tmp_path, 2) == [-signal.SIGKILL] * 2
    later = Store(tmp_path / "store.db", read_only=True, clock=lambda: time.time() + LOST_AFTER_SECONDS + 1)
    assert later.run(1).status == "lost"


@pytest.mark.slow
def test_torchruns_ranks_are_one_run(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("""
import torch, torchglass
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel as DDP
from training import Small, train_step

dist.init_process_group("gloo")
model = DDP(Small())
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
with torchglass.attach(model, optimizer, devices=False, profile=None) as run:
    for step in range(3):
        train_step(model, optimizer, torch.ones(2, 4))
        run.log(rank=dist.get_rank())
dist.destroy_process_group()
""")
    arguments = ["torchrun", "--standalone", "--nproc-per-node=2", "train.py"]
    script = f"import sys; sys.argv = {arguments!r}; from torch.distributed.run import main; main()"
    code, _, errors = end_of(child(script, tmp_path))
    assert code == 0, errors
    (run,) = Store(tmp_path / "store.db").runs()
    assert run.status == "finished"
    for rank in range(2):
        assert recorded(tmp_path / "store.db", "rank", rank) == dict.fromkeys(range(3), float(rank))
