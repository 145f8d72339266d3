"""The route of the time line: a map while many slices are in view, the slices themselves once they are few."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from profiled import gpu_window, long_window, record_profiled_run
from test_dashboard_api import call

from torchglass.charts.timeline import MOST_BINS
from torchglass.dashboard.answering import slices
from torchglass.dashboard.answering.api import SLICES_PATH
from torchglass.store import Batch, Run, Store, open_store

MILLISECOND = 1_000_000


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("TORCHGLASS_STORE", str(tmp_path / "runs.db"))
    with open_store(tmp_path / "runs.db") as opened:
        yield opened


@pytest.fixture
def run(store: Store) -> Run:
    return record_profiled_run(store, windows=[long_window(20_000)], steps=3)


def asked(store: Store, run: Run, first: float, last: float, bins: int = 200) -> tuple[dict[str, Any], dict[str, Any]]:
    (window,) = store.windows(run.id)
    answer = call(SLICES_PATH, f"run={run.id}&window={window.id}&first={first}&last={last}&bins={bins}")
    assert answer.status_code == 200
    body = bytes(answer.body)
    (length,) = struct.unpack_from("<I", body)
    header: dict[str, Any] = json.loads(body[4 : 4 + length])
    columns, offset = {}, 4 + length
    for name, kind, count in header["columns"]:
        columns[name] = np.frombuffer(body, f"<{kind}", count, offset)
        offset += -(-columns[name].nbytes // 8) * 8
    assert offset == len(body)
    return header, columns


def test_many_slices_are_a_map_with_a_value_for_each_row_and_bin(store: Store, run: Run) -> None:
    header, columns = asked(store, run, 0, 9e14)
    assert (header["mode"], header["count"], header["total"]) == ("map", 20_000, 20_000)
    assert len(columns["share"]) == len(header["rows"]) * 200
    assert header["last_ns"] == header["span_ns"]


def test_few_slices_come_as_they_were_stored(store: Store, run: Run) -> None:
    header, columns = asked(store, run, 400 * MILLISECOND, 420 * MILLISECOND)
    table = store.window_tables(store.windows(run.id)[0].id)["slices"]
    inside = (table["start_ns"] < 420 * MILLISECOND) & (table["start_ns"] + table["duration_ns"] > 400 * MILLISECOND)
    assert header["mode"] == "slices"
    assert 0 < header["count"] == inside.sum() <= slices.MOST_SLICES
    assert sorted(columns["start_ns"].tolist()) == sorted(table["start_ns"][inside].tolist())
    assert columns["duration_ns"].sum() == table["duration_ns"][inside].sum()


def test_only_names_in_view_travel(store: Store, run: Run) -> None:
    header, columns = asked(store, run, 400 * MILLISECOND, 401 * MILLISECOND)
    assert set(header["names"]) == {str(name) for name in columns["name"].tolist()}


def test_a_stretch_that_makes_no_sense_is_the_whole_window(store: Store, run: Run) -> None:
    header, _ = asked(store, run, 8e14, 7e14)
    assert (header["first_ns"], header["last_ns"]) == (0, header["span_ns"])


def test_no_question_can_ask_for_more_bins_than_a_screen_has(store: Store, run: Run) -> None:
    header, columns = asked(store, run, 0, 9e14, bins=10**9)
    assert len(columns["share"]) == len(header["rows"]) * MOST_BINS


def test_a_window_that_is_not_there_is_an_empty_time_line(store: Store, run: Run) -> None:
    answer = call(SLICES_PATH, f"run={run.id}&window=999&first=0&last=1&bins=9")
    header = json.loads(bytes(answer.body)[4:].split(b"\0")[0])
    assert (header["total"], header["rows"], header["mode"]) == (0, [], "slices")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("run=1&window=1&first=0&last=nan&bins=9", 400),
        ("run=1&window=x&first=0&last=1&bins=9", 400),
        ("run=1&window=1&first=0&last=1", 400),
        ("run=77&window=1&first=0&last=1&bins=9", 404),
    ],
)
def test_a_malformed_question_is_refused(store: Store, run: Run, query: str, status: int) -> None:
    assert call(SLICES_PATH, query).status_code == status


def test_it_asks_for_the_token(store: Store, run: Run) -> None:
    assert call(SLICES_PATH, "run=1&window=1&first=0&last=1&bins=9", token="guess").status_code == 403


def test_another_store_at_the_same_place_is_not_taken_for_the_old_one(store: Store, tmp_path: Path) -> None:
    old = record_profiled_run(store, "old", windows=[gpu_window()], steps=3)
    assert asked(store, old, 0, 9e14)[0]["total"] == 177
    store.close()
    for path in tmp_path.glob("runs.db*"):
        path.unlink()
    with open_store(tmp_path / "runs.db") as fresh:
        run = fresh.start_run("new", {}, host="here", pid=1)
        fresh.write(run.id, 0, Batch(windows=[long_window(1000)]))
        assert asked(fresh, run, 0, 9e14)[0]["total"] == 1000
