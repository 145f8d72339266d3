"""What a chart's menu saves: every stored number, in the order of the store, as CSV and as Parquet."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from profiled import gpu_window
from recorded import record_example_run

from torchglass.dashboard.answering import tables
from torchglass.dashboard.answering.query import BadQueryError, Query
from torchglass.store import ArtifactBlock, Batch, Column, RowBlock, Run, Store, open_store
from torchglass.store.bins import bin_edges

VALUES = (0.1, float("nan"), float("inf"), -float("inf"), 1e-300, 2.0)


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Store, Run]:
    store = open_store(tmp_path / "runs.db")
    return store, record_example_run(store, "example")


def rows(columns: tables.Columns) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(tables.to_csv(columns).decode())))


def test_series_come_out_bit_for_bit_whatever_they_are_called(recorded: tuple[Store, Run]) -> None:
    store, run = recorded
    steps = np.arange(1, len(VALUES) + 1, dtype=np.int64)
    block = RowBlock((Column("=HYPERLINK(1)", unit="@s"),), steps, steps * 0.5, np.array(VALUES)[:, None])
    store.write(run.id, 1, Batch(rows=[block]))
    found = store.find_series(run.id, "=HYPERLINK(1)", 1)
    loss = store.find_series(run.id, "loss")
    assert found is not None
    assert loss is not None
    columns = tables.series(store, Query({"ids": f"{found.id},{loss.id},999999"}))
    told = rows(columns)
    assert len(told) == len(VALUES) + loss.count
    assert {row["key"] for row in told} == {"'=HYPERLINK(1)", "loss"}
    assert told[0]["unit"] == "'@s"
    assert [float(row["value"]) for row in told[: len(VALUES)]] == pytest.approx(VALUES, abs=0, rel=0, nan_ok=True)
    assert [float(row["time"]) for row in told[: len(VALUES)]] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    table = pq.read_table(io.BytesIO(tables.to_parquet(columns)))
    assert table.column("key")[0].as_py() == "=HYPERLINK(1)"
    np.testing.assert_array_equal(table.column("value").to_numpy(), np.asarray(columns["value"]))
    np.testing.assert_array_equal(table.column("step").to_numpy()[-loss.count :], store.points(loss.id).steps)


def test_histograms_count_every_value_once_from_the_smallest_up(recorded: tuple[Store, Run]) -> None:
    store, run = recorded
    key = store.histogram_keys(run.id)[0]
    kept = store.histograms(run.id, key)
    told = rows(tables.histograms(store, Query({"run": str(run.id), "key": key})))
    for one in kept:
        mine = [row for row in told if int(row["step"]) == one.step]
        apart = one.zero_count + one.nan_count + one.positive_infinity_count + one.negative_infinity_count
        assert sum(int(row["count"]) for row in mine) == int(one.counts.sum()) + apart
        bins = [row for row in mine if row["kind"] == "bin"]
        edges = [(float(row["low"]), float(row["high"])) for row in bins]
        assert edges == sorted(edges)
        assert edges == sorted(zip(*(edge.tolist() for edge in bin_edges(one.bins)), strict=True))


def test_an_array_comes_out_with_the_place_of_each_element(recorded: tuple[Store, Run]) -> None:
    store, run = recorded
    array = np.array([[1.5, -2.0, 3.0], [4.0, 5.0, 6.25]], np.float32)
    made = store.add_artifact(run.id, ArtifactBlock("thing", "a", 7, 1.0, {}, {"values": array}))
    told = rows(tables.artifact(store, Query({"id": str(made), "array": "values"})))
    assert [(row["index0"], row["index1"], float(row["value"])) for row in told] == [
        ("0", "0", 1.5), ("0", "1", -2.0), ("0", "2", 3.0), ("1", "0", 4.0), ("1", "1", 5.0), ("1", "2", 6.25)
    ]  # fmt: skip


def test_a_window_gives_its_table_and_names_what_it_lacks(recorded: tuple[Store, Run]) -> None:
    store, run = recorded
    store.write(run.id, 0, Batch(windows=[gpu_window()]))
    window = store.windows(run.id)[-1]
    names = store.window_tables(window.id)
    assert names
    for name, table in names.items():
        told = rows(tables.window(store, Query({"id": str(window.id), "table": name})))
        assert len(told) == len(next(iter(table.values())))
        assert not told or list(told[0]) == list(table)
    kernels = rows(tables.window(store, Query({"id": str(window.id), "table": "kernels"})))
    assert [row["name"] for row in kernels] == names["kernels"]["name"].tolist()
    with pytest.raises(BadQueryError, match="no table 'weather'"):
        tables.window(store, Query({"id": str(window.id), "table": "weather"}))


@pytest.mark.parametrize(
    "ids", ["1,x", "1;2", "1" * 16, ",".join("1" * 300)], ids=["letter", "semicolon", "too_long", "too_many"]
)
def test_a_query_that_no_page_sends_is_refused(recorded: tuple[Store, Run], ids: str) -> None:
    with pytest.raises(BadQueryError):
        tables.series(recorded[0], Query({"ids": ids}))


def test_a_table_that_would_fill_the_memory_is_refused(
    recorded: tuple[Store, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, run = recorded
    monkeypatch.setattr(tables, "MAX_ROWS", 100)
    loss = store.find_series(run.id, "loss")
    assert loss is not None
    with pytest.raises(BadQueryError, match="torchglass export"):
        tables.series(store, Query({"ids": str(loss.id)}))
