"""CSV and Parquet hold every point of a run to the last bit, as other programs read them."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exchanged import START, record
from hypothesis import given, settings
from hypothesis import strategies as some
from recorded import record_example_run

from torchglass.errors import OptionError, RunNotFoundError, TorchglassError
from torchglass.exchange import export_run
from torchglass.exchange.reading import pieces
from torchglass.exchange.whole_file import whole_file
from torchglass.store import Run, Store

AWKWARD = [0.1, 1 / 3, -0.0, 1e-320, 1.7976931348623157e308, math.nan, math.inf, -math.inf]


@pytest.fixture
def run(store: Store) -> Run:
    """A run with awkward values, two ranks, a unit, and keys that a table must take care of."""
    run = store.start_run("awkward", {"lr": 0.1}, host="here", pid=1)
    record(store, run, "loss", range(8), AWKWARD)
    record(store, run, "loss", [5, 3], [1.0, 2.0], rank=1)
    record(store, run, 'a,"b"\nc', [-4], [4.0], unit="s", kind="phase")
    record(store, run, "=1+1", [2**62], [5.0])
    store.end_run(run.id, "finished")
    return store.run(run.id)


def test_csv_reads_back_bit_for_bit(store: Store, run: Run, tmp_path: Path) -> None:
    done = export_run(store, run, tmp_path / "x.csv", format="csv")
    text = done.path.read_bytes().decode()
    assert text.startswith("key,kind,unit,rank,step,time,value\r\n")
    assert text.count("\r\n") == 1 + 12
    with done.path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert (done.point_count, done.series_count, done.size_bytes) == (12, 4, len(text.encode()))
    loss = [row for row in rows if row["key"] == "loss" and row["rank"] == "0"]
    assert [int(row["step"]) for row in loss] == list(range(8))
    assert [float(row["time"]) for row in loss] == [START + step for step in range(8)]
    read = np.array([float(row["value"]) for row in loss])
    np.testing.assert_array_equal(read.view(np.uint64), np.array(AWKWARD).view(np.uint64))
    assert [row["value"] for row in loss[5:]] == ["nan", "inf", "-inf"]
    assert [(row["step"], row["value"]) for row in rows if row["rank"] == "1"] == [("3", "2.0"), ("5", "1.0")]
    (quoted,) = [row for row in rows if row["kind"] == "phase"]
    assert (quoted["key"], quoted["unit"], quoted["step"]) == ('a,"b"\nc', "s", "-4")


@pytest.mark.parametrize("key", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_a_key_is_never_a_formula_in_a_spreadsheet(key: str, store: Store, tmp_path: Path) -> None:
    made = store.start_run("r", {}, host="here", pid=1)
    record(store, made, key, [0], [-1.0])
    export_run(store, made, tmp_path / "x.csv", format="csv")
    export_run(store, made, tmp_path / "x.parquet", format="parquet")
    with (tmp_path / "x.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["key"], row["value"]) == (f"'{key}", "-1.0")
    assert pq.read_table(tmp_path / "x.parquet")["key"].to_pylist() == [key]


def test_pandas_reads_both_tables_alike(store: Store, run: Run, tmp_path: Path) -> None:
    export_run(store, run, tmp_path / "x.csv", format="csv")
    export_run(store, run, tmp_path / "x.parquet", format="parquet")
    exactly = {"time": float, "value": float}
    read = pd.read_csv(tmp_path / "x.csv", keep_default_na=False, converters=exactly)
    parquet = pd.read_parquet(tmp_path / "x.parquet")
    for column in ("step", "time", "value", "rank"):
        np.testing.assert_array_equal(read[column], parquet[column])
    assert parquet["key"].tolist() == [key.removeprefix("'") for key in read["key"]]
    wide = parquet[parquet["rank"] == 0].pivot(index="step", columns="key", values="value")
    assert wide.loc[1, "loss"] == 1 / 3


def test_parquet_has_the_types_that_it_promises_and_names_its_run(store: Store, run: Run, tmp_path: Path) -> None:
    export_run(store, run, tmp_path / "x.parquet", format="parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    words = pa.dictionary(pa.int32(), pa.string())
    assert dict(zip(table.schema.names, table.schema.types, strict=True)) == {
        "key": words,
        "kind": words,
        "unit": words,
        "rank": pa.int32(),
        "step": pa.int64(),
        "time": pa.float64(),
        "value": pa.float64(),
    }
    about = json.loads(table.schema.metadata[b"torchglass"])
    assert (about["name"], about["uid"], about["config"]) == ("awkward", run.uid, {"lr": 0.1})
    values = table["value"].to_numpy()[[key == "loss" for key in table["key"].to_pylist()]]
    np.testing.assert_array_equal(values[:8].view(np.uint64), np.array(AWKWARD).view(np.uint64))


def test_many_short_series_share_a_row_group(store: Store, tmp_path: Path) -> None:
    made = record_example_run(store)
    export_run(store, made, tmp_path / "x.parquet", format="parquet")
    file = pq.ParquetFile(tmp_path / "x.parquet")
    assert file.num_row_groups == 1
    assert file.metadata.num_rows == sum(store.points(each.id).total for each in store.series_of(made.id))


def test_what_a_table_has_no_place_for_is_counted(store: Store, tmp_path: Path) -> None:
    made = record_example_run(store)
    done = export_run(store, made, tmp_path / "x.csv", format="csv")
    assert done.left_out == {"histogram series": 10, "artifacts": 7, "profiler windows": 1}


def test_a_run_without_points_is_a_table_without_rows(store: Store, tmp_path: Path) -> None:
    made = store.start_run("empty", {}, host="here", pid=1)
    assert export_run(store, made, tmp_path / "x.csv", format="csv").point_count == 0
    export_run(store, made, tmp_path / "x.parquet", format="parquet")
    assert pq.read_table(tmp_path / "x.parquet").num_rows == 0


@settings(max_examples=60, deadline=None)
@given(
    steps=some.lists(some.integers(-(2**40), 2**40) | some.integers(-5, 5), min_size=1, max_size=60),
    most=some.integers(1, 9),
)
def test_pieces_are_the_whole_series_whatever_its_steps(
    steps: list[int], most: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / f"pieces-{os.getpid()}.db"
    with Store(path) as store:
        made = store.start_run("r", {}, host="here", pid=1)
        record(store, made, "loss", steps, [float(each) for each in range(len(steps))])
        series = store.find_series(made.id, "loss")
        assert series is not None
        whole = store.points(series.id)
        parts = list(pieces(store, series, most))
    assert np.concatenate([part.steps for part in parts]).tolist() == whole.steps.tolist()
    assert np.concatenate([part.values for part in parts]).tolist() == whole.values.tolist()


def test_pieces_of_even_steps_are_as_small_as_asked(store: Store) -> None:
    made = store.start_run("r", {}, host="here", pid=1)
    record(store, made, "loss", range(1000), [0.0] * 1000)
    series = store.find_series(made.id, "loss")
    assert series is not None
    assert max(len(part.steps) for part in pieces(store, series, 100)) <= 101


def test_a_folder_gets_a_file_named_after_the_run(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = store.start_run("../../a b", {}, host="here", pid=1)
    (tmp_path / "out").mkdir()
    assert export_run(store, made, tmp_path / "out", format="csv").path == tmp_path / "out" / "a-b.csv"
    monkeypatch.chdir(tmp_path)
    assert export_run(store, made, format="parquet").path == Path("a-b.parquet")


def test_an_export_replaces_the_one_before_unless_told_not_to(store: Store, run: Run, tmp_path: Path) -> None:
    target = tmp_path / "x.csv"
    target.write_text("old")
    with pytest.raises(OptionError, match=r"x\.csv exists"):
        export_run(store, run, target, format="csv", overwrite=False)
    assert target.read_text() == "old"
    export_run(store, run, target, format="csv")
    assert target.read_text() != "old"


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "x.csv"
    target.write_text("old")

    def write_half() -> Iterator[None]:
        with whole_file(target) as part:
            part.write_text("half")
            yield
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(write_half())
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_pipe_or_device_is_not_replaced_by_a_table(store: Store, run: Run, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OptionError, match="is no ordinary file"):
        export_run(store, run, pipe, format="csv")
    assert pipe.is_fifo()


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "an unknown run": ({"run": "nobody"}, RunNotFoundError, "no run 'nobody'"),
    "an unknown format": ({"format": "xls"}, OptionError, "format 'xls' is none of csv, parquet, tensorboard"),
    "a missing folder": ({"path": "no/such/x.csv"}, OptionError, "no/such does not exist"),
    "a folder of that name": ({"path": "x.csv", "make": "x.csv/awkward.csv"}, OptionError, "is a folder"),
    "event files into a file": ({"path": "runs.db", "format": "tensorboard"}, OptionError, "is a file"),
    "event files into nowhere": ({"path": "no/such", "format": "tensorboard"}, OptionError, "does not exist"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(
    name: str, store: Store, run: Run, tmp_path: Path
) -> None:
    options, error, said = REFUSED[name]
    if "make" in options:
        (tmp_path / options["make"]).mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error, match=said) as caught:
        export_run(
            store,
            options.get("run", run),
            tmp_path / options.get("path", "x.csv"),
            format=options.get("format", "csv"),
        )
    assert isinstance(caught.value, TorchglassError)
    assert sorted(tmp_path.rglob("*")) == before
