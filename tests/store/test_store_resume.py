"""Runs that go on: the old tail is hidden from every reader, kept, and can be shown again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from blocks import START, ask, one, start
from test_store_life import Clock, everything

from torchglass.errors import OptionError, RunNotFoundError, StoreError
from torchglass.store import LOST_AFTER_SECONDS, Store, compaction


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(location: str, clock: Clock) -> Iterator[Store]:
    with Store(location, clock=clock) as opened:
        yield opened


def ended(store: Store, steps: int, name: str = "run") -> int:
    """A finished run with the values 0, 1, 2, ... at those steps."""
    run = start(store, name)
    store.write(run, 0, one(range(steps), [float(step) for step in range(steps)]))
    store.end_run(run, "finished")
    return run


def resume(store: Store, run: str | int, step: int | None = None, **options: str | int | None) -> int:
    return store.resume_run(run, step=step, host="there", pid=1, **options)[1]  # type: ignore[arg-type]


def test_a_resumed_run_goes_on_at_its_step_and_hides_its_old_tail(store: Store, clock: Clock) -> None:
    run = start(store)
    store.write(run, 0, one(range(10), [1.0, 2.0, 3.0, 4.0, 5.0, 50.0, float("nan"), 7.0, -80.0, 9.0]))
    store.end_run(run, "failed", "RuntimeError: diverged")
    clock.now += 60
    resumed, step = store.resume_run("run", step=5, host="there", pid=9, config={"lr": 0.5})
    assert (resumed.id, resumed.status, resumed.error, resumed.ended_at, step) == (run, "running", None, None, 5)
    assert (resumed.host, resumed.pid, resumed.config, resumed.created_at) == ("there", 9, {"lr": 0.5}, START)
    summary = store.find_series(run, "loss")
    assert summary is not None
    assert (summary.count, summary.nonfinite_count, summary.minimum, summary.maximum) == (5, 0, 1.0, 5.0)
    assert (summary.mean, summary.last, summary.last_step, summary.cursor) == (3.0, 5.0, 4, 10)
    store.write(run, 0, one([5, 6], [6.0, 6.5]))
    points = store.series("run", "loss")
    assert (points.steps.tolist(), points.values.tolist()) == (list(range(7)), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 6.5])
    assert points.cursor == 12
    (told,) = store.resumptions("run")
    assert told == (1, 5, START + 60, "failed", "RuntimeError: diverged", 5, None)


def test_without_a_step_it_goes_on_after_the_last_and_hides_nothing(store: Store) -> None:
    run = ended(store, 7)
    store.add_artifact(run, everything(range(20, 21)).artifacts[0])
    assert resume(store, run) == 7
    assert len(store.artifacts(run)) == 1
    assert store.resumptions(run)[0].hidden_count == 0
    empty = start(store, "empty")
    store.end_run(empty, "interrupted")
    assert resume(store, "empty") == 0


def test_histograms_windows_and_artifacts_from_the_step_on_are_hidden_kept_and_shown_again(store: Store) -> None:
    run = start(store)
    store.write(run, 0, everything(range(10)))
    store.end_run(run, "finished")
    resume(store, run, 4)
    store.write(run, 0, everything(range(4, 6)))

    def shown() -> tuple[list[int], list[int], list[str]]:
        histograms = [each.step for each in store.histograms(run, "weight")]
        windows = [each.step for each in store.windows(run)]
        return histograms, windows, [each.key for each in store.artifacts(run)]

    assert shown() == ([0, 1, 2, 3, 4, 5], [0, 4], ["at/0", "at/4"])
    assert ask(store, "SELECT count(*) FROM histograms") == [(12,)]
    store.unwind(run)
    assert shown() == (list(range(10)), [0, 4, 4, 8], ["at/0", "at/4", "at/8", "at/4"])
    resume(store, store.fork(run, 3).id, 0)
    store.end_run(run, "finished")
    resume(store, run, 4)
    assert shown() == ([0, 1, 2, 3], [0], ["at/0"])


def test_undoing_a_resumption_shows_both_tails_and_the_later_value_of_a_step_counts(store: Store) -> None:
    run = ended(store, 6)
    resume(store, run, 2)
    store.write(run, 0, one([2, 3], [20.0, 30.0]))
    assert store.series(run, "loss").values.tolist() == [0.0, 1.0, 20.0, 30.0]
    assert store.unwind("run").status == "running"
    assert store.series(run, "loss").values.tolist() == [0.0, 1.0, 20.0, 30.0, 4.0, 5.0]
    summary = store.find_series(run, "loss")
    assert summary is not None
    assert (summary.count, summary.maximum, summary.last, summary.last_step) == (8, 30.0, 30.0, 5)
    with pytest.raises(StoreError, match="was never resumed, or that is undone already"):
        store.unwind(run)
    assert store.resumptions(run)[0].undone_at == START


def test_the_last_of_several_resumptions_is_undone_first(store: Store) -> None:
    run = ended(store, 6)
    for step in (4, 2):
        resume(store, run, step)
        store.end_run(run, "interrupted")
    assert store.series(run, "loss").steps.tolist() == [0, 1]
    store.unwind(run)
    assert store.series(run, "loss").steps.tolist() == [0, 1, 2, 3]
    store.unwind(run)
    assert store.series(run, "loss").steps.tolist() == list(range(6))
    assert resume(store, run, 5) == 5
    assert [each.number for each in store.resumptions(run)] == [1, 2, 3]


def test_what_is_still_recorded_is_refused_and_what_is_lost_or_dead_goes_on(store: Store, clock: Clock) -> None:
    run = start(store)
    with pytest.raises(StoreError, match="run 'run' is still being recorded by process 1 on here: end that one first"):
        resume(store, run)
    clock.now += LOST_AFTER_SECONDS + 1
    assert store.run(run).status == "lost"
    assert resume(store, run) == 0
    assert store.resumptions(run)[0].status == "lost"

    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    killed = store.start_run("killed", {}, host="there", pid=int(dead.stdout))
    alive = store.start_run("alive", {}, host="there", pid=os.getpid())
    assert resume(store, killed.id) == 0
    with pytest.raises(StoreError, match="still being recorded"):
        resume(store, alive.id)
    with pytest.raises(RunNotFoundError):
        resume(store, "nobody")
    store.delete(run)
    with pytest.raises(RunNotFoundError, match="it was deleted"):
        resume(store, "run")
    with pytest.raises(OptionError, match="step='5': give a whole number"):
        store.resume_run(killed.id, step="5", host="there", pid=1)  # type: ignore[arg-type]


def test_a_run_resumed_at_the_smallest_step_of_all_shows_nothing_of_before(store: Store) -> None:
    run = ended(store, 64)
    resume(store, run, -(2**63))
    assert store.series(run, "loss", max_points=4).total == 0
    store.write(run, 0, one([-5], [7.0]))
    assert store.series(run, "loss", max_points=1).values.tolist() == [7.0]


def test_a_run_at_the_largest_step_of_all_has_no_next_one(store: Store) -> None:
    run = start(store)
    store.write(run, 0, one([2**63 - 1], [1.0]))
    store.end_run(run, "finished")
    with pytest.raises(StoreError):
        resume(store, run)
    assert (store.run(run).status, resume(store, run, 5)) == ("finished", 5)


def test_ranks_of_one_launch_resume_once_at_the_step_of_the_first(store: Store) -> None:
    run = start(store)
    for rank in (0, 1):
        store.write(run, rank, one(range(8), [float(step + 100 * rank) for step in range(8)]))
    store.end_run(run, "finished")
    assert resume(store, run, 5, launch_id="second", rank=1) == 5
    store.write(run, 1, one([5], [-1.0]))
    assert resume(store, run, None, launch_id="second", rank=0) == 5
    assert store.series(run, "loss", rank=1).values.tolist() == [100.0, 101.0, 102.0, 103.0, 104.0, -1.0]
    assert store.series(run, "loss", rank=0).values.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert len(store.resumptions(run)) == 1
    with pytest.raises(StoreError, match="still being recorded"):
        resume(store, run, 5, launch_id="third")


def test_a_reader_with_a_cursor_gets_what_comes_after_it_and_nothing_that_is_hidden(store: Store) -> None:
    run = ended(store, 6)
    series = store.find_series(run, "loss")
    assert series is not None
    cursor = store.tail(series.id, 0).cursor
    resume(store, run, 3)
    assert store.tail(series.id, 0).values.tolist() == [0.0, 1.0, 2.0]
    assert (store.tail(series.id, cursor).steps.size, store.tail(series.id, cursor).cursor) == (0, cursor)
    store.write(run, 0, one([3], [33.0]))
    assert store.tail(series.id, cursor).values.tolist() == [33.0]


@pytest.mark.parametrize("step", [60_500, 59 * 1024 - 1, 59 * 1024])  # within a chunk, at its last point, behind it
def test_a_glance_at_a_long_series_that_was_resumed_opens_few_chunks(store: Store, step: int) -> None:
    run = ended(store, 100_000)
    resume(store, run, step)
    store.write(run, 0, one(range(step, 100_000), [0.5] * (100_000 - step)))
    store.compact(run)
    series = store.find_series(run, "loss")
    assert series is not None
    ordered = ask(store, "SELECT count(*) FROM chunks WHERE is_ordered = 0")
    assert ordered == [(0,)]
    points = store.points(series.id, max_points=100)
    assert (points.total, points.values.max(), len(points.steps) < 200) == (100_000, step - 1, True)
    assert set(points.values[points.steps >= step].tolist()) == {0.5}


@dataclass
class Model:
    """The readable twin: every write in order, with whether it is shown."""

    written: list[tuple[int, float]] = field(default_factory=list)
    hidden_by: list[set[int]] = field(default_factory=list)

    def write(self, steps: list[int], values: list[float]) -> None:
        self.written += zip(steps, values, strict=True)
        self.hidden_by += [set() for _ in steps]

    def resume(self, number: int, step: int) -> None:
        for (at, _), hidden in zip(self.written, self.hidden_by, strict=True):
            if at >= step and not hidden:
                hidden.add(number)

    def unwind(self, number: int) -> None:
        for hidden in self.hidden_by:
            hidden.discard(number)

    @property
    def shown(self) -> list[tuple[int, float]]:
        return [point for point, hidden in zip(self.written, self.hidden_by, strict=True) if not hidden]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_written_compacted_resumed_and_undone_reads_as_a_dictionary_with_its_tail_cut(
    store: Store, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "CHUNK_POINTS", 8)
    chance = random.Random(seed)
    run, model, next_step, numbers, count = start(store), Model(), 0, list[int](), 0
    for _ in range(60):
        action = chance.choices(("write", "compact", "resume", "unwind"), (6, 2, 1.5, 0.5))[0]
        if action == "write":
            size = chance.randrange(1, 12)
            steps = [next_step + index for index in range(size)]
            if chance.random() < 0.2:
                steps = [chance.randrange(0, next_step + 5) for _ in range(size)]
            next_step = max(next_step, *(step + 1 for step in steps))
            values = [chance.choice([chance.gauss(0, 1), 1e300, float("nan"), float("inf")]) for _ in steps]
            store.write(run, 0, one(steps, values))
            model.write(steps, values)
        elif action == "compact":
            store.compact(run)
        elif action == "resume":
            store.end_run(run, "finished")
            step = chance.randrange(0, next_step + 2)
            resume(store, run, step)
            count += 1
            numbers.append(count)
            model.resume(count, step)
            next_step = step
        elif numbers:
            store.unwind(run)
            model.unwind(numbers.pop())
            next_step = max((step + 1 for step, _ in model.shown), default=0)
        check(store, run, model)


def check(store: Store, run: int, model: Model) -> None:
    if not model.written:
        return
    series = store.find_series(run, "loss")
    assert series is not None
    latest = dict(model.shown)
    wanted = sorted(latest.items())
    points = store.points(series.id)
    assert points.steps.tolist() == [step for step, _ in wanted]
    np.testing.assert_array_equal(points.values, [value for _, value in wanted])
    assert points.cursor == series.cursor == len(model.written)

    for most in (4, 8, 1000):
        reduced = store.points(series.id, max_points=most)
        np.testing.assert_array_equal(reduced.values, [latest[step] for step in reduced.steps.tolist()])
        finite = [value for _, value in wanted if np.isfinite(value)]
        drawn = reduced.values[np.isfinite(reduced.values)]
        assert reduced.total == len(wanted)
        if finite:
            assert (drawn.min(), drawn.max()) == (min(finite), max(finite))

    tail = store.tail(series.id, 0)
    assert tail.steps.tolist() == [step for step, _ in model.shown]
    np.testing.assert_array_equal(tail.values, [value for _, value in model.shown])

    counted = [(step, value) for step, value in model.shown if np.isfinite(value)]
    assert (series.count, series.nonfinite_count) == (len(model.shown), len(model.shown) - len(counted))
    assert series.last_step == max((step for step, _ in model.shown), default=None)
    smallest = min(counted, key=lambda point: point[1], default=(None, None))
    largest = max(counted, key=lambda point: point[1], default=(None, None))
    assert (series.minimum_step, series.minimum) == smallest
    assert (series.maximum_step, series.maximum) == largest
    assert series.last == (counted[-1][1] if counted else None)
    if counted:
        assert series.mean == pytest.approx(sum(value for _, value in counted) / len(counted), rel=1e-12)
