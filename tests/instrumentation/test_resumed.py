"""Training that goes on: after its end, after a kill, by all ranks of a launch; and what a live run knows of itself."""

from __future__ import annotations

import math
import signal
import warnings
from collections import Counter
from pathlib import Path

import pytest
import torch
from training import Small, batches, child, end_of, recorded, seeded, train_step, wait_until

import torchglass
from torchglass.errors import OptionError, RunNotFoundError, StoreError
from torchglass.instrumentation import identity
from torchglass.store import Store

PREAMBLE = """
import torch, torchglass
from training import Small, endless, train_step
model = Small()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
with torchglass.attach(model, optimizer, run="killed", devices=False) as run:
    for step, inputs in enumerate(endless()):
        train_step(model, optimizer, inputs)
        run.log(loss=float(step))
        run.flush()
        print(step, flush=True)
"""


def train(path: Path, steps: int, offset: float = 0.0, **options: object) -> list[int]:
    """Train for so many steps and return their numbers."""
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    numbers = []
    with torchglass.attach(model, optimizer, store=path, devices=False, every=1, **options) as run:  # type: ignore[arg-type]
        for _ in range(steps):
            train_step(model, optimizer, batches(1)[0])
            numbers.append(run.current_step)
            run.log(loss=offset + run.current_step)
    return numbers


def losses(path: Path, name: str) -> dict[int, float]:
    return recorded(path, "loss", run=name)


