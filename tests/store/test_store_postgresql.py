"""What only a server can do to a store: be away, come back, refuse, be shared with strangers."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.synchronize import Barrier
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from blocks import ask, change, one, series_id, start
from postgresql import DATABASE, PASSWORD, USER, Server
from postgresql_proxy import Moment, door_before

from torchglass.errors import NoStoreError, StoreError
from torchglass.store import Batch, Column, Fact, Store, open_store
from torchglass.store.location import ServerLocation, locate
from torchglass.store.schema import SCHEMA_VERSION

pytestmark = pytest.mark.postgresql


@pytest.fixture
def url(postgresql: Server) -> str:
    return postgresql.url()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store(url) as opened:
        yield opened


@contextmanager
def trainer(postgresql: Server, database: str = DATABASE) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the store's user, beside the store."""
    with psycopg.connect(host=str(postgresql.folder), user=USER, password=PASSWORD, dbname=database) as connection:
        yield connection


def schema_of(store: Store) -> str:
    assert isinstance(store.location, ServerLocation)
    return store.location.schema


def test_a_reader_finds_no_store_where_there_is_none_and_makes_nothing(postgresql: Server, url: str) -> None:
    for _ in range(2):
        with pytest.raises(NoStoreError, match=r"no store at postgresql://.*: train with torchglass attached"):
            open_store(url, read_only=True)
    location = locate(url)
    assert isinstance(location, ServerLocation)
    found = postgresql.administer(f"SELECT count(*) FROM pg_namespace WHERE nspname = '{location.schema}'")
    assert found == [(0,)]


def test_a_reader_cannot_write(store: Store, url: str) -> None:
    run = start(store)
    with closing(open_store(url, read_only=True)) as reader:
        with pytest.raises(StoreError, match="cannot write to the store"):
            reader.write(run, 0, one([1], [1.0]))
        assert [each.id for each in reader.runs()] == [run]


def test_while_the_server_is_away_writes_fail_with_hope_and_go_on_when_it_is_back(
    postgresql: Server, store: Store
) -> None:
    run = start(store)
    store.write(run, 0, one([1], [1.0]))
    for crash in (False, True):
        postgresql.stop(crash=crash)
        try:
            for verb in (lambda: store.write(run, 0, one([2], [2.0])), store.runs):
                with pytest.raises(StoreError, match=r"cannot (read|write to) the store") as failure:
                    verb()
                assert failure.value.may_pass
        finally:
            postgresql.start()
        store.write(run, 0, one([3 + crash], [3.0]))
    assert store.points(series_id(store, run)).steps.tolist() == [1, 3, 4]


def test_a_server_that_was_restarted_between_two_writes_costs_nothing(postgresql: Server, store: Store) -> None:
    run = start(store)
    threads = [threading.Thread(target=store.runs) for _ in range(4)]  # several connections wait in the store
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for step in range(3):
        postgresql.stop()
        postgresql.start()
        store.write(run, 0, one([step], [1.0]))
    assert store.points(series_id(store, run)).steps.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("moment", "is_stored"), [("after", True), ("before", False)])
def test_a_commit_whose_answer_is_lost_counts_as_what_became_of_it(
    postgresql: Server, url: str, moment: Moment, is_stored: bool
) -> None:
    with door_before(postgresql.folder) as door:
        through = url.replace(quote(str(postgresql.folder), safe=""), quote(str(door.folder), safe=""))
        with Store(through) as store:
            run = start(store)
            store.write(run, 0, one([1], [1.0]))
            door.cut_at(b"COMMIT\0", moment)
            if is_stored:
                store.write(run, 0, one([2], [2.0]))
            else:
                with pytest.raises(StoreError) as failure:
                    store.write(run, 0, one([2], [2.0]))
                assert failure.value.may_pass
            series = store.find_series(run, "loss")
            assert series is not None
            assert series.count == 1 + is_stored
            store.write(run, 0, one([3], [3.0]))
            assert store.points(series.id).steps.tolist() == ([1, 2, 3] if is_stored else [1, 3])


def test_nobody_waits_longer_for_a_lock_than_asked(postgresql: Server, store: Store) -> None:
    run = start(store)
    store.write(run, 0, one([1], [1.0]))
    store.limit_waiting(0.2)
    with trainer(postgresql) as other:
        other.execute(f"SELECT * FROM {schema_of(store)}.ranks FOR UPDATE".encode())
        with pytest.raises(StoreError, match="lock timeout") as failure:
            store.write(run, 0, one([2], [2.0]))
        assert failure.value.may_pass
    store.write(run, 0, one([3], [3.0]))
    assert store.points(series_id(store, run)).steps.tolist() == [1, 3]


