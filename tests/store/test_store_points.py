"""Points come back as they were written: bit for bit, in order of step, whatever was merged in between."""

from __future__ import annotations

import sqlite3
import struct
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from blocks import START, bits, block, one, series_id, start
from hypothesis import given, settings
from hypothesis import strategies as st

from torchglass.store import Batch, SeriesBlock, Store
from torchglass.store.codec import decode_chunk, encode_chunk, encode_point

ODD_NAN = struct.unpack("<d", struct.pack("<Q", 0xFFF8_0000_DEAD_BEEF))[0]  # a payload that float32 has no room for
AWKWARD = [0.1, float(np.float32(0.1)), np.nan, np.inf, -np.inf, -0.0, 0.0, 1e300, 5e-324, 2.0**-149, ODD_NAN, -1e308]
INT64 = np.iinfo(np.int64)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store.db")


@pytest.mark.parametrize("values", [AWKWARD, [float(np.float32(each)) for each in (0.1, 3.3, -7e-39)], [np.nan, -0.0]])
def test_every_value_comes_back_bit_for_bit(store: Store, values: list[float]) -> None:
    run = start(store)
    store.write(run, 0, one(range(len(values)), values))
    read = store.points(series_id(store, run))
    assert bits(read.values) == bits(np.array(values))
    assert read.steps.tolist() == list(range(len(values)))
    assert read.total == read.cursor == len(values)


def test_values_born_as_float32_take_half_the_room() -> None:
    steps, times = np.arange(1000), START + np.random.default_rng(0).random(1000).cumsum()
    wide = np.random.default_rng(1).normal(size=1000)
    narrow = wide.astype(np.float32).astype(np.float64)
    saved = len(encode_chunk(steps, times, wide)) - len(encode_chunk(steps, times, narrow))
    assert saved > 3000


@pytest.mark.parametrize(
    "steps",
    [[7], [0, 1, 2, 3], [0, 50, 100], [3, 1, 10, -5], [INT64.min, INT64.max, 0, INT64.max - 1, INT64.min + 7]],
)
def test_steps_come_back_however_irregular_and_in_order(store: Store, steps: list[int]) -> None:
    run = start(store)
    store.write(run, 0, one(steps, [float(index) for index in range(len(steps))]))
    read = store.points(series_id(store, run))
    assert read.steps.tolist() == sorted(steps)
    assert [steps[int(value)] for value in read.values] == sorted(steps)


@pytest.mark.parametrize("value", AWKWARD)
def test_a_single_point_is_packed_as_a_chunk_of_one_and_comes_back_bit_for_bit(value: float) -> None:
    payload = encode_point(INT64.max, START + 0.25, value)
    steps, times, values = decode_chunk(payload)
    assert (steps.tolist(), times.tolist()) == ([INT64.max], [START + 0.25])
    assert bits(values) == bits(np.array([value]))


def test_of_a_series_sampled_by_the_clock_every_sample_of_a_step_is_kept(store: Store) -> None:
    run = start(store)
    samples = block([4, 4, 4, 5], [10.0, 20.0, 15.0, 5.0], "host/cpu_utilization_percent")
    store.write(run, 0, Batch(series=[samples._replace(kind="device")]))
    read = store.points(series_id(store, run, "host/cpu_utilization_percent"))
    assert read.values.tolist() == [10.0, 20.0, 15.0, 5.0]
    assert read.steps.tolist() == [4, 4, 4, 5]


def test_the_last_write_of_a_step_wins_within_a_block_and_across_blocks(store: Store) -> None:
    run = start(store)
    store.write(run, 0, one([5, 5, 6], [1.0, 2.0, 3.0]))
    store.write(run, 0, one([6, 4], [4.0, 5.0]))
    read = store.points(series_id(store, run))
    assert list(zip(read.steps, read.values, strict=True)) == [(4, 5.0), (5, 2.0), (6, 4.0)]
    assert (read.total, read.cursor) == (3, 5)


def test_times_are_kept_to_the_microsecond_through_every_merge(store: Store) -> None:
    run = start(store)
    times = START + np.random.default_rng(3).random(600).cumsum() * 1e-3
    for index, time in enumerate(times):
        block = SeriesBlock("loss", "scalar", "", np.array([index]), np.array([time]), np.array([0.0]))
        store.write(run, 0, Batch(series=[block]))
    assert np.abs(store.points(series_id(store, run)).times - times).max() < 1.5e-6


def test_a_chunk_says_no_to_a_format_it_does_not_know() -> None:
    payload = bytearray(encode_chunk(np.arange(3), np.arange(3.0), np.arange(3.0)))
    payload[0] = 9
    with pytest.raises(Exception, match="format 9; this torchglass reads format 1"):
        decode_chunk(bytes(payload))


def test_plain_whole_numbers_are_stored_as_the_numbers_they_are(store: Store) -> None:
    run = start(store)
    steps, values = np.array([1, 2], np.int32), np.array([2**24 + 1, -3])
    store.write(run, 0, Batch(series=[SeriesBlock("n", "scalar", "", steps, np.array([1.0, 2.0]), values)]))  # type: ignore[arg-type]
    read = store.points(series_id(store, run, "n"))
    assert (read.steps.tolist(), read.values.tolist()) == ([1, 2], [2.0**24 + 1, -3.0])


def test_writing_huge_values_warns_about_nothing(store: Store) -> None:
    run = start(store)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.write(run, 0, one([0, 1, 2], [1e300, 1.7e308, 1.7e308]))
        store.write(run, 0, one([3, 4], [-1.7e308, -1.7e308]))
    assert store.points(series_id(store, run)).values.tolist() == [1e300, 1.7e308, 1.7e308, -1.7e308, -1.7e308]