def test_a_run_resumed_at_a_checkpoints_step_counts_on_from_there_and_hides_its_old_tail(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    assert train(path, 6, run="net", config={"lr": 0.1, "seed": 1}) == [0, 1, 2, 3, 4, 5]
    assert train(path, 2, 100.0, resume="net", resume_step=3, config={"lr": 0.5}) == [3, 4]
    assert losses(path, "net") == {0: 0.0, 1: 1.0, 2: 2.0, 3: 103.0, 4: 104.0}
    with Store(path) as store:
        (run,) = store.runs()
        steps = store.series("net", "phase/step").steps.tolist()
        (told,) = store.resumptions("net")
        store.unwind("net")
    assert (run.status, run.config) == ("finished", {"lr": 0.5, "seed": 1})
    assert steps == [0, 1, 2, 3, 4]
    assert (told.step, told.status) == (3, "finished")
    assert losses(path, "net") == {0: 0.0, 1: 1.0, 2: 2.0, 3: 103.0, 4: 104.0, 5: 5.0}


def test_a_run_resumed_without_a_step_goes_on_after_its_last(tmp_path: Path) -> None:
    train(tmp_path / "s.db", 3, run="net")
    assert train(tmp_path / "s.db", 2, resume="net") == [3, 4]
    assert losses(tmp_path / "s.db", "net") == {step: float(step) for step in range(5)}


def test_resume_true_starts_the_run_the_first_time_and_resumes_it_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    assert [train(path, 2, run="net", resume=True) for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]
    assert len(Store(path).runs()) == 1
    assert train(path, 1, run="other", resume=True, resume_step=40) == [40]


def test_a_run_whose_process_was_killed_is_resumed_at_once_and_one_that_lives_is_not(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    process = child(PREAMBLE, tmp_path)
    assert process.stdout is not None
    while process.stdout.readline().strip() != "5":
        pass
    with pytest.raises(StoreError, match=f"run 'killed' is still being recorded by process {process.pid} on "):
        torchglass.attach(Small(), store=path, resume="killed", devices=False)
    process.send_signal(signal.SIGKILL)
    end_of(process)
    assert train(path, 2, 100.0, resume="killed", resume_step=4) == [4, 5]
    assert losses(path, "killed") == {0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0, 4: 104.0, 5: 105.0}


def test_a_run_that_fell_silent_on_another_machine_is_waited_for_and_one_of_this_process_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchglass.store.runs.LOST_AFTER_SECONDS", 1.0)
    with Store(tmp_path / "s.db") as store:
        store.start_run("net", {}, host="elsewhere", pid=1)
    with pytest.warns(RuntimeWarning, match="waits to see whether the run is lost: run 'net' is still being recorded"):
        run = torchglass.start(store=tmp_path / "s.db", devices=False, resume="net")
    monkeypatch.setattr("torchglass.store.runs.LOST_AFTER_SECONDS", 3600.0)
    with warnings.catch_warnings(action="error"), pytest.raises(StoreError, match="still being recorded"):
        torchglass.start(store=tmp_path / "s.db", devices=False, resume="net")
    run.finish()
    assert Store(tmp_path / "s.db").resumptions("net")[0].status == "lost"


@pytest.mark.parametrize("resume", ["net", True])
def test_all_ranks_of_a_launch_resume_one_run_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resume: str | bool
) -> None:
    path = tmp_path / "s.db"
    for port, expected in (("1", [0, 0]), ("2", [2, 2])):
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("MASTER_PORT", port)
        runs = []
        for rank in ("0", "1"):
            monkeypatch.setenv("RANK", rank)
            monkeypatch.setattr(identity, "_begun", Counter())  # as in a process of its own
            first = resume == "net" and port == "1"
            runs.append(torchglass.start("net", store=path, devices=False, resume=None if first else resume))
        assert [run.current_step for run in runs] == expected
        for run in runs:
            for step in range(expected[0], expected[0] + 2):
                run.log(loss=float(step), step=step)
        for run in runs:
            run.finish()
    with Store(path) as store:
        assert len(store.runs()) == 1
        assert len(store.resumptions("net")) == 1
        for rank in (0, 1):
            assert store.series("net", "loss", rank=rank).steps.tolist() == [0, 1, 2, 3]


def test_a_fork_is_trained_on_and_its_parent_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    train(path, 6, run="net")
    with Store(path) as store:
        fork = store.fork("net", 4)
    assert train(path, 2, 100.0, resume=fork.name) == [4, 5]
    assert losses(path, fork.name) == {0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0, 4: 104.0, 5: 105.0}
    assert losses(path, "net") == {step: float(step) for step in range(6)}


def test_what_cannot_be_resumed_is_refused_in_the_callers_words(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    for options, words in (
        ({"resume_step": 3}, "resume_step=3 without a run to resume"),
        ({"resume": True}, r"resume=True resumes the run named by run=\.\.\.: name it"),
        ({"resume": 7}, "resume=7: give resume the name of a run"),
        ({"run": "a", "resume": "b"}, "run='a', resume='b': give resume the name of a run, which it keeps"),
        ({"resume": "b", "resume_step": 1.5}, r"step=1\.5: give a whole number"),
    ):
        with pytest.raises(OptionError, match=words):
            torchglass.attach(Small(), store=path, **options)  # type: ignore[arg-type]
    assert not path.exists()
    with pytest.raises(RunNotFoundError, match="no run 'nobody'"):
        torchglass.attach(Small(), store=path, resume="nobody")
    assert Store(path).runs() == []


def test_a_live_run_knows_its_summary_and_so_does_a_finished_one(tmp_path: Path) -> None:
    run = torchglass.start(store=tmp_path / "s.db", devices=False)
    assert run.summary == {}
    for step, value in enumerate((4.0, -2.0, math.nan, 1.0)):
        run.log({"loss": value}, step=step)
    for _ in range(2):
        loss = run.summary["loss"]
        assert (loss.minimum, loss.minimum_step, loss.maximum, loss.mean) == (-2.0, 1, 4.0, 1.0)
        assert (loss.last, loss.last_step, loss.count, loss.nonfinite_count) == (1.0, 3, 4, 1)
        run.finish()
    assert torchglass.start(mode="disabled").summary == {}


def test_a_summary_that_cannot_be_read_does_not_end_the_training(tmp_path: Path) -> None:
    with torchglass.start(store=tmp_path / "s.db", devices=False) as run:
        run.log(loss=1.0)
        wait_until(lambda: "loss" in run.summary, "the value is stored")
        (tmp_path / "s.db").rename(tmp_path / "away.db")
        run._store.close()
        with pytest.warns(RuntimeWarning, match="cannot read the summary"):
            assert run.summary == {}
        (tmp_path / "away.db").rename(tmp_path / "s.db")
