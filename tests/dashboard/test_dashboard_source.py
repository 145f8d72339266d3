"""What a live chart is told: only what is new, all of it when a delta would mislead, and never too much."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from torchglass.charts.smoothing import smoothed
from torchglass.dashboard.answering import band, source
from torchglass.dashboard.answering.source import Look
from torchglass.dashboard.answering.wire import encode, encode_columns
from torchglass.store import Batch, RowBlock, Run, Series, Store, open_store
from torchglass.store.records import Floats, SeriesKind


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
    ((points, reset, *_),) = source.news(store, [(series, 2)])
    assert (len(points.steps), points.cursor, reset) == (0, 2, False)


def test_a_delta_holds_just_what_came_after_the_cursor(store: Store, run: Run) -> None:
    add(store, run, [1, 2], [0.5, 0.25])
    series = add(store, run, [3, 4], [0.125, np.nan])
    ((points, reset, *_),) = source.news(store, [(series, 2)])
    assert points.steps.tolist() == [3, 4]
    np.testing.assert_array_equal(points.values, [0.125, np.nan])
    assert (points.cursor, reset) == (4, False)


@pytest.mark.parametrize("cursor", [source.NOTHING_YET, 99])
def test_an_unknown_cursor_gets_the_whole_series(store: Store, run: Run, cursor: int) -> None:
    series = add(store, run, [1, 2, 3], [1.0, 2.0, 3.0])
    ((points, reset, *_),) = source.news(store, [(series, cursor)])
    assert points.steps.tolist() == [1, 2, 3]
    assert (points.cursor, reset) == (3, True)


@pytest.mark.parametrize("steps", [[5, 4], [4, 4]])
def test_steps_that_go_back_get_the_whole_series_in_order(store: Store, run: Run, steps: list[int]) -> None:
    add(store, run, [1, 2], [1.0, 2.0])
    series = add(store, run, steps, [7.0, 8.0])
    ((points, reset, *_),) = source.news(store, [(series, 2)])
    assert reset
    assert points.steps.tolist() == sorted({1, 2, *steps})
    assert points.values[points.steps == 4].tolist() == [8.0]


def test_a_delta_too_long_for_a_chart_becomes_a_reduced_whole_with_its_spike(store: Store, run: Run) -> None:
    count = 100_000
    values = np.zeros(count)
    values[77_777] = 5.0
    series = add(store, run, list(range(count)), values.tolist())
    ((points, reset, *_),) = source.news(store, [(series, 1)])
    assert reset
    assert len(points.steps) <= source.MAX_POINTS + 4
    assert points.total == count
    assert points.steps[points.values.argmax()] == 77_777


def test_samples_of_a_clock_keep_every_sample_of_a_step(store: Store, run: Run) -> None:
    series = add(store, run, [0, 0, 0, 1], [10.0, 20.0, 30.0, 40.0], "device")
    assert source.whole(store, series).points.values.tolist() == [10.0, 20.0, 30.0, 40.0]
    ((points, reset, *_),) = source.news(store, [(series, 1)])
    assert (points.values.tolist(), reset) == ([20.0, 30.0, 40.0], False)


def test_a_window_is_in_steps_or_in_seconds_for_samples_of_a_clock(store: Store, run: Run) -> None:
    series = add(store, run, [10, 20, 30, 40], [1.0, 2.0, 3.0, 4.0])
    assert source.windows(store, [series], 15.5, 30)[0].points.values.tolist() == [2.0, 3.0]
    other = store.start_run("other", {}, host="here", pid=1)
    sampled = add(store, other, [0, 0, 0, 0], [1.0, 2.0, 3.0, 4.0], "device")
    assert source.windows(store, [sampled], 1001.0, 1002.0)[0].points.values.tolist() == [2.0, 3.0]


def noisy(count: int) -> Floats:
    """Falling values with noise, one far outlier and one NaN."""
    values = 1 / np.sqrt(1 + np.arange(count)) + np.random.default_rng(0).normal(scale=0.1, size=count)
    values[[count // 3, count // 2]] = [1e6, np.nan]
    return values


def test_a_thinned_line_is_smoothed_over_all_its_points_and_the_reader_goes_on_from_there(
    store: Store, run: Run
) -> None:
    values = noisy(30_005)
    series = add(store, run, list(range(30_000)), values[:30_000].tolist())
    ((points, reset, columns, state, _),) = source.news(store, [(series, -1)], Look(smoothing=0.9))
    assert reset
    assert state is not None
    assert len(points.steps) <= source.MAX_POINTS + 4
    expected = smoothed(np.arange(30_005.0), values, 0.9)
    np.testing.assert_array_equal(columns["smoothed"], expected[points.steps])
    thinned = smoothed(points.steps.astype(np.float64), points.values, 0.9)
    assert np.nanmax(np.abs(thinned - columns["smoothed"])) > 0.1  # what smoothing the drawn points would have shown
    mean, weight = state.mean, state.weight
    for value, wanted in zip(values[30_000:], expected[30_000:], strict=True):
        weight = 0.9 * weight + 0.1
        mean += (value - mean) * 0.1 / weight
        assert mean == pytest.approx(wanted, rel=1e-9)


def test_a_line_that_is_not_thinned_leaves_smoothing_to_its_reader(store: Store, run: Run) -> None:
    series = add(store, run, [1, 2, 3], [1.0, 2.0, 3.0])
    ((_, _, columns, state, extent),) = source.news(store, [(series, -1)], Look(smoothing=0.9, extent="all"))
    assert (columns, state, extent) == ({}, None, None)


def test_a_zoomed_window_shows_the_smoothing_of_the_whole_line(store: Store, run: Run) -> None:
    values = noisy(10_000)
    series = add(store, run, list(range(10_000)), values.tolist())
    (answer,) = source.windows(store, [series], 5000, 5400, Look(smoothing=0.95))
    assert (answer.points.steps[0], answer.points.steps[-1], answer.points.total) == (5000, 5400, 401)
    np.testing.assert_array_equal(answer.columns["smoothed"], smoothed(np.arange(10_000.0), values, 0.95)[5000:5401])


def test_outliers_are_what_lies_beyond_the_5th_and_the_95th_percentile_of_what_is_stored(
    store: Store, run: Run
) -> None:
    values = np.arange(-1000.0, 9001.0)
    values[[0, 5, 9999]] = [np.nan, -np.inf, np.inf]
    series = add(store, run, list(range(10_001)), np.random.default_rng(1).permutation(values).tolist())
    ((points, *_, extent),) = source.news(store, [(series, -1)], Look(extent="all"))
    assert extent is not None
    finite = np.sort(values[np.isfinite(values)])
    assert extent == pytest.approx((finite[499] + 0.85 * 1, finite[9497] + 0.15 * 1))
    assert points.values[np.isfinite(points.values)].max() > extent[1]  # the line itself keeps its outliers
    ((*_, positive),) = source.news(store, [(series, -1)], Look(extent="positive"))
    assert positive is not None
    assert positive == pytest.approx((450.9, 8549.1))


def add_ranks(store: Store, run: Run, values: list[list[float]], first: int = 0) -> list[Series]:
    """A loss on each rank, one step after another."""
    for rank, own in enumerate(values):
        steps = np.arange(first, first + len(own))
        block = RowBlock.of_series("loss", "scalar", "", steps, 1000.0 + steps, np.array(own, np.float64))
        store.write(run.id, rank, Batch(rows=[block]))
    return store.series_of(run.id)


def test_a_band_of_ranks_is_their_mean_between_the_lowest_and_the_highest(store: Store, run: Run) -> None:
    series = add_ranks(store, run, [[1.0, 2.0, np.nan, 8.0], [3.0, 6.0, np.nan], [8.0, np.nan, np.nan]])
    answer = band.news(store, series, source.NOTHING_YET, Look(smoothing=0.5))
    assert answer.points.steps.tolist() == [0, 1, 3]
    assert answer.points.values.tolist() == [4.0, 4.0, 8.0]
    assert answer.columns["low"].tolist() == [1.0, 2.0, 8.0]
    assert answer.columns["high"].tolist() == [8.0, 6.0, 8.0]
    assert (
        answer.columns["smoothed"].tolist()
        == smoothed(np.array([0.0, 1.0, 3.0]), np.array([4.0, 4.0, 8.0]), 0.5).tolist()
    )
    assert not band.news(store, series, answer.points.cursor).reset
    grown = add_ranks(store, run, [[9.0]], first=4)
    assert band.news(store, grown, answer.points.cursor).points.steps.tolist() == [0, 1, 3, 4]


def test_a_long_band_keeps_its_spikes_and_the_mean_of_its_means(store: Store, run: Run) -> None:
    values = np.zeros((2, 20_000))
    values[0, 7777], values[1, 3333] = 5.0, -3.0
    series = add_ranks(store, run, values.tolist())
    answer = band.news(store, series, source.NOTHING_YET)
    assert len(answer.points.steps) <= band.MAX_COLUMNS
    assert (answer.columns["high"].max(), answer.columns["low"].min(), answer.points.total) == (5.0, -3.0, 20_000)
    assert answer.points.values.mean() == pytest.approx((5.0 - 3.0) / 2 / 20_000)


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
    (data, reset, *_), (forward, *_), (step, *_) = source.news(store, [(one, source.NOTHING_YET) for one in series])
    assert reset
    assert len(data.steps) <= source.MAX_STACKED
    np.testing.assert_array_equal(data.steps, forward.steps)
    np.testing.assert_allclose(data.values + forward.values, step.values)
    assert forward.values.mean() == pytest.approx(0.011)  # the mean, where extremes would make it a hundred times that
    assert (forward.total, forward.cursor) == (10_000, 10_000)


def test_a_phase_that_has_to_be_read_anew_takes_the_others_with_it(store: Store, run: Run) -> None:
    series = add_phases(store, run, 0, 1000)
    cursors = [1000, source.NOTHING_YET, 1000]
    assert [answer.reset for answer in source.news(store, list(zip(series, cursors, strict=True)))] == [True] * 3
    grown = add_phases(store, run, 1000, 2)
    answers = source.news(store, [(one, 1000) for one in grown])
    assert [(answer.points.steps.tolist(), answer.reset) for answer in answers] == [([1000, 1001], False)] * 3


def test_a_zoomed_stack_gets_every_step_again(store: Store, run: Run) -> None:
    series = add_phases(store, run, 0, 10_000)
    data, forward, _ = (answer.points for answer in source.windows(store, series, 150, 249.5))
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
    body = encode({"text": text}, [steps, times, values])
    (length,) = struct.unpack_from("<I", body)
    assert (4 + length) % 8 == 0
    assert json.loads(body[4 : 4 + length]) == {"text": text}
    columns = np.frombuffer(body, "<f8", offset=4 + length).reshape(3, 2)
    assert columns[0].astype(np.int64).tolist() == steps.tolist()
    assert columns[1].tolist() == times.tolist()
    assert columns[2].tolist() == values.tolist()