def test_a_mean_beyond_the_largest_number_is_missing_and_the_series_goes_on(store: Store) -> None:
    run = start(store)
    for values in ([1.7e308, 1.7e308], [-1.7e308, -1.7e308, -1.7e308], [1.0]):
        store.write(run, 0, one(range(len(values)), values))
    series = store.find_series(run, "loss")
    assert series is not None
    assert (series.count, series.maximum, series.minimum, series.last) == (6, 1.7e308, -1.7e308, 1.0)
    assert series.mean is None or np.isfinite(series.mean)


def test_the_summary_of_a_series_equals_numpy_over_what_was_written(store: Store) -> None:
    generator = np.random.default_rng(7)
    run = start(store)
    written: list[tuple[int, float]] = []
    for _ in range(40):
        size = int(generator.integers(1, 30))
        steps = generator.integers(-50, 500, size)
        values = generator.normal(size=size)
        values[generator.random(size) < 0.2] = generator.choice([np.nan, np.inf, -np.inf])
        store.write(run, 0, Batch(series=[block(steps, values)]))
        written += zip(steps.tolist(), values.tolist(), strict=True)
    finite = [(step, value) for step, value in written if np.isfinite(value)]
    values = np.array([value for _, value in finite])
    series = store.find_series(run, "loss")
    assert series is not None
    assert (series.count, series.nonfinite_count) == (len(written), len(written) - len(finite))
    assert (series.minimum, series.minimum_step) == (values.min(), finite[int(values.argmin())][0])
    assert (series.maximum, series.maximum_step) == (values.max(), finite[int(values.argmax())][0])
    assert series.mean == pytest.approx(values.mean(), rel=1e-12)
    assert (series.last, series.last_step) == (values[-1], max(step for step, _ in written))


def test_a_series_of_nothing_finite_has_no_minimum_rather_than_zero(store: Store) -> None:
    run = start(store)
    store.write(run, 0, one([1, 2], [np.nan, np.inf]))
    series = store.find_series(run, "loss")
    assert series is not None
    assert (series.minimum, series.maximum, series.mean, series.last) == (None, None, None, None)
    assert (series.count, series.nonfinite_count, series.last_step) == (2, 2, 2)


def test_a_thousand_writes_leave_few_chunks_and_every_point(store: Store) -> None:
    run = start(store)
    for step in range(1000):
        store.write(run, 0, one([step], [step * 0.5]))
    with sqlite3.connect(store.path) as connection:
        (chunks,) = connection.execute("SELECT count(*) FROM chunks").fetchone()
    read = store.points(series_id(store, run))
    assert chunks <= 3 * 15 + 1
    assert read.values.tolist() == [step * 0.5 for step in range(1000)]


def test_a_window_holds_its_first_and_last_step_and_nothing_outside(store: Store) -> None:
    run = start(store)
    for first in range(0, 100, 5):
        store.write(run, 0, one(range(first, first + 5), [float(step) for step in range(first, first + 5)]))
    store.write(run, 0, one([12], [-1.0]))
    read = store.points(series_id(store, run), window=(12, 31))
    assert read.steps.tolist() == list(range(12, 32))
    assert read.values[0] == -1.0
    assert (read.total, read.cursor) == (20, 101)
    assert store.points(series_id(store, run), window=(500, 600)).total == 0


steps_and_values = st.lists(st.tuples(st.integers(-20, 60), st.floats(width=64)), min_size=0, max_size=6)


@settings(max_examples=60, deadline=None)
@given(writes=st.lists(steps_and_values, min_size=1, max_size=50), cursor=st.integers(0, 200))
def test_any_interleaving_of_writes_reads_back_as_a_dictionary_would(
    writes: list[list[tuple[int, float]]], cursor: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "store.db") as store:
        run = start(store)
        model: dict[int, float] = {}
        journal: list[tuple[int, float]] = []
        for points in writes:
            store.write(run, 0, one([step for step, _ in points], [value for _, value in points]))
            model.update(points)
            journal += points
        series = store.find_series(run, "loss")
        assert series is not None
        read = store.points(series.id)
        assert read.steps.tolist() == sorted(model)
        assert bits(read.values) == bits(np.array([model[step] for step in sorted(model)], np.float64))
        tail = store.tail(series.id, cursor)
        later = journal[cursor:]
        assert tail.steps.tolist() == [step for step, _ in later]
        assert bits(tail.values) == bits(np.array([value for _, value in later], np.float64))
        assert tail.cursor == max(cursor, len(journal))


def test_a_cursor_followed_through_merges_sees_each_point_once(store: Store) -> None:
    run = start(store)
    seen: list[float] = []
    cursor = 0
    for step in range(700):
        store.write(run, 0, one([step, step], [step, step + 0.5]))
        if step % 7 == 0:
            tail = store.tail(series_id(store, run), cursor)
            seen += tail.values.tolist()
            cursor = tail.cursor
    seen += store.tail(series_id(store, run), cursor).values.tolist()
    assert seen == [value for step in range(700) for value in (step, step + 0.5)]


def test_ranks_and_keys_are_series_of_their_own(store: Store) -> None:
    run = start(store)
    store.write(run, 0, Batch(series=[block([1], [1.0], "a"), block([1], [2.0], "b")]))
    store.write(run, 1, Batch(series=[block([1], [3.0], "a")]))
    found = {(each.key, each.rank): store.points(each.id).values.tolist() for each in store.series_of(run)}
    assert found == {("a", 0): [1.0], ("b", 0): [2.0], ("a", 1): [3.0]}
    assert [each.rank for each in store.series_of(run, rank=1)] == [1]
    assert store.series_of(run, kind="phase") == []
