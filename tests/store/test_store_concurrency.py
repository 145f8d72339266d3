"""Many writers and a reader at once: nothing is lost, nothing is doubled, nothing is seen half."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading

import pytest
from blocks import is_whole, one, series_id, start

from torchglass.store import Store

PROCESSES, THREADS, WRITES = 4, 3, 40
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
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
