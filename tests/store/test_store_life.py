"""The life of a run: named anew, tagged, put away, deleted and had back, forked, and at last destroyed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from blocks import START, ask, block, is_whole, one, series_id, start

from torchglass.errors import OptionError, RunNotFoundError, StoreError
from torchglass.store import (
    LOST_AFTER_SECONDS,
    ArtifactBlock,
    Batch,
    Fact,
    Histogram,
    HistogramBlock,
    ProfilerRow,
    ProfilerWindow,
    Run,
    Store,
    forking,
)
from torchglass.store.schema import SQLITE, migrations_after


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(location: str, clock: Clock) -> Iterator[Store]:
    with Store(location, clock=clock) as opened:
        yield opened


def names(runs: list[Run]) -> list[str]:
    return [run.name for run in runs]


def everything(steps: range, rank: int = 0) -> Batch:
    """A batch with something for every table."""
    histograms = [
        Histogram(step, START + step, np.array([5, 1030]), np.array([step + 1, 2]), 1, 0, 0, 0, -1.0, 2.0)
        for step in steps
    ]
    rows = (ProfilerRow("operator", "aten::mm", 3, 0.5, 0.75), ProfilerRow("kernel", "gemm", 1, 0.25, 0.25))
    return Batch(
        rows=[block(steps, [step * 0.5 for step in steps]), block(steps, [-float(step) for step in steps], "accuracy")],
        histograms=[HistogramBlock("weight", each) for each in histograms],
        windows=[
            ProfilerWindow(
                step, START + step, 3, 0.25, {"device": "cpu"}, rows, tables={"idle": {"gaps": np.array([step, 7])}}
            )
            for step in steps
            if step % 4 == 0
        ],
        artifacts=[
            ArtifactBlock("checkpoint", f"at/{step}", step, START, {"step": step}, {"w": np.arange(step + 1)})
            for step in steps
            if step % 4 == 0
        ],
        facts=[Fact(rank, "model", {"parameters": 58}, START)],
    )


def rows_by_table(store: Store) -> dict[str, int]:
    tables = [each.split()[2] for each in migrations_after(0, SQLITE) if each.startswith("CREATE TABLE")]
    return {table: ask(store, f"SELECT count(*) FROM {table}")[0][0] for table in tables}


def test_a_new_name_is_found_and_one_that_another_run_has_is_refused_in_a_sentence(store: Store) -> None:
    first, second = start(store, "first"), start(store, "second")
    assert store.rename("first", "better").name == "better"
    assert store.run("better").id == first
    with pytest.raises(StoreError, match="there is a run 'better' already: choose another name"):
        store.rename(second, "better")
    assert store.rename("better", "better").id == first
    assert store.rename("second", "first").id == second
    store.delete("better")
    assert store.rename("first", "better").id == second
    store.rename("better", "first")
    with pytest.raises(OptionError, match="give the run a name"):
        store.rename("first", " ")


def test_tags_are_kept_once_in_the_order_they_came_and_a_note_is_replaced(store: Store) -> None:
    run = start(store)
    store.tag(run, add=["baseline", "große Läufe"])
    store.tag(run, add="good")
    assert store.tag(run, add=["good", "last"], remove=["baseline", "never there"]).tags == (
        "große Läufe",
        "good",
        "last",
    )
    assert store.annotate(run, "warmup\nwas too short").note == "warmup\nwas too short"
    assert store.annotate("run", "").note == ""
    with pytest.raises(OptionError, match="a tag is text"):
        store.tag(run, add=["good", ""])
    assert store.run(run).tags == ("große Läufe", "good", "last")


def test_archived_runs_are_listed_when_asked_for_and_found_by_name_all_the_same(store: Store, clock: Clock) -> None:
    old, new = start(store, "old"), start(store, "new")
    clock.now += 5
    assert store.archive("old").archived_at == START + 5
    assert names(store.runs()) == ["new"]
    assert names(store.runs(archived=True)) == ["old"]
    assert names(store.runs(archived=None)) == ["new", "old"]
    assert store.run("old").id == old
    assert store.archive(old, archived=False).archived_at is None
    assert [run.id for run in store.runs()] == [new, old]


def test_a_deleted_run_is_gone_until_it_is_restored_with_all_it_held(store: Store) -> None:
    run = start(store, "gone")
    store.write(run, 0, one([0, 1], [1.0, 2.0]))
    uid = store.delete("gone").uid
    assert (store.runs(archived=None), names(store.runs(deleted=True))) == ([], ["gone"])
    for name in ("gone", uid, uid[:8]):
        with pytest.raises(RunNotFoundError, match="it was deleted, and `torchglass delete --undo` brings it back"):
            store.run(name)
    assert store.run("gone", deleted=True).id == run
    assert store.restore(uid[:8]).deleted_at is None
    assert store.series("gone", "loss").values.tolist() == [1.0, 2.0]
    with pytest.raises(RunNotFoundError, match="no deleted run 'gone'"):
        store.restore("gone")
    with pytest.raises(StoreError, match="is not deleted: there is nothing to bring back"):
        store.restore(run)


def test_the_name_of_a_deleted_run_is_free_and_bringing_it_back_always_works(store: Store, clock: Clock) -> None:
    first = start(store, "net")
    store.delete("net")
    clock.now += 1
    second = start(store, "net")
    assert store.run("net").id == second
    store.delete("net")
    third = store.start_run("net", {}, host="here", pid=1)
    assert third.name == "net"
    assert store.restore("net").id == second
    assert names([store.run(each) for each in (second, third.id)]) == ["net-2", "net"]
    assert store.restore("net").name == "net-3"
    assert store.run("net-3").id == first


def test_a_run_is_recorded_on_while_it_is_renamed_archived_and_deleted(store: Store) -> None:
    run = start(store)
    changes = (lambda: store.rename(run, "x"), lambda: store.archive(run), lambda: store.delete(run))
    for step, change in enumerate(changes):
        store.write(run, 0, one([step], [float(step)]))
        change()
    store.write(run, 0, one([3], [3.0]))
    assert store.purge().names == ()
    store.end_run(run, "finished")
    assert store.restore("x").status == "finished"
    assert store.series("x", "loss").values.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_purging_removes_every_row_of_what_was_deleted_long_enough_ago_and_of_nothing_else(
    store: Store, clock: Clock
) -> None:
    kept = start(store, "kept")
    store.write(kept, 0, everything(range(8)))
    store.end_run(kept, "finished")
    before = rows_by_table(store)
    for name in ("early", "late"):
        run = start(store, name)
        store.write(run, 0, everything(range(8)))
        store.end_run(run, "failed", "ValueError: no")
        store.resume_run(name, step=5, host="there", pid=1)
        store.write(run, 0, everything(range(5, 7)))
        store.end_run(run, "finished")
        store.write(run, 0, everything(range(7, 8)))
        store.delete(name)
        clock.now += 100
    assert all(count > before[table] for table, count in rows_by_table(store).items())
    assert store.purge(older_than_seconds=101).names == ("early",)
    assert names(store.runs(deleted=True)) == ["late"]
    assert store.purge().names == ("late",)
    assert rows_by_table(store) == before
    assert store.purge().names == ()
    assert store.series("kept", "loss").values.tolist() == [step * 0.5 for step in range(8)]


def test_of_two_that_purge_at_once_each_tells_what_it_destroyed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gone", "back", "mine"):
        store.end_run(start(store, name), "finished")
        store.delete(name)
    due = store.runs(deleted=True)
    with Store(store.location) as other:
        assert other.restore("mine").name == "mine"
        assert other.restore("back").name == "back"
        assert other.purge().names == ("gone",)
        other.delete("mine")
    monkeypatch.setattr(store, "runs", lambda deleted: due)
    assert store.purge().names == ("mine",)
    monkeypatch.undo()
    assert names(store.runs()) == ["back"]


def test_who_goes_on_recording_into_a_purged_run_is_told_and_leaves_nothing(store: Store, clock: Clock) -> None:
    run = start(store)
    store.write(run, 0, everything(range(3)))
    store.delete(run)
    clock.now += 1000
    assert store.purge().names == ("run",)
    with pytest.raises(StoreError, match=r"(?i)foreign key constraint") as failure:
        store.write(run, 0, everything(range(3, 6)))
    assert not failure.value.may_pass
    store.end_run(run, "finished")
    assert set(rows_by_table(store).values()) == {0}


def test_a_name_that_is_no_unicode_is_kept_in_a_configuration_and_refused_as_a_name(store: Store) -> None:
    run = store.start_run("run", {"data": "/data/\udcff\0"}, host="here", pid=1)
    assert store.run(run.id).config == {"data": "/data/\udcff\0"}
    for refused in (lambda: store.run("\udcff"), lambda: store.rename("run", "\udcff")):
        with pytest.raises(StoreError, match="surrogates not allowed"):
            refused()


def test_purging_makes_the_file_smaller_while_another_run_is_recorded(tmp_path: object, clock: Clock) -> None:
    with Store(f"{tmp_path}/store.db", clock=clock) as store:
        run = start(store, "large")
        noise = np.random.default_rng(0).normal(size=200_000)
        store.write(run, 0, one(range(200_000), noise.tolist()))
        store.end_run(run, "finished")
        size = store.path.stat().st_size
        assert size < 2_400_000, "what only passed through is still in the file"
        store.delete(run)
        other = start(store, "running")
        freed = store.purge().freed_bytes
        assert freed is not None
        assert freed > 1_500_000
        assert store.path.stat().st_size <= size - freed + 50_000
        assert is_whole(store)
        store.write(other, 0, one([0], [1.0]))
        assert store.series("running", "loss").values.tolist() == [1.0]


def test_a_fork_holds_what_its_parent_recorded_before_the_step_and_goes_its_own_way(store: Store) -> None:
    parent = store.start_run("parent", {"lr": 0.1}, host="here", pid=1)
    for rank in (0, 1):
        store.write(parent.id, rank, everything(range(10), rank))
    store.compact(parent.id, 1)
    fork = store.fork("parent", 6)
    assert (fork.name, fork.status, fork.parent_uid, fork.parent_step) == ("parent-at-6", "finished", parent.uid, 6)
    assert (fork.config, fork.uid != parent.uid) == ({"lr": 0.1}, True)
    for rank in (0, 1):
        assert store.series("parent-at-6", "loss", rank=rank).values.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
        assert [each.step for each in store.histograms(fork.id, "weight", rank)] == [0, 1, 2, 3, 4, 5]
        assert [each.step for each in store.windows(fork.id, rank)] == [0, 4]
    assert store.windows(fork.id)[0].rows == store.windows(parent.id)[0].rows
    assert store.window_tables(store.windows(fork.id, 0)[1].id)["idle"]["gaps"].tolist() == [4, 7]
    assert store.histograms(fork.id, "weight")[5].counts.tolist() == [6, 2]
    assert [store.arrays(each.id)["w"].size for each in store.artifacts(fork.id)] == [1, 5, 1, 5]
    assert store.facts(fork.id) == store.facts(parent.id)
    summary = store.series_with_id(series_id(store, fork.id, "accuracy"))
    assert summary is not None
    assert (summary.count, summary.minimum, summary.minimum_step, summary.mean) == (6, -5.0, 5, -2.5)

    resumed, step = store.resume_run(fork.id, host="there", pid=2)
    assert (resumed.status, step) == ("running", 6)
    store.write(fork.id, 0, one([6], [99.0]))
    assert store.series("parent-at-6", "loss").values.tolist()[-2:] == [2.5, 99.0]
    assert store.series("parent", "loss").values.tolist() == [step * 0.5 for step in range(10)]
    assert names(store.runs()) == ["parent-at-6", "parent"]


def test_a_fork_takes_its_parents_points_as_they_are_shown_and_has_many_chunks(store: Store) -> None:
    parent = start(store, "parent")
    values = np.random.default_rng(1).normal(size=5000)
    store.write(parent, 0, one(range(5000), values.tolist()))
    store.end_run(parent, "finished")
    store.resume_run(parent, step=2000, host="there", pid=1)
    store.write(parent, 0, one(range(2000, 4000), (values[2000:4000] + 1).tolist()))
    fork = store.fork(parent, 3000, "mine")
    shown = np.concatenate([values[:2000], values[2000:3000] + 1])
    assert store.series("mine", "loss").values.tolist() == shown.tolist()
    store.write(parent, 0, everything(range(2500, 2504)))
    store.end_run(parent, "finished")
    store.resume_run(parent, step=2502, host="there", pid=1)
    later = store.fork(parent, 9000, "later")
    assert [each.step for each in store.histograms(later.id, "weight")] == [2500, 2501]
    assert store.resume_run("later", host="there", pid=1)[1] == 9000
    assert store.fork("mine", 10, "mine").name == "mine-2"
    assert store.find_series(fork.id, "loss") is not None
    with pytest.raises(OptionError, match=r"step=1\.5: give a whole number"):
        store.fork("mine", 1.5)  # type: ignore[arg-type]
    with pytest.raises(RunNotFoundError):
        store.fork("nobody", 3)


def test_a_fork_that_breaks_off_is_no_run_and_is_purged_as_a_deleted_one(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = start(store, "parent")
    store.write(parent, 0, everything(range(6)))
    store.end_run(parent, "finished")
    before = rows_by_table(store)
    monkeypatch.setattr(forking, "copy_others", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.fork("parent", 4)
    assert names(store.runs(archived=None)) == ["parent"]
    assert store.purge().names == ()
    clock.now += LOST_AFTER_SECONDS + 1
    assert store.purge().names == ("parent-at-4",)
    assert rows_by_table(store) == before


def test_tags_that_many_add_at_once_are_all_kept(store: Store) -> None:
    run = start(store)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda tag: store.tag(run, f"tag {tag}"), range(40)))
    assert sorted(store.run(run).tags) == sorted(f"tag {tag}" for tag in range(40))


def test_of_many_who_want_one_name_one_gets_it(store: Store) -> None:
    runs = [start(store, f"run {index}") for index in range(12)]

    def wish(run: int) -> bool:
        try:
            return store.rename(run, "best").name == "best"
        except StoreError:
            return False

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(wish, runs)).count(True) == 1
    assert names(store.runs()).count("best") == 1
