"""Several series, each from a cursor of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from torchglass.store import Batch, Column, RowBlock, open_store


def test_the_tails_of_several_series_are_those_of_each(tmp_path: Path) -> None:
    with open_store(tmp_path / "runs.db") as store:
        run = store.start_run("run", {}, host="here", pid=1)
        for first in range(0, 400, 4):
            steps = np.arange(first, first + 4)
            values = np.stack([steps * 1.5, -steps], axis=1).astype(np.float64)
            block = RowBlock((Column("loss"), Column("accuracy")), steps, 1000.0 + steps, values)
            store.write(run.id, 0, Batch(rows=[block]))
            if first == 200:
                store.compact(run.id)
        accuracy, loss = store.series_of(run.id)
        found = store.tails({loss.id: 397, accuracy.id: 0})
        assert found[loss.id].values.tolist() == [595.5, 597.0, 598.5]
        for series, cursor in ((loss, 397), (accuracy, 0)):
            alone = store.tail(series.id, cursor)
            assert found[series.id].steps.tolist() == alone.steps.tolist()
            assert found[series.id].values.tolist() == alone.values.tolist()
            assert found[series.id].cursor == alone.cursor == 400


def test_series_that_came_now_together_and_now_alone_are_read_at_once_as_each_by_itself(tmp_path: Path) -> None:
    with open_store(tmp_path / "runs.db") as store:
        run = store.start_run("run", {}, host="here", pid=1)
        companies = (("a", "b", "c"), ("b",), ("c", "a"), ("d",), ("b", "d"), ("a", "b", "c"))
        for first, company in enumerate(companies * 5):
            steps = np.array([first, first + 40])
            values = steps[:, None] + 100.0 * np.array([ord(key) for key in company])
            block = RowBlock(tuple(Column(key) for key in company), steps, 1000.0 + steps, values)
            store.write(run.id, 0, Batch(rows=[block]))
            if first == 11:
                store.compact(run.id)
                store.write(
                    run.id, 0, Batch(rows=[RowBlock.of_series("rare", "scalar", "", steps, steps, values[:, 0])])
                )
        series = {each.key: each for each in store.series_of(run.id)}
        tails = store.tails({each.id: place for place, each in enumerate(series.values())})
        drawn = store.points_of([each.id for each in series.values()])
        for place, each in enumerate(series.values()):
            for together, alone in ((tails, store.tail(each.id, place)), (drawn, store.points(each.id))):
                assert together[each.id].steps.tolist() == alone.steps.tolist()
                assert together[each.id].times.tolist() == alone.times.tolist()
                assert together[each.id].values.tolist() == alone.values.tolist()
                assert together[each.id].cursor == alone.cursor
    assert drawn[series["b"].id].values[:3].tolist() == [9800.0, 9801.0, 9804.0]
    assert {key: len(drawn[each.id].steps) for key, each in series.items()} == {
        "a": 30,
        "b": 40,
        "c": 30,
        "d": 20,
        "rare": 2,
    }
