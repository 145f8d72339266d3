"""Nothing of ours ends a training: failures are told once, what is lost is counted."""

from __future__ import annotations

import logging
import sqlite3
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training import Small, batches, facts, read, recorded, seeded, train_step, wait_until

import torchglass
from torchglass.instrumentation import every
from torchglass.instrumentation import run as run_module
from torchglass.instrumentation import writer as writer_module
from torchglass.instrumentation.buffer import Buffer, Deferred, ScalarRow, held_bytes
from torchglass.instrumentation.guard import Guard, tell
from torchglass.instrumentation.rows import Layouts
from torchglass.instrumentation.writer import Writer
from torchglass.store import ArtifactBlock, Batch, Fact, Store


class OddRate(float):
    """A learning rate that an optimizer can use and that we fail to read."""

    def __float__(self) -> float:
        raise ValueError("read me not")


def test_a_failing_hook_of_ours_warns_once_and_training_goes_on(tmp_path: Path) -> None:
    model, path = Small(), tmp_path / "s.db"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = torchglass.attach(model, optimizer, store=path, devices=False, every=1)

    def train(steps: int) -> None:
        for inputs in batches(steps):
            loss = train_step(model, optimizer, inputs)
            run.log(loss=loss)

    train(2)
    optimizer.param_groups[0]["lr"] = OddRate(0.1)
    with pytest.warns(RuntimeWarning, match="stopped watching after a failure of its own: ValueError: read me not"):
        train(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(3)
        run.finish()
    assert "stopped watching" in facts(path)["warnings/hooks"]
    assert list(recorded(path, "phase/step")) == [0, 1]
    assert read(path)[1].status == "finished"
    assert not model._forward_hooks


def test_a_failure_ends_an_open_profiler_window_too(tmp_path: Path) -> None:
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    window = every(1000, steps=900)
    run = torchglass.attach(model, optimizer, store=tmp_path / "s.db", devices=False, every=1, profile=window)
    for inputs in batches(7):
        train_step(model, optimizer, inputs)
    assert torch._C._autograd._profiler_enabled()
    optimizer.param_groups[0]["lr"] = OddRate(0.1)
    with pytest.warns(RuntimeWarning, match="stopped watching"):
        train_step(model, optimizer, batches(1)[0])
    assert not torch._C._autograd._profiler_enabled()
    run.finish()


def test_tidying_up_after_a_failure_may_fail_too_and_still_raises_nothing() -> None:
    def tidy_up(_message: str) -> None:
        raise ValueError("the profiler is gone")

    guard = Guard(tidy_up)
    with pytest.warns(RuntimeWarning) as told:
        assert guard.call(lambda: 1 / 0) is None
    assert ["ZeroDivisionError" in str(told[0].message), "the profiler is gone" in str(told[1].message)] == [True, True]
    assert guard.call(lambda: 1) is None


def test_where_warnings_are_errors_ours_go_to_the_log_and_nothing_raises(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    guard = Guard(told.append)
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING, logger="torchglass"):
        warnings.simplefilter("error")
        tell("first")
        guard.call(lambda: 1 / 0)
        guard.call(lambda: told.append("not called any more"))
    assert len(told) == 1
    assert "ZeroDivisionError" in told[0]
    assert [record.message for record in caplog.records] == ["first", told[0]]


def test_a_full_buffer_drops_counts_and_never_waits() -> None:
    buffer = Buffer(3 * held_bytes(ScalarRow(0, 0.0, {"a": 1.0})))
    for step in range(5):
        buffer.put(ScalarRow(step, 0.0, {"a": 1.0}))
    assert (len(buffer), buffer.dropped) == (3, 2)
    assert [record.step for record in buffer.take() if isinstance(record, ScalarRow)] == [0, 1, 2]
    buffer.put(ScalarRow(9, 0.0, {"a": 1.0}))
    assert (len(buffer), buffer.dropped) == (1, 2)


def test_a_buffer_is_bounded_by_memory_and_not_by_records() -> None:
    row = {f"layer{number}": 1.0 for number in range(5000)}
    picture = np.zeros(250_000)
    for large in (
        ScalarRow(0, 0.0, row),
        ArtifactBlock("gallery", "", 0, 0.0, {}, {"picture": picture}),
        Deferred(lambda _batch: None, picture.nbytes),
    ):
        buffer = Buffer(1_000_000)
        for _ in range(100):
            buffer.put(large)
        assert sum(map(held_bytes, buffer.take())) < 1_000_000 + held_bytes(large)
        assert buffer.dropped > 90
        buffer.put(large)
        assert len(buffer) == 1, "a checkpoint larger than the limit is kept when nothing else waits"


def test_what_a_full_buffer_dropped_is_a_series_a_fact_and_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layouts().of(("loss",))
    limit_bytes = 2 * held_bytes(Fact(0, "environment", {}, 0.0)) + len(layout.text) + 50 * layout.row_bytes
    monkeypatch.setattr(
        "torchglass.instrumentation.front_door.Buffer",
        lambda: Buffer(limit_bytes),
    )
    monkeypatch.setattr(writer_module, "FLUSH_SECONDS", 60.0)
    path = tmp_path / "s.db"
    run = torchglass.attach(Small(), store=path, devices=False)
    assert len(run._buffer) == 2
    for step in range(60):
        run.log(loss=1.0, step=step)
    with pytest.warns(RuntimeWarning, match="10 records could not be saved"):
        run.finish()
    assert len(recorded(path, "loss")) == 50
    assert recorded(path, "torchglass/dropped_records") == {49: 10.0}
    assert facts(path)["warnings/lost"] == "10 records could not be saved"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep the store locked by another connection."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits, so that no test has to sit through the real ones."""
    monkeypatch.setattr("torchglass.store.sqlite.BUSY_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(writer_module, "FLUSH_SECONDS", 0.01)
    monkeypatch.setattr(writer_module, "LONGEST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(run_module, "FINISH_SECONDS", 0.5)
    monkeypatch.setattr(run_module, "CLOSING_SECONDS", 0.1)


@pytest.mark.usefixtures("impatient")
@pytest.mark.filterwarnings("ignore:torchglass cannot save for now")
def test_a_store_that_is_locked_for_a_while_gets_everything_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    run = torchglass.attach(Small(), store=path, devices=False)
    with locked(path):
        for step in range(100):
            run.log(loss=float(step), step=step)
        wait_until(lambda: run._writer._warned, "the writer met the lock")
    run.finish()
    assert recorded(path, "loss") == {step: float(step) for step in range(100)}
    assert "warnings/lost" not in facts(path)


@pytest.mark.usefixtures("impatient")
def test_a_store_that_stays_locked_costs_a_bounded_wait_and_what_is_lost_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    run = torchglass.attach(Small(), store=path, devices=False)
    wait_until(lambda: len(run._buffer) == 0 and not run._writer._unsaved, "the first facts are saved")
    with locked(path), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for step in range(7):
            run.log(loss=float(step), step=step)
        run.finish()
        run.finish()
    messages = [str(each.message) for each in told]
    assert sum("cannot save for now and will keep trying" in each for each in messages) == 1
    assert sum("7 records could not be saved" in each for each in messages) == 1
    assert sum("could not close the run" in each for each in messages) == 1
    assert read(path)[1].status == "running"


@pytest.mark.usefixtures("impatient")
@pytest.mark.filterwarnings("ignore:torchglass")
def test_a_store_that_is_deleted_in_the_middle_ends_no_training_and_is_not_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = torchglass.attach(model, optimizer, store=folder / "s.db", devices=False)
    train_step(model, optimizer, batches(1)[0])
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    for inputs in batches(5):
        run.log(loss=train_step(model, optimizer, inputs))
    wait_until(lambda: run._writer._warned, "the writer noticed")
    run.finish()
    assert not folder.exists()


@pytest.mark.usefixtures("impatient")
@pytest.mark.filterwarnings("ignore:torchglass cannot save for now")
def test_a_store_that_was_moved_away_and_back_has_lost_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    run = torchglass.attach(Small(), store=path, devices=False)
    path.rename(tmp_path / "aside.db")
    run.log(loss=1.0, step=1)
    wait_until(lambda: run._writer._warned, "the writer noticed")
    run.log(loss=2.0, step=2)
    (tmp_path / "aside.db").rename(path)
    run.finish()
    assert recorded(path, "loss") == {1: 1.0, 2: 2.0}


def test_the_writer_survives_where_warnings_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "FLUSH_SECONDS", 0.01)
    monkeypatch.setattr("torchglass.store.sqlite.BUSY_TIMEOUT_SECONDS", 0.05)
    path = tmp_path / "s.db"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = torchglass.attach(Small(), store=path, devices=False)
        with locked(path):
            run.log(loss=1.0)
            wait_until(lambda: run._writer._warned, "the writer met the lock")
        run.finish()
    assert recorded(path, "loss") == {0: 1.0}


def write_all(store: Store, run_id: int, records: list[Any]) -> int:
    buffer = Buffer()
    for record in records:
        buffer.put(record)
    writer = Writer(store, run_id, 0, buffer, lambda: 0.0)
    writer.start()
    return writer.stop(30.0)


def test_a_record_that_no_store_would_take_costs_only_itself(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db")
    run = store.start_run("r", {}, host="h", pid=1)

    def fail(_batch: Batch) -> None:
        raise IndexError("a defect")

    good: list[Any] = [ScalarRow(step, 1.0, {"loss": float(step)}) for step in range(100)]
    bad = [Deferred(fail), ScalarRow(0, 1.0, {"\udcff": 1.0}), Fact(0, None, 1, None)]  # type: ignore[arg-type]
    with pytest.warns(RuntimeWarning, match="lost a record to a defect of its own"):
        lost = write_all(store, run.id, [*good[:30], bad[0], *good[30:60], bad[1], *good[60:], bad[2]])
    assert lost == 3
    assert len(recorded(tmp_path / "s.db", "loss")) == 100
    (series,) = store.series_of(run.id, kind="scalar")
    assert series.count == 100
    assert recorded(tmp_path / "s.db", "torchglass/dropped_records") != {}


def test_arrays_and_what_was_put_before_the_end_are_saved_by_finish(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    run = torchglass.attach(Small(), store=path, devices=False)
    array = np.arange(3)
    run.save_arrays("samples", "test", {"images": array}, {"class_names": ["a"]}, step=4)
    array[:] = 9  # copied at the call
    run.finish()
    store, found = read(path)
    (artifact,) = store.artifacts(found.id)
    assert (artifact.step, artifact.kind, artifact.key) == (4, "samples", "test")
    assert store.arrays(artifact.id)["images"].tolist() == [0, 1, 2]


def test_many_threads_may_log_at_once(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with torchglass.attach(Small(), store=path, devices=False) as run:

        def log(thread: int) -> None:
            for step in range(200):
                run.log({f"thread{thread}": float(step)}, step=step)

        threads = [threading.Thread(target=log, args=(thread,)) for thread in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for number in range(6):
        assert recorded(path, f"thread{number}") == {step: float(step) for step in range(200)}


def test_artifacts_of_a_failed_batch_are_not_doubled(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db")
    run = store.start_run("r", {}, host="h", pid=1)
    blocks: list[Any] = [ArtifactBlock("k", str(index), 0, 0.0, {}, {"a": np.arange(2)}) for index in range(5)]
    odd = ArtifactBlock("k", "odd", 0, 0.0, {}, {"a": np.array([{}], dtype=object)})

    def add(batch: Batch) -> None:
        batch.artifacts.append(odd._replace(key=3.5j))  # type: ignore[arg-type]

    with pytest.warns(RuntimeWarning, match="lost a record"):
        assert write_all(store, run.id, [*blocks[:2], Deferred(add), *blocks[2:]]) == 1
    assert [each.key for each in store.artifacts(run.id)] == ["0", "1", "2", "3", "4"]
