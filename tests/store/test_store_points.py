"""Points come back as they were written: bit for bit, in order of step, whatever was merged in between."""

from __future__ import annotations

import struct
import warnings

import numpy as np
import numpy.typing as npt
import pytest
from blocks import START, ask, bits, block, change, one, series_id, start
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torchglass.errors import StoreError
from torchglass.store import Batch, Column, RowBlock, Store
from torchglass.store.codec import decode_chunk, encode_axis, encode_values, narrowed
from torchglass.store.store import MOST_ARRIVALS

ODD_NAN = struct.unpack("<d", struct.pack("<Q", 0xFFF8_0000_DEAD_BEEF))[0]  # a payload that float32 has no room for
AWKWARD = [0.1, float(np.float32(0.1)), np.nan, np.inf, -np.inf, -0.0, 0.0, 1e300, 5e-324, 2.0**-149, ODD_NAN, -1e308]
INT64 = np.iinfo(np.int64)


@pytest.mark.parametrize("values", [AWKWARD, [float(np.float32(each)) for each in (0.1, 3.3, -7e-39)], [np.nan, -0.0]])
def test_every_value_comes_back_bit_for_bit(store: Store, values: list[float]) -> None:
    run = start(store)
    store.write(run, 0, one(range(len(values)), values))
    read = store.points(series_id(store, run))
    assert bits(read.values) == bits(np.array(values))
    assert read.steps.tolist() == list(range(len(values)))
    assert read.total == read.cursor == len(values)


def encoded(
    steps: npt.NDArray[np.int64],
    times: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    *,
    pack: bool = True,
) -> bytes:
    narrow, exact = narrowed(values[:, None])
    return encode_values(encode_axis(steps, times, pack=pack), narrow[:, 0] if exact[0] else values)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 1024])
@pytest.mark.parametrize("gap", [1e-3, 5000.0])
@pytest.mark.parametrize("pack", [True, False])
def test_a_chunk_comes_back_bit_for_bit_and_to_the_microsecond(size: int, gap: float, pack: bool) -> None:
    generator = np.random.default_rng(size)
    steps = generator.integers(INT64.min, INT64.max, size)
    times = START + gap * generator.random(size).cumsum()
    values = generator.choice(AWKWARD, size)
    read_steps, read_times, read_values = decode_chunk(encoded(steps, times, values, pack=pack))
    assert read_steps.tolist() == steps.tolist()
    assert np.abs(read_times - times).max() < 1.5e-6
    assert bits(read_values) == bits(values)


def test_values_born_as_float32_take_half_the_room() -> None:
    steps, times = np.arange(1000), START + np.random.default_rng(0).random(1000).cumsum()
    wide = np.random.default_rng(1).normal(size=1000)
    narrow = wide.astype(np.float32).astype(np.float64)
    assert len(encoded(steps, times, wide)) - len(encoded(steps, times, narrow)) > 3000


@pytest.mark.parametrize(
    "steps",
    [
        [7],
        [0, 1, 2, 3],
        [0, 50, 100],
        [3, 1, 10, -5],
        [INT64.max, INT64.min],
        [INT64.min, INT64.max, 0, INT64.max - 1, INT64.min + 7],
    ],
)
def test_steps_come_back_however_irregular_and_in_order(store: Store, steps: list[int]) -> None:
    run = start(store)
    store.write(run, 0, one(steps, [float(index) for index in range(len(steps))]))
    read = store.points(series_id(store, run))
    assert read.steps.tolist() == sorted(steps)
    assert [steps[int(value)] for value in read.values] == sorted(steps)


def test_of_a_series_sampled_by_the_clock_every_sample_of_a_step_is_kept(store: Store) -> None:
    run = start(store)
    samples = block([4, 4, 4, 5], [10.0, 20.0, 15.0, 5.0], "host/cpu_utilization_percent")
    store.write(run, 0, Batch(rows=[samples._replace(columns=(Column("host/cpu_utilization_percent", "device"),))]))
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
        block = RowBlock.of_series("loss", "scalar", "", np.array([index]), np.array([time]), np.array([0.0]))
        store.write(run, 0, Batch(rows=[block]))
    assert np.abs(store.points(series_id(store, run)).times - times).max() < 1.5e-6


