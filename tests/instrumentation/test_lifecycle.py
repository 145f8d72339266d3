"""How a run ends, in real processes: finished, failed, interrupted, killed, forked, ranked or never begun."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from training import Small, child, end_of, facts, read, recorded, seeded, train_step, wait_until

import torchglass
from torchglass.store import LOST_AFTER_SECONDS, Store

PREAMBLE = """
import sys, time, torch, torchglass
from training import Small, endless, train_step
model = Small()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
attach = lambda: torchglass.attach(model, optimizer, devices=False)
def train(run, steps, pause=0.0):
    for step, inputs in zip(range(steps), endless()):
        train_step(model, optimizer, inputs)
        run.log(loss=float(step))
        print(step, time.time(), flush=True)
        time.sleep(pause)
"""


def test_a_run_left_normally_is_finished_and_one_left_by_an_exception_failed_with_its_text(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with torchglass.attach(Small(), store=path, devices=False, config={"rate": 0.1, "path": Path("x")}) as run:
        run.log(loss=1.0)

    def fail() -> None:
        with torchglass.attach(Small(), store=path, devices=False):
            raise ValueError("nan in batch 7")

    def leave(code: int) -> None:
        with torchglass.attach(Small(), store=path, devices=False):
            raise SystemExit(code)

    with pytest.raises(ValueError, match="nan in batch 7"):
        fail()
    with pytest.raises(SystemExit):
        leave(0)
    with pytest.raises(SystemExit):
        leave(3)
    found = {each.name: (each.status, each.error) for each in Store(path).runs()}
    assert found == {
        "Small": ("finished", None),
        "Small-2": ("failed", "ValueError: nan in batch 7"),
        "Small-3": ("finished", None),
        "Small-4": ("failed", "SystemExit: 3"),
    }
    first = read(path)[1]
    assert first.config == {"rate": 0.1, "path": "x"}
    assert (first.pid, first.ended_at is not None) == (os.getpid(), True)


def test_ctrl_c_in_a_real_process_reads_as_interrupted(tmp_path: Path) -> None:
    process = child(PREAMBLE + "\nwith attach() as run: train(run, 10**6)", tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    code, _, errors = end_of(process)
    assert code != 0
    assert "KeyboardInterrupt" in errors
    run = read(tmp_path / "store.db")[1]
    assert (run.status, run.error) == ("interrupted", None)


@pytest.mark.parametrize(
    ("ending", "status", "error"),
    [
        ("", "finished", None),
        ("raise RuntimeError('out of luck')", "failed", "RuntimeError: out of luck"),
    ],
    ids=["finished", "failed"],
)
def test_a_run_without_with_is_closed_when_the_program_ends_even_if_nobody_holds_it(
    tmp_path: Path, ending: str, status: str, error: str | None
) -> None:
    script = f"{PREAMBLE}\ntrain(attach(), 3)\nimport gc; gc.collect()\n{ending}"
    _, _, errors = end_of(child(script, tmp_path))
    run = read(tmp_path / "store.db")[1]
    assert (run.status, run.error) == (status, error), errors
    assert recorded(tmp_path / "store.db", "loss") == {0: 0.0, 1: 1.0, 2: 2.0}


def test_kill_9_costs_at_most_the_last_second_and_the_run_reads_as_lost(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    process = child(PREAMBLE + "\nwith attach() as run: train(run, 10**6, 0.005)", tmp_path)
    assert process.stdout is not None
    printed: list[tuple[int, float]] = []
    while not printed or printed[-1][1] - printed[0][1] < 2.5:
        step, at = process.stdout.readline().split()
        printed.append((int(step), float(at)))
    process.kill()
    rest = process.communicate()[0]
    printed += [(int(line.split()[0]), float(line.split()[1])) for line in rest.splitlines() if len(line.split()) == 2]
    last_at = printed[-1][1]

    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    loss = recorded(path, "loss")
    assert list(loss) == list(range(len(loss)))
    assert all(value == step for step, value in loss.items())
    missing = [(step, at) for step, at in printed if step not in loss]
    assert all(last_at - at <= 1.0 for _, at in missing)
    assert len(loss) > len(printed) / 2
    assert read(path)[1].status == "running"
    later = Store(path, read_only=True, clock=lambda: time.time() + LOST_AFTER_SECONDS + 1)
    assert later.run(1).status == "lost"
    with Store(path) as store:  # another training may go on in the same file
        assert store.start_run("next", {}, host="h", pid=1).id == 2


def test_two_ranks_of_one_launch_share_a_run(tmp_path: Path) -> None:
    launch = {"WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "abc", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
    script = PREAMBLE + "\nwith attach() as run: train(run, 4)"
    ranks = [child(script, tmp_path, RANK=str(rank), **launch) for rank in range(2)]
    for process in ranks:
        code, _, errors = end_of(process)
        assert code == 0, errors
    store = Store(tmp_path / "store.db")
    (run,) = store.runs()
    assert run.status == "finished"
    for rank in range(2):
        assert recorded(tmp_path / "store.db", "loss", rank) == {0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0}
    assert {fact.rank for fact in store.facts(run.id) if fact.key == "environment"} == {0, 1}


class Numbers(Dataset[torch.Tensor]):
    """Items made in a worker, which also tries to speak through the parent's run and model."""

    def __init__(self, run: torchglass.Run, model: torch.nn.Module) -> None:
        self.run = run
        self.model = model

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> torch.Tensor:
        if torch.utils.data.get_worker_info() is not None:
            self.run.log(from_worker=index)
            self.model(torch.ones(1, 4)).sum().backward()
        return torch.full((4,), float(index))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")
