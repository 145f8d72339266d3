"""Many runs at once: a page of them, and their series in a few statements, say what one run at a time says."""

from __future__ import annotations

import numpy as np
import pytest

from torchglass.store import Batch, Column, RowBlock, Store
from torchglass.store.summaries import RUNS_AT_ONCE

STEPS = np.arange(1, 5)
KEYS = ("loss", "test/loss", "test/glass", "test/lo_s", "phase/step")


def record(store: Store, name: str, offset: float, *, ends: bool = True) -> int:
    run = store.start_run(name, {}, host="here", pid=1)
    columns = tuple(Column(key, "phase" if key.startswith("phase") else "scalar") for key in KEYS)
    values = offset + np.arange(4.0)[:, None] * np.arange(1.0, len(KEYS) + 1)
    store.write(run.id, 0, Batch(rows=[RowBlock(columns, STEPS, 1e9 + STEPS, values)]))
    store.write(run.id, 1, Batch(rows=[RowBlock.of_series("loss", "scalar", "", STEPS, 1e9 + STEPS, -values[:, 0])]))
    if ends:
        store.end_run(run.id, "finished")
    return run.id


def test_series_of_many_runs_are_those_of_each(store: Store) -> None:
    ids = [record(store, "a", 1.0), record(store, "b", 20.0, ends=False), record(store, "c", 300.0)]
    bare = store.start_run("bare", {}, host="here", pid=1).id
    store.resume_run("c", step=3, host="here", pid=2)
    found = store.series_of_runs([*ids, bare])
    assert found == {run_id: store.series_of(run_id, rank=0) for run_id in [*ids, bare]}
    assert [series.last for series in found[ids[1]] if series.key == "loss"] == [23.0]
    scalars = store.series_of_runs(ids, kinds=("scalar",))
    assert scalars[ids[0]] == store.series_of(ids[0], kind="scalar", rank=0)


@pytest.mark.parametrize(
    ("ending", "keys"),
    [
        ("loss", ["loss", "test/loss"]),
        ("lo_s", ["test/lo_s"]),
        ("test/glass", ["test/glass"]),
        ("ss", []),
        ("%", []),
    ],
)
def test_an_ending_is_a_key_or_what_stands_behind_a_slash(store: Store, ending: str, keys: list[str]) -> None:
    run_id = record(store, "a", 1.0)
    assert [series.key for series in store.series_of_runs([run_id], endings=[ending])[run_id]] == keys


def test_no_ending_finds_nothing_and_no_run_asks_nothing(store: Store) -> None:
    run_id = record(store, "a", 1.0)
    assert store.series_of_runs([run_id], endings=[]) == {run_id: []}
    assert store.series_of_runs([]) == {}


def test_more_runs_than_a_statement_takes_are_asked_for_in_several(store: Store) -> None:
    run_id = record(store, "a", 1.0)
    found = store.series_of_runs([*range(10_000, 10_000 + RUNS_AT_ONCE), run_id])
    assert len(found) == RUNS_AT_ONCE + 1
    assert found[run_id] == store.series_of(run_id, rank=0)


def test_points_of_several_series_are_those_of_each(store: Store) -> None:
    run_id = record(store, "a", 1.0)
    ids = [series.id for series in store.series_of(run_id)]
    for series_id, points in store.points_of(ids, max_points=60).items():
        assert points.values.tolist() == store.points(series_id).values.tolist()


def test_a_page_of_runs_begins_where_the_one_before_ended(store: Store) -> None:
    for number in range(7):
        store.start_run(f"run-{number}", {}, host="here", pid=1)
    store.archive("run-5")
    store.delete("run-1")
    assert store.run_names() == [run.name for run in store.runs()] == ["run-6", "run-4", "run-3", "run-2", "run-0"]
    assert [run.name for run in store.runs(limit=2, offset=1)] == ["run-4", "run-3"]
    assert [run.name for run in store.runs(limit=2, offset=4)] == ["run-0"]
    assert (store.count_runs(), store.count_runs(archived=True), store.count_runs(archived=None)) == (5, 1, 6)
    assert store.run_ids() == [run.id for run in store.runs()]
    first = store.run("run-0").id
    found = store.runs_with_ids([first + 1, first + 6, 999_999, first])
    assert [run.name for run in found] == ["run-1", "run-6", "run-0"]
    assert (store.count_runs(deleted=True), store.run_names(archived=True)) == (1, ["run-5"])
