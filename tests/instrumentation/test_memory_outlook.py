"""When memory will run out: a leak is foretold with its numbers, and no curve that stays bounded ever alarms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from torchglass.instrumentation.buffer import Deferred, Record
from torchglass.instrumentation.memory.outlook import STRETCH, Growth, Outlook, median_slope
from torchglass.instrumentation.memory.warnings import KEY, MemoryWarnings, in_units
from torchglass.store import Batch, Fact

LIMIT = 10_000.0
Curve = Callable[[np.ndarray], np.ndarray]


def look_at(curve: np.ndarray, every: int = 1, limit: float = LIMIT) -> list[Growth]:
    outlook = Outlook(limit)
    steps = list(range(0, len(curve) * every, every))
    found = []
    for first in range(0, len(curve) - STRETCH + 1, STRETCH):
        used = curve[first : first + STRETCH].tolist()
        growth = outlook.look(steps[first : first + STRETCH], used, used[-1])
        if growth is not None:
            found.append(growth)
    return found


def test_a_leak_is_foretold_with_its_slope_and_the_steps_that_are_left() -> None:
    curve = 2000 + 6.0 * np.arange(2000)
    first = look_at(curve)[0]
    assert first.bytes_per_step == pytest.approx(6.0)
    # Full at step 1333; seven times two stretches are 896 steps, a quarter of which is 224: told from step 1109 on.
    assert first.observed_steps == 14 * STRETCH
    assert first.steps_left == pytest.approx((LIMIT - (2000 + 6.0 * (18 * STRETCH - 1))) / 6.0)


def test_a_long_rise_is_foretold_from_further_ahead() -> None:
    first = look_at(np.arange(9_000.0), limit=8_000.0)[0]
    assert first.observed_steps == 56 * STRETCH
    assert 896 - STRETCH <= first.steps_left <= 896


def test_a_leak_under_a_saw_is_seen_by_its_lowest_readings() -> None:
    at = np.arange(2000)
    noise = np.random.default_rng(0).uniform(0, 300, 2000)
    curve = 1000 + 5.0 * at + 2000 * (at % 37) / 37 + noise
    assert look_at(curve)[0].bytes_per_step == pytest.approx(5.0, rel=0.1)


def test_steps_left_are_steps_of_training_where_readings_are_further_apart() -> None:
    assert look_at(1000 + 20.0 * np.arange(1000), every=5)[0].bytes_per_step == pytest.approx(4.0)


def test_a_leak_is_not_told_before_it_is_near() -> None:
    assert look_at(1000 + 1.0 * np.arange(7000)) == []


def test_a_late_leak_is_found_after_a_long_quiet() -> None:
    at = np.arange(20_000)
    assert len(look_at(3000 + 5.0 * np.maximum(0, at - 18_500))) > 0


@pytest.mark.parametrize(
    "curve",
    [
        lambda at: np.full(len(at), 9_500.0),
        lambda at: 8_000 + np.random.default_rng(1).normal(0, 500, len(at)),
        lambda at: 4_000 + 5_000 * (at % 50) / 50,
        lambda at: 4_000 + 5_000 * (at % 390) / 390,
        lambda at: 4_000 + 4_500 * ((at % 700) / 700),
        lambda at: 1_000 + 7_000 * ((at % 5000) / 5000),
        lambda at: 1_000 + 4_000 * ((at % 3000) / 3000),
        lambda at: 5_000 + 4_900 * np.sin(at / 200),
        lambda at: 9_900 * (1 - np.exp(-at / 300)),
        lambda at: np.minimum(9_800, 30.0 * at),
        lambda at: 9_500.0 - 0.3 * at,
        lambda at: np.where(at < 3000, 2_000.0, 9_000.0),
    ],
    ids=[
        "constant",
        "noise",
        "saw",
        "saw390",
        "saw700",
        "saw5000",
        "saw3000",
        "sine",
        "saturating",
        "ramp",
        "falling",
        "jump",
    ],
)
def test_a_curve_that_stays_bounded_never_alarms(curve: Curve) -> None:
    assert look_at(curve(np.arange(12_000, dtype=np.float64))) == []


def test_a_random_walk_of_batches_of_all_sizes_never_alarms() -> None:
    for seed in range(8):
        generator = np.random.default_rng(seed)
        assert look_at(2_000 + 7_500 * generator.beta(1, 5, 8_000)) == []


def test_wild_points_leave_the_median_slope_alone() -> None:
    x = np.arange(9.0)
    y = 3 * x
    y[[2, 7]] = (1e6, -1e6)
    assert median_slope(x, y) == pytest.approx(3.0)


def warned(used: list[int], taken: list[int], limit: int) -> list[Fact]:
    records: list[Record] = []
    warnings = MemoryWarnings(limit, "cuda:1", 0, records.append)
    for step, pair in enumerate(zip(used, taken, strict=True)):
        warnings.note(step, 100.0 + step, *pair)
    batch = Batch()
    found = []
    for record in records:
        if isinstance(record, Deferred):
            record.add_to(batch)
        elif isinstance(record, Fact):
            found.append(record)
    return [*found, *batch.facts]


def test_nearly_full_is_told_once_with_the_numbers() -> None:
    (fact,) = warned([40_000_000_000] * 500, [10_000_000_000, *[73_600_000_000] * 499], 80_000_000_000)
    assert (fact.rank, fact.key, fact.time) == (0, KEY, 101.0)
    assert "at step 1 this process took 73.6 GB, 92 % of the 80 GB of cuda:1, 40 GB of it in tensors" in fact.value


def test_ninety_percent_is_not_yet_nearly_full() -> None:
    assert warned([5], [9_000], 10_000) == []
    assert len(warned([5], [9_001], 10_000)) == 1


def test_growth_is_told_once_with_the_numbers() -> None:
    used = [100 + 2 * step for step in range(64 * STRETCH + 100)]
    (fact,) = warned(used, [each + 500 for each in used], 10_000)
    assert fact.key == KEY
    assert "memory of cuda:1 grows by 2 B a step (over the last 3584 steps, up to step 4095): 8.79 kB of" in fact.value
    assert "in about 605 steps nothing is left" in fact.value


def test_sizes_are_written_in_the_unit_that_suits_them() -> None:
    assert [in_units(size) for size in (0, 999, 1_500, 2.5e6, 9.53e9, 1.2e12)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2.5 MB",
        "9.53 GB",
        "1.2 TB",
    ]
