"""Many writers and a reader at once: nothing is lost, nothing is doubled, nothing is seen half."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import sys
import threading
from pathlib import Path

import pytest
from blocks import one, series_id, start

from torchglass.store import Store

PROCESSES, THREADS, WRITES = 4, 3, 40
fork = multiprocessing.get_context("fork")


def write_some(path: Path, run: int, process: int) -> None:
    store = Store(path)

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


def test_four_processes_of_three_threads_write_while_a_reader_reads(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store(path)
    run = start(store)
    store.write(run, 0, one([], [], key="shared"))
    shared = series_id(store, run, "shared")
    workers = [fork.Process(target=write_some, args=(path, run, process)) for process in range(PROCESSES)]
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
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_uses_connections_of_its_own_and_its_end_disturbs_nobody(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
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
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