def test_a_value_that_no_server_takes_is_told_from_a_server_that_is_away(store: Store) -> None:
    run = start(store)
    with pytest.raises(StoreError) as failure:
        store.state_facts(run, [Fact(0, "k", 1, 0.0), Fact(2**70, "k", 1, 0.0)])
    assert not failure.value.may_pass
    assert store.facts(run) == []


@pytest.mark.parametrize("password", ["wr@ng:/%", "secret"])
def test_a_refusal_says_why_and_quotes_no_password(postgresql: Server, password: str) -> None:
    with pytest.raises(StoreError, match="password authentication failed") as failure:
        open_store(postgresql.url(password=password))
    chain = f"{failure.value!r} {failure.value.__cause__!r}"
    assert password not in chain
    assert quote(password, safe="") not in chain
    assert PASSWORD not in chain


def test_a_database_that_is_not_there_is_named(postgresql: Server) -> None:
    with pytest.raises(StoreError, match='database "elsewhere" does not exist') as failure:
        open_store(postgresql.url(database="elsewhere"))
    assert "\n" not in str(failure.value)


def test_a_parameter_that_may_be_a_piece_of_a_password_is_not_quoted(url: str) -> None:
    with pytest.raises(StoreError, match="has a parameter that PostgreSQL's library does not know") as failure:
        open_store(f"{url}&cret=5")
    assert "cret" not in str(failure.value)


