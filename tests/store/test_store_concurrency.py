"""Many writers and a reader at once: nothing is lost, nothing is doubled, nothing is seen half."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pytest
from blocks import START, is_whole, one, series_id, start

from torchglass.errors import StoreError
from torchglass.store import Batch, Column, Fact, RowBlock, Store
from torchglass.store.engine import Connection

PROCESSES, THREADS, WRITES = 4, 3, 40
CROWD, MANY, AT_ONCE = 8, 10_000, 250  # so many processes and threads of each, values of a thread, values of a write
fork = multiprocessing.get_context("fork")


def write_some(location: str, run: int, process: int) -> None:
    store = Store(location)

    def work(thread: int) -> None:
        for index in range(WRITES):
            writer = process * THREADS + thread
            batch = one([2 * index, 2 * index + 1], [writer, writer], key=f"own{writer}")
            shared = one([(writer * WRITES + index) * 2 + half for half in (0, 1)], [1.0, 1.0], key="shared")
            batch.rows += shared.rows
            store.write(run, 0, batch)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()


def test_four_processes_of_three_threads_write_while_a_reader_reads(store: Store, location: str) -> None:
    run = start(store)
    store.write(run, 0, one([], [], key="shared"))
    shared = series_id(store, run, "shared")
    workers = [fork.Process(target=write_some, args=(location, run, process)) for process in range(PROCESSES)]
    for worker in workers:
        worker.start()
    seen: list[int] = []
    cursor = 0
    while True:
        writing = any(worker.is_alive() for worker in workers)
        tail = store.tail(shared, cursor)
        assert tail.total % 2 == 0, "a batch was seen half"
        seen += tail.steps.tolist()
        cursor = tail.cursor
        if not writing:
            break
    assert [worker.exitcode for worker in workers] == [0] * PROCESSES
    every_write = PROCESSES * THREADS * WRITES
    assert sorted(seen) == list(range(2 * every_write))
    for writer in range(PROCESSES * THREADS):
        points = store.points(series_id(store, run, f"own{writer}"))
        assert points.steps.tolist() == list(range(2 * WRITES))
        assert set(points.values.tolist()) == {writer}
    assert is_whole(store)


def own_values(writer: int) -> npt.NDArray[np.float64]:
    """Every value differs from every other of the store."""
    return writer + np.arange(MANY) / (4 * MANY)


def write_many(location: str, run: int, rank: int) -> None:
    store = Store(location)

    def work(thread: int) -> None:
        writer = rank * CROWD + thread
        for first in range(0, MANY, AT_ONCE):
            steps = np.arange(first, first + AT_ONCE)
            times = (START + steps).astype(np.float64)
            values = own_values(writer)[steps, None]
            store.write(run, rank, Batch(rows=[RowBlock((Column(f"own{writer}"),), steps, times, values)]))

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(CROWD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()


def test_eight_processes_of_eight_threads_write_ten_thousand_values_each(store: Store, location: str) -> None:
    run = start(store)
    workers = [fork.Process(target=write_many, args=(location, run, rank)) for rank in range(CROWD)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * CROWD
    found = store.series_of(run)
    assert sum(series.count for series in found) == CROWD * CROWD * MANY
    assert {(series.key, series.rank) for series in found} == {
        (f"own{rank * CROWD + thread}", rank) for rank in range(CROWD) for thread in range(CROWD)
    }
    for series in found:
        points = store.points(series.id)
        assert points.steps.tolist() == list(range(MANY))
        assert points.values.tolist() == own_values(int(series.key.removeprefix("own"))).tolist()
    assert is_whole(store)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_series_that_a_failed_write_would_have_made_are_known_to_no_other_thread(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, engine = start(store), store._engine
    begun = engine.writing

    @contextmanager
    def until_the_next_one(*, alone: bool = False) -> Iterator[Connection]:
        try:
            with begun(alone=alone) as connection:
                yield connection
        except StoreError:  # rolled back: a thread that waited for the lock is the next to write
            monkeypatch.undo()
            store.write(run, 0, one([1], [2.0], "other"))
            store.write(run, 0, one([1], [3.0], "loss"))
            raise

    monkeypatch.setattr(engine, "writing", until_the_next_one)
    with pytest.raises(StoreError):
        store.write(run, 0, Batch(rows=one([1], [1.0], "loss").rows, facts=[Fact(2**70, "k", 1, 0.0)]))
    read = {each.key: store.points(each.id).values.tolist() for each in store.series_of(run)}
    assert read == {"loss": [3.0], "other": [2.0]}


def test_a_forked_child_uses_connections_of_its_own_and_its_end_disturbs_nobody(store: Store) -> None:
    run = start(store)
    store.write(run, 0, one([1], [1.0]))
    child = os.fork()
    if child == 0:
        try:
            store.write(run, 0, one([2], [2.0]))
            store.close()
        finally:
            sys.stdout.flush()
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    store.write(run, 0, one([3], [3.0]))
    assert store.points(series_id(store, run)).steps.tolist() == [1, 2, 3]
    assert is_whole(store)
