"""One step of a run: what was recorded at it or next to it, and how it compares with all others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from torchglass.analysis.at_step import Reading, read_moment, readings_near
from torchglass.analysis.slow_steps import (
    MOST_STEPS,
    beside_all,
    read_every_step,
    slowest_steps,
    stretch,
)
from torchglass.store import (
    ArtifactBlock,
    Batch,
    Histogram,
    HistogramBlock,
    ProfilerWindow,
    RowBlock,
    Run,
    Store,
    open_store,
)
from torchglass.store.records import SeriesKind

STEPS = 1000


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "runs.db")


def start(store: Store) -> Run:
    return store.start_run("run", {}, host="here", pid=1)


def block(key: str, kind: SeriesKind, steps: list[int], values: list[float], unit: str = "") -> RowBlock:
    return RowBlock.of_series(key, kind, unit, np.array(steps), np.array(steps, float), np.array(values, float))


def histogram(step: int, nan: int = 0, infinite: int = 0) -> Histogram:
    return Histogram(step, 0.0, np.array([3]), np.array([2]), 0, nan, infinite, 0, 1.0, 1.0)


def test_a_moment_gathers_what_lies_at_the_step_or_next_to_it(store: Store) -> None:
    run = start(store)
    rows = [
        block("train/loss", "scalar", [0, 500, 1000], [3.0, 2.0, 1.0]),
        block("layers/a/gradient_norm", "layer", [400, 500], [0.3, 3.0]),
        block("layers/b/gradient_norm", "layer", [400, 500], [0.4, 4.0]),
        block("gpu0/utilization_percent", "device", [490, 490, 506], [1.0, 2.0, 80.0], "%"),
        block("gpu1/utilization_percent", "device", [490, 490, 506], [1.0, 2.0, 90.0], "%"),
        block("phase/step", "phase", [499, 500, 501], [0.1, 0.2, 0.3], "s"),
    ]
    windows = [ProfilerWindow(step, 0.0, 3, 0.1, {}, ()) for step in (300, 508, 900)]
    histograms = [HistogramBlock(f"weights/{name}", histogram(step, nan=step)) for name in "ab" for step in (495, 520)]
    artifacts = [ArtifactBlock("explanation", "test/1", step, 0.0, {}, {}) for step in (100, 502, 509)]
    store.write(run.id, 0, Batch(rows=rows, windows=windows, histograms=histograms, artifacts=artifacts))
    moment = read_moment(store, run, 500)
    assert moment.loss == Reading(500, 2.0, "")
    assert moment.gradient_norm == Reading(500, 5.0, "")
    assert moment.utilization_percent == Reading(506, 85.0, "%")
    assert moment.step_seconds == Reading(500, 0.2, "s")
    assert (moment.window, moment.histograms, moment.nonfinite) == ((508, 510), 495, 2 * 495)
    assert moment.artifacts == {"explanation": 502}
    far = read_moment(store, run, 700)
    assert (far.window, far.histograms, far.artifacts, far.nonfinite) == (None, None, {}, 0)
    assert far.loss == Reading(500, 2.0, ""), "a reading is named with its step, however far"


def test_norms_that_were_not_read_at_one_step_are_not_added_up_and_a_logged_norm_wins(store: Store) -> None:
    run = start(store)
    apart = [block(f"layers/{name}/gradient_norm", "layer", [step], [1.0]) for name, step in (("a", 7), ("b", 8))]
    store.write(run.id, 0, Batch(rows=apart))
    assert read_moment(store, run, 7).gradient_norm is None
    store.write(run.id, 0, Batch(rows=[block("train/grad_norm", "scalar", [6], [9.0])]))
    assert read_moment(store, run, 7).gradient_norm == Reading(6, 9.0, "")


def test_the_nearest_point_is_found_however_far_and_of_two_the_earlier(store: Store) -> None:
    run = start(store)
    rows = [block("a", "scalar", [0, 40, 60], [1.0, 2.0, 3.0]), block("b", "scalar", [5000], [float("nan")])]
    store.write(run.id, 0, Batch(rows=rows))
    a, b = store.series_of(run.id)
    near = readings_near(store, [a, b], 50)
    assert near[a.id] == Reading(40, 2.0, "")
    assert near[b.id].step == 5000
    assert np.isnan(near[b.id].value)
    assert readings_near(store, [a], 10**12)[a.id].step == 60


def test_a_run_without_anything_has_an_empty_moment(store: Store) -> None:
    moment = read_moment(store, start(store), 5)
    assert moment._replace(step=0) == (0, None, None, None, None, None, None, 0, {})


def record_steps(store: Store) -> Run:
    """Steps of 4 ms of data and 6 ms of forward, but for three slow ones."""
    run = start(store)
    data, forward = np.full(STEPS, 0.004), np.full(STEPS, 0.006)
    data[[100, 700]], forward[300] = (0.014, 0.054), 0.026
    for key, values in (("data", data), ("forward", forward), ("step", data + forward)):
        store.write(run.id, 0, Batch(rows=[block(f"phase/{key}", "phase", [*range(STEPS)], values.tolist(), "s")]))
    return run


def test_a_step_stands_beside_all_by_phase(store: Store) -> None:
    run = record_steps(store)
    steps = read_every_step(store, run.id, 0, stretch(STEPS - 1))
    found = beside_all(steps, 700)
    assert found is not None
    assert (found.step, found.step_count, found.slowest_percent) == (700, STEPS, pytest.approx(0.1))
    data, forward = found.phases
    assert (data.phase, data.seconds, data.percentile) == ("data", pytest.approx(0.054), pytest.approx(99.9))
    assert data.mean_seconds == pytest.approx((998 * 0.004 + 0.014 + 0.054) / STEPS)
    assert data.difference_seconds == pytest.approx(0.054 - data.mean_seconds)
    assert forward.percentile == 0
    assert found.whole.seconds == pytest.approx(0.06)
    common = beside_all(steps, 5)
    assert common is not None
    assert (common.slowest_percent, common.whole.percentile) == (100, 0)


def test_the_slowest_steps_are_ranked_with_what_made_them_slow(store: Store) -> None:
    run = record_steps(store)
    steps = read_every_step(store, run.id, 0, stretch(STEPS - 1))
    first, second, third = slowest_steps(steps, [ProfilerWindow(299, 0.0, 2, 0.1, {}, ())], 3)
    assert [each.step for each in (first, second, third)] == [700, 300, 100]
    assert [each.phase for each in (first, second, third)] == ["data", "forward", "data"]
    assert [each.is_profiled for each in (first, second, third)] == [False, True, False]
    assert (first.times_median, first.extra_seconds) == (pytest.approx(6), pytest.approx(0.05))
    assert slowest_steps(steps._replace(numbers=steps.numbers[:0]), []) == ()


@pytest.mark.parametrize("around", [0, 1, 49_999, 50_000, 149_999, 850_000, 899_999, 999_999, 5_000_000])
def test_a_stretch_holds_its_step_and_is_bounded(around: int) -> None:
    first, last = stretch(1_000_000, around)
    assert first <= min(around, 1_000_000) <= last
    assert last - first + 1 == MOST_STEPS
    assert len({stretch(1_000_000, step) for step in range(500_000, 549_999, 7)}) == 1
    assert stretch(1_000_000) == (900_001, 1_000_000)
