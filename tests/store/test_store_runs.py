"""Runs: their names, how they are found, and what their status says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blocks import one, start

from torchglass.errors import RunNotFoundError
from torchglass.store import LOST_AFTER_SECONDS, Store


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(location: str, clock: Clock) -> Iterator[Store]:
    with Store(location, clock=clock) as opened:
        yield opened


def test_a_name_that_is_taken_gets_a_number(store: Store) -> None:
    names = [store.start_run(name, {}, host="h", pid=1).name for name in ("a", "a", "a-2", "a", "b")]
    assert names == ["a", "a-2", "a-2-2", "a-3", "b"]
    assert [run.name for run in store.runs()] == names[::-1]


def test_a_run_is_found_by_name_id_or_the_beginning_of_its_uid(store: Store) -> None:
    started = [store.start_run(f"run{index}", {"x": index}, host="h", pid=7) for index in range(3)]
    wanted = started[1]
    for name in ("run1", wanted.id, wanted.uid, wanted.uid[:6], wanted.uid[:8].upper()):
        assert store.run(name) == wanted
    assert (wanted.config, wanted.host, wanted.pid, wanted.status) == ({"x": 1}, "h", 7, "running")


@pytest.mark.parametrize("name", ["%", "______", "run%", "_un0__", "", "run", "zzzzzz", "'; DROP TABLE runs; --"])
def test_what_is_no_name_finds_no_run_and_the_error_names_the_newest(store: Store, name: str) -> None:
    store.start_run("run0", {}, host="h", pid=1)
    with pytest.raises(RunNotFoundError, match="newest are run0"):
        store.run(name)
    assert len(store.runs()) == 1


def test_a_run_may_be_called_like_a_wildcard(store: Store) -> None:
    store.start_run("plain", {}, host="h", pid=1)
    odd = store.start_run("%", {}, host="h", pid=1)
    assert store.run("%") == odd


def test_a_beginning_shorter_than_six_characters_is_not_a_uid(store: Store) -> None:
    run = store.start_run("a", {}, host="h", pid=1)
    with pytest.raises(RunNotFoundError):
        store.run(run.uid[:5])


def test_an_empty_store_says_that_it_holds_none(store: Store) -> None:
    with pytest.raises(RunNotFoundError, match="holds none yet"):
        store.run("a")
    assert store.runs() == []


def test_a_running_run_that_falls_silent_reads_as_lost_and_a_write_revives_it(store: Store, clock: Clock) -> None:
    run = start(store)
    clock.now += LOST_AFTER_SECONDS
    assert store.run(run).status == "running"
    clock.now += 0.5
    assert store.run(run).status == "lost"
    store.write(run, 0, one([1], [1.0]))
    assert store.run(run).status == "running"


def test_an_ended_run_never_reads_as_lost(store: Store, clock: Clock) -> None:
    run = start(store)
    clock.now += 3
    store.end_run(run, "failed", "ValueError: no")
    clock.now += 1000
    ended = store.run(run)
    assert (ended.status, ended.error) == ("failed", "ValueError: no")
    assert ended.ended_at is not None
    assert ended.ended_at - ended.created_at == 3


def test_the_failure_of_one_rank_is_not_covered_by_the_end_of_another(store: Store) -> None:
    run = start(store)
    store.end_run(run, "failed", "rank 1: ValueError")
    store.end_run(run, "failed", "rank 2: connection closed by peer")  # because of which it failed
    store.end_run(run, "finished")
    assert (store.run(run).status, store.run(run).error) == ("failed", "rank 1: ValueError")


def test_a_late_failure_outweighs_an_earlier_end(store: Store) -> None:
    run = start(store)
    store.end_run(run, "finished")
    store.end_run(run, "failed", "rank 1: ValueError")
    assert store.run(run).status == "failed"


def test_ranks_of_one_launch_share_a_run_and_other_launches_do_not(store: Store) -> None:
    ids = [store.start_run("r", {}, host="h", pid=1, launch_id=launch).id for launch in ("x", "x", "y", None, None)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4