def test_a_chunk_says_no_to_a_format_it_does_not_know() -> None:
    payload = bytearray(encoded(np.arange(3), np.arange(3.0), np.arange(3.0)))
    payload[0] = 9
    with pytest.raises(StoreError, match="format 9; this torchglass reads format 2"):
        decode_chunk(bytes(payload))


def test_plain_whole_numbers_are_stored_as_the_numbers_they_are(store: Store) -> None:
    run = start(store)
    steps, values = np.array([1, 2], np.int32), np.array([2**24 + 1, -3])
    store.write(run, 0, Batch(rows=[RowBlock.of_series("n", "scalar", "", steps, np.array([1.0, 2.0]), values)]))  # type: ignore[arg-type]
    read = store.points(series_id(store, run, "n"))
    assert (read.steps.tolist(), read.values.tolist()) == ([1, 2], [2.0**24 + 1, -3.0])


def test_of_steps_further_apart_than_64_bits_tell_the_last_write_wins_too(store: Store) -> None:
    run, far = start(store), 6 * 10**18
    store.write(run, 0, one([0, far, -far, 0], [1.0, 2.0, 3.0, 4.0]))
    for _ in range(2):
        read = store.points(series_id(store, run))
        assert (read.steps.tolist(), read.values.tolist()) == ([-far, 0, far], [3.0, 4.0, 2.0])
        store.compact(run)
    assert ask(store, "SELECT is_ordered FROM chunks") == [(0,)]


def test_bytes_that_are_damaged_are_told_in_a_sentence(store: Store) -> None:
    run = start(store)
    store.write(run, 0, one(range(2000), [float(step) for step in range(2000)]))
    change(store, "UPDATE arrivals SET payload = substr(payload, 1, 60)")
    with pytest.raises(StoreError, match="an arrival in the store is damaged"):
        store.points(series_id(store, run))
    change(store, "DELETE FROM arrivals")
    store.write(run, 0, one(range(2000), [float(step) for step in range(2000)]))
    store.compact(run)
    change(store, "UPDATE payloads SET payload = substr(payload, 1, 60)")
    with pytest.raises(StoreError, match="a chunk of a series in the store is damaged"):
        store.series(run, "loss")


def test_writing_huge_values_warns_about_nothing(store: Store) -> None:
    run = start(store)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.write(run, 0, one([0, 1, 2], [1e300, 1.7e308, 1.7e308]))
        store.write(run, 0, one([3, 4], [-1.7e308, -1.7e308]))
        store.write(run, 0, one(range(64), [1.7e308, -1.7e308] * 32, "to and fro"))
        to_and_fro = store.find_series(run, "to and fro")
        store.compact(run)
    assert to_and_fro is not None
    assert (to_and_fro.mean, to_and_fro.minimum, to_and_fro.maximum) == (None, -1.7e308, 1.7e308)
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
        store.write(run, 0, Batch(rows=[block(steps, values)]))
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


def rows_of(store: Store, table: str) -> int:
    return int(ask(store, f"SELECT count(*) FROM {table}")[0][0])


def test_many_writes_leave_a_chunk_for_every_1024_points_and_every_point(store: Store) -> None:
    run = start(store)
    for step in range(2500):
        store.write(run, 0, one([step], [step * 0.5]))
    assert rows_of(store, "arrivals") < MOST_ARRIVALS
    assert rows_of(store, "chunks") == rows_of(store, "payloads") == 3
    store.end_run(run, "finished")
    assert rows_of(store, "arrivals") == 0
    read = store.points(series_id(store, run))
    assert read.values.tolist() == [step * 0.5 for step in range(2500)]


def test_a_block_without_points_makes_its_series_and_leaves_no_arrival(store: Store) -> None:
    run = start(store)
    store.write(run, 0, one([], [], key="later"))
    assert [series.key for series in store.series_of(run)] == ["later"]
    with store._engine.reading() as connection:
        assert connection.execute("SELECT count(*) FROM arrivals").fetchone()[0] == 0


