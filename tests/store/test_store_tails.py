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
