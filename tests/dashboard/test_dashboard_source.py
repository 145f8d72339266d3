"""What a live chart is told: only what is new, all of it when a delta would mislead, and never too much."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from torchglass.dashboard import source
from torchglass.dashboard.wire import encode, encode_columns
from torchglass.store import Batch, Points, RowBlock, Run, Series, Store, open_store
from torchglass.store.records import SeriesKind


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "runs.db") as opened:
        yield opened


@pytest.fixture
def run(store: Store) -> Run:
    return store.start_run("run", {}, host="here", pid=1)


def add(store: Store, run: Run, steps: list[int], values: list[float], kind: SeriesKind = "scalar") -> Series:
    """Append to the one series of a run; times are 1000 s plus the place of each point."""
    seen = store.series_of(run.id)
    first = seen[0].count if seen else 0
    times = 1000.0 + first + np.arange(len(steps), dtype=np.float64)
    store.write(run.id, 0, Batch(rows=[RowBlock.of_series("loss", kind, "", np.array(steps), times, np.array(values))]))
    return store.series_of(run.id)[0]


def test_nothing_new_is_an_empty_answer(store: Store, run: Run) -> None:
    series = add(store, run, [1, 2], [0.5, 0.25])
    ((points, reset),) = source.news(store, [(series, 2)])
    assert (len(points.steps), points.cursor, reset) == (0, 2, False)


def test_a_delta_holds_just_what_came_after_the_cursor(store: Store, run: Run) -> None:
    add(store, run, [1, 2], [0.5, 0.25])
    series = add(store, run, [3, 4], [0.125, np.nan])
    ((points, reset),) = source.news(store, [(series, 2)])
    assert points.steps.tolist() == [3, 4]
    np.testing.assert_array_equal(points.values, [0.125, np.nan])
    assert (points.cursor, reset) == (4, False)


@pytest.mark.parametrize("cursor", [source.NOTHING_YET, 99])
def test_an_unknown_cursor_gets_the_whole_series(store: Store, run: Run, cursor: int) -> None:
    series = add(store, run, [1, 2, 3], [1.0, 2.0, 3.0])
    ((points, reset),) = source.news(store, [(series, cursor)])
    assert points.steps.tolist() == [1, 2, 3]
    assert (points.cursor, reset) == (3, True)


@pytest.mark.parametrize("steps", [[5, 4], [4, 4]])
def test_steps_that_go_back_get_the_whole_series_in_order(store: Store, run: Run, steps: list[int]) -> None:
    add(store, run, [1, 2], [1.0, 2.0])
    series = add(store, run, steps, [7.0, 8.0])
    ((points, reset),) = source.news(store, [(series, 2)])
    assert reset
    assert points.steps.tolist() == sorted({1, 2, *steps})
    assert points.values[points.steps == 4].tolist() == [8.0]


def test_a_delta_too_long_for_a_chart_becomes_a_reduced_whole_with_its_spike(store: Store, run: Run) -> None:
    count = 100_000
    values = np.zeros(count)
    values[77_777] = 5.0
    series = add(store, run, list(range(count)), values.tolist())
    ((points, reset),) = source.news(store, [(series, 1)])
    assert reset
    assert len(points.steps) <= source.MAX_POINTS + 4
    assert points.total == count
    assert points.steps[points.values.argmax()] == 77_777


def test_samples_of_a_clock_keep_every_sample_of_a_step(store: Store, run: Run) -> None:
    series = add(store, run, [0, 0, 0, 1], [10.0, 20.0, 30.0, 40.0], "device")
    assert source.whole(store, series).values.tolist() == [10.0, 20.0, 30.0, 40.0]
    ((points, reset),) = source.news(store, [(series, 1)])
    assert (points.values.tolist(), reset) == ([20.0, 30.0, 40.0], False)


def test_a_window_is_in_steps_or_in_seconds_for_samples_of_a_clock(store: Store, run: Run) -> None:
    series = add(store, run, [10, 20, 30, 40], [1.0, 2.0, 3.0, 4.0])
    assert source.windows(store, [series], 15.5, 30)[0].values.tolist() == [2.0, 3.0]
    other = store.start_run("other", {}, host="here", pid=1)
    sampled = add(store, other, [0, 0, 0, 0], [1.0, 2.0, 3.0, 4.0], "device")
    assert source.windows(store, [sampled], 1001.0, 1002.0)[0].values.tolist() == [2.0, 3.0]


def add_phases(store: Store, run: Run, first: int, count: int) -> list[Series]:
    """Two phases and their sum over `count` steps; forward is 1 ms, with 1 s more at every 100th step."""
    steps = np.arange(first, first + count)
    forward = np.where(steps % 100 == 0, 1.001, 0.001)
    data = np.full(count, 0.25)
    parts = {"data": data, "forward": forward, "step": data + forward}
    rows = [
        RowBlock.of_series(f"phase/{name}", "phase", "s", steps, 1000.0 + steps.astype(np.float64), values)
        for name, values in parts.items()
    ]
    store.write(run.id, 0, Batch(rows=rows))
    return store.series_of(run.id, kind="phase")


def test_a_stack_is_reduced_to_means_on_common_steps_so_that_it_still_sums_to_the_step(store: Store, run: Run) -> None:
    series = add_phases(store, run, 0, 10_000)
    (data, reset), (forward, _), (step, _) = source.news(store, [(one, source.NOTHING_YET) for one in series])
    assert reset
    assert len(data.steps) <= source.MAX_STACKED
    np.testing.assert_array_equal(data.steps, forward.steps)
    np.testing.assert_allclose(data.values + forward.values, step.values)
    assert forward.values.mean() == pytest.approx(0.011)  # the mean, where extremes would make it a hundred times that
    assert (forward.total, forward.cursor) == (10_000, 10_000)


def test_a_phase_that_has_to_be_read_anew_takes_the_others_with_it(store: Store, run: Run) -> None:
    series = add_phases(store, run, 0, 1000)
    cursors = [1000, source.NOTHING_YET, 1000]
    assert [reset for _, reset in source.news(store, list(zip(series, cursors, strict=True)))] == [True] * 3
    grown = add_phases(store, run, 1000, 2)
    answers = source.news(store, [(one, 1000) for one in grown])
    assert [(points.steps.tolist(), reset) for points, reset in answers] == [([1000, 1001], False)] * 3


def test_a_zoomed_stack_gets_every_step_again(store: Store, run: Run) -> None:
    series = add_phases(store, run, 0, 10_000)
    data, forward, _ = source.windows(store, series, 150, 249.5)
    assert data.steps.tolist() == forward.steps.tolist() == list(range(150, 251))
    assert forward.values[forward.steps == 200].tolist() == [1.001]


def test_typed_columns_are_aligned_and_say_their_type() -> None:
    columns = {
        "share": np.array([1, 255, 3], np.uint8),
        "start": np.array([2.0**52 + 1]),
        "name": np.array([-1, 7], np.int32),
    }
    body = encode_columns({"mode": "map"}, columns)
    (length,) = struct.unpack_from("<I", body)
    assert json.loads(body[4 : 4 + length]) == {
        "mode": "map",
        "columns": [["share", "u1", 3], ["start", "f8", 1], ["name", "i4", 2]],
    }
    begin = 4 + length
    assert begin % 8 == 0
    assert list(body[begin : begin + 8]) == [1, 255, 3, 0, 0, 0, 0, 0]
    assert struct.unpack_from("<d2i", body, begin + 8) == (2.0**52 + 1, -1, 7)


@pytest.mark.parametrize("text", ["", "x", "xyzxyzx"])
def test_columns_are_aligned_and_exact_whatever_the_length_of_the_header(text: str) -> None:
    steps, times, values = np.array([1, 2**52 + 1]), np.array([0.1, 1.7e9 + 0.2]), np.array([1 / 3, -np.inf])
    body = encode({"text": text}, [Points(steps, times, values, 2, 2)])
    (length,) = struct.unpack_from("<I", body)
    assert (4 + length) % 8 == 0
    assert json.loads(body[4 : 4 + length]) == {"text": text}
    columns = np.frombuffer(body, "<f8", offset=4 + length).reshape(3, 2)
    assert columns[0].astype(np.int64).tolist() == steps.tolist()
    assert columns[1].tolist() == times.tolist()
    assert columns[2].tolist() == values.tolist()