def test_a_database_without_all_characters_is_refused(postgresql: Server) -> None:
    postgresql.administer(
        "CREATE DATABASE old TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    with pytest.raises(StoreError, match=r"encoded in LATIN1.*ENCODING 'UTF8'"):
        open_store(postgresql.url(database="old"))


def test_a_user_without_the_right_to_make_tables_is_told(postgresql: Server) -> None:
    postgresql.administer("CREATE DATABASE closed", "postgres")
    with pytest.raises(StoreError, match="permission denied for database closed"):
        open_store(postgresql.url(database="closed"))


def test_a_user_without_the_right_to_use_the_schema_is_told(postgresql: Server) -> None:
    postgresql.administer("CREATE SCHEMA locked", DATABASE)
    with pytest.raises(StoreError, match="may not use its schema: GRANT USAGE"):
        Store(postgresql.url(schema="locked"))


def test_two_schemas_of_one_database_are_two_stores(postgresql: Server) -> None:
    with Store(postgresql.url(schema="team")) as ours, Store(postgresql.url(schema='o"dd Schema')) as theirs:
        start(ours, "mine")
        start(theirs, "yours")
        assert [run.name for run in ours.runs()] == ["mine"]
        assert [run.name for run in theirs.runs()] == ["yours"]


def test_without_a_schema_in_the_url_a_schema_of_our_own_is_made(postgresql: Server) -> None:
    with Store(postgresql.url().split("?")[0]) as store:
        start(store, "default")
    assert postgresql.administer("SELECT name FROM torchglass.runs") == [("default",)]


def test_a_search_path_in_the_url_is_followed(postgresql: Server) -> None:
    plain = postgresql.url().split("?")[0]
    option = "?options=" + quote("-csearch_path=chosen", safe="")
    with pytest.raises(StoreError, match=r"no schema that the search_path .* names exists"):
        open_store(plain + option)
    postgresql.administer(f"CREATE SCHEMA chosen AUTHORIZATION {USER}")
    with Store(plain + option) as store:
        start(store, "there")
    assert postgresql.administer("SELECT name FROM chosen.runs") == [("there",)]


def test_a_schema_with_tables_of_somebody_else_is_refused_and_left_as_it_was(postgresql: Server) -> None:
    postgresql.administer(f"CREATE SCHEMA mlflow AUTHORIZATION {USER}")
    with trainer(postgresql) as other:
        other.execute("CREATE TABLE mlflow.runs (run_uuid TEXT)")
    with pytest.raises(StoreError, match=r"holds a table 'runs' that is not torchglass's: name another schema"):
        open_store(postgresql.url(schema="mlflow"))
    tables = postgresql.administer("SELECT tablename FROM pg_tables WHERE schemaname = 'mlflow'")
    assert tables == [("runs",)]


def test_a_store_of_a_newer_torchglass_is_refused(store: Store, url: str) -> None:
    change(store, "UPDATE torchglass_store SET schema_version = ?", SCHEMA_VERSION + 1)
    for read_only in (False, True):
        with pytest.raises(StoreError, match=r"written by a newer torchglass .*: upgrade torchglass"):
            open_store(url, read_only=read_only)


def test_a_store_that_is_dropped_says_so_and_what_replaces_it_gets_nothing_of_the_old_run(
    postgresql: Server, store: Store, url: str
) -> None:
    run = start(store)
    postgresql.administer(f"DROP SCHEMA {schema_of(store)} CASCADE")
    with pytest.raises(StoreError, match="was deleted or replaced while in use") as failure:
        store.write(run, 0, one([1], [1.0]))
    assert failure.value.may_pass
    with Store(url) as other:
        assert start(other, "other") == run
        with pytest.raises(StoreError, match="was deleted or replaced while in use"):
            store.write(run, 0, one([1], [1.0]))
        assert other.series_of(run) == []


def open_and_start(urls: list[str], ready: Barrier) -> None:
    for url in urls:
        ready.wait()
        with Store(url) as store:
            start(store)


def test_processes_that_open_a_new_store_at_once_all_find_it_made(postgresql: Server) -> None:
    fork, urls = multiprocessing.get_context("fork"), [postgresql.url() for _ in range(8)]
    ready = fork.Barrier(6, timeout=60)
    processes = [fork.Process(target=open_and_start, args=(urls, ready)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 6
    for url in urls:
        with Store(url) as store:
            assert sorted(run.name for run in store.runs()) == ["run", *(f"run-{number}" for number in range(2, 7))]


def test_text_keeps_every_character_but_one_and_sorts_by_code_point(store: Store) -> None:
    run = start(store, "näme \U0001f525 \0 'quoted' ? %s $1")
    assert store.run(run).name == "näme \U0001f525 \N{SYMBOL FOR NULL} 'quoted' ? %s $1"
    for key in ("b", "B", "a", "ä", "Z", "_", "nul\0"):
        store.write(run, 0, one([1], [1.0], key=key))
    assert [series.key for series in store.series_of(run)] == ["B", "Z", "_", "a", "b", "nul\N{SYMBOL FOR NULL}", "ä"]
    assert store.find_series(run, "nul\0") is not None
    batch = one([1], [1.0], key="fine")
    batch.rows.append(batch.rows[0]._replace(columns=(Column("\udcff"),)))
    with pytest.raises(StoreError, match="surrogates not allowed"):
        store.write(run, 0, batch)
    assert store.find_series(run, "fine") is None


def test_payloads_are_packed_once(store: Store) -> None:
    storage = ask(
        store,
        "SELECT DISTINCT attstorage::text FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid "
        "WHERE relnamespace = current_schema()::regnamespace AND atttypid = 'bytea'::regtype",
    )
    assert storage == [("e",)]


def test_a_store_keeps_few_connections_whatever_its_threads_do(postgresql: Server, store: Store) -> None:
    def in_use() -> int:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'torchglass'"
        return int(postgresql.administer(query)[0][0])

    ready = threading.Barrier(12)

    def look() -> None:
        ready.wait()
        store.runs()

    others = in_use()
    threads = [threading.Thread(target=look) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert in_use() <= others + 4
    store.close()
    assert store.runs() == []


def backend(url: str) -> int:
    with closing(open_store(url, read_only=True)) as reader:
        ((pid,),) = ask(reader, "SELECT pg_backend_pid()")
        return int(pid)


def test_a_reader_leaves_its_connection_to_the_next_one_but_not_to_a_forked_child(store: Store, url: str) -> None:
    first = backend(url)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(backend, (url,)) != first
    assert backend(url) == first


def test_a_url_passes_through_a_whole_batch_of_every_kind(store: Store, url: str) -> None:
    run = start(store)
    store.write(run, 0, Batch(facts=[Fact(0, "flag", True, 1.5), Fact(0, "flag", {"é": [None, 2]}, 2.5)]))
    with closing(open_store(url, read_only=True)) as reader:
        assert [(fact.key, fact.value, fact.time) for fact in reader.facts(run)] == [("flag", {"é": [None, 2]}, 2.5)]


def test_without_the_driver_one_sentence_names_the_extra() -> None:
    script = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from torchglass.cli import main\n"
        "sys.exit(main(['runs', '--store', 'postgresql://me:secret@host/db']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "torchglass: psycopg is not installed: pip install 'torchglass[postgres]'\n"