def test_of_keys_that_come_together_and_apart_each_keeps_its_own_order(store: Store) -> None:
    run = start(store)

    def rows(keys: str, steps: list[int], values: list[list[float]]) -> RowBlock:
        return RowBlock(tuple(Column(key) for key in keys), np.array(steps), START + np.array(steps), np.array(values))

    together = rows("abc", [1, 2], [[10.0, 20.0, 30.0], [11.0, 21.0, 31.0]])
    store.write(run, 0, Batch(rows=[together, rows("cb", [2, 1], [[32.0, 22.0], [33.0, 23.0]])]))
    store.write(run, 0, Batch(rows=[rows("b", [2], [[24.0]]), rows("abc", [3], [[12.0, 25.0, np.nan]])]))
    expected = {"a": [10.0, 11.0, 12.0], "b": [23.0, 24.0, 25.0], "c": [33.0, 32.0, np.nan]}
    for _ in range(3):
        read = {key: store.points(series_id(store, run, key)) for key in expected}
        assert {key: bits(points.values) for key, points in read.items()} == {
            key: bits(np.array(values)) for key, values in expected.items()
        }
        assert [points.steps.tolist() for points in read.values()] == [[1, 2, 3]] * 3
        assert store.tail(series_id(store, run, "b"), 3).values.tolist() == [23.0, 24.0, 25.0]
        store.compact(run)


def test_of_keys_that_come_in_ever_other_company_each_keeps_what_was_written(store: Store) -> None:
    run, generator, keys = start(store), np.random.default_rng(5), [f"k{index}" for index in range(12)]
    written: dict[str, list[tuple[int, float]]] = {key: [] for key in keys}
    for _ in range(30):
        rows = []
        for _ in range(4):
            chosen = generator.choice(keys, int(generator.integers(1, 8)), replace=False).tolist()
            steps, values = generator.integers(-9, 9, 3), generator.normal(size=(3, len(chosen)))
            rows.append(RowBlock(tuple(Column(key) for key in chosen), steps, START + np.arange(3.0), values))
            for column, key in enumerate(chosen):
                written[key] += zip(steps.tolist(), values[:, column].tolist(), strict=True)
        store.write(run, 0, Batch(rows=rows))
    for _ in range(2):
        for series in store.series_of(run):
            tail = store.tail(series.id, 0)
            assert list(zip(tail.steps.tolist(), tail.values.tolist(), strict=True)) == written[series.key]
            assert series.mean == pytest.approx(np.mean([value for _, value in written[series.key]]))
        store.compact(run)


def test_compaction_that_fails_costs_no_point_and_is_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = start(store)
    monkeypatch.setattr("torchglass.store.store.MOST_ARRIVALS", 2)
    change(store, "ALTER TABLE payloads RENAME TO aside")
    for step in range(5):
        store.write(run, 0, one([step], [float(step)]))
    assert "could not compact" in caplog.text
    assert store.points(series_id(store, run)).values.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    change(store, "ALTER TABLE aside RENAME TO payloads")
    store.write(run, 0, one([5], [5.0]))
    assert rows_of(store, "arrivals") == 0
    assert store.points(series_id(store, run)).values.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=st.lists(steps_and_values, min_size=1, max_size=50), cursor=st.integers(0, 200))
def test_any_interleaving_of_writes_reads_back_as_a_dictionary_would(
    store: Store, writes: list[list[tuple[int, float]]], cursor: int
) -> None:
    run = start(store)
    model: dict[int, float] = {}
    journal: list[tuple[int, float]] = []
    for points in writes:
        store.write(run, 0, one([step for step, _ in points], [value for _, value in points]))
        if len(points) % 3 == 2:
            store.compact(run)
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
    store.write(run, 0, Batch(rows=[block([1], [1.0], "a"), block([1], [2.0], "b")]))
    store.write(run, 1, Batch(rows=[block([1], [3.0], "a")]))
    found = {(each.key, each.rank): store.points(each.id).values.tolist() for each in store.series_of(run)}
    assert found == {("a", 0): [1.0], ("b", 0): [2.0], ("a", 1): [3.0]}
    assert [each.rank for each in store.series_of(run, rank=1)] == [1]
    assert store.series_of(run, kind="phase") == []