def test_forked_loader_workers_record_nothing_and_disturb_nobody(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=path) as run:
        loader = DataLoader(Numbers(run, model), batch_size=2, num_workers=2, multiprocessing_context="fork")
        for _ in range(2):
            for inputs in run.batches(loader):
                run.log(loss=train_step(model, optimizer, inputs))
    assert list(recorded(path, "loss")) == list(range(8))
    assert recorded(path, "from_worker") == {}
    assert read(path)[1].status == "finished"
    assert all(seconds > 0 for seconds in recorded(path, "phase/data").values())
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_that_flushes_does_not_wait_for_a_writer_that_it_has_not(tmp_path: Path) -> None:
    script = PREAMBLE + (
        "\nimport os, signal\nrun = attach()\ntrain(run, 2)\nwith run._writer._flushed:\n    pid = os.fork()\n"
        "if pid == 0:\n    signal.alarm(30)\n    os._exit(7 if run.flush(10**6) is False else 8)\n"
        "print('child', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\nrun.finish()"
    )
    code, out, errors = end_of(child(script, tmp_path))
    assert code == 0, errors
    assert "child 7" in out.splitlines()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_that_ends_normally_does_not_end_the_run(tmp_path: Path) -> None:
    script = PREAMBLE + (
        "\nimport os\nrun = attach()\ntrain(run, 2)\npid = os.fork()\n"
        "if pid == 0:\n    run.log(loss=99.0)\n    run.finish()\n    sys.exit(0)\n"
        "os.waitpid(pid, 0)\nprint(torchglass.open_store().run(1).status)\ntrain(run, 2)\nrun.finish()"
    )
    code, out, errors = end_of(child(script, tmp_path))
    assert code == 0, errors
    assert "running" in out.splitlines()
    run = read(tmp_path / "store.db")[1]
    assert run.status == "finished"
    assert 99.0 not in recorded(tmp_path / "store.db", "loss").values()


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_disabled_means_no_file_no_thread_no_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.chdir(tmp_path)
    if how == "environment":
        monkeypatch.setenv("TORCHGLASS_MODE", "disabled")
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    threads = threading.active_count()
    with torchglass.attach(model, optimizer, config={"a": 1}, mode="disabled" if how == "argument" else None) as run:
        loader: Any = [torch.ones(1, 4)]
        assert run.batches(loader) is loader
        for inputs in run.batches(loader):
            with run.step() as step:
                run.log(loss=train_step(model, optimizer, inputs))
                assert step == run.current_step == 0
        run.log({"anything": object()})
        run.save_arrays("kind", "key", {}, {})
        assert (run.name, dict(run.config)) == ("disabled", {"a": 1})
        assert not model._forward_hooks
        assert not model._forward_pre_hooks
        assert not optimizer._optimizer_step_pre_hooks
        assert threading.active_count() == threads
    assert list(tmp_path.iterdir()) == []


def test_threads_end_with_the_run(tmp_path: Path) -> None:
    def ours() -> list[str]:
        return [each.name for each in threading.enumerate() if each.name.startswith("torchglass")]

    run = torchglass.attach(Small(), store=tmp_path / "s.db")
    assert sorted(ours()) == ["torchglass-devices", "torchglass-writer"]
    wait_until(lambda: "devices/host" in facts(tmp_path / "s.db"), "the devices were described")
    run.finish()
    wait_until(lambda: not ours(), "the threads ended")
    assert recorded(tmp_path / "s.db", "host/process_memory_bytes")[0] > 1e7
    assert facts(tmp_path / "s.db")["model"] == {"class": "Small", "parameters": 58}
    assert facts(tmp_path / "s.db")["environment"]["device"] == "cpu"


def test_the_environment_gives_the_store_and_config_is_kept_as_text_where_json_has_no_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHGLASS_STORE", str(tmp_path / "elsewhere.db"))
    config = {"rate": float("nan"), "device": torch.device("cpu"), 3: (1, 2)}
    with torchglass.attach(Small(), devices=False, run="named", config=config) as run:  # type: ignore[arg-type]
        assert run.store_path == tmp_path / "elsewhere.db"
        assert run.name == "named"
    assert read(tmp_path / "elsewhere.db", "named")[1].config == {"rate": "nan", "device": "cpu", "3": [1, 2]}
