"""What is opened as a store, what is refused, and that refusing changes nothing."""

from __future__ import annotations

import multiprocessing
import resource
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pytest
from blocks import one, series_id, start

from torchglass.errors import StoreError
from torchglass.store import Batch, Column, ProfilerRow, ProfilerWindow, Store, open_store
from torchglass.store.schema import SCHEMA_VERSION

GAPS = np.array([3, 7])


def sqlite_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE films (name TEXT)")


def store_of_the_future(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_text("step,loss\n1,0.5\n" * 200), "is not a torchglass store or is damaged"),
        (lambda path: path.write_text("short"), "is not a torchglass store or is damaged"),
        (sqlite_database, "a SQLite database, but not a torchglass store"),
        (store_of_the_future, "written by a newer torchglass .*: upgrade torchglass"),
        (lambda path: path.mkdir(), "is a folder: give the path of a store file"),
    ],
    ids=["text", "short text", "other database", "newer schema", "folder"],
)
def test_what_is_no_store_of_ours_is_refused_in_one_sentence_and_left_as_it_was(
    tmp_path: Path, make: object, words: str, read_only: bool
) -> None:
    assert callable(make)
    path = tmp_path / "thing.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError, match=words) as refusal:
        open_store(path, read_only=read_only)
    assert "\n" not in str(refusal.value)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_an_empty_file_becomes_a_store_when_writing_and_is_refused_when_reading(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(StoreError, match="is an empty file"):
        open_store(path, read_only=True)
    assert path.stat().st_size == 0
    assert start(open_store(path)) == 1


def test_a_folder_that_does_not_exist_is_named_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"the folder {tmp_path / 'no'} does not exist"):
        open_store(tmp_path / "no" / "store.db")
    assert list(tmp_path.iterdir()) == []


def test_reading_a_path_without_a_store_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store at"):
        open_store(tmp_path / "store.db", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    run = start(Store(tmp_path / "store.db"))
    reader = open_store(tmp_path / "store.db", read_only=True)
    with pytest.raises(StoreError, match="cannot write to the store"):
        reader.write(run, 0, one([1], [1.0]))
    with pytest.raises(StoreError, match="cannot write to the store"):
        start(reader)
    assert [each.id for each in reader.runs()] == [run]


def test_a_store_opens_at_what_the_environment_names_or_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TORCHGLASS_STORE", raising=False)
    assert open_store().path == tmp_path / "torchglass.db"
    monkeypatch.setenv("TORCHGLASS_STORE", "sqlite:///other.db")
    assert open_store().path == tmp_path / "other.db"


def open_and_start(folder: Path, attempts: int, ready: Barrier) -> None:
    for attempt in range(attempts):
        ready.wait()
        with Store(folder / f"store{attempt}.db") as store:
            start(store)


def test_processes_that_open_a_new_store_at_once_all_find_it_made(tmp_path: Path) -> None:
    fork, attempts = multiprocessing.get_context("fork"), 30
    arguments = (tmp_path, attempts, fork.Barrier(6, timeout=60))
    processes = [fork.Process(target=open_and_start, args=arguments) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 6
    for attempt in range(attempts):
        assert len(Store(tmp_path / f"store{attempt}.db").runs()) == 6


def test_a_store_whose_file_is_taken_away_says_so_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    path, aside = tmp_path / "store.db", tmp_path / "aside.db"
    store = Store(path)
    run = start(store)
    path.rename(aside)
    with pytest.raises(StoreError, match="deleted or replaced"):
        store.write(run, 0, one([1], [1.0]))
    assert not path.exists()
    aside.rename(path)
    store.write(run, 0, one([2], [2.0]))
    assert store.points(series_id(store, run)).steps.tolist() == [2]


def test_a_store_that_was_replaced_by_another_gets_nothing_of_the_old_run(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store(path)
    run = start(store)
    for file in tmp_path.iterdir():
        file.unlink()
    other = Store(path)
    start(other, "other")
    with pytest.raises(StoreError, match="deleted or replaced"):
        store.write(run, 0, one([1], [1.0]))
    assert other.series_of(run) == []


def test_a_full_disk_loses_the_batch_whole_and_the_next_one_is_stored(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    run = start(store)
    store.write(run, 0, one([1], [1.0]))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    wal = Path(f"{store.path}-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal + 512, hard))
    try:
        for _ in range(2):
            with pytest.raises(StoreError, match="cannot write to the store"):
                store.write(run, 0, one([2], [2.0], key="new"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    store.write(run, 0, one([3], [3.0], key="new"))
    assert store.points(series_id(store, run, "new")).steps.tolist() == [3]


def test_a_write_that_fails_halfway_stores_nothing_and_forgets_the_series_it_made(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    run = start(store)
    batch = one([1], [1.0], key="made")
    batch.rows.append(batch.rows[0]._replace(columns=(Column("\udcff"),)))
    with pytest.raises(StoreError, match="surrogates not allowed") as failure:
        store.write(run, 0, batch)
    assert not failure.value.may_pass
    assert store.series_of(run) == []
    store.write(run, 0, one([1], [2.0], key="other"))
    store.write(run, 0, one([1], [3.0], key="made"))
    assert store.points(series_id(store, run, "made")).values.tolist() == [3.0]
    assert store.points(series_id(store, run, "other")).values.tolist() == [2.0]


def test_threads_that_come_and_go_leave_no_connections_behind(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    start(store)

    def open_files() -> int:
        return sum(str(tmp_path) in str(each.resolve()) for each in Path("/proc/self/fd").iterdir() if each.exists())

    for _ in range(80):
        thread = threading.Thread(target=store.runs)
        thread.start()
        thread.join()
    with ThreadPoolExecutor(2) as pool:
        assert [len(each) for each in pool.map(lambda _: store.runs(), range(4))] == [1] * 4
    assert open_files() <= 30
    store.close()
    assert open_files() == 0


@pytest.mark.parametrize("read_only", [False, True], ids=["to write", "to read"])
def test_a_store_of_schema_2_opens_with_its_windows_and_takes_tables_from_then_on(
    tmp_path: Path, read_only: bool
) -> None:
    path = tmp_path / "s.db"
    rows = (ProfilerRow("operator", "aten::mm", 4, 0.25, 0.5),)
    with Store(path) as store:
        run = start(store)
        store.write(run, 0, Batch(windows=[ProfilerWindow(8, 2.5, 3, 1.5, {}, rows)]))
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE profiler_tables")
        connection.execute("PRAGMA user_version=2")
    with open_store(path, read_only=read_only) as store:
        (window,) = store.windows(run)
        assert window.rows == rows
        assert store.window_tables(window.id) == {}
    with Store(path) as store:
        store.write(run, 0, Batch(windows=[ProfilerWindow(9, 3.5, 3, 1.5, {}, (), tables={"idle": {"gaps": GAPS}})]))
        (_, newer) = store.windows(run)
        assert store.window_tables(newer.id)["idle"]["gaps"].tolist() == GAPS.tolist()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
